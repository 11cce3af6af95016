"""The rules of the language, one case of data each: `language/*.toml` say what a text means or what is wrong with it.

The form of a case, and where each rule of the specification is, stands in README.md.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from runkon.language.cache import ParsedFiles
from runkon.language.check import check
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.formatter import format_source
from runkon.language.loader import read_source
from runkon.language.parser import parse
from runkon.language.program import CheckResult, ParseResult
from runkon.language.project import Project
from runkon.language.source import SourceFile

from .facts import look_up, plain

Case = Mapping[str, Any]

FOLDER = Path(__file__).parent / "language"
RANGES = {"L": 20, "H": 25, "C": 28, "B": 26, "P": 12, "G": 22, "S": 8, "E": 8, "V": 38, "D": 34, "A": 14}
EXECUTORS = (*"abcdefmrstz", "script", "inner", "outer", "fix", "review", "scan")
KEYS = {"id", "body", "source", "entry", "level", "files", "executable", "executors", "runtimes"} | {
    "errors", "warnings", "facts", "elsewhere", "later"
}  # fmt: skip


def load() -> list[Case]:
    found: list[Case] = []
    for file in sorted(FOLDER.glob("*.toml")):
        found += tomllib.loads(file.read_text("utf-8"))["case"]
    return found


ALL = load()
CASES = [case for case in ALL if "source" in case or "body" in case]


def text_of(case: Case) -> str:
    return case["source"] if "source" in case else f"workflow w {{ {case['body']} }}"


def lay_out(case: Case, folder: Path) -> SourceFile:
    """The project of a case on disk; its own file as people would name it."""
    (folder / ".runkon").mkdir()
    for name, text in case.get("files", {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if name in case.get("executable", ()) else 0o644)
    entry = case.get("entry", "case.wf")
    (folder / entry).parent.mkdir(parents=True, exist_ok=True)
    (folder / entry).write_bytes(text_of(case).encode("utf-8"))
    return read_source(Path(entry), entry)


def findings(case: Case, source: SourceFile) -> tuple[ParseResult, CheckResult | None, Sequence[Diagnostic]]:
    files = ParsedFiles(None)
    parsed = files.parse(source)
    if case.get("level", "parse") == "parse":
        return parsed, None, parsed.diagnostics
    assert parsed.ok, parsed.diagnostics
    names = {"executor": case.get("executors", EXECUTORS), "runtime": case.get("runtimes", ())}
    result = check(parsed, parsed.workflows[0], Project(Path.cwd(), names, files))  # type: ignore[arg-type]
    return parsed, result, [*parsed.diagnostics, *result.diagnostics]


def agrees(found: Diagnostic, expected: Mapping[str, Any], source: SourceFile) -> bool:
    """True if a finding is the expected one: code, place (`at` is the text under the first caret), words."""
    if "at" in expected:
        start = source.text.index(expected["at"])
        if (found.span.file, found.span.start) != (source.path, start):
            return False
    if "related" in expected:
        places = [related.span.start for related in found.related]
        if places != [source.text.index(expected["related"])]:
            return False
    return (
        expected.get("code", found.code) == found.code
        and expected.get("line", found.span.line) == found.span.line
        and expected.get("says", "") in f"{found.message} {found.label}"
        and expected.get("help", "") in (found.help or "")
    )


def compare(kind: Severity, found: Sequence[Diagnostic], case: Case, source: SourceFile) -> None:
    here = [one for one in found if one.severity is kind]
    expected = case.get(f"{kind.value}s", ())
    assert len(here) == len(expected), here
    for one, wanted in zip(here, expected, strict=True):
        assert agrees(one, wanted, source), (one, wanted)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_a_text_means_what_its_case_says(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = lay_out(case, tmp_path)
    parsed, result, found = findings(case, source)
    compare(Severity.ERROR, found, case, source)
    compare(Severity.WARNING, found, case, source)
    for path, value in case.get("facts", {}).items():
        assert fact(path, parsed, result) == value, path


def fact(path: str, parsed: ParseResult, result: CheckResult | None) -> object:
    """A fact of the entry workflow, or, behind `@`, of what surrounds it: `@workflows`, `@source`, `@facts`."""
    head, _, rest = path.partition(".")
    match head:
        case "@workflows":
            return [workflow.name for workflow in parsed.workflows]
        case "@source":
            return look_up(parsed.source, rest)
        case "@facts":
            assert result is not None
            return look_up(result.facts, rest)
        case "@checked":
            assert result is not None
            return plain(result.checked is not None)
        case _:
            return look_up(parsed.workflows[0], path)


@pytest.mark.parametrize("case", [c for c in CASES if not c.get("errors")], ids=lambda case: case["id"])
def test_a_good_text_keeps_its_meaning_when_formatted(case: Case) -> None:
    source = SourceFile("case.wf", text_of(case).removeprefix("\ufeff"))
    formatted, _ = format_source(source)
    assert formatted is not None
    before, after = parse(source).workflows, parse(SourceFile("case.wf", formatted)).workflows
    assert [w.body for w in after] == [w.body for w in before]
    assert [(w.meta, w.inputs, w.outputs, w.always) for w in after] == [
        (w.meta, w.inputs, w.outputs, w.always) for w in before
    ]


@pytest.mark.parametrize("case", [c for c in CASES if c.get("level", "parse") == "parse"], ids=lambda case: case["id"])
def test_the_cache_answers_as_the_parser_does(case: Case, tmp_path: Path) -> None:
    source = SourceFile("case.wf", text_of(case).removeprefix("\ufeff"))
    first = ParsedFiles(tmp_path).parse(source)
    again = ParsedFiles(tmp_path).parse(source)
    assert (again.workflows, again.diagnostics) == (first.workflows, first.diagnostics)
    assert [w.span for w in again.workflows] == [w.span for w in first.workflows]


# ── the data itself ───────────────────────────────────────────────────────────────────────────────
def test_every_rule_of_the_specification_has_a_case_or_a_reason() -> None:
    wanted = {f"{letter}{number}" for letter, last in RANGES.items() for number in range(1, last + 1)}
    there = {case["id"].partition(".")[0] for case in ALL}
    assert wanted - there == set()


def test_cases_are_written_as_the_runner_reads_them() -> None:
    ids = [case["id"] for case in ALL]
    assert [one for one in ids if ids.count(one) > 1] == []
    assert [(case["id"], key) for case in ALL for key in case if key not in KEYS] == []
    for case in ALL:
        assert ("source" in case) + ("body" in case) + ("elsewhere" in case) + ("later" in case) == 1, case["id"]


def test_cases_told_elsewhere_are_there() -> None:
    here = Path(__file__).parent
    named = [(case["id"], case["elsewhere"]) for case in ALL if "elsewhere" in case]
    assert named
    assert [(one, file) for one, file in named if not os.path.exists(here / file)] == []
