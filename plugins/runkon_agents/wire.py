"""The HTTP client of one attempt: bounded, patient for a while only, and a sign of life with every piece that comes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

MOST_BYTES = 64 << 20  # of one response as it comes: pieces of a stream are a hundred times their text
CONNECT = 30.0
SIGN = 1.0  # seconds between two signs of life


class Flood(Exception):
    """More came than is read."""


class Wire(httpx2.AsyncClient):
    """As its base class, which also keeps to the proxies of the environment. A redirection is not followed: the key
    would go elsewhere. `flood` is set to what was wrong with a response that is not read."""

    def __init__(self, idle: float, alive: Callable[[], None]) -> None:
        super().__init__(
            timeout=httpx2.Timeout(idle, connect=min(idle, CONNECT)),
            headers={"Accept-Encoding": "identity", "User-Agent": "runkon"},
            follow_redirects=False,
        )
        self.flood: str | None = None
        self._alive = alive
        self._shown = 0.0

    async def send(self, request: httpx2.Request, *, stream: bool = False, **more: Any) -> httpx2.Response:
        """The response, whose body is counted while it is read."""
        request.headers["Accept-Encoding"] = "identity"  # the libraries ask for packed ones
        response = await super().send(request, stream=True, **more)
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            self.flood = "its answer is packed, which was not asked for"
            raise Flood(self.flood)
        response.stream = _Counted(response.stream, self)
        if not stream:
            try:
                await response.aread()
            except BaseException:
                await response.aclose()
                raise
        return response

    def came(self, total: int) -> None:
        """`total` bytes of a response are here."""
        now = time.monotonic()
        if now - self._shown >= SIGN:
            self._shown = now
            self._alive()
        if total > MOST_BYTES:
            self.flood = f"its answer is above {MOST_BYTES >> 20} MiB"
            raise Flood(self.flood)


class _Counted(httpx2.AsyncByteStream):
    def __init__(self, stream: Any, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

    async def __aiter__(self) -> AsyncIterator[bytes]:
        total = 0
        async for piece in self._stream:
            total += len(piece)
            self._wire.came(total)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
