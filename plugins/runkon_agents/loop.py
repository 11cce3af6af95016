"""An event loop on a thread of its own, for the length of one attempt: nothing of it is left afterwards."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Generic, TypeVar

GRACE = 5.0  # seconds in which connections and programs are closed after a stop
_Result = TypeVar("_Result")


class Stopped(Exception):
    """The work was told to stop."""


class OwnLoop(Generic[_Result]):
    """Runs one coroutine. `stop` may be called from any thread, also before it began."""

    def __init__(self, name: str, work: Callable[[], Coroutine[Any, Any, _Result]]) -> None:
        self._name = name
        self._work = work
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[_Result] | None = None
        self._ends: list[asyncio.TimerHandle] = []
        self._stopped = False
        self._future: Future[_Result] = Future()

    def run(self) -> _Result:
        """What the coroutine gave or raised; raises Stopped if it was told to stop before that."""
        thread = threading.Thread(target=self._live, name=self._name, daemon=True)
        thread.start()
        thread.join()
        return self._future.result()

    def stop(self, grace: float = GRACE) -> None:
        """Cancel the work, and give it `grace` seconds to close what it has open."""
        with self._lock:
            self._stopped = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._cancel, grace)

    def _cancel(self, grace: float) -> None:
        loop = self._loop
        if loop is not None and self._main is not None:  # else it is being closed already
            self._main.cancel()
            self._ends.append(loop.call_later(grace, loop.stop))

    def _live(self) -> None:
        loop = asyncio.new_event_loop()
        loop.set_default_executor(_Daemons())
        loop.set_exception_handler(lambda *_: None)  # what breaks while all is being closed
        try:
            result = self._until_done(loop)
        except BaseException as error:  # noqa: BLE001  handed to the caller
            self._future.set_exception(Stopped() if self._stopped else _plain(error))
        else:
            self._future.set_result(result)

    def _until_done(self, loop: asyncio.AbstractEventLoop) -> _Result:
        asyncio.set_event_loop(loop)
        try:
            with self._lock:
                if self._stopped:
                    raise Stopped
                self._loop = loop
                self._main = loop.create_task(self._work())
            return loop.run_until_complete(self._main)
        finally:
            with self._lock:
                self._loop = None
            for end in self._ends:  # what is closed now is not to be stopped
                end.cancel()
            _close(loop)


def _plain(error: BaseException) -> BaseException:
    """The error itself, but a cancellation that nobody here asked for is an ordinary one."""
    if isinstance(error, asyncio.CancelledError):
        return RuntimeError("it was broken off from inside")
    return error


def _close(loop: asyncio.AbstractEventLoop) -> None:
    loop.call_soon(loop.stop)
    loop.run_forever()  # a stop that came together with the end is still waiting to be heard
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        with suppress(RuntimeError):
            if left:
                loop.run_until_complete(asyncio.wait(left, timeout=GRACE))
            loop.run_until_complete(asyncio.wait_for(loop.shutdown_asyncgens(), GRACE))
    except TimeoutError:
        pass
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class _Daemons(ThreadPoolExecutor):
    """A thread for each call, which nobody waits for at the end: a name that can't be looked up blocks no stop."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  whoever waits for it gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=call, daemon=True).start()
        return future
