"""Branches that were stopped for good: what they leave reads as it is recorded, in the same leg and after a crash."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from runkon.model.ports import StepRequest
from runkon.testing import check_text
from tests.unit.engine.conftest import Flow

KEYS = re.compile(r"\b(c|d|e|x|q|kid|quick|human_review)\b")
TEXT = """workflow w {
  parallel p {
    until = b.found
    do { call a call b { retries = 100000 } }
    %s
  }
  call after { inputs = { history = "{{prior_contexts}}" } }
  if p.ok { call ok_was_seen }
  outputs { skipped = p.skipped succeeded = p.succeeded %s }
}
workflow kid { call k call d always { call tidy } }
workflow quick { call k always { call tidy } }
"""
CASES = {  # what stands in the other branch, and what has happened before `until` is true
    "several steps": ("do { call c call d call e }", "attempt_started p/d"),
    "a choice behind the step": ("do { call c call d if c.ok { call e } else { call f } }", "attempt_started p/d"),
    "a block inside": ("do { call c parallel q { call d call d2 } call e }", "attempt_started p/q/d2"),
    "items inside": ("do { call c foreach x in [1, 2, 3] { call i call d } }", "attempt_started p/x[0]/d"),
    "items alone": ("foreach x in [1, 2, 3] { call i call d }", "attempt_started p/x[0]/d"),
    "a gate inside": ("do { call c gate human_review { } call d }", "gate_opened p/human_review"),
    "a gate alone": ("gate human_review { }", "gate_opened p/human_review"),
    "a gate in an item": (
        "do { call c foreach x in [1] { gate human_review { } } }",
        "gate_opened p/x[0]/human_review",
    ),
    "a workflow alone": ("call workflow kid", "attempt_started p/kid/d"),
    "a workflow inside": ("do { call c call workflow kid }", "attempt_started p/kid/d"),
    "a loop": ("do { call c while c.ok { max_iterations = 3 call d } }", "attempt_started p/while[0]/d"),
    "ended": ("do { call c call e }", "step_completed p/e"),
    "an ended workflow": ("call workflow quick", "step_completed p/quick"),
    "ended items": ("foreach x in [1, 2] { call i }", "step_completed p/x"),
    "an ended block": ("parallel q { call c call e }", "step_completed p/q"),
}


class Case:
    """One workflow whose branch `b` says when it is enough: once something else stands on record."""

    def __init__(self, name: str, folder: Path) -> None:
        branch, self.sign = CASES[name]
        outside = re.sub(r"\] \{.*", "", branch)  # what stands in a list is not seen behind it
        self.keys = [key for key in dict.fromkeys(KEYS.findall(outside)) if key != "c" or "call c" in branch]
        outputs = " ".join(f"{key} = {key}.status" for key in self.keys)
        said = "said = c.v" if "c" in self.keys else ""
        self.flow = Flow("workflow w { call a }", folder)
        self.flow.program = check_text(TEXT % (branch, f"{said} {outputs}"))
        self.answer()

    def answer(self) -> None:
        c = {"markers": ["ok"], "v": 7, "context": "c was here"}
        self.flow.answers({"b": self.enough, "c": c, "d": hold, "d2": hold, "k": {"context": "k was here"}})

    def enough(self, _request: StepRequest) -> Mapping[str, object]:
        if self.sign not in [f"{event.kind} {getattr(event, 'path', '')}" for event in self.flow.events]:
            time.sleep(0.002)  # each failure writes down what others have queued
            raise ValueError("not yet")
        return {"markers": ["found"]}

    @property
    def facts(self) -> list[tuple[object, ...]]:
        steps = self.flow.store.steps(self.flow.run_id)
        return [(s.path, s.info.kind, s.status, s.handled, s.skip_reason, s.output.values) for s in steps]


def hold(request: StepRequest) -> str:
    request.cancel.wait(30)
    request.cancel.raise_if_cancelled()
    return "never"


@pytest.mark.parametrize("name", CASES)
def test_what_until_stopped_reads_as_it_is_on_record(name: str, tmp_path: Path) -> None:
    case = Case(name, tmp_path)
    record = case.flow.start()
    assert record.status == "completed", record.error
    on_record = {step.info.key: str(step.status) for step in case.flow.store.steps(case.flow.run_id)}
    wanted = {key: on_record.get(key) for key in case.keys}
    assert wanted
    assert {key: record.outputs[key] for key in wanted} == wanted
    has_ended = "ended" in name
    assert (record.outputs["skipped"], record.outputs["succeeded"]) == ((0, 2) if has_ended else (1, 1))


@pytest.mark.parametrize("name", CASES)
def test_wherever_the_process_died_the_same_is_read(name: str, tmp_path: Path) -> None:
    case = Case(name, tmp_path)
    flow = case.flow
    outputs, whole, facts, events = dict(flow.start().outputs), flow.store, case.facts, flow.events
    for count in range(3, len(events)):
        if events[count - 1].kind in ("attempt_failed", "gate_decided"):  # the next one is in the same transaction
            continue
        flow.store = whole
        flow.kill_at(count)
        case.answer()
        again = flow.resume()
        assert (again.status, again.error) == ("completed", None), (count, events[count - 1])
        assert dict(again.outputs) == outputs, (count, events[count - 1])
        assert case.facts == facts, (count, events[count - 1])
