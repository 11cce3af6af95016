"""Recorded runs for tests of stores: one run, told event by event, and made-up streams that an engine could write."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from runkon.errors import LeaseLost
from runkon.model import events as ev
from runkon.model.events import Envelope, Event
from runkon.model.fold import RunState
from runkon.model.ids import RunID, StepPath, new_run_id
from runkon.model.output import JsonValue, Output, Usage
from runkon.model.ports import RunStore
from runkon.model.records import Lease, Seen, StepError, StepInfo, StepRecord
from runkon.model.status import StepStatus

TTL_MS = 30_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
SEEN = Seen(("scope", "a.ok"), "00ff")
SOURCES = {"review.wf": "workflow review {\n}\n", "lib/checks.wf": "workflow checks {\n}\n"}


class Story:
    """A run in `store`, with the envelopes it should hold and the state they fold to. Time moves 10 ms per event."""

    def __init__(self, store: RunStore, *, workflow: str = "review", dry: bool = False, at: int = START_MS) -> None:
        self.store = store
        self.run: RunID = new_run_id()
        self.lease: Lease | None = None
        self.envelopes: list[Envelope] = []
        self.state = RunState()
        self.now = at
        created = ev.RunCreated(workflow=workflow, sources=SOURCES, inputs={"scope": "full"}, config={"n": 1}, dry=dry)
        store.create(self.run, created, at)
        self._tell([Envelope(self.run, 1, at, 0, 0, created)])

    def begin(self, holder: str = "first", *, resumed: bool = False) -> Lease:
        """Take the run and begin a leg."""
        lease = self.store.acquire(self.run, holder, self.now, TTL_MS)
        assert lease is not None, f"{holder} did not get the run"
        self.lease = lease
        self.write(ev.RunResumed(owner=holder, reused=0, rerun=0) if resumed else ev.RunStarted(owner=holder))
        return lease

    def next(self, *events: Event) -> list[Envelope]:
        """The envelopes `events` would get, not written."""
        if self.lease is None:
            raise LeaseLost("the story has no lease")
        first, leg, fence = len(self.envelopes) + 1, self.lease.leg, self.lease.fence
        return [
            Envelope(self.run, first + index, self.now + 10 * index, leg, fence, event)
            for index, event in enumerate(events)
        ]

    def write(self, *events: Event, release: bool = False) -> None:
        """Append `events` in one transaction."""
        envelopes = self.next(*events)
        assert self.lease is not None
        self.store.append(self.lease, envelopes, release=release)
        self._tell(envelopes)
        self.now += 10 * len(events)
        if release:
            self.lease = None

    def _tell(self, envelopes: Sequence[Envelope]) -> None:
        self.envelopes.extend(envelopes)
        for envelope in envelopes:
            self.state.apply(envelope)


def place(name: str, order: int = 0, *, kind: str = "call", iteration: int = 0) -> StepInfo:
    return StepInfo(kind, name, name, f"{order:04}", iteration, "review.wf", 3 + order, 5)


def started(path: str, number: int = 0, *, order: int = 0, epoch: int = 1, kind: str = "call") -> ev.AttemptStarted:
    info = place(path.rpartition("/")[2], order, kind=kind)
    return ev.AttemptStarted(path=StepPath(path), number=number, info=info, executor="fake", epoch=epoch)


def gate(
    name: str,
    *,
    path: str | None = None,
    options: tuple[str, ...] = (),
    deadline_at: int | None = None,
    occurrence: int = 1,
    epoch: int = 1,
) -> ev.GateOpened:
    """A gate, at a step of the same name unless `path` says another."""
    return ev.GateOpened(
        path=StepPath(path or name),
        name=name,
        type="choice" if options else "approval",
        prompt=f"What about {name}?",
        info=place((path or name).rpartition("/")[2]),
        occurrence=occurrence,
        options=options,
        deadline_at=deadline_at,
        epoch=epoch,
    )


def completed(path: str, output: Output | None = None, *, epoch: int = 1) -> ev.StepCompleted:
    return ev.StepCompleted(path=StepPath(path), output=output or Output(context=f"did {path}"), epoch=epoch)


def attempt_failed(path: str, number: int = 0, *, usage: Usage | None = None, epoch: int = 1) -> ev.AttemptFailed:
    error = StepError("exception", "it broke: “ü”\n")
    return ev.AttemptFailed(path=StepPath(path), number=number, error=error, usage=usage, elapsed_ms=7, epoch=epoch)


def failed(path: str, *, handled: str | None = None, epoch: int = 1) -> ev.StepFailed:
    return ev.StepFailed(path=StepPath(path), error=StepError("exception", "it broke"), handled=handled, epoch=epoch)


def value_zoo() -> dict[str, JsonValue]:
    """Values that must come back as they are, to the digit and in this order."""
    return {
        "z": 1.5,
        "whole": 1.0,
        "large": 1e21,
        "digits": 9007199254740993,
        "minus": -0.0,
        "none": None,
        "yes": True,
        "text": 'tab\t nul\x00 quote" back\\ ünïcode 🧪 \u2028',
        "nested": {"b": [1, [2.5, {}]], "a": []},
    }


def made_up(seed: int, story: Story, steps: int = 60) -> Iterator[tuple[Event, ...]]:
    """Groups of events that may follow, chosen by `seed`: attempts, retries, failures, blocks, gates and epochs.
    The caller writes each group before it asks for the next, and may begin a new leg in between."""
    chance = random.Random(seed)
    paths = [f"p/{name}" for name in "abcdefgh"]
    for turn in range(steps):
        path = StepPath(chance.choice(paths))
        record = story.state.steps.get(path)
        epoch = record.epoch if record else 1 + sum(step.path == path for step in story.state.superseded)
        if record is not None and record.status is StepStatus.RUNNING:
            yield _after_start(chance, path, record.attempts - 1, epoch)
        elif record is not None and record.status is StepStatus.WAITING:
            yield _decided(chance, story, record)
        elif (record is None or record.status is StepStatus.INTERRUPTED) and chance.random() < 0.25:
            occurrence = 1 + sum(one.path == path for one in story.state.gates.values())
            options = chance.choice(((), ("now", "later")))
            yield (gate(f"gate:{path}", path=path, options=options, occurrence=occurrence, epoch=epoch),)
        elif record is not None and record.status is StepStatus.BACKOFF and chance.random() < 0.5:
            due = story.now + 500
            yield (ev.RetryScheduled(path=path, due_at=due, delay_ms=500, retries_left=1, epoch=epoch),)
        elif record is not None and record.is_settled:
            if chance.random() < 0.3:
                yield (ev.StepSuperseded(path=path, why="after --from", epoch=epoch),)
        elif chance.random() < 0.2:
            yield (_without_attempt(chance, path, turn, epoch),)
        elif record is not None and record.status is StepStatus.FAILED and chance.random() < 0.4:
            yield (ev.StepHandled(path=path, handled="min_success", epoch=epoch),)
        else:
            number = record.attempts if record else 0
            begun = started(path, number, order=turn, epoch=epoch, kind=chance.choice(("call", "script")))
            effect, version = chance.choice((None, "write")), chance.choice((None, "2"))
            begin = replace(begun, effect=effect, executor_version=version)
            process = ev.ProcessStarted(path=path, number=number, pid=4711, began="12345", epoch=epoch)
            yield (begin, process) if chance.random() < 0.3 else (begin,)


def _after_start(chance: random.Random, path: StepPath, number: int, epoch: int) -> tuple[Event, ...]:
    usage = Usage(cost_usd=chance.choice((None, 0.1, 0.000001, 2.5)), input_tokens=3, output_tokens=4, turns=1)
    error = StepError("timeout", "too slow")
    choices: tuple[tuple[Event, ...], ...] = (
        (completed(path, Output(frozenset({"b", "a"}), "text", value_zoo(), usage, True, "words"), epoch=epoch),),
        (replace(completed(path, Output(), epoch=epoch), seen=SEEN, decided_by="ann"),),
        (replace(completed(path, Output(), epoch=epoch), cached_from="01J0/other"),),
        (replace(failed(path, epoch=epoch), seen=SEEN),),
        (attempt_failed(path, number, usage=usage, epoch=epoch),),
        (attempt_failed(path, number, epoch=epoch), failed(path, epoch=epoch)),
        (failed(path, handled="continue", epoch=epoch),),
        (ev.AttemptTimedOut(path=path, number=number, error=error, epoch=epoch, abandoned=True),),
        (ev.StepTimedOut(path=path, error=error, epoch=epoch),),
        (ev.AttemptCancelled(path=path, number=number, error=error, epoch=epoch), _cancelled(path, epoch)),
        (ev.AttemptCutOff(path=path, number=number, certainty="unknown", cause="process_lost", epoch=epoch),),
        (ev.AttemptCutOff(path=path, number=number, certainty="interrupted", cause="interrupt", epoch=epoch),),
    )
    return chance.choice(choices)


def _decided(chance: random.Random, story: Story, record: StepRecord) -> tuple[Event, ...]:
    """The decision of the gate a step waits for, and sometimes what follows from it in the same transaction."""
    path, epoch = record.path, record.epoch
    (one,) = (one for one in story.state.gates.values() if one.path == path and one.decision is None)
    decision = ev.GateDecided(
        path=path,
        name=one.name,
        occurrence=one.occurrence,
        decision="go",
        by="ann",
        via="cli",
        form={"n": 1.0},
        epoch=epoch,
    )
    follow: tuple[tuple[Event, ...], ...] = (
        (completed(path, epoch=epoch),),
        (started(path, record.attempts, epoch=epoch),),
        (_cancelled(path, epoch),),
    )
    return (decision, *chance.choice(follow))


def _cancelled(path: StepPath, epoch: int) -> ev.StepCancelled:
    return ev.StepCancelled(path=path, reason="fail_fast", epoch=epoch)


def _without_attempt(chance: random.Random, path: StepPath, order: int, epoch: int) -> Event:
    info = place(path.rpartition("/")[2], order, kind="parallel", iteration=2)
    error = StepError("exception", "a branch failed")
    return chance.choice(
        (
            ev.StepCompleted(path=path, output=Output(context="joined"), info=info, epoch=epoch, elapsed_ms=40),
            ev.StepFailed(path=path, error=error, info=info, epoch=epoch, output=Output(context="half")),
            ev.StepSkipped(path=path, reason="condition", info=info, epoch=epoch),
            ev.StepCancelled(path=path, reason="fail_fast", info=info, epoch=epoch),
        )
    )
