"""`runkon run`: check a workflow, refuse what can't work, and execute it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from runkon.app import RunOptions
from runkon.cli.bounds import bounds_of
from runkon.cli.checked_file import checked_workflow
from runkon.cli.given_inputs import given_inputs
from runkon.cli.leg import can_prompt
from runkon.cli.options import SettingOption, VariableOption, as_money, as_pairs, as_seconds, setting
from runkon.cli.options import command as runkon_command
from runkon.cli.presenters import Picture
from runkon.cli.recording import answer_options, is_replay, with_answers
from runkon.cli.session import Session
from runkon.cli.start import Start, run_new
from runkon.errors import EXIT_INVALID, EXIT_USAGE, UserError
from runkon.language.program import CheckedWorkflow
from runkon.model.ports import EventSink


@runkon_command(
    "run",
    summary="""Check a workflow and execute it: a FILE, or the NAME of a workflow of the project.

    The outputs are printed to standard output, everything else to standard error. ^C pauses: the run can be resumed.

    Exit codes: 0 completed, 1 failed, 2 wrong use or inputs, 3 invalid workflow, 4 it waits for a decision,
    5 environment, 7 budget or limit of calls, 124 timeout of the run, 130 ^C, 143 SIGTERM.""",
)
@click.argument("target", metavar="FILE|NAME")
@click.option(
    "-i", "--input", "pairs", cls=VariableOption, multiple=True, callback=as_pairs, metavar="KEY=VALUE",
    help="an input; KEY=@FILE takes the text of a file",
)  # fmt: skip
@click.option("--inputs", "inputs_file", cls=VariableOption, metavar="FILE", help="inputs from a JSON file, or `-`")
@click.option(
    "--dry-run", cls=VariableOption, is_flag=True,
    help="call no script and no metered executor; the others are called with `dry_run` set",
)  # fmt: skip
@setting("--model", "MODEL", "the model of every agent file; `test` makes answers up, offline")
@setting("--runtime", "NAME", "the runtime of every agent file")
@click.option(
    "--executor", "executors", cls=VariableOption, multiple=True, callback=as_pairs, metavar="STEP=NAME",
    help="run a step by another executor",
)  # fmt: skip
@click.option("--jobs", cls=SettingOption, type=click.IntRange(1, 1000), help="executor calls at once")
@click.option(
    "--until", cls=VariableOption, metavar="STEP", help="stop after this step or named block; the run can be resumed"
)
@click.option(
    "--budget", cls=VariableOption, callback=as_money, metavar="USD",
    help="the most the run may cost; of this and `budget_usd` of the file the lower holds",
)  # fmt: skip
@click.option(
    "--max-calls", cls=VariableOption, type=click.IntRange(min=0), metavar="N",
    help="the most calls of executors; of this and `max_calls` of the file the lower holds",
)  # fmt: skip
@click.option("--timeout", cls=VariableOption, callback=as_seconds, metavar="TIME", help="fail the run after this time")
@click.option("--events", cls=VariableOption, metavar="-|FILE", help="write every event as NDJSON")
@click.option(
    "--detach", cls=VariableOption, is_flag=True,
    help="go on in a process of its own; returns, with the run's id, once the run has begun",
)  # fmt: skip
@click.option("--wait", cls=VariableOption, is_flag=True, help="stay at gates until somebody decides")
@click.option(
    "--key", cls=VariableOption, metavar="KEY",
    help="start once: with a key that a run has, see it go on, go on with it, or get its result",
)  # fmt: skip
@answer_options
@click.option("--plugin", "plugins", cls=SettingOption, multiple=True, metavar="MODULE|FILE", help="one more plugin")
@click.option(
    "--durability", cls=SettingOption, type=click.Choice(["full", "normal"]), help="what a power failure may cost"
)
@click.pass_obj
def command(
    session: Session,
    target: str,
    *,
    pairs: Mapping[str, str],
    inputs_file: str | None,
    dry_run: bool,
    executors: Mapping[str, str],
    jobs: int | None,
    until: str | None,
    budget: float | None,
    max_calls: int | None,
    timeout: float | None,
    events: str | None,
    detach: bool,
    wait: bool,
    key: str | None,
    plugins: tuple[str, ...],
    durability: str | None,
) -> int:
    begun: Sequence[EventSink] = ()
    given = {"--detach": detach, "--key": key is not None}
    from_cassette = is_replay(session, given, is_dry=dry_run)
    if detach:
        from runkon.cli import detach as detaching  # late: where it was asked for

        sink = detaching.as_detached(session)
        if sink is None:
            _refuse_events_on_stdout(events)
            return detaching.start_detached(session, reads_input=inputs_file == "-")
        begun = (sink,)
    session.flags |= {"jobs": jobs, "plugins": plugins, "durability": durability}
    checked = None if from_cassette else checked_workflow(session, session.app.find_workflow(target), executors)
    if checked is None and not from_cassette:
        return EXIT_INVALID
    inputs = given_inputs(pairs, inputs_file)
    if begun:
        detaching.let_input_go()
    options = RunOptions(
        attends=wait or detach or can_prompt(session),
        dry_run=dry_run,
        executors=executors,
        until=until,
        timeout=timeout,
        budget_usd=budget,
        max_calls=max_calls,
    )
    if checked is None:
        from runkon.cli.playing import play_file  # late: where it was asked for

        return play_file(session, session.app.find_workflow(target), inputs, options, events)
    options = with_answers(session, options, checked)
    title = f"{checked.workflow.name} · {checked.source.path}" + (" · dry run" if dry_run else "")
    bounds = bounds_of(checked, {"budget_usd": budget, "max_calls": max_calls})
    start = Start(checked, inputs, options, key, events, begun, Picture(title, _kinds(session, checked), (), bounds))
    if key is None:
        return run_new(session, start)
    from runkon.cli.keyed import run_once  # late: where it was asked for

    return run_once(session, start)


def _refuse_events_on_stdout(events: str | None) -> None:
    if events == "-":
        raise UserError(
            "wrong-use",
            "`--detach` gives standard output back, `--events -` wants it",
            help="give a file to `--events`, or follow the run with `runkon events -f`",
            exit_code=EXIT_USAGE,
        )


def _kinds(session: Session, checked: CheckedWorkflow) -> Mapping[str, str]:
    """What stands where, for the live view only."""
    if not session.console.live:
        return {}
    from runkon.cli.outline import program_outline  # late: on a terminal only

    return program_outline(checked).kinds()
