"""A store that forgets: the runs of one process, for tests. Same behaviour as the SQLite store, by the same suite."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from runkon.errors import LeaseLost
from runkon.model import holder as holders
from runkon.model.events import AttemptStarted, DefinitionChanged, Envelope, Note, RunCreated, StepCompleted
from runkon.model.fold import RunState, fold
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import RunStore
from runkon.model.records import CancelRequest, GateAnswer, GateRecord, Lease, RunRecord, StepRecord
from runkon.model.start_key import key_of
from runkon.model.status import RunStatus
from runkon.store import rows
from runkon.store.refusals import already_ended, check_undecided, duplicate_run, is_free, unknown_run


@dataclass(slots=True)
class _Kept:
    """One run: its events, what they fold to, and its lease, which no event holds."""

    state: RunState = field(default_factory=RunState)
    envelopes: list[Envelope] = field(default_factory=list)
    holder: str | None = None
    until: int | None = None
    fence: int = 0
    leg: int = 0
    wish: CancelRequest | None = None
    answers: list[GateAnswer] = field(default_factory=list)
    rescued: list[tuple[bool, Sequence[Envelope]]] = field(default_factory=list)

    def record(self) -> RunRecord:
        return replace(
            self.state.run,
            holder=self.holder,
            lease_until=self.until,
            fence=self.fence,
            leg=self.leg,
            cancel=self.wish or self.state.run.cancel,
        )


class MemoryRunStore(RunStore):
    """Keeps runs in memory. `is_alive` judges holders, as in `runkon.model.holder`."""

    def __init__(self, *, is_alive: Callable[[str], bool | None] = holders.is_alive) -> None:
        self._lock = threading.Lock()
        self._runs: dict[RunID, _Kept] = {}
        self._keys: dict[tuple[str, str | None], RunID] = {}
        self._is_alive = is_alive

    def create(self, run: RunID, created: RunCreated, at: int) -> RunID:
        with self._lock:
            wanted = (created.workflow, key_of(created))
            if wanted[1] is not None and wanted in self._keys:
                return self._keys[wanted]
            if run in self._runs:
                raise duplicate_run(run)
            first = Envelope(run, 1, at, 0, 0, created)
            kept = _Kept()
            kept.state.apply(first)
            kept.envelopes.append(first)
            self._runs[run] = kept
            self._keys[wanted] = run
            return run

    def acquire(self, run: RunID, holder: str, now: int, ttl_ms: int) -> Lease | None:
        with self._lock:
            kept = self._runs.get(run)
            if kept is None:
                raise unknown_run(run)
            if kept.holder == holder:
                kept.until = now + ttl_ms
                return Lease(run, holder, kept.fence, kept.leg, kept.until)
            if kept.holder is not None:
                alive = self._is_alive(kept.holder)
                if not is_free(alive=alive, until=kept.until or 0, now=now):
                    return None
            kept.holder, kept.until = holder, now + ttl_ms
            kept.fence += 1
            kept.leg += 1
            return Lease(run, holder, kept.fence, kept.leg, kept.until)

    def extend(self, lease: Lease, now: int, ttl_ms: int) -> Lease | None:
        with self._lock:
            kept = self._runs.get(lease.run)
            if kept is None or (kept.holder, kept.fence) != (lease.holder, lease.fence):
                return None
            kept.until = now + ttl_ms
            return replace(lease, expires_at=kept.until)

    def append(self, lease: Lease, envelopes: Sequence[Envelope], *, release: bool = False) -> None:
        with self._lock:
            kept = self._runs.get(lease.run)
            if kept is None or (kept.holder, kept.fence) != (lease.holder, lease.fence):
                raise LeaseLost(f"run `{lease.run}` is held by another engine now")
            _check_like_a_file(lease, envelopes)
            try:
                for envelope in envelopes:
                    kept.state.apply(envelope)
            except BaseException:
                kept.state = fold(kept.envelopes)
                raise
            kept.envelopes.extend(envelopes)
            kept.holder, kept.until = (None, None) if release else (lease.holder, lease.expires_at)
            if kept.state.run.status in (RunStatus.COMPLETED, RunStatus.FAILED):
                kept.wish = None  # it came too late, and is not for later legs

    def rescue(self, lease: Lease, requests: Sequence[Sequence[Envelope]], *, is_fenced: bool) -> str:
        with self._lock:
            self._known(lease.run).rescued += [(is_fenced, request) for request in requests]
        return "memory"

    def hurry(self) -> None:
        """Memory is never waited for."""

    def rescuable(self, run: RunID) -> Sequence[Envelope]:
        with self._lock:
            kept, found = self._known(run), list[Envelope]()
            for is_fenced, request in kept.rescued:
                if not is_fenced and request[0].seq == kept.state.run.seq + len(found) + 1:
                    found += request
            return tuple(found)

    def rescued(self, lease: Lease) -> Sequence[Note]:
        with self._lock:
            kept = self._known(lease.run)
            left = []
            for is_fenced, request in kept.rescued:
                first, run = request[0], kept.state.run
                if is_fenced or first.seq != run.seq + 1 or not run.fence <= first.fence < lease.fence:
                    left.append((is_fenced, request))
                    continue
                for envelope in request:
                    kept.state.apply(envelope)
                kept.envelopes.extend(request)
            was, kept.rescued = kept.rescued, left
        notes = [Note(level="warning", code="rescue-kept", text="results in memory were left there")] if left else []
        if len(left) < len(was):
            notes.append(Note(level="info", code="rescue-applied", text="results were taken from memory"))
        return notes

    def run(self, run: RunID) -> RunRecord | None:
        with self._lock:
            kept = self._runs.get(run)
            return kept.record() if kept else None

    def find(self, prefix: str) -> Sequence[RunID]:
        with self._lock:
            matching = [run for run in reversed(self._runs) if run.startswith(prefix.upper())]
            return matching[:10]

    def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        since: int | None = None,
        limit: int | None = None,
    ) -> Sequence[RunRecord]:
        with self._lock:
            records = [kept.record() for kept in reversed(self._runs.values())]
        matching = [
            record
            for record in records
            if (status is None or record.status == status)
            and (workflow is None or record.workflow == workflow)
            and (since is None or record.created_at >= since)
        ]
        return matching[:limit]

    def steps(self, run: RunID) -> Sequence[StepRecord]:
        with self._lock:
            kept = self._runs.get(run)
            return kept.state.in_order() if kept else []

    def put_aside(self, run: RunID) -> Sequence[StepRecord]:
        with self._lock:
            kept = self._runs.get(run)
            return kept.state.put_aside() if kept else []

    def events(self, run: RunID, after: int = 0) -> Iterator[Envelope]:
        with self._lock:
            kept = self._runs.get(run)
            following = kept.envelopes[after:] if kept else []
        yield from following

    def events_of(self, run: RunID, kinds: Collection[str]) -> Sequence[Envelope]:
        return [one for one in self.events(run) if one.event.kind in kinds]

    def runs_asked(self, request: Mapping[str, JsonValue], limit: int = 20) -> Sequence[RunID]:
        def is_asked(kept: _Kept) -> bool:
            events = (envelope.event for envelope in kept.envelopes)
            begun = (one for one in events if isinstance(one, AttemptStarted | StepCompleted))
            return any(one.asked is not None and one.asked.request == request for one in begun)

        with self._lock:
            found = [run for run, kept in self._runs.items() if is_asked(kept)]
        return found[::-1][:limit]

    def check_log(self, run: RunID) -> None:
        with self._lock:
            fold(self._known(run).envelopes)

    def sources(self, run: RunID) -> Mapping[str, str]:
        with self._lock:
            kept = self._runs.get(run)
            if kept is None:
                return {}
            changes = [one.event for one in kept.envelopes if isinstance(one.event, (RunCreated, DefinitionChanged))]
            return dict(changes[-1].sources)

    # ── what others want of a run ─────────────────────────────────────────────────────────────────
    def ask_to_cancel(
        self,
        run: RunID,
        wish: CancelRequest,
        *,
        within: float | None = None,  # noqa: ARG002  # nothing is waited for
    ) -> RunRecord:
        with self._lock:
            kept = self._known(run)
            if kept.state.run.status in (RunStatus.COMPLETED, RunStatus.FAILED):
                raise already_ended(run, kept.state.run.status)
            first = kept.wish or kept.state.run.cancel or wish
            kept.wish = first._replace(kill=first.kill or wish.kill)
            return kept.record()

    def cancel_wishes(self, runs: Sequence[RunID]) -> Mapping[RunID, CancelRequest]:
        with self._lock:
            found = {run: self._runs[run].record().cancel for run in runs if run in self._runs}
            return {run: wish for run, wish in found.items() if wish is not None}

    def answer_gate(self, answer: GateAnswer) -> GateAnswer:
        with self._lock:
            kept = self._known(answer.run)
            gate = kept.state.gates.get((answer.gate, answer.occurrence))
            before = [one for one in kept.answers if (one.gate, one.occurrence) == (answer.gate, answer.occurrence)]
            check_undecided(answer, gate, before)
            numbered = answer._replace(ordinal=len(before) + 1)
            kept.answers.append(numbered)
            return numbered

    def gates(self, run: RunID) -> Sequence[GateRecord]:
        with self._lock:
            kept = self._runs.get(run)
            return list(kept.state.gates.values()) if kept else []

    def gate_answers(self, run: RunID) -> Sequence[GateAnswer]:
        with self._lock:
            kept = self._runs.get(run)
            found = kept.answers if kept else []
            return sorted(found, key=lambda one: (one.gate, one.occurrence, one.ordinal))

    def _known(self, run: RunID) -> _Kept:
        kept = self._runs.get(run)
        if kept is None:
            raise unknown_run(run)
        return kept

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        """Nothing to give back; the runs stay readable."""


def _check_like_a_file(lease: Lease, envelopes: Sequence[Envelope]) -> None:
    """Refuse what the SQLite store refuses to write, by the code that would write it."""
    if envelopes:
        rows.build(1, lease, envelopes)
