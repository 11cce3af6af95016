from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.testing import Hold

Make = Callable[[str], Any]


def branches(count: int, *options: str) -> str:
    return "parallel {" + " ".join(options) + "\n" + "\n".join(f"call s{n}" for n in range(count)) + "}"


class Gauge:
    """Counts how many calls and threads are busy at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = 0
        self.threads: set[int] = set()

    def __call__(self, request: Any) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.get_ident())
        request.cancel.wait(0.001)
        with self._lock:
            self.now -= 1


def test_all_branches_run_and_the_block_adds_its_segment(flow: Make) -> None:
    case = flow("parallel { call a call b } parallel { call a } parallel checks { call c }")
    assert case.start().status == "completed"
    assert case.statuses == {
        "parallel/a": "completed",
        "parallel/b": "completed",
        "parallel#2/a": "completed",
        "checks": "completed",
        "checks/c": "completed",
    }


def test_enough_successes_complete_the_block_and_settle_its_failures(flow: Make) -> None:
    case = flow("parallel { fail_fast = false min_success = 2 call a call b call c } call d")
    case.answers({"b": RuntimeError("no")})
    assert case.start().status == "completed"
    assert case.steps["parallel/b"].status == "failed"
    assert case.steps["parallel/b"].handled == "min_success"
    assert case.steps["d"].status == "completed"


def test_too_few_successes_fail_the_run_which_names_block_and_counts(flow: Make) -> None:
    case = flow("parallel checks { fail_fast = false call a call b call c } call d")
    scripted = case.answers({"b": RuntimeError("no")})
    record = case.start()
    assert record.status == "failed"
    assert "`checks` failed: 2 of 3 branches succeeded, 3 needed; failed: `b`" in str(record.error)
    assert "RuntimeError: no" in str(record.error)
    assert case.steps["checks"].status == "failed"
    assert case.steps["checks"].output.values == {"succeeded": 2, "failed": 1, "skipped": 0, "total": 3}
    assert "d" not in scripted.paths


def test_the_result_of_a_named_block_has_merged_markers_and_counts(flow: Make) -> None:
    case = flow(
        "parallel checks { call a call b { if = a.never } do { call c } call d { on_fail = continue } }"
        "if checks.from_a and checks.from_c and checks.succeeded == 2 and checks.skipped == 2 { call yes }"
    )
    case.answers({"a": {"markers": ["from_a"]}, "c": {"markers": ["from_c"]}, "d": RuntimeError("no")})
    assert case.start().status == "completed"
    assert case.steps["checks"].output.markers == {"from_a", "from_c"}
    assert case.steps["checks"].output.values == {"succeeded": 2, "failed": 0, "skipped": 2, "total": 4}
    assert case.statuses["yes"] == "completed"


def test_skipped_branches_count_as_good(flow: Make) -> None:
    case = flow("call a parallel { min_success = 1 call b { if = a.x } call c { if = a.y } }")
    assert case.start().status == "completed"
    assert case.statuses == {"a": "completed", "parallel/b": "skipped", "parallel/c": "skipped"}


def test_fail_fast_cancels_running_branches_and_never_begins_the_others(flow: Make) -> None:
    case = flow("parallel { max_parallel = 2 call a call b call c do { call d } }")
    hold = Hold()

    def fail(request: Any) -> None:
        hold.wait_begun()
        raise RuntimeError("no")

    scripted = case.answers({"a": hold, "b": fail})
    assert case.start().status == "failed"
    assert sorted(scripted.paths) == ["parallel/a", "parallel/b"]
    assert case.statuses == {"parallel/a": "cancelled", "parallel/b": "failed", "parallel/c": "cancelled"}


def test_fail_fast_waits_until_min_success_is_out_of_reach(flow: Make) -> None:
    case = flow("parallel { min_success = 1 max_parallel = 1 call a call b call c }")
    scripted = case.answers({"a": RuntimeError("1"), "b": RuntimeError("2")})
    assert case.start().status == "completed"
    assert scripted.paths == ["parallel/a", "parallel/b", "parallel/c"]


def test_an_executor_hears_of_the_cancellation_of_each_of_its_branches(flow: Make) -> None:
    case = flow("parallel { call a call b call c }")
    begun = threading.Semaphore(0)
    told: list[str] = []
    all_told = threading.Event()

    class Stoppable:
        name, version, effect, metered = "x", "1", "read", False

        def execute(self, request: Any) -> None:
            if request.name == "c":
                begun.acquire()
                begun.acquire()
                raise RuntimeError("no")
            begun.release()
            all_told.wait(30)

        def cancel(self, path: str) -> None:
            told.append(path)
            if len(told) == 2:
                all_told.set()

    class Only:
        def find(self, name: str) -> Any:
            return executor

        def names(self) -> tuple[str, ...]:
            return ()

    executor = Stoppable()
    case.executor = Only()
    case.configure(kill_grace=30.0)
    assert case.start().status == "failed"
    assert sorted(told) == ["parallel/a", "parallel/b"]


def test_a_branch_that_does_not_stop_is_given_up_and_its_late_result_refused(flow: Make) -> None:
    case = flow("parallel { call a call b }").configure(kill_grace=0.01)
    begun, release, back = threading.Event(), threading.Event(), threading.Event()

    def deaf(request: Any) -> Any:
        begun.set()
        release.wait(30)
        back.set()
        return {"markers": ["late"]}

    def fail(request: Any) -> None:
        begun.wait(30)
        raise RuntimeError("no")

    case.answers({"a": deaf, "b": fail})
    assert case.start().status == "failed"
    assert case.statuses["parallel/a"] == "cancelled"
    cancelled = next(event for event in case.events if event.kind == "attempt_cancelled")
    assert cancelled.abandoned
    events = len(case.events)
    release.set()
    back.wait(30)
    assert len(case.events) == events


def test_branches_do_not_see_each_other(flow: Make) -> None:
    case = flow("parallel { max_parallel = 1 call a do { if a.ok { call b } call c } call d }")
    scripted = case.answers({"a": {"markers": ["ok"], "context": "of a"}})
    case.start()
    assert "parallel/b" not in scripted.paths
    assert {request.inputs["prior_context"] for request in scripted.calls} == {""}


def test_results_apply_in_declaration_order_whatever_finished_first(flow: Make) -> None:
    case = flow("parallel { call a call b call c } call d")
    order = {name: threading.Event() for name in "abc"}
    order["c"].set()

    def answer(name: str, following: str | None) -> Callable[[Any], Any]:
        def give(request: Any) -> Any:
            order[name].wait(30)
            if following:
                order[following].set()
            return {"context": f"of {name}"}

        return give

    scripted = case.answers({"c": answer("c", "b"), "b": answer("b", "a"), "a": answer("a", None)})
    case.start()
    contexts = str(scripted.calls_of("d")[0].inputs["prior_contexts"])
    assert contexts.index("of a") < contexts.index("of b") < contexts.index("of c")


def test_a_failed_branch_leaves_a_failed_result_over_an_older_one(flow: Make) -> None:
    case = flow("call a parallel { fail_fast = false min_success = 0 call a } if a.ok { call b } else { call c }")
    scripted = case.answers({"a": [{"markers": ["ok"]}, RuntimeError("no")]})
    assert case.start().status == "completed"
    assert scripted.paths == ["a", "parallel/a", "c"]


def test_options_of_a_step_work_on_branches(flow: Make) -> None:
    case = flow(
        'parallel { output = "block" with = ["b"]'
        ' call a { retries = 1 output = "own" with = ["o"] inputs = { n = 3 } model = "m" as = "kim" max_turns = 4 }'
        " call c }"
    )
    for name in ("block", "own"):
        case.write(f".runkon/schemas/{name}.yaml", "fields: {}")
    scripted = case.answers({"a": [RuntimeError("once"), None]})
    assert case.start().status == "completed"
    first, second = scripted.calls_of("a")
    assert (first.attempt, second.attempt) == (0, 1)
    assert second.previous_error == "executor `scripted` raised RuntimeError: once"
    assert (second.schema, second.snippets, second.model) == ("own", ("b", "o"), "m")
    assert (second.inputs["n"], second.identity, second.max_turns) == (3, "kim", 4)
    other = scripted.calls_of("c")[0]
    assert (other.schema, other.snippets) == ("block", ("b",))


def test_until_stops_the_others_which_count_as_skipped(flow: Make) -> None:
    case = flow("parallel race { max_parallel = 2 until = b.found call a call b call c } call d")
    hold = Hold()

    def find(request: Any) -> Any:
        hold.wait_begun()
        return {"markers": ["found"]}

    scripted = case.answers({"a": hold, "b": find, "c": hold})
    assert case.start().status == "completed"
    assert case.statuses["race/a"] == "skipped"
    assert case.statuses["race/c"] == "skipped"
    assert case.steps["race"].output.values == {"succeeded": 1, "failed": 0, "skipped": 2, "total": 3}
    assert "d" in scripted.paths


@pytest.mark.parametrize("limit", [1, 3])
def test_max_parallel_of_the_block_bounds_its_open_branches(flow: Make, limit: int) -> None:
    case = flow(branches(20, f"max_parallel = {limit}"))
    gauge = Gauge()
    case.answers({f"s{n}": gauge for n in range(20)})
    case.start()
    assert gauge.most <= limit


def test_nested_blocks_share_one_limit_and_never_block_each_other(flow: Make) -> None:
    inner = "parallel { call a call b parallel { call c call d do { call e call f } } }"
    case = flow(f"parallel {{ {inner} {inner} {inner} call g }}").configure(max_parallel=2)
    gauge = Gauge()
    scripted = case.answers(dict.fromkeys("abcdefg", gauge))
    assert case.start().status == "completed"
    assert len(scripted.calls) == 19
    assert gauge.most <= 2


def test_ten_thousand_leaf_branches_need_no_more_threads_than_the_limit(flow: Make) -> None:
    case = flow(branches(10_000)).configure(max_parallel=8)
    before = threading.active_count()
    most = 0
    seen: set[int] = set()

    def count(request: Any) -> None:
        nonlocal most
        most = max(most, threading.active_count())
        seen.add(threading.get_ident())

    class Counting:
        name, version, effect, metered = "x", "1", "read", False
        execute = staticmethod(count)

        def find(self, name: str) -> Any:
            return self

        def names(self) -> tuple[str, ...]:
            return ()

    case.executor = Counting()
    assert case.start().status == "completed"
    assert len(seen) <= 8
    assert most - before <= 8 + 3  # the leg's own thread, the recorder's, the process's timer


def test_a_chain_uses_one_thread(flow: Make) -> None:
    case = flow(
        "call a do x { call b } if a.nope { call c } else { call d } do { max_iterations = 2 call e } while e.no"
    )
    gauge = Gauge()
    case.answers(dict.fromkeys("abcde", gauge))
    case.start()
    assert len(gauge.threads) == 1


def test_interrupting_a_block_cuts_its_branches_off_and_a_resume_completes_it(flow: Make) -> None:
    case = flow("parallel { call a call b call c } call d always { call z }")
    control = RunControl()
    hold = Hold()
    done = threading.Event()

    def finish(request: Any) -> None:
        done.set()

    case.answers({"a": hold, "b": finish, "c": hold})
    end = case.begin(control)
    hold.wait_begun()
    done.wait(30)
    control.interrupt()
    record = end()
    assert (record.status, record.reason) == ("interrupted", "interrupt")
    assert case.statuses["parallel/a"] == "interrupted"
    assert case.statuses["always#1/z"] == "completed"
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert "parallel/b" not in scripted.paths  # its result came within the grace: it counts
    assert scripted.paths[-2:] == ["d", "always#2/z"]


def test_cancelling_during_a_block_that_is_last_cancels_the_run(flow: Make) -> None:
    case = flow("parallel { call a call b }")
    control = RunControl()
    hold = Hold()
    case.answers({"a": hold, "b": hold})
    end = case.begin(control)
    hold.wait_begun()
    control.cancel("kim", "enough")
    record = end()
    assert (record.status, record.reason) == ("cancelled", "user")
    assert set(case.statuses.values()) == {"cancelled"}


def test_without_fail_fast_of_the_run_a_failed_block_lets_the_body_go_on(flow: Make) -> None:
    case = flow("parallel { call a call b } call c").configure(fail_fast=False)
    scripted = case.answers({"a": RuntimeError("no")})
    assert case.start().status == "failed"
    assert "c" in scripted.paths
