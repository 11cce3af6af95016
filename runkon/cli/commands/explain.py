"""`runkon explain`: why a step is as it is, from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import click

from runkon.cli.options import command as runkon_command
from runkon.cli.outline import outline_of, program_outline
from runkon.cli.run_state import ask_lines_of, record_of, short_id, shown_steps, step_named, true_status
from runkon.cli.session import Session
from runkon.errors import UserError
from runkon.language.columns import visible
from runkon.language.keys import all_statements
from runkon.language.nodes import CallWorkflow
from runkon.language.source import SourceFile
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.views.ending import ending
from runkon.views.explain import explanation, not_reached
from runkon.views.explain_text import explain_lines
from runkon.views.guards import guards_of, step_places
from runkon.views.outline import Outline, static_path


@runkon_command(
    "explain",
    summary="""Say why a step ran, was skipped, retried, reused, asked about, failed or cancelled.

    RUN is an id or a unique beginning of one, @last, or @last-failed. STEP is a key or a path. It is told from the
    records alone: conditions with the values they saw and where those came from, every attempt, every decision.""",
)
@click.argument("run")
@click.argument("step")
@click.pass_obj
def command(session: Session, run: str, step: str) -> int:
    app = session.app
    record = record_of(app, run)
    steps = shown_steps(app, record)
    outline = _outline(session, record)
    events = list(app.store.events(record.id))
    found: StepRecord | None = None
    try:
        found = step_named(record, steps, step)
    except UserError as error:
        place = _place(outline, step) if error.code == "unknown-step" else None
        if place is None:
            raise
        told = not_reached(place, place.rpartition("/")[2], events, guards_of(outline, place))
    else:
        gates = app.store.gates(record.id)
        answers = app.store.gate_answers(record.id) if gates else ()
        told = explanation(record, found, events, gates, guards_of(outline, found.path), answers)
    if session.as_json:
        _drop_internal(told)
        session.console.data({"schema": "runkon.explain/1", "run_id": record.id, "explain": told})
        return 0
    for line in explain_lines(told):
        session.console.result(visible(line))
    _say_next(session, record, steps, found)
    return 0


def _outline(session: Session, run: RunRecord) -> Outline:
    """The workflow's text as recorded; without its conditions where this version can't read it any more."""
    file, text = next(iter(session.app.store.sources(run.id).items()))
    source = SourceFile(file, text)
    workflows = session.app.parsed_files.parse(source).workflows
    named = [workflow for workflow in workflows if workflow.name == run.workflow]
    if named and any(isinstance(one, CallWorkflow) for one in all_statements(named[0])):
        with suppress(UserError):
            return program_outline(session.app.stored_program(run.id))
    return outline_of(named[0], source) if named else Outline("workflow", run.workflow)


def _place(outline: Outline, text: str) -> str | None:
    """The place of a step that the run did not come to, by its path or by its key."""
    wanted = static_path(text)
    places = step_places(outline)
    by_key = [place for place in places if place.rpartition("/")[2].partition("#")[0] == wanted]
    return wanted if wanted in places else by_key[0] if len(by_key) == 1 else None


def _drop_internal(told: dict[str, JsonValue]) -> None:
    attempts = told["attempts"]
    assert isinstance(attempts, list)
    for attempt in attempts:
        if isinstance(attempt, dict):
            attempt.pop("at", None)


def _say_next(session: Session, run: RunRecord, steps: Sequence[StepRecord], step: StepRecord | None) -> None:
    if step is not None and step.status is StepStatus.WAITING:
        lines = ask_lines_of(session.app, run, [step])
        for line in lines if len(lines) > 1 else [f"next: runkon resume {short_id(session.app, run.id)}"]:
            session.console.note(line)
    elif (status := true_status(run)) in (RunStatus.INTERRUPTED, RunStatus.FAILED, RunStatus.WAITING):
        end = ending(run, steps, short_id(session.app, run.id), status, with_time=False)
        session.console.note(f"next: {end.next}")
