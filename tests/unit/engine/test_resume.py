from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.resume import crash_failure, recorded_by_path
from runkon.errors import UserError
from runkon.language.nodes import StepOptions
from runkon.model.events import Envelope
from runkon.model.fold import fold
from runkon.model.ids import RunID, StepPath
from runkon.model.records import StepError, StepInfo, StepRecord
from runkon.model.status import StepStatus
from runkon.store.memory import MemoryRunStore, _Kept
from runkon.testing import Hold

Make = Callable[[str], Any]

PROGRAM = """
  inputs { depth number default = 2 }
  call plan { max_turns = 3 }
  if plan.ok { call build } else { call never }
  do { max_iterations = 5
    call review
    if review.more { parallel checks { min_success = 1 fail_fast = false
      call lint  call bad  do { call deep  call deep } } }
  } while review.more
  call flaky { retries = 1 }
  call weak { on_fail = continue }
  if weak.status == "failed" and checks.failed == 1 { call notice }
  parallel race { until = quick.found  max_parallel = 1  call quick  call slow }
  while again.more { max_iterations = 2 call unreachable }
  always { call tidy  if workflow.status == "completed" { call report } }
  outputs { verdict = plan.verdict last = "{{prior_context}}" seen = "{{prior_contexts}}" }
"""


def answers() -> dict[str, Any]:
    """Answers that depend on the step alone, so that every leg hears the same."""

    def review(request: Any) -> Any:
        number = int(request.path[request.path.index("[") + 1])
        return {"markers": ["more"] if number < 2 else [], "context": f"round {number}"}

    def flaky(request: Any) -> Any:
        if request.attempt == 0:
            raise RuntimeError("first time")
        return {"context": "second time"}

    def named(request: Any) -> Any:
        place = request.path.split("/", 1)[1] if request.path.startswith("always#") else request.path
        return {"context": f"of {place}", "markers": [f"by-{request.name}"]}

    return {
        "plan": {"markers": ["ok"], "verdict": {"ship": True}, "context": "planned"},
        "review": review,
        "flaky": flaky,
        "weak": RuntimeError("weak"),
        "bad": RuntimeError("bad"),
        "quick": {"markers": ["found"]},
        **dict.fromkeys(("build", "lint", "deep", "notice", "tidy", "report", "slow"), named),
    }


def summary(case: Any) -> dict[str, Any]:
    """What must not depend on where a run was cut: records without times, legs and numbers of attempts."""
    leg = case.record.leg
    kept = {}
    for path, step in case.steps.items():
        if path.startswith("always#"):
            if not path.startswith(f"always#{leg}/"):
                continue
            path = path.replace(f"always#{leg}/", "always/")
        info = replace(step.info, order="")
        kept[path] = (step.status, step.output, step.handled, step.error, step.skip_reason, info)
    return kept


def settled(case: Any) -> set[str]:
    return {path for path, step in case.steps.items() if step.is_settled}


def restored(case: Any, count: int) -> MemoryRunStore:
    """A store as it is when the process dies after `count` events."""
    envelopes = list(case.store.events(case.run_id))[:count]
    store = MemoryRunStore()
    last = envelopes[-1]
    store._runs[case.run_id] = _Kept(
        state=fold(envelopes), envelopes=envelopes, fence=last.fence, leg=last.leg, holder=None
    )
    return store


def test_any_prefix_of_the_events_resumes_to_the_same_end(flow: Make) -> None:
    whole = flow(PROGRAM)
    whole.answers(answers())
    expected = whole.start()
    assert expected.status == "completed", expected
    total = len(whole.events)
    assert total > 60
    for count in range(1, total):
        case = flow(PROGRAM)
        case.run_id = whole.run_id
        case.store = restored(whole, count)
        before = settled(case)
        scripted = case.answers(answers())
        record = case.resume()
        assert record.status == "completed", (count, record)
        assert record.outputs == expected.outputs, count
        assert summary(case) == summary(whole), count
        assert not before & set(scripted.paths), count


class Watched:
    """Answers that interrupt the run at one call, and count calls and finished work."""

    def __init__(self, control: RunControl, stop_at: int) -> None:
        self.control = control
        self.stop_at = stop_at
        self.calls = 0
        self.done: Counter[str] = Counter()

    def answers(self) -> dict[str, Any]:
        return {key: partial(self.give, answer) for key, answer in answers().items()}

    def give(self, answer: Any, request: Any) -> Any:
        self.calls += 1
        if self.calls - 1 == self.stop_at:
            self.control.interrupt()
            request.cancel.raise_if_cancelled()
        if isinstance(answer, BaseException):
            raise answer
        result = answer(request) if callable(answer) else answer
        self.done[request.path] += 1
        return result


@pytest.mark.parametrize("body", [PROGRAM, PROGRAM.replace("fail_fast = false", "")])
def test_interrupting_at_any_call_and_resuming_runs_every_settled_step_once(flow: Make, body: str) -> None:
    whole = flow(body)
    whole.answers(answers())
    whole.start()
    for number in range(len(whole.executor.calls)):
        case = flow(body)
        control = RunControl()
        watched = Watched(control, number)
        case.answers(watched.answers())
        case.start(control)
        if case.record.status != "completed":  # an interrupt of the always block comes too late to pause the run
            assert case.record.status == "interrupted"
            assert case.resume().status == "completed"
        assert summary(case).keys() == summary(whole).keys()
        assert case.record.outputs == whole.record.outputs
        assert max(watched.done.values()) == 1, (number, watched.done)


class StopsAt:
    """A sink that interrupts the run as soon as it hears of one event."""

    def __init__(self, control: RunControl, number: int) -> None:
        self.control = control
        self.number = number

    def emit(self, envelope: Envelope) -> None:
        if envelope.seq == self.number:
            self.control.interrupt()


@pytest.mark.parametrize("body", [PROGRAM, "parallel { call plan call build do { call lint } call deep } call notice"])
def test_interrupting_at_any_event_and_resuming_comes_to_the_same_end(flow: Make, body: str) -> None:
    whole = flow(body)
    whole.answers(answers())
    whole.start()
    for number in range(1, len(whole.events) + 1):
        case = flow(body)
        control = RunControl()
        case.sinks = (StopsAt(control, number),)
        watched = Watched(control, -1)
        case.answers(watched.answers())
        if case.start(control).status == "interrupted":
            assert "running" not in case.statuses.values()
            case.sinks = ()
            assert case.resume().status == "completed"
        assert summary(case) == summary(whole), number
        assert max(watched.done.values()) == 1, (number, watched.done)


def test_branches_that_began_together_and_never_ran_are_closed(flow: Make) -> None:
    case = flow("parallel { call a call b call c } call d")
    control = RunControl()
    case.sinks = (StopsAt(control, 4),)
    scripted = case.answers({})
    assert case.start(control).status == "interrupted"
    assert scripted.calls == ()
    assert case.statuses == dict.fromkeys(("parallel/a", "parallel/b", "parallel/c"), "interrupted")
    case.sinks = ()
    assert case.resume().status == "completed"
    assert sorted(scripted.paths) == ["d", "parallel/a", "parallel/b", "parallel/c"]


def test_a_failed_step_runs_again_and_what_came_before_does_not(flow: Make) -> None:
    case = flow("call a call b call c")
    case.answers({"a": {"context": "of a"}, "b": RuntimeError("no")})
    assert case.start().status == "failed"
    seen: list[object] = []
    scripted = case.answers({"b": lambda request: seen.append(request.inputs["prior_context"])})
    assert case.resume().status == "completed"
    assert scripted.paths == ["b", "c"]
    assert seen == ["of a"]
    assert [event.number for event in case.events if event.kind == "attempt_started" and event.path == "b"] == [0, 1]
    resumed = next(event for event in case.events if event.kind == "run_resumed")
    assert (resumed.reused, resumed.rerun) == (1, 1)


def test_the_same_agent_called_twice_is_two_steps(flow: Make) -> None:
    case = flow('call a call a call "dir/a.md"')
    case.answers({"a#2": RuntimeError("no")})
    assert case.start().status == "failed"
    scripted = case.answers({})
    case.resume()
    assert scripted.paths == ["a#2", "a#3"]


def test_an_attempt_nobody_saw_the_end_of_is_closed_as_unknown_and_made_again(flow: Make) -> None:
    case = flow("call a")
    case.answers({})
    case.start()
    begun = case.kinds.index("attempt_started") + 1
    case.store = restored(case, begun)
    scripted = case.answers({})
    assert case.resume().status == "completed"
    cut = next(event for event in case.events if event.kind == "attempt_cut_off")
    assert (cut.certainty, cut.cause, cut.number) == ("unknown", "process_lost", 0)
    assert [request.attempt for request in scripted.calls] == [1]
    assert case.steps["a"].cut_offs == 1


def test_a_step_that_keeps_losing_its_process_fails(flow: Make) -> None:
    case = flow("call a")
    case.answers({})
    case.start()
    case.store = restored(case, case.kinds.index("attempt_started") + 1)
    for _ in range(2):
        case.answers({})
        case.resume()
        started = max(index for index, kind in enumerate(case.kinds) if kind == "attempt_started")
        case.store = restored(case, started + 1)
    scripted = case.answers({})
    assert case.resume().status == "failed"
    assert scripted.calls == ()
    assert case.steps["a"].error.kind == "crash_limit"


def test_a_step_whose_options_forbid_it_is_not_tried_after_an_unknown_end(flow: Make) -> None:
    case = flow("call a { on_unknown = fail }")
    case.answers({})
    case.start()
    case.store = restored(case, case.kinds.index("attempt_started") + 1)
    scripted = case.answers({})
    assert case.resume().status == "failed"
    assert scripted.calls == ()
    assert case.steps["a"].error.kind == "unknown_outcome"


@pytest.mark.parametrize("retries", [0, 2, 5])
def test_the_crash_limit_grows_with_the_retries(retries: int) -> None:
    info = StepInfo("call", "a", "a", "a1", 0, "f", 1, 1)
    options = StepOptions(retries=retries)
    limit = max(3, retries + 1)

    def lost(times: int) -> StepError | None:
        record = StepRecord(RunID("r"), StepPath("a"), info, StepStatus.RUNNING, cut_offs=times - 1)
        return crash_failure(recorded_by_path([record])[StepPath("a")], options)

    assert lost(limit - 1) is None
    assert lost(limit) is not None
    assert lost(limit + 1) is None


def test_a_resume_after_the_crash_limit_tries_the_step_again_and_a_pause_is_no_crash(flow: Make) -> None:
    case = flow("call a")
    case.answers({})
    case.start()
    case.store = restored(case, case.kinds.index("attempt_started") + 1)
    for _ in range(2):
        case.answers({})
        case.resume()
        started = max(index for index, kind in enumerate(case.kinds) if kind == "attempt_started")
        case.store = restored(case, started + 1)
    case.answers({})
    assert case.resume().status == "failed"
    hold, control = Hold(), RunControl()
    case.answers({"a": hold})
    ends: list[str] = []
    leg = threading.Thread(target=lambda: ends.append(str(case.resume(control).status)), daemon=True)
    leg.start()
    hold.wait_begun()
    control.interrupt()
    leg.join(30)
    assert ends == ["interrupted"]
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["a"]


@pytest.mark.parametrize("changed", ["call x { id = a } call b", 'script a { run = "true" } call b'])
def test_another_step_at_a_recorded_path_is_refused_and_nothing_runs(flow: Make, changed: str) -> None:
    case = flow("call a call b always { call z }")
    case.answers({"b": RuntimeError("no")})
    case.start()
    other = flow(changed)
    other.store, other.run_id = case.store, case.run_id
    scripted = other.answers({})
    with pytest.raises(UserError) as raised:
        other.resume()
    assert raised.value.code == "replay-mismatch"
    assert scripted.calls == ()
    assert (other.record.status, other.record.reason) == ("interrupted", "replay")
    assert other.record.holder is None


def test_a_step_skipped_by_its_condition_is_judged_again(flow: Make) -> None:
    case = flow("call a call b { if = a.ok } call c")
    case.answers({"c": RuntimeError("no")})
    case.start()
    assert case.statuses["b"] == "skipped"
    # the same record with another answer of `a`
    envelopes = list(case.store.events(case.run_id))
    index = next(i for i, e in enumerate(envelopes) if e.event.kind == "step_completed")
    changed = envelopes[index].event
    output = replace(changed.output, markers=frozenset({"ok"}))
    envelopes[index] = envelopes[index]._replace(event=replace(changed, output=output))
    store = MemoryRunStore()
    store._runs[case.run_id] = _Kept(state=fold(envelopes), envelopes=envelopes, fence=1, leg=1)
    case.store = store
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["b", "c"]
    assert case.steps["b"].epoch == 2


def test_an_interrupt_is_a_pause_with_cleaning_up(flow: Make) -> None:
    case = flow('call a call b always { call z { if = workflow.status == "cancelled" } }')
    control = RunControl()
    hold = Hold()
    case.answers({"a": hold})
    end = case.begin(control)
    hold.wait_begun()
    control.interrupt()
    record = end()
    assert (record.status, record.reason, record.holder) == ("interrupted", "interrupt", None)
    assert case.statuses == {"a": "interrupted", "always#1/z": "completed"}
    cut = next(event for event in case.events if event.kind == "attempt_cut_off")
    assert (cut.certainty, cut.cause) == ("interrupted", "interrupt")
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["a", "b"]
    assert case.statuses["always#2/z"] == "skipped"


def test_a_result_that_arrives_within_the_grace_of_an_interrupt_counts(flow: Make) -> None:
    case = flow("call a call b").configure(kill_grace=30.0)
    control = RunControl()

    def finish(request: Any) -> Any:
        control.interrupt()
        return {"markers": ["paid"]}

    case.answers({"a": finish})
    assert case.start(control).status == "interrupted"
    assert case.steps["a"].output.markers == {"paid"}
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["b"]


def test_a_step_that_ignores_an_interrupt_is_given_up_and_the_always_block_still_runs(flow: Make) -> None:
    case = flow("call a call b always { call z }").configure(kill_grace=0.01)
    control = RunControl()
    begun, release, back = threading.Event(), threading.Event(), threading.Event()

    def deaf(request: Any) -> Any:
        begun.set()
        release.wait(30)
        back.set()
        return {"markers": ["late"]}

    case.answers({"a": deaf})
    end = case.begin(control)
    begun.wait(30)
    control.interrupt()
    record = end()
    assert (record.status, record.holder) == ("interrupted", None)
    assert case.statuses == {"a": "interrupted", "always#1/z": "completed"}
    cut = next(event for event in case.events if event.kind == "attempt_cut_off")
    assert cut.certainty == "unknown"
    events = len(case.events)
    release.set()
    back.wait(30)
    assert len(case.events) == events
    scripted = case.answers({})
    assert case.resume().status == "completed"
    assert scripted.paths == ["a", "b", "always#2/z"]


def test_a_kill_does_not_wait_for_the_grace(flow: Make) -> None:
    case = flow("call a").configure(kill_grace=3600.0)
    control = RunControl()
    killed = threading.Event()
    begun = threading.Event()

    class Stubborn:
        name, version, effect, metered = "x", "1", "read", False

        def execute(self, request: Any) -> None:
            begun.set()
            killed.wait(30)
            raise RuntimeError("killed")

        def kill(self) -> None:
            killed.set()

        def find(self, name: str) -> Any:
            return self

        def names(self) -> tuple[str, ...]:
            return ()

    case.executor = Stubborn()
    end = case.begin(control)
    begun.wait(30)
    control.interrupt()
    control.kill()
    assert end().status == "interrupted"
    assert killed.is_set()
