"""Watching a run that another process advances: its events are read from the table as they come. Nothing here writes,
so that a watcher that is stopped, killed or left open changes nothing for the run.

A look costs one short read four times a second, and a second one when there is something new. SQLite could say
cheaper that a file has changed, but only to a connection that is kept open.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping

from runkon.cli.exit_codes import exit_code
from runkon.cli.leg import first_words, presenter_for, report
from runkon.cli.presenters import Picture
from runkon.cli.run_state import is_held, short_id, true_status
from runkon.cli.session import Session
from runkon.cli.streams import is_left
from runkon.errors import EXIT_INTERRUPTED, UserError
from runkon.language.columns import visible
from runkon.model.events import Envelope
from runkon.model.holder import describe
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus

POLL_SECONDS = 0.25


def watched(store: RunStore, run: RunID) -> Iterator[RunRecord | None]:
    """The run's record, again and again while somebody advances it; the last one is of a run that nobody advances,
    or whose watcher has lost its reader. Each comes before the look at what is new, so that no last word is missed."""
    while True:
        record = store.run(run)
        yield record
        if record is None or not is_held(record) or is_left(sys.stdout):
            return
        time.sleep(POLL_SECONDS)


def followed(store: RunStore, run: RunID, since: int = 0) -> Iterator[Envelope]:
    """The events above `since`, in order and each once, as they are recorded, until nobody advances the run."""
    seq = since
    for record in watched(store, run):
        if record is not None and record.seq > seq:
            for envelope in store.events(run, seq):
                seq = envelope.seq
                yield envelope


def end_of_now(session: Session, run: RunID) -> str:
    """How things are with a run right now, and what to do."""
    record = session.app.store.run(run)
    return f"run {run} is gone" if record is None else end_of(record, short_id(session.app, run))


def end_of(run: RunRecord, short: str) -> str:
    """How things are with a run that is followed no longer. `short` is the id to type."""
    again = f"continue: runkon resume {short}"
    match true_status(run):
        case RunStatus.RUNNING | RunStatus.CANCELLING:
            return f"run {short} goes on"
        case RunStatus.INTERRUPTED if run.status is not RunStatus.INTERRUPTED:
            by = f"{describe(run.holder)}, which advanced it, is gone" if run.holder else "nobody advances it"
            return f"run {short} was cut off: {visible(by)}; {again}"
        case RunStatus.INTERRUPTED:
            return f"run {short} is interrupted ({(run.reason or 'stopped').replace('_', ' ')}); {again}"
        case RunStatus.PENDING:
            return f"run {short} has not begun; begin it: runkon resume {short}"
        case RunStatus.WAITING:
            gates = ", ".join(map(visible, run.waiting_on)) or "an answer"
            return f"run {short} waits for {gates}; see: runkon show {short}"
        case status:
            return f"run {short} is {status}; see: runkon show {short}"


def let_go(session: Session, run: RunID) -> int:
    """What ^C means to somebody who only watches: the exit code, after saying so."""
    session.console.note(f"no longer followed; {end_of_now(session, run)}")
    return EXIT_INTERRUPTED


# ── the view of a run that somebody else advances ─────────────────────────────────────────────────
def may_attach(session: Session, run: RunRecord) -> bool:
    """True if somebody at a terminal asked for a run that is being advanced: they get to see it."""
    return is_held(run) and session.console.err_stream.isatty() and not session.as_json


def attach(session: Session, run: RunRecord) -> int:
    """Show a run as if it were ours until nobody advances it; the exit code is that of its end. ^C ends the view."""
    title = f"{run.workflow} · {run.file}"
    presenter = presenter_for(session, Picture(title, _kinds(session, run.id)))
    presenter.say(first_words(run.id, f"{title} · advanced by {describe(run.holder or '')} · ^C ends the view only"))
    try:
        for envelope in followed(session.app.store, run.id):
            presenter.emit(envelope)
    except KeyboardInterrupt:
        presenter.close()
        return let_go(session, run.id)
    except BaseException:
        presenter.close()
        raise
    presenter.close()
    after = session.app.store.run(run.id) or run
    if after.status in (RunStatus.RUNNING, RunStatus.CANCELLING):  # its process died, and told nobody
        session.console.note(end_of(after, short_id(session.app, run.id)))
        return exit_code(after)
    return report(session, after)


def _kinds(session: Session, run: RunID) -> Mapping[str, str]:
    """What stands where, for the live view only; nothing where this process can't use the run's workflow."""
    if not session.console.live:
        return {}
    from runkon.cli.outline import program_outline  # late: on a terminal only

    try:
        checked = session.app.stored_program(run)
    except UserError:
        return {}
    return program_outline(checked).kinds()
