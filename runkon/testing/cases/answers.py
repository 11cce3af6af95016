"""What stands in for the executors of a run: the answers of a test. Scripts are answered too, nothing is ever run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from runkon.cassettes.answering import Turns, give
from runkon.cassettes.cassette import Cassette
from runkon.errors import Fatal
from runkon.language.case_nodes import Case, CaseBlock
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue
from runkon.model.ports import StepRequest
from runkon.testing.cases.values import json_of, seconds_of
from runkon.testing.scripted import Answer, ScriptedExecutor, answers_from_json, keys_of

KINDS = ("exception", "transient", "fatal", "timeout", "idle", "schema", "exit", "value")


class CaseAnswers(ScriptedExecutor):
    """Answers by path, key or name. One answer of a step serves every attempt and visit, several serve one each.
    `unanswered` are the paths of steps that asked in vain, with a sentence's end that says why."""

    def __init__(self, case: Case, cassette: Cassette | None = None) -> None:
        answers: dict[str, list[Answer]] = {}
        for block in case.blocks("answer"):
            answers.setdefault(str(block.name), []).append(answer_of(block))
        standing = next(case.blocks("default"), None)
        ready = {name: found[0] if len(found) == 1 else found for name, found in answers.items()}
        super().__init__(ready, default=Fatal if standing is None else answer_of(standing), name="answers")
        self._is_open = standing is None
        self._numbers = {name: len(found) for name, found in answers.items()}
        self._turns = None if cassette is None else Turns(cassette)
        self.unanswered: dict[StepPath, str] = {}

    def _pick(self, request: StepRequest) -> Answer:
        key = next((key for key in keys_of(request) if key in self._numbers), None)
        if key is None and self._turns is not None and (found := self._turns.next(request.path)) is not None:
            return partial(give, found)
        if key is None and not self._is_open:
            return super()._pick(request)
        if key is None:
            where = "in this test" if self._turns is None else "in this test, and no more in its cassette"
            self.unanswered[request.path] = f"has no answer {where}"
            return None  # the run goes on, so that all such steps are found at once
        if self._numbers[key] > 1 and self._used[key] >= self._numbers[key]:
            self.unanswered[request.path] = f"has {self._numbers[key]} answers and asked for one more"
            return None
        return super()._pick(request)


def answer_of(block: CaseBlock) -> Answer:
    """What an answer says, to be given once its time has passed."""
    said = {entry.name: json_of(entry.value) for entry in block.written if entry.name != "after"}
    after = block.entry("after")
    seconds = None if after is None else seconds_of(after.value)
    if isinstance(said.get("error"), str):
        answer = answers_from_json({"it": {"error": said["error"], "kind": said.get("kind", "exception")}})["it"]
    else:
        answer = said
    return answer if not seconds else _late(answer, seconds)


def _late(answer: Answer | dict[str, JsonValue], seconds: float) -> Callable[[StepRequest], object]:
    def give(request: StepRequest) -> object:
        request.cancel.wait(seconds)
        request.cancel.raise_if_cancelled()
        if isinstance(answer, BaseException):
            raise answer
        return answer

    return give
