"""A run that is interrupted anywhere and resumed ends like one that was not, and succeeds with no step twice."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from runkon.engine.cancellation import RunControl
from runkon.engine.config import RunConfig
from runkon.errors import Fatal, UserError
from runkon.language.checks.unsupported import unsupported
from runkon.language.keys import all_statements
from runkon.language.nodes import GateStep
from runkon.language.program import CheckedWorkflow
from runkon.model.output import JsonValue, Output
from runkon.model.ports import StepRequest
from runkon.model.status import RunStatus
from runkon.testing.running import TextRun, check_text, resume_run, run_text

from .programs import lay_out, tokens_of

MARKERS = ("ok", "failed", "has_errors", "n", "gate", "in", "else")
SEEDS = range(3000)
GIVEN: dict[str, JsonValue] = {"boolean": True, "number": 3, "integer": 3, "list": ["a"], "one_of": "a"}


class Answers:
    """Answers each step by its path, one in nine with a failure; at call number `stop` the run is interrupted."""

    name, version, effect, metered = "answers", "1", "read", False

    def __init__(self, stop: int | None = None) -> None:
        self.control = RunControl()
        self.calls = 0
        self.succeeded: Counter[str] = Counter()
        self._stop = stop
        self._changing = threading.Lock()

    def find(self, name: str) -> Answers:
        return self

    def names(self) -> Sequence[str]:
        return (self.name,)

    def execute(self, request: StepRequest) -> Output:
        path = str(request.path)
        digest = hashlib.sha256(path.encode()).digest()
        with self._changing:
            self.calls += 1
            if self.calls == self._stop:
                self.control.interrupt()
            if digest[0] < 28:
                raise Fatal("this path fails")
            self.succeeded[path] += 1
        markers = frozenset(marker for number, marker in enumerate(MARKERS, 1) if digest[number] < 110)
        return Output(markers, f"context {digest[9]}", {"files": ["a", "b"], "n": digest[8] % 4})


def programs_to_run(seeds: Sequence[int]) -> list[tuple[int, str, dict[str, JsonValue]]]:
    """Those generated programs that this version can run, with inputs."""
    found = []
    for seed in seeds:
        text = lay_out(tokens_of(seed, 1 + seed % 3), [" ", "\n"])
        program = _checked(text)
        if program is None or any(isinstance(one, GateStep) for one in all_statements(program.workflow)):
            continue  # a gate waits for people
        if not unsupported(program.workflow):
            declared = program.workflow.inputs
            found.append((seed, text, {each.name: GIVEN.get(each.type, "x") for each in declared if each.required}))
    return found


def _checked(text: str) -> CheckedWorkflow | None:
    try:
        return None if "secret" in text else check_text(text)  # a secret has to be given again on resume
    except UserError:
        return None


def _outside_always(run: TextRun) -> dict[str, str]:
    """The final status of each step, but for the closing `always` blocks, which run once in each leg."""
    return {str(s.path): s.status.value for s in run.steps if not str(s.path).startswith("always#")}


@pytest.mark.parametrize("part", range(4))
def test_interrupted_anywhere_and_resumed_a_run_ends_the_same(part: int, tmp_path: Path) -> None:
    config = RunConfig(working_dir=tmp_path)
    interrupted = 0
    for seed, text, inputs in programs_to_run(SEEDS[part::4]):
        whole = Answers()
        expected = run_text(text, whole, inputs, config=config)
        assert expected.record.status in (RunStatus.COMPLETED, RunStatus.FAILED), text
        if not whole.calls:
            continue
        answers = Answers(stop=1 + seed % max(1, whole.calls - 1))
        run = run_text(text, answers, inputs, config=config, control=answers.control)
        for _ in range(3):
            if run.record.status is RunStatus.INTERRUPTED:
                interrupted += 1
                run = resume_run(run, answers, config=config)
        inside = [path for path, count in answers.succeeded.items() if count > 1 and "always" not in path]
        assert inside == [], f"{inside} succeeded twice\n{text}"
        if "parallel" not in text:  # branches that race may end either way
            assert run.record.status is expected.record.status, text
            assert _outside_always(run) == _outside_always(expected), text
    assert interrupted > 10, interrupted
