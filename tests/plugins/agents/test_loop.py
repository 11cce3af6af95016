"""The event loop of one attempt: it gives what the work gives, and nothing is left of it, whatever the work does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

import pytest

from runkon_agents.loop import OwnLoop, Stopped

PATIENCE = 30.0


def begun(work) -> tuple[OwnLoop, Callable[[], BaseException | object]]:
    """A loop at work on a thread, and what comes of it."""
    loop = OwnLoop("agents test", work)
    found: list[BaseException | object] = []

    def run() -> None:
        try:
            found.append(loop.run())
        except BaseException as error:  # noqa: BLE001 - looked at by the test
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def outcome() -> BaseException | object:
        thread.join(PATIENCE)
        assert not thread.is_alive()
        return found[0]

    return loop, outcome


async def give() -> str:
    await asyncio.sleep(0)
    return "done"


async def fail() -> None:
    raise LookupError("no")


async def cancel_itself() -> None:
    raise asyncio.CancelledError


def test_it_gives_what_the_work_gives_also_inside_another_loop() -> None:
    async def outside() -> str:
        return OwnLoop("agents test", give).run()

    assert OwnLoop("agents test", give).run() == "done"
    assert asyncio.run(outside()) == "done"
    with pytest.raises(LookupError, match="no"):
        OwnLoop("agents test", fail).run()


def test_a_cancellation_from_inside_is_an_ordinary_error() -> None:
    with pytest.raises(RuntimeError, match="broken off from inside"):
        OwnLoop("agents test", cancel_itself).run()


def test_a_stop_before_it_began_holds() -> None:
    loop = OwnLoop("agents test", give)
    loop.stop()
    with pytest.raises(Stopped):
        loop.run()


def test_a_stop_cancels_and_lets_the_work_close_what_it_has_open() -> None:
    at_work, closed = threading.Event(), threading.Event()

    async def work() -> None:
        try:
            at_work.set()
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            closed.set()

    loop, outcome = begun(work)
    assert at_work.wait(PATIENCE)
    loop.stop()
    assert isinstance(outcome(), Stopped)
    assert closed.is_set()


def test_work_that_does_not_hear_ends_after_its_grace() -> None:
    at_work = threading.Event()

    async def work() -> None:
        for _ in range(3):
            with suppress(asyncio.CancelledError):
                at_work.set()
                await asyncio.sleep(3600)

    loop, outcome = begun(work)
    assert at_work.wait(PATIENCE)
    loop.stop(0.01)
    assert isinstance(outcome(), Stopped)


def test_a_call_that_blocks_a_thread_blocks_no_stop() -> None:
    at_work, released = threading.Event(), threading.Event()

    def block() -> None:
        at_work.set()
        released.wait(PATIENCE)

    async def work() -> None:
        await asyncio.to_thread(block)

    loop, outcome = begun(work)
    assert at_work.wait(PATIENCE)
    loop.stop()
    assert isinstance(outcome(), Stopped)
    assert not released.is_set()
    released.set()


def test_many_stops_are_one() -> None:
    at_work = threading.Event()

    async def work() -> None:
        at_work.set()
        await asyncio.sleep(3600)

    loop, outcome = begun(work)
    assert at_work.wait(PATIENCE)
    for _ in range(5):
        loop.stop(0.0)
    assert isinstance(outcome(), Stopped)
    loop.stop()
