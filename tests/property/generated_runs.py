"""Generated programs that this version can run, their answers by path, and the stream a run of them leaves."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence

from runkon.engine.cancellation import RunControl
from runkon.errors import UserError
from runkon.language.checks.unsupported import unsupported
from runkon.language.keys import all_statements
from runkon.language.nodes import GateStep
from runkon.language.program import CheckedWorkflow
from runkon.model.output import JsonValue, Output
from runkon.model.ports import StepRequest
from runkon.testing.running import check_text

from .programs import lay_out, tokens_of

MARKERS = ("ok", "failed", "has_errors", "n", "gate", "in", "else")
GIVEN: dict[str, JsonValue] = {"boolean": True, "number": 3, "integer": 3, "list": ["a"], "one_of": "a"}
FAILING = 28  # of 256 paths fail


class PathAnswers:
    """Answers each step by its path alone, some with a failure; at call number `stop` the run is interrupted."""

    name, version, effect, metered = "answers", "1", "read", False

    def __init__(self, stop: int | None = None) -> None:
        self.control = RunControl()
        self.called: Counter[str] = Counter()
        self._stop = stop
        self._changing = threading.Lock()

    def find(self, name: str) -> PathAnswers:
        return self

    def names(self) -> Sequence[str]:
        return (self.name,)

    def execute(self, request: StepRequest) -> Output:
        path = str(request.path)
        leg, _, bare = path.partition("/")
        path = bare if leg.startswith("always#") else path
        digest = hashlib.sha256(path.encode()).digest()
        with self._changing:
            self.called[str(request.path)] += 1
            if self.called.total() == self._stop:
                self.control.interrupt()
        if digest[0] < FAILING:
            raise ValueError("this path fails")
        markers = frozenset(marker for number, marker in enumerate(MARKERS, 1) if digest[number] < 110)
        return Output(markers, f"context {digest[9]}", {"files": ["a", "b"], "n": digest[8] % 4})


class Generated:
    """One generated program: its seed, its text, checked, and inputs it accepts."""

    def __init__(self, seed: int, text: str, program: CheckedWorkflow) -> None:
        declared = program.workflow.inputs
        self.seed = seed
        self.text = text
        self.program = program
        self.inputs = {each.name: GIVEN.get(each.type, "x") for each in declared if each.required}


def runnable(seeds: Sequence[int]) -> list[Generated]:
    """The generated programs of `seeds` that run without people: no gate waits, no secret has to be given again."""
    found = []
    for seed in seeds:
        text = lay_out(tokens_of(seed, 1 + seed % 3), [" ", "\n"])
        try:
            program = None if "secret" in text else check_text(text)
        except UserError:
            continue
        if program is None or any(isinstance(one, GateStep) for one in all_statements(program.workflow)):
            continue
        if not unsupported(program.workflow):
            found.append(Generated(seed, text, program))
    return found
