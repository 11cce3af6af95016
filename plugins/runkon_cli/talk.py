"""What has been heard of an agent so far: session, turns, cost, its words, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from runkon.model.output import JsonValue, Usage
from runkon.model.value_text import harmless

SHOWN = 200  # characters of a line of progress
_MOST = 1 << 53  # of anything counted: more is no number of tokens

Cause: TypeAlias = Literal["transient", "fatal", "turns", "session"]


class Talk:
    """Filled line by line. `text` is the newest message, the answer once `is_over`; `problem` says why it is none."""

    def __init__(self, emit: Callable[[str], None]) -> None:
        self._emit = emit
        self._parts: list[str] = []
        self._input: dict[str, int] = {}
        self._output: dict[str, int] = {}
        self.session: str | None = None
        self.model: str | None = None
        self.values: Mapping[str, JsonValue] | None = None
        self.turns = 0
        self.cost_usd: float | None = None
        self.is_over = False
        self.problem: str | None = None
        self.cause: Cause | None = None
        self.note: str | None = None  # an error it spoke of and went on
        self.stray: str | None = None  # the newest line that was none of its protocol
        self._seen: set[str] = set()
        self.is_speaking = False

    # ── what a reader of lines tells ──────────────────────────────────────────────────────────────
    def turn(self, key: str | None = None) -> bool:
        """One turn more, unless it was counted under this key; true if it is new."""
        if key is not None:
            if key in self._seen:
                return False
            self._seen.add(key)
        self.turns += 1
        return True

    def message(self, text: str) -> None:
        """A whole message of the agent: the newest is its answer."""
        if text.strip():
            self._parts = [text]
            self.tell(text)

    def begin_message(self) -> None:
        self._parts = []

    def add(self, text: str) -> None:
        """A piece of the message begun."""
        self._parts.append(text)

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def tool(self, name: str, about: object = "") -> None:
        """The agent uses a tool; `about` is what it gives to it."""
        self.tell(f"uses {name}: {_words(about)}" if about else f"uses {name}")

    def tell(self, text: str) -> None:
        """One line of progress, short and safe to print."""
        line = next((line for line in harmless(text).splitlines() if line.strip()), "")
        line = " ".join(line.split())
        if line:
            self._emit(line if len(line) <= SHOWN else line[: SHOWN - 1] + "…")

    def used(self, tokens_in: object, tokens_out: object, key: str = "") -> None:
        """Tokens of the part `key`; told again, the newer count of the same part holds."""
        self._input[key] = count(tokens_in)
        self._output[key] = count(tokens_out)

    def used_in_all(self, tokens_in: object, tokens_out: object) -> None:
        """Tokens of the whole attempt, in place of those of its parts."""
        self._input, self._output = {"": count(tokens_in)}, {"": count(tokens_out)}

    def end(self, text: str | None = None) -> None:
        """The end, with an answer."""
        if text is not None:
            self._parts = [text]
        self.is_over = True

    def fail(self, text: str, cause: Cause | None = None) -> None:
        """The end, without one."""
        self.is_over = True
        self.problem = text.strip() or "it gave no reason"
        self.cause = cause

    # ── what came of it ───────────────────────────────────────────────────────────────────────────
    @property
    def usage(self) -> Usage | None:
        """What it cost, as far as it was told; None if nothing was."""
        if not (self.turns or self._input or self.cost_usd is not None):
            return None
        return Usage(self.cost_usd, sum(self._input.values()), sum(self._output.values()), self.turns)


def count(value: object) -> int:
    """A whole number from 0; anything else counts as 0."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < _MOST else 0


def amount(value: object) -> float | None:
    """An amount of money; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST:
        return None
    return float(value) if math.isfinite(value) else None


def text_of(value: object) -> str:
    """A text, or nothing: with half characters made whole."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else ""


def _words(about: object) -> str:
    """The first text in what a tool is given: a path, a command, a query."""
    if isinstance(about, Mapping):
        about = next((value for value in about.values() if isinstance(value, str) and value.strip()), "")
    return text_of(about)[: 4 * SHOWN]
