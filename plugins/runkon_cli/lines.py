"""Bytes in pieces, as lines: bounded memory whatever arrives."""

from __future__ import annotations

MOST = 16 << 20  # bytes of one line, and of a whole answer


class Lines:
    """Cuts a stream into lines without their ends. A line above `most` bytes is left out, and counted."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._pieces: list[bytes] = []
        self._size = 0
        self._is_skipping = False
        self.left_out = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that `piece` completes."""
        *complete, rest = piece.split(b"\n")
        lines = [line for line in map(self._end, complete) if line is not None]
        self._add(rest)
        return lines

    def rest(self) -> list[bytes]:
        """The last line, if the stream ended in the middle of it; call once."""
        line = self._end(b"")
        return [line] if line else []

    def _end(self, piece: bytes) -> bytes | None:
        self._add(piece)
        line = None if self._is_skipping else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._is_skipping = False
        return line

    def _add(self, piece: bytes) -> None:
        if not piece or self._is_skipping:
            return
        self._size += len(piece)
        if self._size > self._most:
            self._is_skipping = True
            self.left_out += 1
            self._pieces.clear()
        else:
            self._pieces.append(piece)
