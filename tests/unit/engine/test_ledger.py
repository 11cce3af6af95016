"""Limits of a run: what is set aside before a call begins, and what an end gives back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from runkon.engine.account import Account, Wanted
from runkon.engine.cancellation import RunControl
from runkon.engine.config import RunConfig
from runkon.engine.ledger import Book, Ledger
from runkon.engine.limits import Limits
from runkon.model.events import AttemptCutOff, AttemptStarted, Note, RunResumed
from runkon.model.ids import StepPath
from runkon.model.output import Output, Usage
from runkon.testing import Hold, check_text
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


def test_a_call_without_a_price_does_not_begin(flow: Make) -> None:
    case = flow("meta { budget_usd = 5 } call a call b")
    scripted = case.answers({"a": None, "b": None}, metered=True)
    record = case.start()
    assert (record.reason, scripted.paths, record.cost_known) == ("budget", [], True)
    assert record.error == (
        "unpriced-call: nothing says what a call of `scripted` costs, so the budget can't bound step `a`; give it "
        "`max_cost_usd`, or set `allow_unpriced = true`"
    )
    case.configure(allow_unpriced=True)
    assert case.resume().status == "completed"
    assert scripted.paths == ["a", "b"]


def test_a_price_that_was_named_once_is_known(flow: Make) -> None:
    case = flow("meta { budget_usd = 1 } call a { max_cost_usd = 0.9 } call b call c")
    scripted = case.answers(dict.fromkeys("abc", paid(0.4)), metered=True)
    record = case.start()
    assert (record.reason, record.cost_usd, scripted.paths) == ("budget", 0.8, ["a", "b"])


def test_where_prices_may_be_unknown_what_they_come_to_counts(flow: Make) -> None:
    case = flow("meta { budget_usd = 1 } call a call b call c").configure(allow_unpriced=True)
    scripted = case.answers(dict.fromkeys("abc", paid(0.4)), metered=True)
    record = case.start()
    assert (record.reason, record.cost_usd, scripted.paths) == ("budget", 0.8, ["a", "b"])


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


# ── limits of called workflows ────────────────────────────────────────────────────────────────────
@pytest.fixture
def calls(tmp_path: Path) -> Make:
    """`calls(text)` runs the first workflow of a text of several."""

    def make(text: str) -> Flow:
        flow = Flow("workflow w { call a }", tmp_path)
        flow.program = check_text(text)
        return flow

    return make


def test_a_limit_of_a_called_workflow_ends_that_workflow_alone(calls: Make) -> None:
    case = calls(
        "workflow w { call a call workflow kid { on_fail = continue retries = 3 } call b } "
        "workflow kid { meta { max_calls = 2 } call k call l call m always { call n } }"
    )
    scripted = case.answers({})
    record = case.start()
    assert (record.status, scripted.paths) == ("completed", ["a", "kid/k", "kid/l", "b"])
    error = case.steps["kid"].error
    assert error is not None
    assert (error.kind, error.message) == ("budget", "the limit of `kid` of 2 calls is reached before step `kid/m`")
    assert case.statuses["kid/always/n"] == "failed"
    assert notes(case) == ["2 of 2 calls of `kid` are used"]


def test_a_run_ends_badly_if_nobody_takes_that(calls: Make) -> None:
    case = calls("workflow w { call workflow kid } workflow kid { meta { max_calls = 0 } call k }")
    case.answers({})
    record = case.start()
    assert (record.status, record.reason) == ("failed", "step_failed")
    assert "`kid` failed: the limit of `kid` of 0 calls is reached" in (record.error or "")
    assert case.resume().status == "failed"


def test_both_limits_hold(calls: Make) -> None:
    text = (
        "workflow w { meta { budget_usd = 1 } call workflow kid { on_fail = continue } call b { max_cost_usd = 0.5 } } "
        "workflow kid { meta { budget_usd = %s } call k { max_cost_usd = 0.4 } call l { max_cost_usd = 0.4 } }"
    )
    for own, reason, paths in (("0.5", None, ["kid/k", "b"]), ("2", "budget", ["kid/k", "kid/l"])):
        case = calls(text % own)
        scripted = case.answers(dict.fromkeys("klb", paid(0.4)), metered=True)
        assert (case.start().reason, scripted.paths) == (reason, paths)


def test_branches_of_a_called_workflow_cannot_exceed_its_budget_together(calls: Make) -> None:
    case = calls(f"workflow w {{ call workflow kid }} workflow kid {{ meta {{ budget_usd = 1 }} {branches(4)} }}")
    paying = Paying(0.40)
    case.answers({f"s{index}": paying for index in range(4)}, metered=True)
    record = case.start()
    assert (record.reason, record.cost_usd, paying.most <= 2) == ("step_failed", 0.8, True)


def test_wherever_the_process_died_no_more_is_spent(calls: Make) -> None:
    text = (
        "workflow w { call workflow kid { on_fail = continue } call b } "
        "workflow kid { meta { max_calls = 3 } call k call l call m call n }"
    )
    whole = calls(text)
    whole.answers({})
    assert whole.start().status == "completed"
    for died in range(2, len(whole.events)):
        case = calls(text)
        case.run_id, case.store = whole.run_id, whole.store
        case.kill_at(died)
        case.answers({})
        assert case.resume().status == "completed"
        begun = [event.path for event in case.events if isinstance(event, AttemptStarted)]
        assert len([path for path in begun if path.startswith("kid/")]) == 3, died
        assert case.statuses["kid"] == "failed", died


def test_each_item_has_its_own_and_a_retry_begins_with_nothing_spent(calls: Make) -> None:
    case = calls(
        "workflow w { foreach x { over = [1, 2] max_parallel = 2 workflow = kid } } "
        "workflow kid { meta { max_calls = 2 } call k call l }"
    )
    case.answers({})
    assert case.start().status == "completed"
    case = calls(
        "workflow w { call workflow kid { retries = 1 } } workflow kid { meta { max_calls = 2 } call k call l }"
    )
    scripted = case.answers({"l": [ValueError("no"), {}]})
    assert case.start().status == "completed"
    assert scripted.paths == ["kid/k", "kid/l"] * 2


def test_an_item_over_its_budget_fails_alone(calls: Make) -> None:
    case = calls(
        "workflow w { foreach x { over = [1, 2] max_parallel = 1 workflow = kid } } "
        "workflow kid { meta { max_calls = 1 } call k call l }"
    )
    scripted = case.answers({})
    assert case.start().reason == "step_failed"
    assert scripted.paths == ["x[0]/k", "x[1]/k"]


def test_limits_inside_of_limits(calls: Make) -> None:
    case = calls(
        "workflow w { call workflow kid { on_fail = continue } call b } "
        "workflow kid { meta { max_calls = 2 } call k call workflow inner { on_fail = continue } call l } "
        "workflow inner { meta { max_calls = 5 } call i call j }"
    )
    scripted = case.answers({})
    assert case.start().status == "completed"
    assert scripted.paths == ["kid/k", "kid/inner/i", "b"]
    assert (case.statuses["kid"], case.statuses["kid/inner"]) == ("failed", "cancelled")


def test_a_call_may_cap_what_its_workflow_costs(calls: Make) -> None:
    case = calls(
        "workflow w { call workflow kid { max_cost_usd = 0.5 on_fail = continue } call workflow kid { id = again } } "
        "workflow kid { meta { budget_usd = 0.8 } call k { max_cost_usd = 0.4 } call l { max_cost_usd = 0.4 } }"
    )
    scripted = case.answers(dict.fromkeys("kl", paid(0.4)), metered=True)
    assert case.start().status == "completed"
    assert scripted.paths == ["kid/k", "again/k", "again/l"]
    error = case.steps["kid"].error
    assert error is not None
    assert "the budget of `kid` of $0.50 leaves no room for step `kid/l`" in error.message


def free_standing(**limits: int) -> Ledger:
    return Ledger(Book(Limits(**limits), Account()), RunConfig(working_dir=Path(), always_budget=True))


def wanted(path: str) -> Wanted:
    asked = SimpleNamespace(name="ask", version="1", effect="read", metered=True)
    return Wanted(StepPath(path), asked, is_call=True, said=None)  # type: ignore[arg-type]


def test_a_call_that_nothing_is_known_of_ends_no_workflow_for_calls_outside_of_it() -> None:
    ledger, ends = free_standing(tokens=1000), list[Any]()
    assert ledger.hold_at_once(wanted("a")) is not None
    ledger.enter(StepPath("always#1/kid"), Limits(tokens=500), ends.append)
    assert ledger.hold_at_once(wanted("always#1/kid/k")) is not None
    assert ledger.hold_at_once(wanted("always#1/kid/l")) is None  # two inside of it still wait for one another
    assert (ledger.hold_at_once(wanted("b")), ends) == (None, [])


def test_what_begins_anew_is_noted_and_read_under_the_lock() -> None:
    ledger, seen = free_standing(), list[bool]()

    class Watched(set[StepPath]):
        def add(self, path: StepPath) -> None:
            seen.append(ledger._lock.locked())
            super().add(path)

        def __iter__(self) -> Iterator[StepPath]:
            seen.append(ledger._lock.locked())
            return super().__iter__()

    ledger._anew = Watched()
    ledger.begin_anew(StepPath("kid"))
    ledger.enter(StepPath("kid"), Limits(calls=1), lambda reason: None)
    assert seen == [True, True]
