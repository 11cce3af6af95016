"""`run --key`: a run that is started once. Who finds it there sees it go on, goes on with it, or gets its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from runkon.cli import attach
from runkon.cli.leg import Watched, first_words, report, watch
from runkon.cli.run_state import is_held, short_id
from runkon.cli.session import Session
from runkon.cli.start import Start, on_created, title_of
from runkon.errors import EXIT_OK, UserError
from runkon.language.columns import visible
from runkon.model.records import RunRecord
from runkon.model.status import TERMINAL_RUN
from runkon.resuming import Prepared


def run_once(session: Session, start: Start) -> int:
    """Start the run of a key, or take what is there; the exit code is that of its end."""
    starting, key = session.app.starting, start.key or ""
    is_first = not session.settings.db.parent.exists()
    run, is_new = starting.create(start.checked, start.inputs, start.options, key)
    session.next = f"runkon resume {run}"
    record = session.app.record(run) if is_new else starting.settled(run)
    if not is_new:
        session.console.note(f"run {run} has the key `{visible(key)}`")
        if record.status in TERMINAL_RUN:
            session.console.note(f"it is {record.status}; this is its result")
            return report(session, record, owns_stdout=start.events == "-")
    if is_held(record):
        return _look_on(session, record, start)
    try:
        prepared = starting.prepare(run, start.checked, start.inputs, start.options)
        title = title_of(start.picture)
        tell = partial(on_created, session, title=title, run=run, is_new=is_first) if is_new else None
        return _advance(session, prepared, start, tell)
    except UserError as error:
        if error.code != "already-active":
            raise
    return _look_on(session, session.app.record(run), start)


def _advance(session: Session, prepared: Prepared, start: Start, tell: Callable[[Watched], None] | None) -> int:
    record = prepared.record

    def execute(watched: Watched) -> RunRecord:
        if tell is not None:
            tell(watched)
        else:
            watched.say(first_words(record.id, f"{start.picture.title} · resumed"))
        return session.app.resuming.carry_out(
            prepared,
            sinks=(*watched.sinks, *start.begun),
            control=watched.control,
            progress=watched.progress,
        )

    steps = () if start.events is None else session.app.store.steps(record.id)
    return watch(session, execute, events=start.events, picture=start.picture, steps=steps)


def _look_on(session: Session, record: RunRecord, start: Start) -> int:
    """Another process advances the run: show it until that is over; whoever detaches has nothing to wait for."""
    if not start.begun:
        return attach.attach(session, record)
    session.console.result(record.id)
    short = short_id(session.app, record.id)
    session.console.note(f"follow: runkon events -f {short} · end: runkon cancel {short}")
    return EXIT_OK
