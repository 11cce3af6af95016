"""`runkon cancel`: give a run up, from any process."""

from __future__ import annotations

import getpass
import sys
import time
from contextlib import redirect_stdout, suppress

import click

from runkon.app import NORMAL_WISH, RunOptions
from runkon.cli.options import SettingOption, VariableOption, as_seconds
from runkon.cli.options import command as runkon_command
from runkon.cli.presenters import Picture
from runkon.cli.run_state import is_held, now_ms, record_of, short_id
from runkon.cli.session import Session
from runkon.cli.signals import carry_out
from runkon.errors import EXIT_HELD, EXIT_NOT_FOUND, EXIT_OK, EXIT_USAGE, StoreUnavailable, UserError
from runkon.language.columns import visible
from runkon.model import holder
from runkon.model.holder import describe
from runkon.model.ports import RunStore
from runkon.model.processes import is_inside
from runkon.model.records import CancelRequest, RunRecord
from runkon.model.status import TERMINAL_RUN, RunStatus, StepStatus

WAIT = 30.0  # seconds for the run to end, unless said otherwise
PAUSE = 0.1  # seconds between two looks
_OVERTAKEN = frozenset({"already-active", "not-resumable"})  # by another process that cancels it, or has done it
_FINAL = _OVERTAKEN | {"run-not-found", "corrupt-run"}


@runkon_command(
    "cancel",
    summary="""Give a run up: its work is stopped, its always block runs, and it can't be resumed.

    RUN is an id or a unique beginning of one, or @last. The process that advances the run sees the wish within a
    second; if there is none, the run is cancelled here. Exit code 0 once the run is cancelled, 8 if that was not seen
    in time (the wish stays), 6 if the run ended otherwise.""",
)
@click.argument("run")
@click.option(
    "--wait", "patience", cls=VariableOption, callback=as_seconds, metavar="TIME",
    help="how long to wait for the end, 30s if not given",
)  # fmt: skip
@click.option(
    "--kill", cls=VariableOption, is_flag=True, help="wait for nothing: processes are killed, always is cut off"
)
@click.option("-m", "--message", cls=VariableOption, default="", metavar="TEXT", help="why, for the record")
@click.option("--allow-self", cls=VariableOption, is_flag=True, help="also when called by a step of that very run")
@click.option("--plugin", "plugins", cls=SettingOption, multiple=True, metavar="MODULE|FILE", help="one more plugin")
@click.pass_obj
def command(
    session: Session,
    run: str,
    *,
    patience: float | None,
    kill: bool,
    message: str,
    allow_self: bool,
    plugins: tuple[str, ...],
) -> int:
    session.flags |= {"plugins": plugins}
    record = record_of(session.app, run)
    if is_inside(record.id) and not allow_self:
        raise UserError(
            "cancel-self",
            f"this process was started by run `{record.id}`, which would end it too",
            help="a step that is to end its run can fail; `--allow-self` cancels it all the same",
            exit_code=EXIT_USAGE,
        )
    if record.status is RunStatus.CANCELLED:
        session.console.note("it was cancelled before")
        return _report(session, record)
    wish = CancelRequest(now_ms(), _user(), message, kill)
    session.next = f"runkon cancel {record.id}"
    deadline = time.monotonic() + (WAIT if patience is None else patience)
    try:
        record = session.app.store.ask_to_cancel(record.id, wish, within=deadline - time.monotonic())
    except StoreUnavailable as error:
        error.next = error.next or session.next
        raise
    return _report(session, _ended(session, record, record.cancel or wish, deadline))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return "somebody"


# ── until it has ended ────────────────────────────────────────────────────────────────────────────
def _ended(session: Session, record: RunRecord, wish: CancelRequest, deadline: float) -> RunRecord:
    """The run once it has ended, or as it is at `deadline`. A run that nobody advances is ended here."""
    store, is_told = session.app.store, False
    while record.status not in TERMINAL_RUN:
        if not is_held(record) or (_is_late(record) and _may_be_taken(store, record, wish, deadline)):
            try:
                return _end_here(session, record, wish)
            except UserError as error:
                if error.code not in _OVERTAKEN:
                    raise
        elif not is_told and record.holder is not None:
            is_told = True
            session.console.note(f"run {record.id} is told to stop; {describe(record.holder)} advances it")
        if time.monotonic() >= deadline:
            break
        time.sleep(PAUSE)
        record = store.run(record.id) or record
    return record


def _is_late(record: RunRecord) -> bool:
    """True if the holder lives but has let its lease run out: stopped perhaps, so that it never sees the wish."""
    return (record.lease_until or 0) < now_ms()


def _may_be_taken(store: RunStore, record: RunRecord, wish: CancelRequest, deadline: float) -> bool:
    """True if the run of a late holder can be taken before `deadline`: it is given the time of one renewal first, and
    may have stopped inside a transaction, so that nobody else can write. The wish is only said again."""
    rest = deadline - time.monotonic() - holder.RENEWAL_MS / 1000
    if rest < 0:
        return False
    with suppress(StoreUnavailable):
        store.ask_to_cancel(record.id, wish, within=rest)
        return True
    return False


def _end_here(session: Session, record: RunRecord, wish: CancelRequest) -> RunRecord:
    """Cancel a run that nobody advances: by a leg that does nothing but close it, with its always block where its
    program can still be used."""
    app = session.app
    if wish.kill:
        return app.give_up(record.id, wish)
    try:
        prepared = app.resuming.prepare(record.id, RunOptions(), NORMAL_WISH, {})
    except UserError as error:
        if error.code in _FINAL and not _never_goes_on(error, session, record):
            raise
        session.console.note(f"its always block, if there is one, does not run: {error.message}")
        return app.give_up(record.id, wish)
    from runkon.cli.leg import presenter_for  # late: most runs have somebody who ends them

    presenter = presenter_for(session, Picture(f"{record.workflow} · {record.file}", {}))
    control = app.new_control()
    try:
        with redirect_stdout(sys.stderr):  # what an executor prints is no part of the result
            return carry_out(
                lambda: app.resuming.carry_out(
                    prepared, sinks=(presenter,), control=control, progress=presenter.progress
                ),
                control,
                presenter.say,
            )
    finally:
        presenter.close()


def _never_goes_on(error: UserError, session: Session, record: RunRecord) -> bool:
    """True for a replay and for a run that happened elsewhere: no leg of theirs follows, so none can close them."""
    now = session.app.store.run(record.id)
    return error.code == "not-resumable" and now is not None and now.status is not RunStatus.CANCELLED


# ── what is said ──────────────────────────────────────────────────────────────────────────────────
def _report(session: Session, run: RunRecord) -> int:
    """Whether it is cancelled, and what still runs if that is not known yet."""
    console, short = session.console, short_id(session.app, run.id)
    running = [step.path for step in session.app.store.steps(run.id) if step.status is StepStatus.RUNNING]
    is_over = run.status in TERMINAL_RUN
    if session.as_json:
        console.data(
            {
                "schema": "runkon.cancel/1",
                "cancel": {
                    "run_id": run.id,
                    "status": str(run.status),
                    "confirmed": is_over,
                    "running": [] if is_over else list(running),
                },
            }
        )
    if run.status is RunStatus.CANCELLED:
        if not session.as_json:
            console.result(f"run {run.id} is cancelled")
        console.note(f"next: runkon show {short}        (`runkon resume {short} --fork` keeps what it has finished)")
        return EXIT_OK
    if is_over:
        console.note(f"run {run.id} was {run.status} before it could be cancelled")
        console.note(f"next: runkon show {short}")
        return EXIT_NOT_FOUND
    by = f" by {describe(run.holder)}" if run.holder else ""
    console.error(f"not confirmed: run {run.id} is {run.status} and still advanced{by}; the wish stays")
    for path in running:
        console.note(f"still running: {visible(path)}")
    console.note(f"next: runkon cancel {short} --kill")
    return EXIT_HELD
