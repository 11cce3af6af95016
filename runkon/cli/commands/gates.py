"""`runkon gates`: what waits for a decision."""

from __future__ import annotations

from collections.abc import Sequence

import click

from runkon.app import App
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import ask_lines_of, open_gates_of, record_of, runs_shown_as, short_ids
from runkon.cli.session import Session
from runkon.language.columns import visible
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.views.asks import gate_object

_MAY_WAIT = (RunStatus.WAITING, RunStatus.RUNNING, RunStatus.CANCELLING, RunStatus.INTERRUPTED)


@runkon_command(
    "gates",
    summary="List what waits for a decision, with the commands that decide it: of RUN, or of every run, newest first.",
)
@click.argument("run", required=False)
@click.pass_obj
def command(session: Session, run: str | None) -> int:
    app = session.app
    runs = [record_of(app, run)] if run is not None else runs_shown_as(app, _MAY_WAIT, limit=None)
    if session.as_json:
        session.console.data({"schema": "runkon.gates/1", "gates": _objects(app, runs)})
        return 0
    ids = short_ids(app, runs)
    is_empty = True
    for one in runs:
        lines = ask_lines_of(app, one, app.store.steps(one.id))
        if lines:
            is_empty = False
            session.console.result(visible(f"run {ids[one.id]} · {one.workflow}"))
            for line in lines:
                session.console.result(f"  {line}")
    if is_empty:
        session.console.note("nothing waits for a decision")
    return 0


def _objects(app: App, runs: Sequence[RunRecord]) -> list[JsonValue]:
    found: list[JsonValue] = []
    for run in runs:
        gates = open_gates_of(app, run, app.store.steps(run.id))
        found += [{"run_id": run.id, "workflow": run.workflow, **gate_object(gate)} for gate in gates]
    return found
