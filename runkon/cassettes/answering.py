"""Executors that answer from a cassette. The ones they stand for are asked what they would be asked, and nothing else.

An attempt is answered by the one that has its place in the record: the same path, the same count. Where its request
is another, an answer to an equal request that nobody has taken yet is given. Where there is none, the answer is
missing: a strict replay stops there, one that fills goes on live.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from runkon.cassettes.cassette import CALL, Answer, Cassette, place_of
from runkon.errors import Cancelled, UserError
from runkon.model.agents import AgentCall, AgentReply, AgentRequest, Availability
from runkon.model.failures import StepFailure
from runkon.model.ids import StepPath
from runkon.model.items import ItemsCollected
from runkon.model.output import NO_OUTPUT, JsonValue, Output, Usage
from runkon.model.ports import ActionExecutor, Executors, StepRequest
from runkon.model.records import Asked, Seen
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.model.state import Reducer

Mode: TypeAlias = Literal["strict", "fill"]
SeesTheSame: TypeAlias = Callable[[Seen | None], bool]
_FOREVER = 1e8  # seconds: until it is cancelled
_STOP_WITHIN = 60.0
CAUSE = "replay"


class Miss(NamedTuple):
    """An attempt without an answer. `recorded` is the one that has its place in the record, None if there is none;
    `asked` is what it asks; `reads` are names whose values have changed; `is_end` says that the record ends there."""

    path: StepPath
    order: int
    asked: Asked | None
    recorded: Answer | None
    reads: tuple[str, ...] = ()
    is_end: bool = False


class Turns:
    """The answers of a cassette by place alone, each once: nothing is compared. Not for several threads at once."""

    def __init__(self, cassette: Cassette) -> None:
        self._left: dict[StepPath, list[Answer]] = defaultdict(list)
        for answer in cassette.answers:
            self._left[answer.path].append(answer)

    def next(self, path: StepPath) -> Answer | None:
        """The answer to the next attempt of a step."""
        left = self._left.get(place_of(path))
        return left.pop(0) if left else None


def give(answer: Answer, request: StepRequest) -> Output:
    """What was answered, after as much time as it took; without what it cost. Raises what failed then; one that was
    stopped waits to be stopped again."""
    if answer.outcome == "stopped":
        request.cancel.wait(_FOREVER)
        raise Cancelled("it was stopped")
    if answer.elapsed_ms > 1:
        request.cancel.wait((answer.elapsed_ms - 1) / 1000)  # its own time limit would come a moment later
        request.cancel.raise_if_cancelled()
    if answer.error is not None:
        raise StepFailure(answer.error.kind, answer.error.message)
    return replace(answer.output or NO_OUTPUT, usage=None)


class Replay:
    """One replay of a cassette. `stop` ends the run; `misses` are in the order in which they were come upon. Safe for
    concurrent calls."""

    def __init__(self, cassette: Cassette, mode: Mode, stop: Callable[[], None]) -> None:
        self.cassette = cassette
        self.mode = mode
        self.misses: list[Miss] = []
        self.answered = 0
        self.saved_usd = 0.0  # what the answers had cost
        self._stop = stop
        self._lock = threading.Lock()
        self._by_path: dict[StepPath, list[Answer]] = defaultdict(list)
        for answer in cassette.answers:
            if mode == "strict" or answer.outcome != "stopped":
                self._by_path[answer.path].append(answer)
        self._turns: dict[StepPath, int] = defaultdict(int)
        self._taken: set[int] = set()
        self._heard: dict[StepPath, tuple[Asked | None, SeesTheSame]] = {}

    def hear(self, path: StepPath, asked: Asked | None, sees: SeesTheSame) -> None:
        """What the next attempt of a step asks, and what compares the values it reads."""
        with self._lock:
            self._heard[path] = (asked, sees)

    def take(self, path: StepPath, *, is_described: bool) -> Answer | Miss:
        """The answer to the next attempt of a step."""
        with self._lock:
            asked, sees = self._heard.get(path, (None, _all_the_same))
            place = place_of(path)
            turn = self._turns[place]
            self._turns[place] += 1
            mine = self._by_path.get(place, [])
            here = mine[turn] if turn < len(mine) else None
            if here is not None and id(here) in self._taken:
                here = None
            found, reads = here, tuple[str, ...]()
            if here is not None and here.asked is not None and asked is not None:
                found = here if here.asked.digest == asked.digest else None
            if found is not None and not (is_described and found.asked is not None) and not sees(found.seen):
                reads = () if found.seen is None else found.seen.names
                found = None
            if found is None and asked is not None and not reads:
                found = self._alike(asked)
            if found is not None:
                self._taken.add(id(found))
                self.answered += 1
                self.saved_usd += cost_of(found.output)
                return found
            miss = Miss(path, turn, asked, here or (mine[-1] if mine else None), reads, self._ends_at(here))
            self.misses.append(miss)
            return miss

    def _alike(self, asked: Asked) -> Answer | None:
        for one in self.cassette.answers:
            if one.asked is not None and one.asked.digest == asked.digest and id(one) not in self._taken:
                return one
        return None

    def cached_call(self, path: StepPath) -> tuple[Output, str] | None:
        """The result of a call of a workflow whose steps are not on record, and where it stands."""
        with self._lock:
            place = place_of(path)
            mine = self._by_path.get(place, [])
            if self._turns[place] or not mine or mine[0].info.kind != CALL:
                return None
            self._turns[place] += 1
            self.answered += 1
            origin = f"{self.cassette.name.removeprefix('run ')}/{place}"
            return replace(mine[0].output or NO_OUTPUT, usage=None), origin

    def _ends_at(self, here: Answer | None) -> bool:
        return here is None and not self.cassette.is_whole

    def end_at(self, answer: Answer) -> None:
        """The record goes no further: what ended this attempt there was not part of the run."""
        with self._lock:
            self.misses.append(Miss(answer.path, self._turns[answer.path] - 1, answer.asked, answer, is_end=True))

    @property
    def has_stopped(self) -> bool:
        return self.mode == "strict" and bool(self.misses)

    def stop(self) -> None:
        """End the run: nothing is answered any more."""
        self._stop()


def cost_of(output: Output | None) -> float:
    """What an answer had cost, as far as it is known."""
    usage = None if output is None else output.usage
    return 0.0 if usage is None else usage.cost_usd or 0.0


def _all_the_same(_seen: Seen | None) -> bool:
    return True


class RecordedLists(dict[str, object]):
    """Item providers by name, which are asked where no list is on record for a place."""

    def __init__(self, lists: Iterable[ItemsCollected], providers: Mapping[str, object] = {}) -> None:
        super().__init__(providers)
        self.lists: Mapping[StepPath, ItemsCollected] = {one.path: one for one in lists}


class ReplayedExecutors(Executors):
    """In place of `real`. Those that are not installed are answered from the cassette as well."""

    def __init__(self, replay: Replay, real: Executors) -> None:
        self._replay = replay
        self._real = real
        self._versions = {one.executor: one for one in replay.cassette.answers if one.executor}
        ask = getattr(real, "agent", None)
        if ask is not None:
            self.agent: Callable[[AgentCall], ActionExecutor] = partial(self._agent, ask)

    def find(self, name: str) -> ActionExecutor | None:
        real = self._real.find(name)
        recorded = self._versions.get(name)
        if real is None and recorded is None:
            return None
        return ReplayedExecutor(name, self._replay, real, recorded)

    def names(self) -> Sequence[str]:
        return sorted({*self._real.names(), *self._versions})

    def _agent(self, ask: Callable[[AgentCall], ActionExecutor], call: AgentCall) -> ActionExecutor:
        """An agent file, with the runtime of the record where nothing else says which, or none is installed."""
        try:
            real = ask(call)
        except UserError as error:
            recorded = next((one for one in self._replay.cassette.answers if _agent_of(one) == call.name), None)
            if error.code != "unknown-runtime" or recorded is None:
                raise
            real = ask(replace(call, choice=replace(call.choice, default_runtime=recorded.executor)))
        return ReplayedExecutor(real.name, self._replay, real, self._versions.get(real.name))

    def cached_call(self, path: StepPath) -> tuple[Output, str] | None:
        """What the record says of a call of a workflow that was answered from the cache there; None for others."""
        return self._replay.cached_call(path)

    def is_metered(self, name: str) -> bool:
        """Answers cost nothing."""
        ask = getattr(self._real, "is_metered", None)
        return self._replay.mode == "fill" and ask is not None and bool(ask(name))

    def reducer(self, name: str) -> Reducer | None:
        """Reducers compute: they are what they are."""
        find = getattr(self._real, "reducer", None)
        found: Reducer | None = None if find is None else find(name)
        return found


class RecordedRuntime:
    """In place of a runtime that is not installed: it says what the record says, and never runs."""

    def __init__(self, name: str, answers: Sequence[Answer]) -> None:
        self.name = name
        mine = [one for one in answers if one.executor == name and one.asked is not None]
        self.version = next((one.version for one in mine), "1")
        requests = [one.asked.request for one in mine if one.asked is not None]
        self._models = {str(one["model"]) for one in requests if one.get("model") is not None}
        self._parameters = {str(one.get("agent")): one.get("parameters") for one in requests}

    def offers(self, model: str) -> bool:
        """True for the models on record."""
        return model in self._models

    def availability(self, _settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:  # noqa: ARG002
        """It is there: nothing is asked of it."""
        return Availability(ready=True, detail="recorded")

    def describe(self, request: AgentRequest) -> Mapping[str, JsonValue]:
        """What the record says of the agent, but what the step itself says."""
        found = self._parameters.get(request.agent.name)
        own = found if isinstance(found, dict) else {}
        return {name: value for name, value in own.items() if name not in _OF_STEP}

    def most_cost_usd(self, _request: AgentRequest) -> float | None:
        return None

    def run(self, _request: AgentRequest) -> AgentReply:
        raise StepFailure("replay", f"the runtime `{self.name}` is not installed, and the record has no answer")


_OF_STEP = frozenset({"can_commit", "max_turns", "max_cost_usd", "identity", "plugin_dirs"})


def recorded_runtimes(cassette: Cassette) -> Mapping[str, object]:
    """One for every runtime on record."""
    names = {one.executor for one in cassette.answers if _agent_of(one) is not None}
    return {name: RecordedRuntime(name, cassette.answers) for name in sorted(names)}


def _agent_of(answer: Answer) -> object:
    return None if answer.asked is None else answer.asked.request.get("agent")


class ReplayedExecutor:
    """Answers for one executor. Only where the replay fills, `real` is called."""

    def __init__(self, name: str, replay: Replay, real: ActionExecutor | None, recorded: Answer | None) -> None:
        self._replay = replay
        self._real = real
        is_live = replay.mode == "fill" and real is not None
        self.name = name if real is None else real.name
        self.version = str(real.version) if real is not None else recorded.version if recorded is not None else "1"
        self.effect = real.effect if real is not None else recorded.effect if recorded is not None else "read"
        self.metered = is_live and real is not None and real.metered
        describe = getattr(real, "describe", None)
        self._is_described = callable(describe)
        if callable(describe):
            self.describe: Callable[[StepRequest], Mapping[str, JsonValue]] = describe
        for optional in (
            ("max_cost_usd", "max_tokens", "most_cost_usd", "supplier", "cancel", "kill") if is_live else ()
        ):
            if hasattr(real, optional):
                setattr(self, optional, getattr(real, optional))

    def hear(self, path: StepPath, asked: Asked | None, sees: SeesTheSame) -> None:
        """The engine tells what the next attempt asks."""
        self._replay.hear(path, asked, sees)

    def execute(self, request: StepRequest) -> Output:
        """The recorded answer, after as much time as it took."""
        replay = self._replay
        if replay.has_stopped:
            raise StepFailure("replay", "the replay has stopped at another step")
        found = replay.take(request.path, is_described=self._is_described)
        if isinstance(found, Answer):
            return self._answer(found, request)
        if replay.mode == "fill" and self._real is not None:
            return self._real.execute(request)
        self._miss(request)
        raise Cancelled("the record has no answer")

    def _miss(self, request: StepRequest) -> None:
        self._replay.stop()
        request.cancel.wait(_STOP_WITHIN)

    def _answer(self, found: Answer, request: StepRequest) -> Output:
        if found.outcome == "stopped":
            if not request.cancel.wait(_FOREVER):  # nothing in the run itself stops it
                self._replay.end_at(found)
                self._miss(request)
            raise Cancelled("it was stopped")
        if self._replay.mode == "strict":
            return give(found, request)
        if found.error is not None:
            failure = StepFailure(found.error.kind, found.error.message)
            failure.usage = Usage(cost_usd=0.0) if self.metered else None  # type: ignore[attr-defined]
            raise failure
        return replace(found.output or NO_OUTPUT, usage=Usage(cost_usd=0.0) if self.metered else None)
