"""`runkon resume`: continue a run by the door it began with."""

from __future__ import annotations

from collections.abc import Mapping

import click

from runkon.app import PlanLine, RunOptions
from runkon.cli.console import columns
from runkon.cli.given_inputs import given_inputs
from runkon.cli.leg import Watched, first_words, report, watch
from runkon.cli.options import SettingOption, VariableOption, as_pairs, as_seconds
from runkon.cli.options import command as runkon_command
from runkon.cli.presenters import Picture
from runkon.cli.run_state import is_held, newest_resumable, record_of, short_id, true_status
from runkon.cli.session import Session
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.views.lines import first_line
from runkon.views.times import counted


@runkon_command(
    "resume",
    summary="""Continue a run: finished steps are answered from their records, the others run.

    RUN is an id or a unique beginning of one, @last, or @last-failed; without it, the newest run that can be resumed.
    A completed run is not run again: its result is printed. One that another process advances is shown as it goes on,
    on a terminal; elsewhere it is refused.""",
)
@click.argument("run", required=False)
@click.option(
    "-i", "--input", "pairs", cls=VariableOption, multiple=True, callback=as_pairs, metavar="NAME=VALUE",
    help="a secret input of the run again, which no record holds (VALUE of @FILE: the file's text)",
)  # fmt: skip
@click.option("--dry-run", cls=VariableOption, is_flag=True, help="only print what would be kept and what would run")
@click.option(
    "--executor", "executors", cls=VariableOption, multiple=True, callback=as_pairs, metavar="STEP=NAME",
    help="run a step by another executor",
)  # fmt: skip
@click.option("--jobs", cls=SettingOption, type=click.IntRange(1, 1000), help="executor calls at once")
@click.option("--until", cls=VariableOption, metavar="STEP", help="stop after this step; the run can be resumed")
@click.option("--timeout", cls=VariableOption, callback=as_seconds, metavar="TIME", help="fail the run after this time")
@click.option("--events", cls=VariableOption, metavar="-|FILE", help="write every new event as NDJSON")
@click.option("--plugin", "plugins", cls=SettingOption, multiple=True, metavar="MODULE|FILE", help="one more plugin")
@click.pass_obj
def command(
    session: Session,
    run: str | None,
    *,
    pairs: Mapping[str, str],
    dry_run: bool,
    executors: Mapping[str, str],
    jobs: int | None,
    until: str | None,
    timeout: float | None,
    events: str | None,
    plugins: tuple[str, ...],
) -> int:
    session.flags |= {"plugins": plugins}
    app = session.app
    record = newest_resumable(app) if run is None else record_of(app, run)
    if dry_run:
        return _preview(session, record)
    if record.status is RunStatus.COMPLETED:
        session.console.note(f"run {record.id} is completed; this is its result")
        return report(session, record, owns_stdout=events == "-")
    if is_held(record) and not (pairs or executors or jobs or until or timeout or events):
        from runkon.cli.attach import attach, may_attach  # late: on a terminal, for a run that goes on

        if may_attach(session, record):
            return attach(session, record)
    options = RunOptions(executors=executors, jobs=jobs, until=until, timeout=timeout)
    inputs = given_inputs(pairs, None)
    title = f"{record.workflow} · {record.file}"

    def execute(watched: Watched) -> RunRecord:
        watched.say(first_words(record.id, f"{title} · resumed"))
        return app.resume(
            record.id,
            options,
            inputs=inputs,
            sinks=watched.sinks,
            control=watched.control,
            progress=watched.progress,
        )

    steps = () if events is None else app.store.steps(record.id)  # only NDJSON says of what is told later
    return watch(session, execute, events=events, picture=_picture(session, record, title), steps=steps)


def _picture(session: Session, run: RunRecord, title: str) -> Picture:
    if not session.console.live:
        return Picture(title, {})
    from runkon.cli.outline import outline_of  # late: on a terminal only

    checked = session.app.stored_program(run.id)
    kinds = outline_of(checked.workflow, checked.source).kinds()
    return Picture(title, kinds, tuple(session.app.store.events(run.id)))


def _preview(session: Session, run: RunRecord) -> int:
    """What a resume would keep and run; nothing is written and no lease is taken."""
    plan = session.app.plan_resume(run.id)
    if session.as_json:
        lines: list[JsonValue] = [{"path": p.path, "decision": p.decision, "reason": p.reason} for p in plan]
        session.console.data(
            {"schema": "runkon.resume/1", "run_id": run.id, "status": str(true_status(run)), "resume": lines}
        )
        return 0
    for line in columns([_decision(line) for line in plan]):
        session.console.result(line)
    kept = sum(1 for line in plan if line.decision == "reuse")
    status, short = true_status(run), short_id(session.app, run.id)
    session.console.note(
        f"{status}: {counted(kept, 'step')} kept, {len(plan) - kept} to run again, then what was not reached"
    )
    session.console.note(f"next: runkon resume {short}")
    return 0


def _decision(line: PlanLine) -> tuple[str, str, str]:
    return line.decision, line.path, first_line(line.reason)
