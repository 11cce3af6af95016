"""The JSON of a run, and of its events."""

from __future__ import annotations

import json
from dataclasses import replace

from runkon.model import events as ev
from runkon.model.ids import RunID, StepPath
from runkon.model.output import Output, Usage
from runkon.model.records import RunRecord, StepError, StepInfo, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.views.event_object import EventObjects
from runkon.views.run_object import run_object

RUN = RunRecord(
    id=RunID("01ABC"), workflow="w", file="w.wf", status=RunStatus.COMPLETED, inputs={"a": 1}, outputs={"b": [2]},
    leg=2, created_at=0, started_at=1_767_225_600_000, ended_at=1_767_225_601_234, calls=3, cost_usd=0.5,
)  # fmt: skip
INFO = StepInfo("call", "review", "r", "a1", 2, "w.wf", 14, 5)
STEP = StepRecord(
    RunID("01ABC"), StepPath("while[2]/r"), INFO, StepStatus.COMPLETED, attempts=2, leg=1,
    output=Output(frozenset({"z", "a"}), "text", {"n": 1}, Usage(cost_usd=0.1)), started_at=1, ended_at=13,
)  # fmt: skip


def test_a_run_as_promised() -> None:
    found = run_object(RUN, [STEP])
    assert {key: found[key] for key in ("schema", "run_id", "workflow", "status", "inputs", "outputs", "error")} == {
        "schema": "runkon.run/1",
        "run_id": "01ABC",
        "workflow": "w",
        "status": "completed",
        "inputs": {"a": 1},
        "outputs": {"b": [2]},
        "error": None,
    }
    assert (found["started_at"], found["ended_at"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:01.234Z")
    assert (found["duration_ms"], found["cost_usd"], found["calls"], found["waiting"]) == (1234, 0.5, 3, None)
    assert found["steps"] == [
        {
            "path": "while[2]/r", "key": "r", "kind": "call", "name": "review", "status": "completed", "iteration": 2,
            "attempts": 2, "reused": True, "handled": None, "markers": ["a", "z"], "context": "text",
            "output": {"n": 1}, "degraded": False, "model": None, "skip_reason": None, "cost_usd": 0.1, "error": None,
            "source": {"file": "w.wf", "line": 14, "column": 5}, "started_at": "1970-01-01T00:00:00.001Z",
            "ended_at": "1970-01-01T00:00:00.013Z", "duration_ms": 12,
        }
    ]  # fmt: skip
    json.dumps(found)


def test_errors_have_a_code_and_those_of_steps_a_kind() -> None:
    step = replace(STEP, status=StepStatus.TIMED_OUT, error=StepError("idle", "no word"))
    found = run_object(replace(RUN, status=RunStatus.FAILED, reason="step_failed", error="it broke"), [step])
    assert found["error"] == {"code": "step-failed", "message": "it broke"}
    assert found["steps"][0]["error"] == {"code": "step-timed-out", "kind": "idle", "message": "no word"}  # type: ignore[index,call-overload]
    assert found["steps"][0]["reused"] is False  # type: ignore[index,call-overload]


def test_a_status_to_show_replaces_the_recorded_one() -> None:
    assert run_object(replace(RUN, status=RunStatus.RUNNING), [], RunStatus.INTERRUPTED)["status"] == "interrupted"


def test_an_event_has_place_attempt_and_data() -> None:
    objects = EventObjects()
    path = StepPath("while[2]/r")
    started = ev.Envelope(RunID("01ABC"), 3, 1, 1, 1, ev.AttemptStarted(path=path, number=1, info=INFO, executor="x"))
    ended = ev.Envelope(RunID("01ABC"), 4, 2, 1, 1, ev.StepCompleted(path=path, output=STEP.output))
    first, second = objects.of(started), objects.of(ended)
    assert list(first) == ["v", "seq", "ts", "run", "leg", "path", "type", "attempt", "source", "data"]
    assert (first["type"], first["attempt"], first["ts"]) == ("attempt_started", 1, "1970-01-01T00:00:00.001Z")
    assert first["source"] == second["source"] == {"file": "w.wf", "line": 14, "column": 5}
    assert second["data"]["output"]["markers"] == ["a", "z"]  # type: ignore[index,call-overload]
    assert EventObjects([STEP]).of(ended)["source"] == first["source"]
    json.dumps([first, second])


def test_every_kind_of_event_can_be_written() -> None:
    values = {
        "path": StepPath("a"), "info": INFO, "error": StepError("exit", "x"), "output": STEP.output, "number": 0,
        "usage": Usage(), "sources": {"a": "b"}, "inputs": {}, "config": {"x": [1]}, "outputs": {}, "operands": {},
        "data": {}, "result": True,
    }  # fmt: skip
    kinds = [kind for union in (ev.RunEvent, ev.StepEvent) for kind in union.__args__] + [ev.Note]
    for kind in kinds:
        fields = {name: values.get(name, 1) for name in kind.__match_args__ or kind.__slots__}
        found = EventObjects().of(ev.Envelope(RunID("01"), 1, 1, 1, 1, kind(**fields)))
        assert found["type"] == kind.kind
        json.dumps(found)
