"""A wish to cancel, asked for in the store by somebody else: seen whatever the run does, and stronger than the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.watcher import Watcher
from runkon.errors import Fatal
from runkon.model.events import RunCancelled, RunCancelRequested
from runkon.model.ids import RunID
from runkon.model.records import CancelRequest
from runkon.store.memory import MemoryRunStore
from runkon.testing import Hold
from runkon.testing.store_story import Story

Make = Callable[..., Any]


def wish(case: Any, *, kill: bool = False, reason: str = "enough") -> None:
    case.store.ask_to_cancel(case.run_id, CancelRequest(1, "ann", reason, kill))


PLACES = {
    "step": ("call a call z", {"a": Hold}),
    "parallel": ("parallel { call a call b } call z", {"a": Hold, "b": Hold}),
    "nested": ("parallel { do { max_iterations = 9 call a } while a.more call b } call z", {"a": Hold}),
    "loop": ("do { max_iterations = 9 call a } while a.more\ncall z", {"a": Hold}),
    "backoff": ("call a { retries = 3 delay = 1h } call z", {"a": Fatal}),
    "slot": ("parallel { max_parallel = 1 call a call b } call z", {"a": Hold}),
    "timed": ("call a { timeout = 1h } call z", {"a": Hold}),
}


@pytest.mark.parametrize("name", PLACES)
def test_it_is_seen_whatever_the_run_does(flow: Make, name: str) -> None:
    body, held = PLACES[name]
    case = flow(f"{body}\nalways {{ call bye }}")
    holds = {key: Hold() for key, kind in held.items() if kind is Hold}
    scripted = case.answers({**holds, **({"a": RuntimeError("no")} if name == "backoff" else {})})
    end = case.begin()
    for key in [*holds][:1]:
        holds[key].wait_begun()
    scripted.wait_for_calls(1)
    wish(case)
    assert end().status == "cancelled"
    assert "z" not in scripted.paths
    assert [str(path) for path in scripted.paths if "always" in path] == ["always#1/bye"]
    asked = [event for event in case.events if isinstance(event, RunCancelRequested)]
    assert [(one.by, one.via, one.reason, one.kill) for one in asked] == [("ann", "cli", "enough", False)]
    assert case.events[-1] == RunCancelled(reason="user", by="ann")
    assert "cancelled" in case.statuses.values()
    assert "running" not in case.statuses.values()


BEATEN = {
    "retries": "call a { retries = 5 }",
    "fallback": "call a { fallback = b }",
    "continue": "call a { on_fail = continue } call z",
    "on_fail": "call a { on_fail = b }",
    "timeout": "call a { timeout = 1h retries = 2 }",
}


@pytest.mark.parametrize("name", BEATEN)
def test_it_beats_what_would_go_on(flow: Make, name: str) -> None:
    case = flow(BEATEN[name])
    hold = Hold()
    scripted = case.answers({"a": hold})
    end = case.begin()
    hold.wait_begun()
    wish(case)
    assert end().status == "cancelled"
    assert [str(path) for path in scripted.paths] == ["a"]


def test_a_wish_from_before_the_leg_is_honoured_at_once(flow: Make) -> None:
    case = flow("call a call b always { call bye }")
    hold = Hold()
    case.answers({"b": hold})
    control = RunControl()
    end = case.begin(control)
    hold.wait_begun()
    control.interrupt()
    assert end().status == "interrupted"
    wish(case)
    scripted = case.answers({})
    record = case.resume()
    assert (record.status, record.cancel.by) == ("cancelled", "ann")
    assert [str(path) for path in scripted.paths] == ["always#2/bye"]
    assert case.statuses["b"] == "cancelled"


def test_a_wish_for_a_run_that_never_began_is_honoured_too(flow: Make) -> None:
    case = flow("call a always { call bye }")
    scripted = case.answers({})
    case.run_id = case.runner().create(case.program, {}, case.config)
    wish(case)
    assert case.resume().status == "cancelled"
    assert [str(path) for path in scripted.paths] == ["always#1/bye"]


def test_a_last_step_that_completes_meanwhile_completes_the_run(flow: Make) -> None:
    case = flow("call a")
    scripted = case.answers({"a": lambda request: "done" if request.cancel.wait(30) else "never told"})
    end = case.begin()
    scripted.wait_for_calls(1)
    wish(case)
    record = end()
    assert (record.status, record.cancel) == ("completed", None)
    assert case.steps["a"].output.context == "done"
    assert "run_cancel_requested" in case.kinds


def test_a_last_step_that_is_stopped_cancels_the_run(flow: Make) -> None:
    case = flow("call a")
    hold = Hold()
    case.answers({"a": hold})
    end = case.begin()
    hold.wait_begun()
    wish(case)
    assert end().status == "cancelled"


def test_a_run_that_fails_while_somebody_wants_it_given_up_is_cancelled(flow: Make) -> None:
    """The wish comes while the always block runs: after the failure, before the end."""
    case = flow("call a always { call bye }")
    hold = Hold()
    case.answers({"a": RuntimeError("no"), "bye": hold})
    control = RunControl()
    end = case.begin(control)
    hold.wait_begun()
    control.cancel("ann", "enough")
    hold.release()
    assert end().status == "cancelled"
    assert case.kinds.count("run_cancel_requested") == 1


def test_a_pause_that_is_given_up_meanwhile_is_the_end(flow: Make) -> None:
    case = flow("call a always { call bye }")
    first, second = Hold(), Hold()
    case.answers({"a": first, "bye": second})
    control = RunControl()
    end = case.begin(control)
    first.wait_begun()
    control.interrupt()
    second.wait_begun()
    control.cancel("ann", "enough")
    second.release()
    assert end().status == "cancelled"


def test_kill_cuts_the_always_block_off(flow: Make) -> None:
    case = flow("call a always { call bye call never }")
    first, second = Hold(), Hold()
    scripted = case.answers({"a": first, "bye": second})
    end = case.begin()
    first.wait_begun()
    wish(case)
    second.wait_begun()
    wish(case, kill=True)
    assert end().status == "cancelled"
    assert [str(path) for path in scripted.paths] == ["a", "always#1/bye"]


def test_a_wish_that_came_too_late_is_not_for_a_later_leg(flow: Make) -> None:
    """It is kept in the moment in which the run ends, before anybody sees it."""
    case = flow("call a")
    case.answers({"a": lambda _: (wish(case), Fatal("no"))[1]})
    case.run_id = case.runner().create(case.program, {}, case.config)
    record = case.resume()
    assert (record.status, record.cancel) == ("failed", None)
    case.answers({})
    assert case.resume().status == "completed"


# ── the watcher ───────────────────────────────────────────────────────────────────────────────────
def test_the_watcher_tells_each_wish_once_and_kill_once_more() -> None:
    story = Story(MemoryRunStore())
    story.begin()
    watcher, heard = Watcher(0.001), Heard()
    end = watcher.watch(story.store, story.run, heard.hear)
    try:
        story.store.ask_to_cancel(story.run, CancelRequest(1, "ann", "enough"))
        heard.wait_for(1)
        story.store.ask_to_cancel(story.run, CancelRequest(2, "bob", "now", True))
        heard.wait_for(2)
    finally:
        end()
    assert [(one.by, one.kill) for one in heard.wishes] == [("ann", False), ("ann", True)]
    assert watcher._thread is None
    assert not watcher._watched


def test_one_thread_looks_for_all_runs_with_one_statement() -> None:
    kept = MemoryRunStore()
    store, stories = Counting(kept), [Story(kept), Story(kept)]
    for story in stories:
        story.begin()
    watcher, heard = Watcher(0.001), Heard()
    ends = [watcher.watch(store, story.run, heard.hear) for story in stories]
    for story in stories:
        story.store.ask_to_cancel(story.run, CancelRequest(1, "ann", "enough"))
    heard.wait_for(2)
    for end in ends:
        end()
    assert max(len(runs) for runs in store.asked) == 2


def test_a_store_that_can_not_be_read_is_asked_again() -> None:
    story = Story(MemoryRunStore())
    story.begin()
    store = Counting(story.store, fails=3)
    watcher, heard = Watcher(0.001), Heard()
    end = watcher.watch(store, story.run, heard.hear)
    story.store.ask_to_cancel(story.run, CancelRequest(1, "ann", "enough"))
    heard.wait_for(1)
    end()
    assert len(store.asked) > 3


class Heard:
    """A listener that can be waited for."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.wishes: list[CancelRequest] = []

    def hear(self, wish: CancelRequest) -> None:
        with self._changed:
            self.wishes.append(wish)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.wishes) >= count, 30)


class Counting:
    """A store that counts questions for wishes, and fails the first ones."""

    def __init__(self, store: Any, fails: int = 0) -> None:
        self._store = store
        self._fails = fails
        self.asked: list[list[RunID]] = []

    def cancel_wishes(self, runs: list[RunID]) -> Any:
        self.asked.append(list(runs))
        if len(self.asked) <= self._fails:
            raise OSError("not now")
        return self._store.cancel_wishes(runs)
