"""Limits of a run: what is set aside before a call begins, and what an end gives back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.model.events import AttemptCutOff, AttemptStarted, Note, RunResumed
from runkon.model.output import Output, Usage
from runkon.testing import Hold
from tests.unit.engine.conftest import Flow

Make = Callable[[str], Flow]


def paid(cost: float | None, tokens: int = 0) -> Output:
    return Output(usage=Usage(cost_usd=cost, input_tokens=tokens))


def branches(number: int, options: str = "max_cost_usd = 0.40") -> str:
    calls = " ".join(f"call s{index} {{ {options} }}" for index in range(number))
    return f"parallel {{ fail_fast = false {calls} }}"


class Paying:
    """Costs that much, and remembers how many ran at once."""

    def __init__(self, cost: float) -> None:
        self.cost = cost
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def __call__(self, request: Any) -> Any:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)
        request.cancel.wait(0.02)
        with self._lock:
            self._running -= 1
        return paid(self.cost)


def notes(case: Flow) -> list[str]:
    return [event.text for event in case.events if isinstance(event, Note) and event.code == "budget-warning"]


def test_branches_cannot_exceed_the_budget_together(flow: Make) -> None:
    case = flow(f"meta {{ budget_usd = 1 }} {branches(4)} always {{ call z {{ max_cost_usd = 0.1 }} }}")
    paying = Paying(0.40)
    scripted = case.answers({f"s{index}": paying for index in range(4)} | {"z": paid(0.0)}, metered=True)
    record = case.start()
    assert (record.status, record.reason) == ("failed", "budget")
    assert paying.most <= 2
    assert len([path for path in scripted.paths if "/s" in path]) == 2
    assert case.statuses["always#1/z"] == "completed"
    assert (record.cost_usd, record.calls) == (0.8, 3)
    assert record.error is not None
    assert "the budget of $1.00 leaves no room" in record.error
    held = [event.reserve for event in case.events if isinstance(event, AttemptStarted) and event.reserve]
    assert [one["cost_usd"] for one in held] == [0.4, 0.4, 0.1]


def test_an_attempt_that_cost_less_gives_its_place_to_one_that_waits(flow: Make) -> None:
    case = flow(f"meta {{ budget_usd = 1 }} {branches(4)}")
    paying = Paying(0.10)
    case.answers({f"s{index}": paying for index in range(4)}, metered=True)
    record = case.start()
    assert record.status == "completed"
    assert paying.most <= 2
    assert record.cost_usd == 0.4


def test_a_resume_goes_on_with_what_was_spent_and_takes_a_new_limit(flow: Make) -> None:
    case = flow("meta { budget_usd = 1 } call a { max_cost_usd = 0.6 } call b { max_cost_usd = 0.6 } call c")
    case.answers({"a": paid(0.6), "b": paid(0.5), "c": paid(0.0)}, metered=True)
    assert (case.start().reason, case.resume().reason) == ("budget", "budget")
    assert case.record.calls == 1
    case.configure(new_limits={"budget_usd": 2.0})
    assert case.resume().status == "completed"
    assert case.record.cost_usd == 1.1
    assert [event.limits for event in case.events if isinstance(event, RunResumed)] == [None, {"budget_usd": 2.0}]


def test_the_lower_of_file_and_command_line_holds(flow: Make) -> None:
    case = flow("meta { max_calls = 3 } call a call b call c").configure(max_calls=2)
    scripted = case.answers({})
    record = case.start()
    assert (record.reason, scripted.paths) == ("budget", ["a", "b"])
    assert record.error == "the limit of 2 calls is reached before step `c`"


def test_failed_attempts_count_as_calls_and_cost_what_they_say(flow: Make) -> None:
    class Dear(Exception):
        usage = Usage(cost_usd=0.3)

    case = flow("meta { max_calls = 2 budget_usd = 5 } call a { retries = 5 max_cost_usd = 1 }")
    case.answers({"a": [Dear("no"), Dear("no"), paid(0.1)]}, metered=True)
    record = case.start()
    assert (record.reason, record.calls, record.cost_usd, record.cost_known) == ("budget", 2, 0.6, True)


def test_scripts_are_free(flow: Make) -> None:
    case = flow(
        'meta { max_calls = 0 budget_usd = 0 max_tokens = 0 } script a { run = "true" } script b { run = "true" }'
    )
    case.answers({})
    assert case.start().status == "completed"


def test_tokens_are_bounded_by_what_calls_have_used_so_far(flow: Make) -> None:
    case = flow("meta { max_tokens = 100 } call a call b call c")
    scripted = case.answers({name: paid(0.0, 40) for name in "abc"}, metered=True)
    record = case.start()
    assert (record.reason, scripted.paths) == ("budget", ["a", "b"])
    assert "the limit of 100 tokens" in (record.error or "")


def test_a_call_without_a_price_is_followed_by_no_other_one(flow: Make) -> None:
    case = flow("meta { budget_usd = 5 } call a call b")
    scripted = case.answers({"a": None, "b": None}, metered=True)
    record = case.start()
    assert (record.reason, scripted.paths, record.cost_known) == ("budget", ["a"], False)
    assert (record.error or "").startswith("unpriced-call: ")
    case.configure(allow_unpriced=True)
    assert case.resume().status == "completed"
    assert scripted.paths == ["a", "b"]


def test_calls_of_unknown_price_run_one_at_a_time(flow: Make) -> None:
    case = flow(f"meta {{ budget_usd = 1 }} {branches(4, '')}")
    paying = Paying(0.4)
    case.answers({f"s{index}": paying for index in range(4)}, metered=True)
    record = case.start()
    assert (record.reason, record.cost_usd) == ("budget", 0.8)
    assert paying.most == 1


def test_what_was_cut_off_stays_spent(flow: Make) -> None:
    case = flow("meta { budget_usd = 1 } call a { max_cost_usd = 0.7 }")
    control = RunControl()

    def stop(request: Any) -> Any:
        control.interrupt()
        return Hold().answer(request)

    case.answers({"a": stop}, metered=True)
    assert case.start(control).status == "interrupted"
    assert [event.usage for event in case.events if isinstance(event, AttemptCutOff)] == [Usage()]
    assert (case.record.cost_usd, case.record.cost_known) == (0.0, False)
    case.answers({"a": paid(0.1)}, metered=True)
    record = case.resume()
    assert record.reason == "budget"
    assert "$0.70 is spent" in (record.error or "")


def test_the_always_block_runs_and_its_calls_fail_where_nothing_is_left(flow: Make) -> None:
    case = flow("meta { max_calls = 1 } call a call b always { call c }")
    scripted = case.answers({})
    assert case.start().reason == "budget"
    assert scripted.paths == ["a"]
    assert case.statuses["always#1/c"] == "failed"
    case = flow("meta { max_calls = 1 } call a call b always { call c }").configure(always_budget=True)
    scripted = case.answers({})
    assert case.start().reason == "budget"
    assert scripted.paths == ["a", "always#1/c"]


def test_four_fifths_of_a_limit_are_told_once(flow: Make) -> None:
    case = flow("meta { max_calls = 5 } call a call b call c call d call e")
    case.answers({})
    assert case.start().status == "completed"
    assert notes(case) == ["4 of 5 calls are used"]


def test_a_dry_run_spends_nothing(flow: Make) -> None:
    case = flow("meta { budget_usd = 0 } call a").configure(dry_run=True)
    case.answers({}, metered=True)
    record = case.start()
    assert (record.status, record.cost_known) == ("completed", True)


@pytest.mark.parametrize("budget", [0.0, 0.39])
def test_a_call_that_can_never_fit_does_not_begin(flow: Make, budget: float) -> None:
    case = flow("call a { max_cost_usd = 0.40 }").configure(budget_usd=budget)
    scripted = case.answers({}, metered=True)
    assert case.start().reason == "budget"
    assert scripted.paths == []


@pytest.mark.parametrize("seed", range(8))
def test_no_mixture_of_branches_exceeds_a_limit_or_waits_for_ever(flow: Make, seed: int) -> None:
    dice = Random(seed)
    bounds = {f"s{number}": dice.choice([0.1, 0.2, 0.3]) for number in range(24)}
    calls = [f"call {name} {{ max_cost_usd = {bound} retries = 1 }}" for name, bound in bounds.items()]
    inner = " ".join(calls[:6])
    body = f"parallel {{ fail_fast = false parallel {{ max_parallel = 3 {inner} }} do {{ {calls[6]} {calls[7]} }} "
    case = flow(f"meta {{ budget_usd = 2 }} {body} {' '.join(calls[8:])} }}").configure(max_parallel=6)
    running: list[float] = []
    most = [0.0]
    lock = threading.Lock()

    def answer(bound: float, cost: float) -> Callable[[Any], Any]:
        def pay(request: Any) -> Any:
            with lock:
                running.append(bound)
                most[0] = max(most[0], sum(running))
            request.cancel.wait(0.001)
            with lock:
                running.remove(bound)
                running.append(cost)  # what was set aside becomes what was spent
            return paid(cost)

        return pay

    paths = {name: answer(bound, bound * dice.random()) for name, bound in bounds.items()}
    case.answers(paths, metered=True)
    record = case.start()
    assert record.status in ("completed", "failed")
    assert record.cost_usd <= 2.0
    assert most[0] <= 2.0 + 1e-9
