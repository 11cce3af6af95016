"""What `run` may be told of answers: to record them, to take them from a cassette, not to reuse old ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click

from runkon.app import RunOptions
from runkon.cli.options import VariableOption
from runkon.cli.session import Session
from runkon.errors import EXIT_USAGE, UserError
from runkon.language.program import CheckedWorkflow
from runkon.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., int])
MODES = ("strict", "fill")


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    session = context.find_object(Session)
    assert session is not None
    session.answers[str(parameter.name)] = value


_OPTIONS = (
    click.option(
        "--record", cls=VariableOption, is_flag=True, expose_value=False, callback=_keep,
        help="leave all answers in a cassette, from which the run can be replayed",
    ),
    click.option(
        "--cassette", cls=VariableOption, metavar="FILE", expose_value=False, callback=_keep,
        help="the cassette: written with `--record`, read with `--replay`",
    ),
    click.option(
        "--replay", cls=VariableOption, type=click.Choice(MODES), expose_value=False, callback=_keep,
        help="answer from the cassette: strict stops at the first difference, fill calls live what has no answer",
    ),
    click.option(
        "--no-cache", cls=VariableOption, is_flag=True, expose_value=False, callback=_keep,
        help="call steps with `cache` all the same",
    ),
)  # fmt: skip


def answer_options(command: _Command) -> _Command:
    """The options `--record --cassette --replay --no-cache`, kept in `Session.answers`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def with_answers(session: Session, options: RunOptions, checked: CheckedWorkflow) -> RunOptions:
    """What was asked for, with what those options say. Raises UserError `wrong-use`."""
    given = session.answers
    options = replace(options, uses_cache=not given.get("no_cache"))
    if not given.get("record"):
        return options
    path = cassette_path(session.settings, given, checked.workflow.name)
    return replace(options, records=True, cassette=path)


def is_replay(session: Session, others: Mapping[str, bool], *, is_dry: bool) -> bool:
    """True if the answers are to come from a cassette. Raises UserError `wrong-use` for what does not go together;
    `others` are options that a replay does not take, and whether they were given."""
    given = session.answers
    record, cassette, replay = given.get("record"), given.get("cassette"), given.get("replay")
    problem = None
    if record and replay is not None:
        problem = "`--record` asks for new answers, `--replay` for old ones"
    elif cassette is not None and not record and replay is None:
        problem = "`--cassette` is written with `--record` and read with `--replay`; neither is there"
    elif is_dry and (record or replay is not None):
        problem = "a dry run asks nobody, so there are no answers to record or to give again"
    elif replay is not None and any(others.values()):
        problem = f"`{next(name for name, is_given in others.items() if is_given)}` and `--replay` do not go together"
    if problem is not None:
        raise UserError("wrong-use", problem, exit_code=EXIT_USAGE)
    return replay is not None


def cassette_path(settings: Settings, given: Mapping[str, object], workflow: str) -> str:
    """Where the cassette is, from the project's folder if it is in there; `.runkon/cassettes/NAME.json` unless told."""
    named = given.get("cassette")
    path = settings.state_dir / "cassettes" / f"{workflow}.json" if named is None else Path(str(named)).absolute()
    root = settings.root.absolute()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
