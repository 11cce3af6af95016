from __future__ import annotations

from collections.abc import Callable
from typing import Any

Make = Callable[[str], Any]


def markers(*rounds: str) -> list[dict[str, Any]]:
    return [{"markers": text.split()} for text in rounds]


def test_a_while_that_does_not_hold_runs_nothing(flow: Make) -> None:
    case = flow("call a while a.more { max_iterations = 3 call b }")
    assert case.start().status == "completed"
    assert case.statuses == {"a": "completed"}


def test_rounds_have_paths_and_numbers_of_their_own(flow: Make) -> None:
    case = flow("call a while a.more { max_iterations = 3 call a if a.more { call b } do x { call b } }")
    case.answers({"a": markers("more", "more", "")})
    assert case.start().status == "completed"
    assert list(case.steps) == ["a", "while[0]/a", "while[0]/b", "while[0]/x/b", "while[1]/a", "while[1]/x/b"]
    assert [step.info.iteration for step in case.steps.values()] == [0, 0, 0, 0, 1, 1]


def test_the_iteration_is_that_of_the_innermost_loop(flow: Make) -> None:
    case = flow("do { max_iterations = 2 do { max_iterations = 3 call a } while a.inner call b } while b.outer")
    case.answers({"a": markers("inner", "", ""), "b": markers("outer", "")})
    assert case.start().status == "completed"
    assert {path: step.info.iteration for path, step in case.steps.items()} == {
        "do[0]/do[0]/a": 0,
        "do[0]/do[1]/a": 1,
        "do[0]/b": 0,
        "do[1]/do[0]/a": 0,
        "do[1]/b": 1,
    }


def test_steps_stay_in_program_order_beyond_ten_rounds(flow: Make) -> None:
    case = flow("do { max_iterations = 12 on_max_iter = continue call a call b } while a.more")
    case.answers({"a": {"markers": ["more"]}})
    case.start()
    assert list(case.steps) == [f"do[{n}]/{key}" for n in range(12) for key in "ab"]


def test_a_loop_that_still_holds_after_its_cap_fails_the_run(flow: Make) -> None:
    case = flow("call a while a.more { max_iterations = 2 call a } call b")
    scripted = case.answers({"a": {"markers": ["more"]}})
    record = case.start()
    assert (record.status, record.reason) == ("failed", "max_iterations")
    assert scripted.paths == ["a", "while[0]/a", "while[1]/a"]


def test_the_cap_is_no_failure_if_the_condition_ended_with_the_last_round(flow: Make) -> None:
    case = flow("call a while a.more { max_iterations = 2 call a } call b")
    case.answers({"a": markers("more", "more", "")})
    assert case.start().status == "completed"


def test_on_max_iter_continue_goes_on(flow: Make) -> None:
    case = flow("do { max_iterations = 2 on_max_iter = continue call a } while a.more call b")
    scripted = case.answers({"a": {"markers": ["more"]}})
    assert case.start().status == "completed"
    assert scripted.paths == ["do[0]/a", "do[1]/a", "b"]


def test_equal_markers_in_a_row_are_stuck(flow: Make) -> None:
    case = flow("do { max_iterations = 9 stuck_after = 2 call a } while a.more call b")
    scripted = case.answers({"a": markers("more x", "more y", "y more", "more")})
    record = case.start()
    assert (record.status, record.reason) == ("failed", "stuck")
    assert len(scripted.calls) == 3


def test_a_last_round_that_ends_the_condition_is_not_stuck(flow: Make) -> None:
    case = flow("call a while not a.done { max_iterations = 9 stuck_after = 2 call a }")
    case.answers({"a": markers("x", "x", "done")})
    assert case.start().status == "completed"


def test_a_failed_step_ends_the_loop_unless_the_run_goes_on_after_failures(flow: Make) -> None:
    body = "do { max_iterations = 2 call a call b } while b.more"
    case = flow(body)
    scripted = case.answers({"a": RuntimeError("no"), "b": {"markers": ["more"]}})
    assert case.start().status == "failed"
    assert scripted.paths == ["do[0]/a"]
    case = flow(body.replace("call a call b", "on_max_iter = continue call a call b")).configure(fail_fast=False)
    scripted = case.answers({"a": RuntimeError("no"), "b": {"markers": ["more"]}})
    assert case.start().status == "failed"
    assert scripted.paths == ["do[0]/a", "do[0]/b", "do[1]/a", "do[1]/b"]


def test_every_test_of_a_loop_leaves_its_operands(flow: Make) -> None:
    case = flow("call a while a.n > 1 { max_iterations = 3 call a }")
    case.answers({"a": [{"n": 2}, {"n": 1}]})
    case.start()
    choices = [(event.path, event.result) for event in case.events if event.kind == "choice_made"]
    assert choices == [("while[0]", True), ("while[1]", False)]
