"""`runkon recover`: go on with runs whose process died, without being asked for each."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout

import click

from runkon.app import RunOptions
from runkon.cli.console import columns
from runkon.cli.exit_codes import exit_code
from runkon.cli.options import SettingOption, VariableOption, as_seconds
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import runs_shown_as, short_id
from runkon.cli.session import Session
from runkon.cli.signals import carry_out
from runkon.errors import EXIT_FAILED, EXIT_HELD, EXIT_OK, UserError
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.named import NamedTuple
from runkon.views.lines import first_line

AT_MOST = 3  # legs of one run that nobody asked for
_LEFT = "left alone"
_BY_SIGNAL = frozenset({"interrupt", "sigterm", "sighup"})


class Outcome(NamedTuple):
    """What became of one run: its status then, or `left alone`, and why."""

    run: RunRecord
    word: str
    text: str = ""
    code: int = EXIT_OK
    is_stopped: bool = False


@runkon_command(
    "recover",
    summary=f"""Continue every run whose process died, the oldest first, one after the other.

    Runs that were stopped by a signal are not taken, and no run more than {AT_MOST} times. One line is printed for
    each. Exit code 1 if one of them did not end well or was left alone.""",
)
@click.option(
    "--every", cls=VariableOption, callback=as_seconds, metavar="TIME", help="stay, and look again after this time"
)
@click.option("--plugin", "plugins", cls=SettingOption, multiple=True, metavar="MODULE|FILE", help="one more plugin")
@click.pass_obj
def command(session: Session, *, every: float | None, plugins: tuple[str, ...]) -> int:
    session.flags |= {"plugins": plugins}
    told: set[str] = set()  # runs whose being left alone was said already
    while True:
        code = _look(session, told, says_nothing=every is None)
        if every is None or code not in (EXIT_OK, EXIT_FAILED):
            return code
        time.sleep(every)


def _look(session: Session, told: set[str], *, says_nothing: bool) -> int:
    """One pass over the runs there are now. The exit code, that of a signal if one came."""
    outcomes = []
    for outcome in _recovered(session, told):
        outcomes.append(outcome)
        if not session.as_json:
            short = short_id(session.app, outcome.run.id)
            session.console.result(columns([(short, outcome.word, outcome.run.workflow, outcome.text)])[0])
            session.console.flush()
        if outcome.is_stopped:
            break
    if session.as_json:
        session.console.data({"schema": "runkon.recover/1", "recover": [_object(outcome) for outcome in outcomes]})
    elif not outcomes and says_nothing:
        session.console.note("no run to recover")
    stopped = next((outcome.code for outcome in outcomes if outcome.is_stopped), None)
    return stopped or (EXIT_FAILED if any(outcome.code for outcome in outcomes) else EXIT_OK)


def _recovered(session: Session, told: set[str]) -> Iterator[Outcome]:
    """Each run that died, as it ended or was left. Its record is read again first: others look after runs, too."""
    for run in reversed(runs_shown_as(session.app, (RunStatus.INTERRUPTED,), limit=None)):
        if not _has_died(run):
            continue
        if run.recoveries >= AT_MOST:
            if run.id not in told:
                told.add(run.id)
                short = short_id(session.app, run.id)
                text = f"it died again after {run.recoveries} recoveries; next: runkon resume {short}"
                yield Outcome(run, _LEFT, text, EXIT_FAILED)
            continue
        yield _recover(session, run)


def _has_died(run: RunRecord) -> bool:
    """True if the run's last leg ended without a word, or by a failure of the engine itself."""
    return run.status is not RunStatus.INTERRUPTED or run.reason == "crash"


def _recover(session: Session, run: RunRecord) -> Outcome:
    app, console = session.app, session.console
    control = app.new_control()
    try:
        with redirect_stdout(sys.stderr):  # what an executor prints is no part of the result
            after = carry_out(
                lambda: app.resume(run.id, RunOptions(automatic=True), control=control), control, console.note
            )
    except UserError as error:
        is_taken = error.exit_code == EXIT_HELD  # by somebody else who looks after runs
        return Outcome(run, _LEFT, f"{error.code}: {first_line(error.message)}", 0 if is_taken else error.exit_code)
    is_stopped = after.status is RunStatus.INTERRUPTED and after.reason in _BY_SIGNAL
    ended_well = after.status in (RunStatus.COMPLETED, RunStatus.WAITING)
    code = EXIT_OK if ended_well else exit_code(after)
    is_done = after.status is RunStatus.COMPLETED
    text = "" if is_done else f"next: runkon show {short_id(app, run.id)}"
    return Outcome(after, str(after.status), text, code, is_stopped)


def _object(outcome: Outcome) -> JsonValue:
    return {
        "run_id": outcome.run.id,
        "workflow": outcome.run.workflow,
        "outcome": outcome.word.replace(" ", "_"),
        "recoveries": outcome.run.recoveries,
        "text": outcome.text or None,
    }
