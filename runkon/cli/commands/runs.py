"""`runkon runs`: what has run here, newest first."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runkon.app import App
from runkon.cli.console import columns
from runkon.cli.options import VariableOption, as_seconds
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import now_ms, short_ids, true_status
from runkon.cli.session import Session
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.views.run_object import run_summary
from runkon.views.times import ago, counted, elapsed, money

SHOWN_AT_MOST = 30


@runkon_command("runs", summary="List runs, newest first. A run whose process died is shown as interrupted.")
@click.option("--status", cls=VariableOption, type=click.Choice([str(s) for s in RunStatus]), help="only these")
@click.option("--workflow", cls=VariableOption, metavar="NAME", help="only runs of this workflow")
@click.option("--since", cls=VariableOption, callback=as_seconds, metavar="TIME", help="only the last 2d, 3h, …")
@click.option("--limit", cls=VariableOption, type=click.IntRange(min=1), help="at most so many (text: 30)")
@click.pass_obj
def command(session: Session, status: str | None, workflow: str | None, since: float | None, limit: int | None) -> int:
    oldest = None if since is None else now_ms() - int(since * 1000)
    wanted = None if status is None else RunStatus(status)
    found = _matching(session.app, wanted, workflow, oldest)
    if session.as_json:
        runs = found[:limit]
        session.console.data({"schema": "runkon.runs/1", "runs": [run_summary(run, true_status(run)) for run in runs]})
        return 0
    shown = found[: limit or SHOWN_AT_MOST]
    for line in columns(_rows(session.app, shown)):
        session.console.result(line)
    if not found:
        session.console.note("no runs" if (status or workflow or since) else "no runs yet; next: runkon run FILE")
    elif len(found) > len(shown):
        session.console.note(f"{counted(len(found) - len(shown), 'older run')} not shown; see --limit and --since")
    return 0


def _matching(app: App, status: RunStatus | None, workflow: str | None, since: int | None) -> Sequence[RunRecord]:
    """The runs with the status that is shown, which for a died run is not the recorded one."""
    if status is None:
        return app.store.runs(workflow=workflow, since=since)
    recorded = {status}
    if status is RunStatus.INTERRUPTED:
        recorded |= {RunStatus.RUNNING, RunStatus.CANCELLING}
    found = [run for one in recorded for run in app.store.runs(status=one, workflow=workflow, since=since)]
    matching = [run for run in found if true_status(run) is status]
    return sorted(matching, key=lambda run: (run.created_at, run.id), reverse=True)


def _rows(app: App, runs: Sequence[RunRecord]) -> list[list[str]]:
    ids, now = short_ids(app, runs), now_ms()
    return [
        [
            ids[run.id],
            str(true_status(run)),
            run.workflow,
            ago(now - run.created_at),
            elapsed(run.ended_at - run.started_at) if run.ended_at and run.started_at else "",
            money(run.cost_usd, known=run.cost_known) if run.cost_usd else "",
            (run.error or "").strip().split("\n")[0][:80],
        ]
        for run in runs
    ]
