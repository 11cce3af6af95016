"""One leg of a run, as `run` and `resume` do it: watch it, take signals, say how it ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, TextIO

from runkon.cli.complaints import user_error
from runkon.cli.console import json_text
from runkon.cli.exit_codes import exit_code
from runkon.cli.presenters import Picture, PlainLines, Presenter
from runkon.cli.run_state import ask_lines_of, open_gates_of, short_id, state_left
from runkon.cli.savings import with_savings
from runkon.cli.session import Session
from runkon.cli.signals import carry_out
from runkon.cli.streams import open_outlet, undelivered, unwritten
from runkon.errors import EXIT_ENVIRONMENT, EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus
from runkon.named import NamedTuple
from runkon.views.ending import Ending, ending

if TYPE_CHECKING:
    from runkon.app import Progress
    from runkon.cli.event_lines import EventLines
    from runkon.cli.prompting import Prompter
    from runkon.engine.cancellation import RunControl

STDOUT = "-"


class Watched(NamedTuple):
    """What the application is given to carry out a leg."""

    sinks: Sequence[EventSink]
    control: RunControl
    progress: Progress
    say: Callable[[str], None]


def watch(
    session: Session,
    execute: Callable[[Watched], RunRecord],
    *,
    events: str | None,
    picture: Picture,
    steps: Sequence[StepRecord] = (),
    conclude: Callable[[RunRecord], int] | None = None,
) -> int:
    """Carry out a leg and return the exit code. `events` is where NDJSON goes: a file, `-`, or nowhere; `steps` are
    what earlier legs have left; `conclude` says how it ended, in place of `report`."""
    if events == STDOUT and session.as_json:
        raise UserError(
            "wrong-use", "`--events -` and `--json` both want standard output", exit_code=EXIT_USAGE, help=_ONE_OF_TWO
        )
    with _event_lines(events, steps) as writers:
        presenter = presenter_for(session, picture)
        control = session.app.new_control()
        prompter = _prompter(session, presenter)
        watched = Watched((presenter, *writers, *prompter), control, presenter.progress, presenter.say)
        try:
            with redirect_stdout(sys.stderr):  # what an executor prints is no part of the result
                run = carry_out(lambda: execute(watched), control, presenter.say)
        finally:
            for one in prompter:
                one.close()
            presenter.close()
    session.next = f"runkon show {run.id}"
    code = report(session, run, owns_stdout=events == STDOUT) if conclude is None else conclude(run)
    return code if events in (None, STDOUT) else _all_written(session, writers, f"`{events}` of `--events`", code)


def can_prompt(session: Session) -> bool:
    """True if there is somebody to ask: a terminal to write to and to read from."""
    return not session.as_json and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _prompter(session: Session, presenter: Presenter) -> Sequence[Prompter]:
    """Who asks at gates, if there is a terminal to ask at."""
    if not can_prompt(session):
        return ()
    from runkon.cli.prompting import Prompter  # late: on a terminal only

    return (Prompter(session, presenter),)


def _all_written(session: Session, writers: Sequence[EventLines], what: str, code: int) -> int:
    """The exit code of a leg whose events went to a file that may have taken only some of them."""
    for error in filter(None, (undelivered(writer.stream) for writer in writers)):
        session.console.error(user_error(unwritten(what, error), color=session.console.err_color))
        code = code or EXIT_ENVIRONMENT
    return code


_ONE_OF_TWO = "give a file to `--events`, or leave `--json` out"


def report(session: Session, run: RunRecord, *, owns_stdout: bool = False) -> int:
    """Say how a run ended: failures, summary and next command for people, the result on standard output."""
    console = session.console
    steps = session.app.store.steps(run.id)
    short = short_id(session.app, run.id)
    end = with_savings(session.app, run, steps, ending(run, steps, short, run.status, with_time=console.live))
    if run.status is RunStatus.FAILED:
        _show_failures(session, run, steps, end)
    console.flush()
    if session.as_json:
        from runkon.views.run_object import run_object  # late: where it was asked for

        gates = open_gates_of(session.app, run, steps)
        console.data(run_object(run, steps, gates=gates, state=state_left(session.app, run.id)))
    elif run.outputs and not owns_stdout:
        for line in output_lines(run.outputs):
            console.result(line)
    _show_ending(session, run, end, steps)
    if run.config.get("cassette") is not None:
        console.note(f"cassette: {visible(str(run.config['cassette']))}")
    return exit_code(run)


def _show_failures(session: Session, run: RunRecord, steps: Sequence[StepRecord], end: Ending) -> None:
    """Failures of a run that failed: its steps, or else the run itself."""
    from runkon.cli.failures import STEP_REASONS, failure_blocks, run_error  # late: on the way to an error

    console = session.console
    texts = session.app.store.sources(run.id)
    blocks = failure_blocks(steps, texts, end, color=console.err_color)
    error = run_error(run)
    if error is not None and (not blocks or run.reason not in STEP_REASONS):
        keeps = f"        ({end.why})" if end.why else ""
        error.next = None if blocks else end.next + keeps
        blocks.append(user_error(error, color=console.err_color))
    for block in blocks:
        console.error(f"\n{block}")
    console.note("")


_GATES_SHOWN = 8
_ASKED_FOR = frozenset({"interrupt", "sigterm", "sighup", "until"})


def _show_ending(session: Session, run: RunRecord, end: Ending, steps: Sequence[StepRecord]) -> None:
    console = session.console
    if run.status is RunStatus.WAITING:
        console.note(console.paint_err("warning", end.headline))
        for line in ask_lines_of(session.app, run, steps, at_most=_GATES_SHOWN):
            console.error(line)  # also where only results and errors are wanted
        console.note(f"next: {end.next}        ({end.why})")
        return
    if run.status is RunStatus.INTERRUPTED:
        if run.error and run.reason not in _ASKED_FOR:
            console.error(user_error(UserError("interrupted", run.error), color=console.err_color))
        console.note(end.headline)
        console.note(f"interrupted; continue: {end.next} · give up: runkon cancel {end.run}")
        return
    style = "good" if run.status is RunStatus.COMPLETED else "bad"
    console.note(console.paint_err(style, end.headline))
    if run.status is not RunStatus.FAILED:  # a failure has named it already
        console.note(f"next: {end.next}")


def output_lines(outputs: dict[str, JsonValue] | object) -> Iterator[str]:
    """`name = value`, one line each; a text of several lines stands indented below its name."""
    if not hasattr(outputs, "items"):
        return
    for name, value in outputs.items():
        if isinstance(value, str) and "\n" in value.rstrip("\n"):
            yield f"{visible(name)} ="
            yield from (f"    {visible(line)}" for line in value.rstrip("\n").split("\n"))
        else:
            text = visible(value.rstrip("\n")) if isinstance(value, str) else json_text(value)
            yield f"{visible(name)} = {text}"


def presenter_for(session: Session, picture: Picture) -> Presenter:
    """What shows a run here: the live tree on a terminal, else plain lines."""
    if not session.console.live:
        return PlainLines(session.console, is_verbose=session.verbose)
    from runkon.cli.live import LiveTree  # late: rich, on a terminal only

    return LiveTree(session.console, picture)


@contextmanager
def _event_lines(target: str | None, steps: Sequence[StepRecord]) -> Iterator[Sequence[EventLines]]:
    """The sink that writes NDJSON, if one was asked for."""
    if target is None:
        yield ()
        return
    from runkon.cli.event_lines import EventLines  # late: where it was asked for
    from runkon.views.event_object import EventObjects

    if target == STDOUT:
        yield (EventLines(sys.stdout, EventObjects(steps)),)
        return
    with _opened(target) as stream:
        yield (EventLines(stream, EventObjects(steps)),)


def _opened(target: str) -> TextIO:
    try:
        return open_outlet(target)
    except OSError as error:
        raise unwritten(f"`{target}` of `--events`", error) from error


def first_words(run: RunID, title: str) -> str:
    """The first line of a run, once its row is durable."""
    return f"run {run} · {visible(title)}"
