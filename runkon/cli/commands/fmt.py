"""`runkon fmt`: one canonical layout for workflow files. Comments are kept, broken files are not touched."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from runkon.cli.complaints import user_error
from runkon.cli.files import replace_text, workflow_files
from runkon.cli.findings import show_findings
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.cli.streams import standard_input
from runkon.errors import EXIT_FAILED, EXIT_INVALID, EXIT_OK, UserError
from runkon.language.columns import visible
from runkon.language.loader import decode, read_source
from runkon.language.source import SourceFile
from runkon.model.output import JsonValue
from runkon.named import NamedTuple

STDIN = "-"
CASE_SUFFIX = ".wftest"


class _Wanted(NamedTuple):
    """What to do with a file whose layout differs."""

    check: bool
    diff: bool


@runkon_command(
    "fmt",
    summary="""Format workflow files in place. A file with errors stays as it is.

    FILES are files, names, or folders, or `-` to format standard input to standard output; without them, every
    workflow of this folder and of the project, and the tests beside them.""",
)
@click.argument("files", nargs=-1)
@click.option("--check", cls=VariableOption, is_flag=True, help="change nothing; exit code 1 if a file would change")
@click.option("--diff", cls=VariableOption, is_flag=True, help="change nothing; print what would change")
@click.pass_obj
def command(session: Session, files: tuple[str, ...], *, check: bool, diff: bool) -> int:
    wanted = _Wanted(check, diff)
    if STDIN in files:
        return _stdin(session, wanted)
    exit_code, entries = EXIT_OK, list[JsonValue]()
    for path in workflow_files(session.app, files, with_cases=True):
        code, is_changed = _one(session, path, wanted)
        exit_code = max(exit_code, code)
        entries.append({"file": str(path), "ok": code in (EXIT_OK, EXIT_FAILED), "changed": is_changed})
    if session.as_json:
        session.console.data({"schema": "runkon.fmt/1", "fmt": entries})
    return exit_code


def _one(session: Session, path: Path, wanted: _Wanted) -> tuple[int, bool]:
    """Format one file; its exit code, and whether its layout was another."""
    try:
        source = read_source(path, str(path))
        text = _formatted(session, source)
        if text is None:
            return EXIT_INVALID, False
        if text == source.text:
            return EXIT_OK, False
        if not (wanted.check or wanted.diff):
            replace_text(path, text)
    except UserError as error:
        session.console.error(user_error(error, color=session.console.err_color))
        return error.exit_code, False
    _report(session, source, text, wanted)
    return (EXIT_FAILED if wanted.check else EXIT_OK), True


def _report(session: Session, source: SourceFile, text: str, wanted: _Wanted) -> None:
    if session.as_json:
        return
    if wanted.diff:
        for line in _diff(source, text):
            session.console.result(_colored(session, line))
    elif wanted.check:
        session.console.result(f"would format {visible(source.path)}")
    else:
        session.console.note(f"formatted {visible(source.path)}")


def _stdin(session: Session, wanted: _Wanted) -> int:
    source = SourceFile("<stdin>", decode(standard_input("`fmt -`"), "<stdin>"))
    text = _formatted(session, source)
    if text is None:
        return EXIT_INVALID
    if wanted.diff:
        _report(session, source, text, wanted)
    elif not wanted.check:
        sys.stdout.buffer.write(text.encode("utf-8", "surrogatepass"))
    return EXIT_FAILED if wanted.check and text != source.text else EXIT_OK


def _formatted(session: Session, source: SourceFile) -> str | None:
    """The canonical text; None after the errors were shown."""
    from runkon.language.formatter import format_cases, format_source  # late: it brings the whole layout engine

    if source.path.endswith(CASE_SUFFIX):
        from runkon.language.case_parser import parse_cases  # late: for files of tests only

        cases = parse_cases(source)
        text, diagnostics = format_cases(cases), cases.diagnostics
    else:
        text, diagnostics = format_source(source, parsed=session.app.parsed_files.parse(source))
    if text is None:
        show_findings(session.console, diagnostics, source)
    return text


def _diff(source: SourceFile, text: str) -> Iterator[str]:
    import difflib  # late: for `--diff` only

    before, after = source.text.split("\n"), text.split("\n")
    lines = difflib.unified_diff(before, after, f"{source.path} (as it is)", f"{source.path} (formatted)", lineterm="")
    return (visible(line) for line in lines)


def _colored(session: Session, line: str) -> str:
    style = {"+": "good", "-": "bad", "@": "quiet"}.get(line[:1], "info")
    return session.console.paint_out(style, line)
