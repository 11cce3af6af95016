"""`runkon resume`: continue a run by the door it began with."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

import click

from runkon.app import ResumeWish, RunOptions
from runkon.cli.bounds import bounds_of
from runkon.cli.given_inputs import given_inputs
from runkon.cli.leg import Watched, can_prompt, first_words, report, watch
from runkon.cli.options import SettingOption, VariableOption, as_money, as_pairs, as_seconds
from runkon.cli.options import command as runkon_command
from runkon.cli.presenters import Picture
from runkon.cli.run_state import is_held, newest_resumable, record_of, short_id
from runkon.cli.session import Session
from runkon.errors import EXIT_INVALID, EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.resuming import Prepared


@runkon_command(
    "resume",
    summary="""Continue a run: finished steps are answered from their records, the others run.

    RUN is an id or a unique beginning of one, @last, or @last-failed; without it, the newest run that can be resumed.
    A completed run is not run again, unless an option says so: its result is printed. One that another process advances
    is shown as it goes on, on a terminal; elsewhere it is refused.

    Exit codes: those of `run`; 4 it waits for a decision, 6 it can't be resumed, 8 another process advances it.""",
)
@click.argument("run", required=False)
@click.option(
    "-i", "--input", "pairs", cls=VariableOption, multiple=True, callback=as_pairs, metavar="NAME=VALUE",
    help="a secret input again, which no record holds; with --fork or --with-edits any input (@FILE: the file's text)",
)  # fmt: skip
@click.option(
    "--only-failed", cls=VariableOption, is_flag=True,
    help="run again what failed, also where that was taken, and what reads it",
)  # fmt: skip
@click.option("--from", "step", cls=VariableOption, metavar="STEP", help="run this step and what follows it again")
@click.option("--restart", cls=VariableOption, is_flag=True, help="run every step again, in the same run")
@click.option("--fork", cls=VariableOption, is_flag=True, help="make a new run that keeps what this one has finished")
@click.option(
    "--with-edits", cls=VariableOption, is_flag=True,
    help="go on with the file as it is now; what did not change is kept",
)  # fmt: skip
@click.option("--yes", cls=VariableOption, is_flag=True, help="take the changes of `--with-edits` without being asked")
@click.option("--dry-run", cls=VariableOption, is_flag=True, help="only print what would be kept and what would run")
@click.option(
    "--executor", "executors", cls=VariableOption, multiple=True, callback=as_pairs, metavar="STEP=NAME",
    help="run a step by another executor",
)  # fmt: skip
@click.option("--jobs", cls=SettingOption, type=click.IntRange(1, 1000), help="executor calls at once")
@click.option("--until", cls=VariableOption, metavar="STEP", help="stop after this step; the run can be resumed")
@click.option(
    "--budget", cls=VariableOption, callback=as_money, metavar="USD",
    help="from here on the most the run may cost, what it has cost so far included",
)  # fmt: skip
@click.option(
    "--max-calls", cls=VariableOption, type=click.IntRange(min=0), metavar="N",
    help="from here on the most calls of executors, those so far included",
)  # fmt: skip
@click.option("--timeout", cls=VariableOption, callback=as_seconds, metavar="TIME", help="fail the run after this time")
@click.option("--events", cls=VariableOption, metavar="-|FILE", help="write every new event as NDJSON")
@click.option("--wait", cls=VariableOption, is_flag=True, help="stay at gates until somebody decides")
@click.option("--plugin", "plugins", cls=SettingOption, multiple=True, metavar="MODULE|FILE", help="one more plugin")
@click.pass_obj
def command(
    session: Session,
    run: str | None,
    *,
    pairs: Mapping[str, str],
    only_failed: bool,
    step: str | None,
    restart: bool,
    fork: bool,
    with_edits: bool,
    yes: bool,
    dry_run: bool,
    executors: Mapping[str, str],
    jobs: int | None,
    until: str | None,
    budget: float | None,
    max_calls: int | None,
    timeout: float | None,
    events: str | None,
    wait: bool,
    plugins: tuple[str, ...],
) -> int:
    session.flags |= {"plugins": plugins}
    app = session.app
    wish = ResumeWish(mode=_mode(step, only_failed=only_failed, restart=restart), step=step, fork=fork)
    attends = wait or can_prompt(session)
    options = RunOptions(
        attends=attends, executors=executors, jobs=jobs, until=until, timeout=timeout, budget_usd=budget,
        max_calls=max_calls,
    )  # fmt: skip
    with ExitStack() as reads:
        reads.enter_context(app.store.together())
        record = newest_resumable(app) if run is None else record_of(app, run)
        session.next = f"runkon resume {record.id}"
        if wish.is_normal and not with_edits and not dry_run:
            asks_nothing = options == RunOptions(attends=attends) and not (pairs or events)
            shown = _shown_as_it_is(session, record, reads, events, may_attach=asks_nothing)
            if shown is not None:
                return shown
        if with_edits:
            from runkon.cli.resume_plan import edited_workflow  # late: where it was asked for

            edited = edited_workflow(session, record, executors)
            if edited is None:
                return EXIT_INVALID
            wish = replace(wish, edited=edited)
        prepared = app.resuming.prepare(record.id, options, wish, given_inputs(pairs, None), is_preview=dry_run)
        if dry_run:
            from runkon.cli.resume_plan import preview  # late: where it was asked for

            return preview(session, prepared)
        _say_before(session, prepared, wish, wants_yes=with_edits and not yes)
        return _carry_out(session, prepared, events)


def _shown_as_it_is(
    session: Session, record: RunRecord, reads: ExitStack, events: str | None, *, may_attach: bool
) -> int | None:
    """The exit code for a run of which only its result is wanted, or a look at it; None for one that is to go on."""
    if record.status is RunStatus.COMPLETED:
        session.console.note(f"run {record.id} is completed; this is its result")
        if record.config.get("cassette") is not None:  # its process may have been lost before it could leave it
            session.app.replaying.leave_cassette(record)
        return report(session, record, owns_stdout=events == "-")
    if may_attach and is_held(record):
        from runkon.cli import attach  # late: on a terminal, for a run that goes on

        if attach.may_attach(session, record):
            reads.close()  # whoever watches leaves the file alone between two looks
            return attach.attach(session, record)
    return None


def _say_before(session: Session, prepared: Prepared, wish: ResumeWish, *, wants_yes: bool) -> None:
    """What is to be known, and perhaps agreed to, before the leg begins."""
    for note in prepared.notes:
        session.console.note(f"note: {visible(note)}")
    has_edits = wish.edited is not None
    if has_edits or ((not wish.is_normal or prepared.may_ask) and (wish.fork or not is_held(prepared.record))):
        from runkon.cli.resume_plan import show_before  # late: most resumes have nothing to decide

        show_before(session, prepared, wants_yes=wants_yes)


def _mode(step: str | None, *, only_failed: bool, restart: bool) -> str:
    given = [name for name, is_given in zip(_MODES, (only_failed, step is not None, restart), strict=True) if is_given]
    if len(given) > 1:
        raise UserError(
            "wrong-use",
            f"`{given[0]}` and `{given[1]}` say different things about what runs again",
            help="give one of them",
            exit_code=EXIT_USAGE,
        )
    return "only-failed" if only_failed else "restart" if restart else "normal"


_MODES = ("--only-failed", "--from", "--restart")


def _carry_out(session: Session, prepared: Prepared, events: str | None) -> int:
    """Execute the leg, say how it ended, return the exit code."""
    app, record = session.app, prepared.record
    title = f"{prepared.program.workflow.name} · {prepared.program.source.path}"

    def execute(watched: Watched) -> RunRecord:
        if not prepared.fork and not is_held(record):  # else it will be refused
            watched.say(first_words(record.id, f"{title} · resumed"))
        origin = short_id(app, record.id) if prepared.fork else ""
        return app.resuming.carry_out(
            prepared,
            sinks=watched.sinks,
            control=watched.control,
            progress=watched.progress,
            on_created=lambda run: watched.say(first_words(run, f"{title} · fork of {origin}")),
        )

    steps = () if events is None else app.store.steps(record.id)  # only NDJSON says of what is told later
    return watch(session, execute, events=events, picture=_picture(session, prepared, title), steps=steps)


def _picture(session: Session, prepared: Prepared, title: str) -> Picture:
    bounds = bounds_of(prepared.program, prepared.record.config, prepared.config.new_limits)
    if not session.console.live:
        return Picture(title, {}, bounds=bounds)
    from runkon.cli.outline import outline_of  # late: on a terminal only

    kinds = outline_of(prepared.program.workflow, prepared.program.source).kinds()
    before = () if prepared.fork else tuple(session.app.store.events(prepared.record.id))
    return Picture(title, kinds, before, bounds)
