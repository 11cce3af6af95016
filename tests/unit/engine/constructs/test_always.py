from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.testing import FakeClock, Hold

Make = Callable[[str], Any]


@pytest.mark.parametrize(("answer", "status"), [(None, "completed"), (RuntimeError("no"), "failed")])
def test_the_always_block_runs_at_every_end_and_is_told_how_it_came(flow: Make, answer: Any, status: str) -> None:
    case = flow("call a always { call z }")
    scripted = case.answers({"a": answer})
    assert case.start().status == status
    assert scripted.paths == ["a", "always#1/z"]
    assert scripted.calls[1].inputs["workflow_status"] == status


def test_it_runs_when_the_run_is_cancelled(flow: Make) -> None:
    case = flow("call a call b always { call z }")
    control = RunControl()
    hold = Hold()
    scripted = case.answers({"a": hold})
    end = case.begin(control)
    hold.wait_begun()
    control.cancel("kim", "enough")
    assert end().status == "cancelled"
    assert scripted.calls[-1].path == "always#1/z"
    assert scripted.calls[-1].inputs["workflow_status"] == "cancelled"


def test_it_starts_clean_and_runs_its_blocks_to_their_end(flow: Make) -> None:
    case = flow(
        'call a always { if workflow.status == "failed" { call x call y }'
        " do { max_iterations = 2 call l call m } while l.more parallel { call p call q } }"
    )
    scripted = case.answers({"a": RuntimeError("no"), "l": [{"markers": ["more"]}, None]})
    assert case.start().status == "failed"
    assert len(scripted.calls) == 9


def test_its_failures_never_change_the_end(flow: Make) -> None:
    case = flow("call a always { call y call z }")
    scripted = case.answers({"y": RuntimeError("no")})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "always#1/y"]
    assert case.statuses["always#1/y"] == "failed"
    case = flow("call a always { call y call z }").configure(fail_fast=False)
    scripted = case.answers({"y": RuntimeError("no")})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "always#1/y", "always#1/z"]


def test_longer_than_its_grace_it_is_cut_and_the_rest_skipped(flow: Make) -> None:
    case = flow("call a always { call y call z }").configure(always_grace=10.0)
    clock = case.clock = FakeClock()
    hold = Hold()
    scripted = case.answers({"y": hold})
    end = case.begin()
    hold.wait_begun()
    clock.advance(10)
    assert end().status == "completed"
    assert scripted.paths == ["a", "always#1/y"]
    assert case.statuses == {"a": "completed", "always#1/y": "cancelled", "always#1/z": "skipped"}


def test_an_interrupt_does_not_touch_it_but_a_kill_cuts_it_off(flow: Make) -> None:
    case = flow("call a always { call y call z }").configure(kill_grace=30.0)
    control = RunControl()
    hold = Hold()
    case.answers({"y": hold})
    end = case.begin(control)
    hold.wait_begun()
    control.interrupt()
    assert case.store.runs()[0].status == "running"
    control.kill()
    assert end().status == "completed"
    assert case.statuses == {"a": "completed", "always#1/y": "interrupted"}


def test_under_way_when_the_system_ends_the_process_it_gets_what_time_there_is(flow: Make) -> None:
    case = flow("call a always { call y call z }")
    clock = case.clock = FakeClock()
    control = RunControl()
    hold = Hold()
    case.answers({"y": hold})
    end = case.begin(control)
    hold.wait_begun()
    clock.advance(100)
    control.interrupt("sigterm")
    clock.wait_for_timer(120)
    clock.advance(20)
    end()
    assert case.statuses == {"a": "completed", "always#1/y": "cancelled", "always#1/z": "skipped"}


def test_a_nested_one_is_a_part_of_the_body(flow: Make) -> None:
    case = flow("call a if a.no { call b } else { always { call c call c } } call c")
    scripted = case.answers({})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "c", "c#2", "c#3"]


def test_a_failure_in_a_nested_one_fails_the_run(flow: Make) -> None:
    case = flow("do x { always { call a call b } } call c").configure(fail_fast=False)
    scripted = case.answers({"a": RuntimeError("no")})
    assert case.start().status == "failed"
    assert scripted.paths == ["x/a", "x/b", "c"]


def test_a_run_that_stops_at_until_has_not_ended(flow: Make) -> None:
    case = flow("call a call b always { call z }").configure(until="a")
    scripted = case.answers({})
    case.start()
    assert scripted.paths == ["a"]
