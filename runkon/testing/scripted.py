"""An executor that answers from a script: the stand-in for agents in tests of workflows."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from runkon.errors import Cancelled, Fatal, Transient
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue, Output, as_output
from runkon.model.ports import StepRequest

PATIENCE = 30.0  # seconds until a wait in a test is given up as a failure of the test


class Hold:
    """An answer that waits until the test says `release`, or the step is cancelled."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._begun = False
        self._over = False
        self._answer: Answer = None

    def wait_begun(self, timeout: float = PATIENCE) -> None:
        """Return once a step is being held. Raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._begun, timeout):
                raise TimeoutError("no step asked for the held answer")

    def release(self, answer: Answer = None) -> None:
        """Let every held step, now and later, go on with `answer`."""
        with self._changed:
            self._answer = answer
            self._over = True
            self._changed.notify_all()

    def answer(self, request: StepRequest) -> Answer:
        """Wait, then the answer. Raises `Cancelled` when the step is cancelled first."""
        undo = request.cancel.on_cancel(self._look_again)
        try:
            with self._changed:
                self._begun = True
                self._changed.notify_all()
                if not self._changed.wait_for(lambda: self._over or request.cancel.is_cancelled, PATIENCE):
                    raise TimeoutError(f"the held step `{request.path}` was never released")
        finally:
            undo()
        request.cancel.raise_if_cancelled()
        return self._answer

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify_all()


Answer: TypeAlias = (
    Output
    | Mapping[str, object]
    | str
    | BaseException
    | type[BaseException]
    | Hold
    | Callable[[StepRequest], object]
    | Sequence["Answer"]
    | None
)


class ScriptedExecutor:
    """Answers every step from `answers` and keeps the requests it saw. Safe for concurrent calls.

    A key of `answers` is a step's path, its result key (the last part of the path without `#2` and `[3]`) or the name
    called; the first of these that is there counts. An answer is what an executor may return; an exception, which is
    raised; a function of the request; a `Hold`; or a list with one answer per call (attempt or visit). A step without
    an answer gets `default`, or fails for good, naming the step.

    It is also a whole set of executors: every name finds it.
    """

    def __init__(
        self,
        answers: Mapping[str, Answer] | None = None,
        *,
        default: Answer = Fatal,
        name: str = "scripted",
        version: str = "1",
        effect: str = "read",
        metered: bool = False,
    ) -> None:
        self.name = name
        self.version = version
        self.effect = effect
        self.metered = metered
        self._answers = dict(answers or {})
        self._default = default
        self._used: Counter[str] = Counter()
        self._calls: list[StepRequest] = []
        self._changed = threading.Condition()

    # ── as a set of executors ─────────────────────────────────────────────────────────────────────
    def find(self, name: str) -> ScriptedExecutor:  # noqa: ARG002 - any name will do
        """Itself, whatever the name."""
        return self

    def names(self) -> Sequence[str]:
        return (self.name,)

    # ── what happened ─────────────────────────────────────────────────────────────────────────────
    @property
    def calls(self) -> tuple[StepRequest, ...]:
        """Every request so far, in the order of arrival."""
        with self._changed:
            return tuple(self._calls)

    @property
    def paths(self) -> list[StepPath]:
        """The paths of `calls`."""
        return [request.path for request in self.calls]

    def calls_of(self, key: str) -> list[StepRequest]:
        """The requests of one step, by path, result key or name."""
        return [request for request in self.calls if key in keys_of(request)]

    def wait_for_calls(self, count: int, timeout: float = PATIENCE) -> tuple[StepRequest, ...]:
        """Return once there were `count` calls. Raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._calls) >= count, timeout):
                raise TimeoutError(f"{len(self._calls)} calls came, not {count}")
            return tuple(self._calls)

    # ── as an executor ────────────────────────────────────────────────────────────────────────────
    def execute(self, request: StepRequest) -> Output:
        with self._changed:
            self._calls.append(request)
            answer = self._pick(request)
            self._changed.notify_all()
        request.cancel.raise_if_cancelled()
        return _give(answer, request)

    def _pick(self, request: StepRequest) -> Answer:
        for key in keys_of(request):
            if key in self._answers:
                answer = self._answers[key]
                if isinstance(answer, Sequence) and not isinstance(answer, str):
                    number = self._used[key]
                    self._used[key] += 1
                    if number >= len(answer):
                        return Fatal(f"`{key}` has {len(answer)} scripted answers and was called once more")
                    return answer[number]
                return answer
        if self._default is Fatal:
            return Fatal(f"no scripted answer for the step `{request.path}` (call of `{request.name}`)")
        return self._default


def keys_of(request: StepRequest) -> tuple[str, str, str]:
    """The keys a request is looked up by, the closest first: path, result key, name."""
    last = str(request.path).rsplit("/", 1)[-1]
    return (str(request.path), re.sub(r"(\[[^\]]*\])?(#\d+)?$", "", last), request.name)


def answers_from_json(data: Mapping[str, JsonValue]) -> dict[str, Answer]:
    """Answers written as JSON: an output object, a text, null, a list of those; `{"error": "…", "kind": "transient"}`
    fails the attempt (kinds: those of a step error, default `exception`)."""
    return {key: _from_json(value) for key, value in data.items()}


def _from_json(value: JsonValue) -> Answer:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        return _error(str(value["error"]), str(value.get("kind", "exception")))
    if value is None or isinstance(value, (str, dict)):
        return value
    raise TypeError(f"a scripted answer is an object, a text, null or a list, not {value!r}")


def _error(message: str, kind: str) -> Exception:
    match kind:
        case "transient":
            return Transient(message)
        case "fatal":
            return Fatal(message)
        case "cancelled":
            return Cancelled(message)
        case "exception":
            return RuntimeError(message)
        case _:
            return StepFailure(kind, message)


def _give(answer: Answer, request: StepRequest) -> Output:
    while True:
        if isinstance(answer, (BaseException, type)):
            raise answer
        if isinstance(answer, Hold):
            answer = answer.answer(request)
        elif callable(answer):
            return as_output(answer(request))
        else:
            return as_output(answer)
