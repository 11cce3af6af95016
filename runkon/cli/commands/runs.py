"""`runkon runs`: what has run here, newest first."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runkon.app import App
from runkon.cli.console import columns
from runkon.cli.options import VariableOption, as_seconds
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import now_ms, runs_shown_as, short_ids, status_of, true_status
from runkon.cli.session import Session
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.views.asks import open_gates
from runkon.views.costs import spent
from runkon.views.run_object import run_summary
from runkon.views.times import ago, elapsed

SHOWN_AT_MOST = 50


@runkon_command("runs", summary="List runs, newest first. A run whose process died is shown as interrupted.")
@click.option("--status", cls=VariableOption, type=click.Choice([str(s) for s in RunStatus]), help="only these")
@click.option("--workflow", cls=VariableOption, metavar="NAME", help="only runs of this workflow")
@click.option("--since", cls=VariableOption, callback=as_seconds, metavar="TIME", help="only the last 2d, 3h, …")
@click.option(
    "--limit", cls=VariableOption, type=click.IntRange(min=1), default=SHOWN_AT_MOST, show_default=True,
    help="at most so many",
)  # fmt: skip
@click.option("--all", "everything", cls=VariableOption, is_flag=True, help="all of them, whatever the limit")
@click.pass_obj
def command(
    session: Session, *, status: str | None, workflow: str | None, since: float | None, limit: int, everything: bool
) -> int:
    oldest = None if since is None else now_ms() - int(since * 1000)
    most = None if everything else limit + 1  # one more than is shown tells that there are others
    found = _newest(session.app, status, most, workflow, oldest)
    shown = found if everything else found[:limit]
    if session.as_json:
        runs: list[JsonValue] = [_summary(session.app, run) for run in shown]
        session.console.data({"schema": "runkon.runs/1", "runs": runs, "more": len(found) > len(shown)})
        return 0
    for line in columns(_rows(session.app, shown)):
        session.console.result(line)
    if not found:
        session.console.note("no runs" if (status or workflow or since) else "no runs yet; next: runkon run FILE")
    elif len(found) > len(shown):
        session.console.note("older runs are not shown; see --limit, --since and --all")
    return 0


def _newest(
    app: App, status: str | None, limit: int | None, workflow: str | None, since: int | None
) -> Sequence[RunRecord]:
    """The newest runs; with a limit no more rows are read than that takes, however many there are."""
    if status is None:
        return app.store.runs(workflow=workflow, since=since, limit=limit)
    wanted = RunStatus(status)
    if wanted not in (RunStatus.RUNNING, RunStatus.WAITING):
        return runs_shown_as(app, (wanted,), limit=limit, workflow=workflow, since=since)
    live = runs_shown_as(app, (RunStatus.RUNNING,), limit=None, workflow=workflow, since=since)
    found = [run for run in live if _status(app, run) is wanted]
    if wanted is RunStatus.WAITING:
        found += runs_shown_as(app, (wanted,), limit=limit, workflow=workflow, since=since)
    return sorted(found, key=lambda run: (run.created_at, run.id), reverse=True)[:limit]


def _status(app: App, run: RunRecord) -> RunStatus:
    """As `show` has it: a run whose process stays at a gate waits."""
    status = true_status(run)
    if status is not RunStatus.RUNNING or all(gate.decision is not None for gate in app.store.gates(run.id)):
        return status
    return status_of(run, app.store.steps(run.id))


def _summary(app: App, run: RunRecord) -> JsonValue:
    status = _status(app, run)
    is_waiting = run.waiting_on or status is RunStatus.WAITING
    return run_summary(run, status, open_gates(app.store.gates(run.id), ()) if is_waiting else ())


def _rows(app: App, runs: Sequence[RunRecord]) -> list[list[str]]:
    ids, now = short_ids(app, runs), now_ms()
    return [
        [
            ids[run.id],
            str(_status(app, run)),
            run.workflow,
            ago(now - run.created_at),
            elapsed(run.ended_at - run.started_at) if run.ended_at and run.started_at else "",
            spent(run) if run.cost_usd or not run.cost_known else "",
            (run.error or "").strip().split("\n")[0][:80],
        ]
        for run in runs
    ]
