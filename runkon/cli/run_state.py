"""Runs as commands see them: their true status, their steps by name, the ids to type."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from runkon.app import App
from runkon.errors import EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model import holder as holders
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.records import GateRecord, RunRecord, StepRecord
from runkon.model.state import StateSet
from runkon.model.status import RunStatus, StepStatus
from runkon.views.short_ids import shortened
from runkon.views.status import shown_status

RESUMABLE = (RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.WAITING, RunStatus.PENDING)
_RECORDED = {RunStatus.INTERRUPTED: (RunStatus.INTERRUPTED, RunStatus.RUNNING, RunStatus.CANCELLING)}  # as shown


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def true_status(run: RunRecord) -> RunStatus:
    """The status to show: a run whose process died is interrupted."""
    return shown_status(run, is_held=is_held(run))


def status_of(run: RunRecord, steps: Sequence[StepRecord]) -> RunStatus:
    """`true_status`, but `waiting` also for a run whose process stays while only decisions are left to wait for."""
    status, found = true_status(run), {step.status for step in steps}
    is_busy = StepStatus.RUNNING in found or StepStatus.BACKOFF in found
    return RunStatus.WAITING if status is RunStatus.RUNNING and StepStatus.WAITING in found and not is_busy else status


def is_held(run: RunRecord) -> bool:
    """True if somebody is advancing the run: its process lives, or, where that can't be seen, its lease is good."""
    return holders.is_held(run.holder, run.lease_until)


def state_left(app: App, run: RunID) -> Mapping[str, JsonValue]:
    """What the state channels of a run held when its last leg ended; empty before the first end, and without any."""
    found = app.store.events_of(run, {StateSet.kind})
    whole = [one.event for one in found if isinstance(one.event, StateSet) and one.event.path is None]
    return whole[-1].updates if whole else {}


def record_of(app: App, text: str) -> RunRecord:
    """The run that an id, a prefix, `@last` or `@last-failed` means. Raises UserError `run-not-found`."""
    with app.store.together():
        run = app.store.run(app.find_run(text))
    if run is None:
        raise app.no_run(f"there is no run `{text}`")
    return run


def newest_resumable(app: App) -> RunRecord:
    """The newest run that stopped without its end: what `resume` alone continues. Replays are never continued. Raises
    UserError `run-not-found`."""
    with app.store.together():
        found = runs_shown_as(app, RESUMABLE, limit=1, with_replays=False)
    if not found:
        raise app.no_run("there is no run to resume")
    return found[0]


def runs_shown_as(
    app: App,
    statuses: Collection[RunStatus],
    *,
    limit: int | None,
    workflow: str | None = None,
    since: int | None = None,
    with_replays: bool = True,
) -> list[RunRecord]:
    """The newest runs that are shown with one of `statuses`, at most `limit`: a run whose process died counts as
    interrupted, whatever its row says. No more rows are read than needed; all of them without a limit."""
    found: list[RunRecord] = []
    for status in {recorded for shown in statuses for recorded in _RECORDED.get(shown, (shown,))}:
        size = limit
        while True:
            rows = app.store.runs(status=status, workflow=workflow, since=since, limit=size)
            matching = [
                run
                for run in rows
                if true_status(run) in statuses and (with_replays or run.config.get("replay") is None)
            ]
            if size is None or limit is None or len(matching) >= limit or len(rows) < size:
                break
            size *= 4
        found += matching[:limit]
    return sorted(found, key=lambda run: (run.created_at, run.id), reverse=True)[:limit]


def step_named(run: RunRecord, steps: Sequence[StepRecord], text: str) -> StepRecord:
    """The step of a path, of a key, or of a unique beginning of a path; of several with one key the newest, as
    conditions and templates read it. `a#1` is the path of the first `a`.

    Raises UserError `unknown-step` or `ambiguous-step`, with the paths that come close."""
    by_path = {str(step.path): step for step in steps}
    of_key = [step for step in steps if step.info.key == text]
    if of_key:
        return max(reversed(of_key), key=lambda step: step.started_at or 0)
    found = by_path.get(text) or by_path.get(text.removesuffix("#1"))
    if found is not None:
        return found
    begun = [step for step in steps if text and step.path.startswith(text)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise UserError(
            "ambiguous-step",
            f"`{text}` stands for several steps: {', '.join(step.path for step in begun[:5])}",
            help="give the path of one of them",
            exit_code=EXIT_USAGE,
        )
    from runkon.language.suggest import closest  # late: on the way to an error

    close = closest(text, [*by_path, *(step.info.key for step in steps)])
    raise UserError(
        "unknown-step",
        f"run `{run.id}` has no step `{text}`",
        help=f"did you mean `{close}`?" if close else None,
        next=f"runkon show {run.id}",
        exit_code=EXIT_USAGE,
    )


def short_ids(app: App, runs: Sequence[RunRecord]) -> dict[RunID, str]:
    """Ids as short as they stay unique among these runs and the ones right beside them in the store."""
    short = shortened(run.id for run in runs)
    return {run.id: _unique(app, run.id, short[run.id]) for run in runs}


def short_id(app: App, run: RunID) -> str:
    """One id, as short as it stays unique in the store."""
    return _unique(app, run, shortened([run])[run])


def _unique(app: App, run: RunID, prefix: str) -> str:
    while len(prefix) < len(run) and len(app.store.find(prefix)) > 1:
        prefix = run[: len(prefix) + 2]
    return prefix


def shown_steps(app: App, run: RunRecord) -> Sequence[StepRecord]:
    """The steps of a run as they are: one that was running when its process died is interrupted, like its run."""
    steps = app.store.steps(run.id)
    if true_status(run) is run.status:
        return steps
    return [
        replace(step, status=StepStatus.INTERRUPTED, skip_reason="process_lost", cut_offs=step.cut_offs + 1)
        if step.status is StepStatus.RUNNING
        else step
        for step in steps
    ]


def open_gates_of(app: App, run: RunRecord, steps: Sequence[StepRecord]) -> list[GateRecord]:
    """The gates of a run that wait for a decision, in program order; nothing is read where no step waits."""
    if not any(step.status is StepStatus.WAITING for step in steps):
        return []
    from runkon.views.asks import open_gates  # late: most runs wait for nothing

    return open_gates(app.store.gates(run.id), steps)


def ask_lines_of(app: App, run: RunRecord, steps: Sequence[StepRecord], *, at_most: int | None = None) -> list[str]:
    """What a run waits for, for people: `at_most` so many questions, with the commands that decide them."""
    gates = open_gates_of(app, run, steps)
    if not gates:
        return []
    from runkon.model.decisions import UNKNOWN, deciding  # late: most runs wait for nothing
    from runkon.model.gates import ANY, answer_for
    from runkon.views.asks import ask_lines

    short, now, answers = short_id(app, run.id), now_ms(), app.store.gate_answers(run.id)
    found: list[str] = []
    for gate in gates[:at_most]:
        answer = answer_for(gate.name, gate.occurrence, answers)
        votes = [one for one in answers if (one.gate, one.occurrence) == (gate.name, gate.occurrence)]
        if gate.type != UNKNOWN and (answer is None or answer.occurrence != ANY):
            answer = deciding(votes)
        found += ask_lines(gate, steps, short, now, answer, votes)
    if at_most is not None and len(gates) > at_most:
        found.append(f"and {len(gates) - at_most} more: runkon gates {short}")
    return [visible(line) for line in found]
