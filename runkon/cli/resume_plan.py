"""The plan of a resume on a terminal: shown, and confirmed where an edit changes what is kept."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from runkon.cli.checked_file import checked_workflow
from runkon.cli.console import columns
from runkon.cli.run_state import is_held, short_id, true_status
from runkon.cli.session import Session
from runkon.errors import EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.language.program import CheckedWorkflow
from runkon.model.plans import ASK, ResumePlan
from runkon.model.records import RunRecord
from runkon.model.secrets import secret_name
from runkon.model.status import RunStatus
from runkon.model.value_text import as_text
from runkon.resuming import Prepared
from runkon.views.plan_lines import change_lines, plan_object, plan_rows, plan_summary


def edited_workflow(session: Session, run: RunRecord, executors: Mapping[str, str]) -> CheckedWorkflow | None:
    """The workflow as its file is now; None after everything wrong with it was shown. Raises UserError for a file that
    can't be read."""
    path = Path(run.file)
    if not path.exists() and not path.is_absolute():
        path = session.settings.root / path
    stored = run.config.get("executors")
    known = {name: str(one) for name, one in stored.items()} if isinstance(stored, Mapping) else {}
    return checked_workflow(session, path, {**known, **executors})


def preview(session: Session, prepared: Prepared) -> int:
    """What a resume would keep and run; nothing is written and no lease is taken."""
    plan = session.app.resuming.plan(prepared)
    status, console = str(true_status(prepared.record)), session.console
    if session.as_json:
        console.data(plan_object(plan, prepared.record.id, status))
        return 0
    for note in prepared.notes:
        console.note(f"note: {visible(note)}")
    _show(plan, console.result)
    console.note(f"{status}: {plan_summary(plan)}")
    short = short_id(session.app, prepared.record.id)
    if is_held(prepared.record) and not prepared.fork:
        console.note("a process advances the run now; this is what a resume would do if that process died here")
        console.note(f"next: runkon events -f {short}")
    else:
        console.note(f"next: runkon resume {short}{_words(prepared)}")
    return 0


def show_before(session: Session, prepared: Prepared, *, wants_yes: bool) -> None:
    """The plan, before anything of it is done, and the question whether it is meant. A resume that has no mode and asks
    nothing shows none. Raises UserError `not-confirmed` where nobody can be asked, or says no."""
    plan = session.app.resuming.plan(prepared)
    if prepared.how.is_normal and not prepared.fork and not plan.count(ASK):
        return
    _show(plan, session.console.note)
    session.console.note(plan_summary(plan))
    if not wants_yes or not plan.changes:
        return
    if not (sys.stdin.isatty() and session.console.err_stream.isatty()):
        raise _not_confirmed("the changes of `--with-edits` were not confirmed", prepared)
    if not click.confirm("Go on with these changes?", err=True):
        raise _not_confirmed("nothing was changed", prepared)


def _not_confirmed(message: str, prepared: Prepared) -> UserError:
    return UserError(
        "not-confirmed",
        message,
        help="look at them above; `--yes` takes them",
        next=f"runkon resume {prepared.record.id}{_words(prepared)} --yes",
        exit_code=EXIT_USAGE,
    )


def _show(plan: ResumePlan, write: Callable[[str], None]) -> None:
    for line in columns(plan_rows(plan)):
        write(line)
    if plan.changes:
        write("")
        for line in change_lines(plan.changes):
            write(visible(line))
        write("")


def _words(prepared: Prepared) -> str:
    """The options that ask for the same again."""
    how = prepared.how
    # a fork that never began knows what it was asked for
    if prepared.record.status is RunStatus.PENDING and not prepared.fork:
        return ""
    words = {"only-failed": " --only-failed", "restart": " --restart"}.get(how.mode, "")
    if how.step is not None:
        words += f" --from {shlex.quote(how.step)}"
    if prepared.fork:
        words += " --fork"
    words += " --with-edits" if how.before is not None else ""
    words += f" --until {shlex.quote(prepared.config.until)}" if prepared.config.until else ""
    return words + _inputs(prepared)


def _inputs(prepared: Prepared) -> str:
    """The inputs that are to change, as options; what is no plain value, or a secret, is left for people to say."""
    before, words = prepared.record.inputs, ""
    for name, value in (prepared.how.inputs or {}).items():
        if before.get(name) == value:
            continue
        shown = as_text(value) if secret_name(value) is None and not isinstance(value, list | dict) else "…"
        words += f" -i {shlex.quote(f'{name}={shown}')}"
    return words
