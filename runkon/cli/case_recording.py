"""`runkon test --record`: the cassettes that tests name are made anew, by real runs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from runkon.app import App, RunOptions
from runkon.cli.case_files import ProjectWorkflows
from runkon.cli.checked_file import checked_workflow
from runkon.cli.session import Session
from runkon.errors import EXIT_INVALID, EXIT_USAGE, UserError
from runkon.language.case_nodes import Case, ParsedCases
from runkon.language.columns import visible
from runkon.language.nodes import Text, Word
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile
from runkon.model.ids import RunID
from runkon.testing.cases import case_inputs, cassette_of, early_decisions


def record_cases(session: Session, parsed: ParsedCases, select: Callable[[str], bool]) -> None:
    """Run the workflow of every selected test that names a cassette, once for real, and leave its answers there. Steps
    that the test answers itself are called all the same. Raises UserError for a workflow that can't run, and
    `duplicate-cassette` where two tests of the file name one cassette."""
    chosen = [case for case in parsed.cases if select(case.name.text)]
    places = {case.name.text: cassette_of(case, parsed.source) for case in chosen}
    twice = [path for path, number in Counter(filter(None, places.values())).items() if number > 1]
    if twice:
        raise UserError(
            "duplicate-cassette",
            f"two tests of `{parsed.source.path}` name the cassette `{twice[0]}`, and each would leave its own answers",
            help="give one of them another file, or record one test with `-k NAME`",
            exit_code=EXIT_USAGE,
        )
    for case in chosen:
        path = places[case.name.text]
        if path is not None:
            _record(session, case, parsed.source, path)


def _record(session: Session, case: Case, source: SourceFile, path: Path) -> None:
    app, named = session.app, case.entry("workflow")
    assert named is not None  # a test without one is reported by the parser
    name = named.value.text if isinstance(named.value, Text | Word) else ""
    file = ProjectWorkflows(app).locate(name, Path(source.path).parent)
    checked = checked_workflow(session, file, {})
    if checked is None:
        raise UserError("invalid-workflow", f"the workflow `{file}` can't be run", exit_code=EXIT_INVALID)
    options = RunOptions(records=True, cassette=_from_root(app, path))
    run = app.start(checked, case_inputs(case), options, on_created=partial(_decide, app, case, checked))
    session.console.note(f"recorded {visible(str(path))}: {run.status.value}, run {run.id}")


def _decide(app: App, case: Case, checked: CheckedWorkflow, run: RunID) -> None:
    """The decisions of the test, before its gates open."""
    for answer in early_decisions(case, checked, app.settings.root, run, round(time.time() * 1000)):
        app.store.answer_gate(answer)


def _from_root(app: App, path: Path) -> str:
    root, whole = app.settings.root.absolute(), path.absolute()
    return str(whole.relative_to(root)) if whole.is_relative_to(root) else str(whole)
