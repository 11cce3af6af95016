"""Every finding as people see it: `errors/CODE.wf` is a text that has it, `errors/CODE.error` all that is printed.

Set RUNKON_UPDATE=1 to write the `.error` files from what happens now, and review the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runkon.executors.agents.finding import judge_of
from runkon.executors.agents.generator import Generator
from runkon.language.cache import ParsedFiles
from runkon.language.check import check
from runkon.language.checks.unsupported import unsupported
from runkon.language.diagnostics import CATALOGUE, Diagnostic
from runkon.language.loader import read_source
from runkon.language.project import Project
from runkon.language.render import render_all

ERRORS = Path(__file__).parent / "errors"
SOURCES = Path(__file__).parents[2] / "runkon"
CASES = sorted(path.name.removesuffix(".wf") for path in ERRORS.glob("*.wf"))
EXECUTORS = ("build", "review", "script")
UPDATE = bool(os.environ.get("RUNKON_UPDATE"))


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)  # messages name files as somebody in the project would
    locked = ERRORS / ".runkon" / "scripts" / "locked.sh"
    locked.chmod(0o644)  # whatever the checkout made of it


def findings(case: str) -> tuple[str, list[Diagnostic]]:
    """What `validate` prints for a case (`run`, for what only `run` reports), and the findings themselves."""
    source = read_source(ERRORS / f"{case}.wf", f"{case}.wf")
    files = ParsedFiles(None)
    parsed = files.parse(source)
    found = list(parsed.diagnostics)
    if parsed.ok:
        project = Project(ERRORS, {"executor": EXECUTORS}, files, judge_of({"test": Generator()}, {}, {}))
        results = [check(parsed, workflow, project) for workflow in parsed.workflows]
        found += [finding for result in results for finding in result.diagnostics]
        if case.startswith("unsupported") and (checked := results[0].checked) is not None:
            found += unsupported(checked.workflow, checked.children)
    found = list(dict.fromkeys(found))
    return render_all(found, source) + "\n", found


@pytest.mark.parametrize("case", CASES)
def test_the_finding_is_printed_in_full(case: str) -> None:
    printed, found = findings(case)
    expected = ERRORS / f"{case}.error"
    if UPDATE:
        expected.write_text(printed, encoding="utf-8")
    assert case.partition("--")[0] in {each.code for each in found}
    assert printed == expected.read_text(encoding="utf-8")


def test_every_code_has_a_case_and_every_case_a_code() -> None:
    assert {case.partition("--")[0] for case in CASES} == set(CATALOGUE)


def test_every_expectation_belongs_to_a_case() -> None:
    assert sorted(path.name.removesuffix(".error") for path in ERRORS.glob("*.error")) == CASES


def test_every_code_is_emitted_somewhere() -> None:
    wording = ("diagnostics.py", "wording.py")
    text = "".join(path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py") if path.name not in wording)
    assert [code for code in CATALOGUE if f'"{code}"' not in text] == []


@pytest.mark.parametrize("code", CATALOGUE)
def test_wording_keeps_to_the_rules(code: str) -> None:
    wording = CATALOGUE[code]
    assert wording.about
    assert not wording.about.endswith(".")
    for text in (wording.message, wording.label):
        assert not text.endswith(".")
        assert text[:1] == text[:1].lower()
    assert code == code.lower()
    assert " " not in code
