"""`runkon test`: run the `.wftest` files of a project. Nothing is called, nothing waits, nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from runkon.cli.case_files import ProjectWorkflows, case_files, read_cases
from runkon.cli.files import replace_text
from runkon.cli.junit import write_junit
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.errors import EXIT_FAILED, EXIT_OK, EXIT_USAGE, UserError
from runkon.language.case_nodes import ParsedCases
from runkon.language.columns import visible
from runkon.model.output import JsonValue
from runkon.testing.cases import CaseResult, run_file, updated
from runkon.views.times import counted

_STYLES = {"passed": "good", "failed": "bad", "error": "bad"}


@runkon_command(
    "test",
    summary="""Run the tests of workflows: their steps are answered by the test, and time is virtual.

    PATHS are .wftest files or folders; without them, those of this folder and of the project.""",
)
@click.argument("paths", nargs=-1)
@click.option("-k", "word", cls=VariableOption, metavar="TEXT", help="only tests with TEXT in their name or file")
@click.option("--update", cls=VariableOption, is_flag=True, help="make failed tests expect what happened")
@click.option(
    "--record", cls=VariableOption, is_flag=True,
    help="first run the workflows of tests with a `cassette` for real, and leave their answers there",
)  # fmt: skip
@click.option("--junit", cls=VariableOption, metavar="FILE", help="write the results as JUnit XML too")
@click.pass_obj
def command(
    session: Session, paths: tuple[str, ...], *, word: str | None, update: bool, record: bool, junit: str | None
) -> int:
    workflows = ProjectWorkflows(session.app)
    results: list[CaseResult] = []
    changed: list[Path] = []
    for path in case_files(session.app, paths):
        parsed = read_cases(path)
        mine, is_meant = [], partial(_is_meant, path=path, word=word)
        if record:
            from runkon.cli.case_recording import record_cases  # late: where it was asked for

            record_cases(session, parsed, is_meant)
        for result in run_file(parsed, workflows, select=is_meant):
            mine.append(result)
            if not update:
                _show(session, result)
        if update:
            mine, is_changed = _updated(path, parsed, mine, workflows, word)
            changed += [path] if is_changed else []
            for result in mine:
                _show(session, result)
        results += mine
    if not results:
        raise UserError("no-tests", f"no test has `{word}` in its name or file", exit_code=EXIT_USAGE)
    if junit is not None:
        write_junit(Path(junit), results)
    _close(session, results, changed)
    return EXIT_OK if all(result.passed for result in results) else EXIT_FAILED


def _is_meant(name: str, path: Path, word: str | None) -> bool:
    return word is None or word.casefold() in name.casefold() or word.casefold() in str(path).casefold()


def _updated(
    path: Path, parsed: ParsedCases, results: Sequence[CaseResult], workflows: ProjectWorkflows, word: str | None
) -> tuple[list[CaseResult], bool]:
    """The results once the file expects what happened, and whether it was written."""
    text = updated(parsed.source, results)
    if text is None:
        return list(results), False
    replace_text(path, text)
    again = run_file(read_cases(path), workflows, select=partial(_is_meant, path=path, word=word))
    return list(again), True


def _show(session: Session, result: CaseResult) -> None:
    if session.as_json:
        return
    console = session.console
    word = console.paint_out(_STYLES[result.outcome], result.outcome)
    place = f"{visible(result.source.path)}:{result.span.line}"
    if not result.passed or not console.is_quiet:
        console.result(f"{word}  {place}  {visible(result.name)}")
    if not result.passed:
        console.result(f"\n{result.text(color=console.out_color)}\n")


def _close(session: Session, results: Sequence[CaseResult], changed: Sequence[Path]) -> None:
    if session.as_json:
        session.console.data(
            {
                "schema": "runkon.test/1",
                "ok": all(result.passed for result in results),
                "test": [_object(result) for result in results],
                "updated": [str(path) for path in changed],
            }
        )
        return
    numbers = {word: sum(result.outcome == word for result in results) for word in ("passed", "failed", "error")}
    said = [f"{numbers['passed']} passed", f"{numbers['failed']} failed" if numbers["failed"] else ""]
    said.append(counted(numbers["error"], "error") if numbers["error"] else "")
    for path in changed:
        session.console.note(f"updated {visible(str(path))}")
    session.console.note(", ".join(filter(None, said)))


def _object(result: CaseResult) -> JsonValue:
    findings: list[JsonValue] = [
        {
            "code": found.code,
            "message": found.message,
            "found": found.label or None,
            "help": found.help,
            "line": found.span.line,
            "column": found.span.column,
        }
        for found in result.findings
    ]
    return {
        "file": result.source.path,
        "line": result.span.line,
        "name": result.name,
        "outcome": result.outcome,
        "duration_ms": round(result.seconds * 1000),
        "findings": findings,
    }
