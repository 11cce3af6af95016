"""Telling sinks: in order, one thread each, and none of them stops whoever writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from runkon.engine.telling import MOST_KEPT, SINK_PATIENCE, Telling
from runkon.model.events import Envelope, Note
from runkon.model.ids import RunID
from runkon.testing.clock import FakeClock

PATIENCE = 20.0  # real seconds until a test gives up on another thread


def events(first: int, last: int) -> list[Envelope]:
    note = Note(level="info", code="test", text="x")
    return [Envelope(RunID("R"), seq, 0, 1, 1, note) for seq in range(first, last + 1)]


class Ears:
    """A sink that blocks at one event until the test lets it go."""

    def __init__(self, blocks_at: int | None = None) -> None:
        self.heard: list[int | tuple[int, int]] = []
        self.threads: set[int] = set()
        self.blocks_at = blocks_at
        self.blocked, self.free = threading.Event(), threading.Event()
        self.caught_up = threading.Event()
        self.last: int | None = None

    def emit(self, envelope: Envelope) -> None:
        self.threads.add(threading.get_ident())
        if envelope.seq == self.blocks_at:
            self.blocked.set()
            assert self.free.wait(PATIENCE)
        self.heard.append(envelope.seq)
        if envelope.seq == self.last:
            self.caught_up.set()

    def gap(self, first: int, last: int) -> None:
        self.heard.append((first, last))


def on_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def bypassed(telling: Telling, clock: FakeClock, *ears: Ears) -> None:
    """Tell event 1, at which one of `ears` blocks, until it is not waited for any more."""
    telling_it = on_thread(lambda: telling.tell(events(1, 1)))
    for ear in ears:
        assert ear.blocked.wait(PATIENCE)
    clock.advance(SINK_PATIENCE)
    telling_it.join(PATIENCE)
    assert not telling_it.is_alive()


def caught_up(telling: Telling) -> None:
    """Return when the first sink is waited for again."""
    deadline = time.monotonic() + PATIENCE
    while telling._ears[0]._is_late:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_whoever_tells_comes_back_when_all_have_heard_it_in_order_on_one_thread_each() -> None:
    first, second = Ears(), Ears()
    telling = Telling([first, second], FakeClock())
    telling.tell(events(1, 3))
    assert first.heard == second.heard == [1, 2, 3]
    telling.tell(events(4, 4))
    assert first.heard == second.heard == [1, 2, 3, 4]
    assert len(first.threads) == len(second.threads) == len(first.threads ^ second.threads) - 1 == 1
    telling.close()


def test_a_sink_that_blocks_is_waited_for_no_longer_and_the_others_hear_on() -> None:
    deaf, healthy, clock = Ears(blocks_at=1), Ears(), FakeClock()
    telling = Telling([deaf, healthy], clock)
    bypassed(telling, clock, deaf)
    telling.tell(events(2, 3))
    assert (deaf.heard, healthy.heard) == ([], [1, 2, 3])
    deaf.last = 3
    deaf.free.set()
    assert deaf.caught_up.wait(PATIENCE)
    assert deaf.heard == [1, 2, 3]
    telling.close()


def test_a_sink_that_was_late_is_waited_for_again_once_it_has_caught_up() -> None:
    deaf, clock = Ears(blocks_at=1), FakeClock()
    telling = Telling([deaf], clock)
    bypassed(telling, clock, deaf)
    deaf.free.set()
    caught_up(telling)
    telling.tell(events(2, 2))
    assert deaf.heard == [1, 2]
    telling.close()


def test_one_that_misses_too_much_hears_of_a_gap_in_its_place() -> None:
    deaf, clock = Ears(blocks_at=1), FakeClock()
    telling = Telling([deaf], clock)
    bypassed(telling, clock, deaf)
    last = 1 + MOST_KEPT
    for seq in range(2, last + 8):
        telling.tell(events(seq, seq))
    deaf.last = last
    deaf.free.set()
    assert deaf.caught_up.wait(PATIENCE)
    caught_up(telling)
    telling.tell(events(last + 8, last + 8))
    assert deaf.heard == [*range(1, last + 1), (last + 1, last + 7), last + 8]
    telling.close()


def test_closing_waits_for_a_late_one_only_for_so_long() -> None:
    deaf, clock = Ears(blocks_at=1), FakeClock()
    telling = Telling([deaf], clock)
    bypassed(telling, clock, deaf)
    closing = on_thread(telling.close)
    clock.wait_for_timers(1)
    clock.advance(SINK_PATIENCE)
    closing.join(PATIENCE)
    assert not closing.is_alive()
    assert clock.timers == []
    deaf.free.set()


def test_closing_leaves_no_thread_and_no_timer() -> None:
    before, clock = set(threading.enumerate()), FakeClock()
    for _ in range(10):
        telling = Telling([Ears(), Ears()], clock)
        telling.tell(events(1, 2))
        telling.close()
    assert set(threading.enumerate()) <= before
    assert clock.timers == []


def test_a_sink_that_raises_is_told_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def emit(self, _: Envelope) -> None:
            raise RuntimeError("no network")

    telling = Telling([Broken()], FakeClock())
    telling.tell(events(1, 3))
    telling.close()
    assert capsys.readouterr().err == (
        "warning: event sink `Broken` failed, the run goes on: RuntimeError('no network')\n"
    )
