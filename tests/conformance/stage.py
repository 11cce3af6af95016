"""What a run case plays on: answers written as JSON, executors that give them, and what was seen on the way.

Besides the answers of `runkon.testing`, an object may hold one of these keys; its other keys are the answer itself.
  $show         names of fields of the request: the context tells what they held
  $hold         wait until the step is cancelled
  $after        wait until the step at that path has ended;  $when_started: until its first attempt has begun, or the
                gate there is open; either way also until every attempt that began is with its executor
  $meet         wait until that many calls run at once
  $interrupt    ask the run to pause: `cut` stops as told, `finish` answers all the same;  $cancel: end the run
  $usage        what the attempt cost: `cost_usd`, `input_tokens`, `output_tokens`; beside any other of these
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from runkon.engine.cancellation import RunControl
from runkon.executors.providers import Files, Lines, Range, Runs
from runkon.executors.script import ScriptExecutor
from runkon.model.decisions import Approved, GateRequest, Pending, Rejected, Resolution
from runkon.model.events import Envelope
from runkon.model.items import Item, ItemProvider, ItemRequest
from runkon.model.output import Output, Usage, as_output
from runkon.model.ports import ActionExecutor, StepRequest
from runkon.testing import Hold, ScriptedExecutor, answers_from_json

PATIENCE = 30.0  # seconds until a wait is a failure of the case


class Stage:
    """The executors of one case and everything they wait for. Also the sink that tells it what happened."""

    def __init__(
        self,
        answers: Mapping[str, object],
        *,
        metered: Sequence[str] = (),
        providers: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
        resolvers: Mapping[str, Sequence[Mapping[str, str]]] = MappingProxyType({}),
    ) -> None:
        self.control = RunControl()
        self.scripted = ScriptedExecutor({key: self._answer(value) for key, value in answers.items()})
        self.most = 0
        self.providers: dict[str, ItemProvider] = {one.name: one for one in (Files(), Lines(), Range(), Runs())}
        self.providers |= {name: Listed(name, what) for name, what in providers.items()}
        self.resolvers = {name: Saying(name, what) for name, what in resolvers.items()}
        self.interrupt_at: int | None = None
        self._running = 0
        self._metered = frozenset(metered)
        self._changed = threading.Condition()
        self._started: set[str] = set()
        self._called: set[str] = set()
        self._opened: set[str] = set()
        self._ended: set[str] = set()

    # ── as a set of executors ─────────────────────────────────────────────────────────────────────
    def find(self, name: str) -> ActionExecutor:
        if name == "script":
            return ScriptExecutor()
        return Player(name, self, metered=name in self._metered)

    def names(self) -> Sequence[str]:
        return ("script",)

    def play(self, request: StepRequest) -> Output:
        with self._changed:
            self._called.add(request.path)
            self._running += 1
            self.most = max(self.most, self._running)
            self._changed.notify_all()
        try:
            return self.scripted.execute(request)
        finally:
            with self._changed:
                self._running -= 1

    # ── as an event sink ──────────────────────────────────────────────────────────────────────────
    def emit(self, envelope: Envelope) -> None:
        path = str(getattr(envelope.event, "path", ""))
        kind = envelope.event.kind
        with self._changed:
            if kind == "attempt_started":
                self._started.add(path)
            elif kind == "gate_opened":
                self._opened.add(path)
            elif kind in ("step_completed", "step_failed", "step_timed_out", "step_cancelled", "step_skipped"):
                self._ended.add(path)
            self._changed.notify_all()
        if envelope.seq == self.interrupt_at:
            self.control.interrupt()

    # ── answers ───────────────────────────────────────────────────────────────────────────────────
    def _answer(self, value: object) -> object:
        if isinstance(value, list):
            return [self._answer(item) for item in value]
        if not isinstance(value, dict) or not any(key.startswith("$") for key in value):
            return answers_from_json({"it": value})["it"]  # type: ignore[dict-item]
        rest = {key: item for key, item in value.items() if not key.startswith("$")}
        told = {key: item for key, item in value.items() if key.startswith("$") and key != "$usage"}
        usage = Usage(**value["$usage"]) if "$usage" in value else None

        def answer(request: StepRequest) -> object:
            given = self._act(told, rest, request)
            return given if usage is None else replace(as_output(given), usage=usage)

        return answer

    def _act(self, asked: Mapping[str, object], rest: Mapping[str, object], request: StepRequest) -> object:
        answer = answers_from_json({"it": dict(rest) or None})["it"]  # type: ignore[dict-item]
        match next(iter(asked.items()), ("", None)):
            case "", _:
                pass
            case "$show", list(paths):
                answer = {**rest, "context": "; ".join(f"{path}={shown(request, path)}" for path in paths)}
            case "$hold", _:
                answer = Hold().answer(request)
            case "$after", str(path):
                self._wait(lambda: path in self._ended and self._started <= self._called, request)
            case "$when_started", str(path):
                self._wait(lambda: path in self._started | self._opened and self._started <= self._called, request)
            case "$meet", int(count):
                self._wait(lambda: self.most >= count, request)
            case "$interrupt", str(how):
                self.control.interrupt()
                if how == "cut":
                    answer = Hold().answer(request)
            case "$cancel", str(reason):
                self.control.cancel("somebody", reason)
                answer = Hold().answer(request)
            case key, found:
                raise AssertionError(f"no such answer: {key} = {found!r}")
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _wait(self, condition: object, request: StepRequest) -> None:
        assert callable(condition)
        undo = request.cancel.on_cancel(self._wake)
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: condition() or request.cancel.is_cancelled, PATIENCE):
                    raise AssertionError(f"`{request.path}` waited in vain")
        finally:
            undo()
        request.cancel.raise_if_cancelled()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Player:
    """One executor of the stage, by name."""

    version = "1"
    effect = "read"

    def __init__(self, name: str, stage: Stage, *, metered: bool) -> None:
        self.name = name
        self.metered = metered
        self._stage = stage

    def execute(self, request: StepRequest) -> Output:
        return self._stage.play(request)


class Listed:
    """A provider of the case: its `items`, `blocks` (pairs of ids, what blocks first), or what it raises."""

    def __init__(self, name: str, what: Mapping[str, Any]) -> None:
        self.name = name
        self._what = what

    def items(self, request: ItemRequest) -> Iterable[Item]:
        if "error" in self._what:
            raise RuntimeError(self._what["error"])
        for one in self._what["items"]:
            fields = {"id": one} if isinstance(one, str) else one
            yield Item(fields["id"], fields.get("ref", ""), fields.get("context", {}))

    def dependencies(self, request: ItemRequest) -> Iterable[tuple[str, str]]:
        if "blocks" not in self._what:
            raise RuntimeError("no order is known")
        return [(first, then) for first, then in self._what["blocks"]]


class Saying:
    """A resolver of the case: what it says, one per question; the last again and again."""

    interval = 0.01

    def __init__(self, name: str, says: Sequence[Mapping[str, str]]) -> None:
        self.name = name
        self._says = says

    def poll(self, request: GateRequest) -> Resolution:
        says = self._says[min(request.poll, len(self._says) - 1)]
        if "error" in says:
            raise RuntimeError(says["error"])
        if "approved" in says:
            return Approved(says["approved"])
        return Rejected(says["rejected"]) if "rejected" in says else Pending()


def shown(request: StepRequest, path: str) -> str:
    """A field of a request, or one of its inputs, as JSON; `-` for an input that is not there."""
    head, _, name = path.partition(".")
    found = getattr(request, head)
    if name and name not in found:
        return "-"
    value = found[name] if name else found
    return json.dumps(value, ensure_ascii=False, default=list)
