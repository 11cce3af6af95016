"""The programs that run at this moment, so that they can be ended at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from runkon.executors.process import ChildProcess


class Running:
    """Children of one runtime. Safe from any thread."""

    def __init__(self) -> None:
        self._children: set[ChildProcess] = set()
        self._lock = Lock()

    @contextmanager
    def holding(self, child: ChildProcess) -> Iterator[None]:
        with self._lock:
            self._children.add(child)
        try:
            yield
        finally:
            with self._lock:
                self._children.discard(child)

    def kill(self) -> None:
        """End all of them now, without grace."""
        with self._lock:
            children = list(self._children)
        for child in children:
            child.kill()
