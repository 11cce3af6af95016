"""Replays, as `replay`, `verify` and `run --replay` do them: carried out, and told what was different."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from runkon.app import RunOptions
from runkon.cli.complaints import user_error
from runkon.cli.leg import Watched, can_prompt, first_words, output_lines, watch
from runkon.cli.presenters import Picture
from runkon.cli.recording import cassette_path
from runkon.cli.run_state import short_id, state_left
from runkon.cli.session import Session
from runkon.errors import EXIT_FAILED, EXIT_OK, UserError
from runkon.language.columns import visible
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord
from runkon.replaying import Played, Source, shown_path
from runkon.views.ending import ending
from runkon.views.times import counted, money


def is_file(target: str) -> bool:
    """True if `target` names a cassette, not a run."""
    return target.endswith(".json") or "/" in target or Path(target).is_file()


def play(session: Session, source: Source, mode: str, *, events: str | None = None, as_run: bool = False) -> int:
    """Replay, and say how it went; with `as_run` JSON is that of a run. The exit code is that of the new run, 1 if it
    differs from the record."""
    replaying, kept = session.app.replaying, list[Played]()
    title = f"{source.program.workflow.name} · {source.program.source.path} · replay of {source.of}"
    for note in source.notes:
        session.console.note(f"note: {visible(note)}")

    def execute(watched: Watched) -> RunRecord:
        played = replaying.play(
            source,
            "fill" if mode == "fill" else "strict",
            sinks=watched.sinks,
            control=watched.control,
            on_created=partial(_on_created, session, watched, title),
            progress=watched.progress,
            attends=can_prompt(session),
        )
        kept.append(played)
        return played.run

    def conclude(_run: RunRecord) -> int:
        return told(session, kept[0], source, as_run=as_run)

    return watch(
        session, execute, events=events, picture=Picture(title, {}), conclude=conclude if mode != "fill" else None
    )


def verify(session: Session, run: RunID) -> int:
    """Replay a run strictly, compare both records, and say whether they are alike."""
    played = session.app.replaying.verify(run)
    source_name = f"run {short_id(session.app, run)}"
    if session.as_json:
        session.console.data(_as_json("runkon.verify/1", played))
    elif played.divergence is None:
        session.console.result(f"identical: {_extent(played)} of {source_name}")
        session.console.note(f"next: runkon show {short_id(session.app, played.run.id)}")
    else:
        _show_divergence(session, played, str(run))
    return EXIT_OK if played.divergence is None else EXIT_FAILED


def told(session: Session, played: Played, source: Source, *, as_run: bool = False) -> int:
    """Say how a strict replay ended."""
    console, run = session.console, played.run
    console.flush()
    if session.as_json:
        found = _as_json("runkon.replay/1", played)
        console.data(_run_as_json(session, run) | {"replay": found} if as_run else found)
    if played.divergence is not None:
        if not session.as_json:
            _show_divergence(session, played, source.of)
        return EXIT_FAILED
    from runkon.cli.exit_codes import exit_code  # late: of a run that went as recorded

    if not session.as_json:
        for line in output_lines(run.outputs) if run.outputs else ():
            console.result(line)
        steps = session.app.store.steps(run.id)
        console.note(ending(run, steps, short_id(session.app, run.id), run.status, with_time=False).headline)
        if played.end is not None:
            console.note(f"the record ends at {visible(str(played.end.path))}")
        saved = f"; saved: {money(played.saved_usd)}" if played.saved_usd else ""
        console.note(f"as recorded: {_extent(played)}; nothing was called{saved}")
        console.note(f"next: runkon show {short_id(session.app, run.id)}")
    return EXIT_OK if played.end is not None else exit_code(run)


def _extent(played: Played) -> str:
    return counted(played.answered, "answer")


def _show_divergence(session: Session, played: Played, of: str) -> None:
    console, found = session.console, played.divergence
    assert found is not None
    where = "the run" if found.path is None else f"`{found.path}`"
    code = "replay-miss" if played.run.reason == "replay" else "replay-differs"
    error = UserError(code, f"{where} is not as on record: {found.what} (field `{found.field}`)")
    error.help = _reached(found.later)
    error.next = f"runkon replay {of} --replay fill"
    console.error(user_error(error, color=console.err_color))
    place = f"event {found.seq} of the record" if found.seq else "the record"
    console.error(f"  - {place}\n  + now, run {short_id(session.app, played.run.id)}")
    for line in found.lines:
        console.error(f"  {visible(line)}")


def _reached(later: int) -> str:
    rest = f"{counted(later, 'later step')} of the record {'was' if later == 1 else 'were'} not compared; "
    return f"{rest if later else ''}`--replay fill` calls only what has changed"


def _as_json(schema: str, played: Played) -> dict[str, JsonValue]:
    found = played.divergence
    divergence: JsonValue = None
    if found is not None:
        divergence = {
            "path": found.path,
            "what": found.what,
            "field": found.field,
            "seq": found.seq,
            "later_steps": found.later,
            "diff": list(found.lines),
        }
    return {
        "schema": schema,
        "run_id": played.run.id,
        "status": played.run.status.value,
        "identical": found is None,
        "answered": played.answered,
        "divergence": divergence,
    }


def _run_as_json(session: Session, run: RunRecord) -> dict[str, JsonValue]:
    from runkon.views.run_object import run_object  # late: where it was asked for

    return run_object(run, session.app.store.steps(run.id), state=state_left(session.app, run.id))


def _on_created(session: Session, watched: Watched, title: str, run: RunID) -> None:
    watched.say(first_words(run, title))
    for envelope in session.app.store.events(run):
        for sink in watched.sinks:
            sink.emit(envelope)


def play_file(
    session: Session, file: Path, inputs: Mapping[str, JsonValue], options: RunOptions, events: str | None
) -> int:
    """`run FILE --replay`: the workflow of a file as it is now, answered from its cassette, with the inputs of the
    cassette where none are given."""
    from runkon.cassettes.files import read  # late: here alone

    app, root = session.app, session.settings.root
    path = root / cassette_path(session.settings, session.answers, file.stem)
    cassette = read(path, root)
    source = app.replaying.of_cassette(cassette, shown_path(path), options, file=file, inputs=inputs)
    return play(session, source, str(session.answers["replay"]), events=events, as_run=True)
