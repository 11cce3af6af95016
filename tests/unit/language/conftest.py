"""Fixtures for tests of checks: a text goes in, its findings come out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from runkon.language.check import check
from runkon.language.diagnostics import Diagnostic
from runkon.language.parser import parse
from runkon.language.program import Catalog, CheckResult, LoadedWorkflow, Located
from runkon.language.source import SourceFile


@dataclass
class FakeCatalog(Catalog):
    """A world made of dictionaries. `everything` makes every agent, snippet, schema and script exist."""

    known: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"runtime": ("any",)})
    files: Mapping[tuple[str, str], Located] = field(default_factory=dict)
    workflows: Mapping[str, str] = field(default_factory=dict)
    everything: bool = True

    def knows(self, kind: str, name: str) -> bool:
        return name in self.known.get(kind, ()) or (self.everything and kind == "executor")

    def names(self, kind: str) -> Sequence[str]:
        return self.known.get(kind, ())

    def locate(self, kind: str, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        found = self.files.get((kind, name))
        if found is not None:
            return found
        return Located(Path(name), ()) if self.everything else Located(None, (f".runkon/{kind}s/{name}",))

    def workflow(self, name: str, caller: SourceFile) -> LoadedWorkflow:
        text = self.workflows.get(name)
        if text is None:
            return LoadedWorkflow(None, None, (f".runkon/workflows/{name}.wf",))
        source = SourceFile(f"{name}.wf", text)
        parsed = parse(source)
        if not parsed.ok:
            return LoadedWorkflow(None, source, (), "it does not parse")
        return LoadedWorkflow(parsed.workflows[0], source)


Checker = Callable[..., CheckResult]
Codes = Callable[..., list[str]]


@pytest.fixture
def checked() -> Checker:
    """Check the first workflow of a text (`W{ … }` stands for `workflow w { … }`); the text must parse."""

    def run(text: str, catalog: FakeCatalog | None = None, **options: object) -> CheckResult:
        source = SourceFile("w.wf", text.replace("W{", "workflow w {"))
        parsed = parse(source)
        assert parsed.ok, parsed.diagnostics
        return check(parsed, parsed.workflows[0], catalog or FakeCatalog(), **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def codes(checked: Checker) -> Codes:
    """The codes found in a text, in order."""

    def run(text: str, catalog: FakeCatalog | None = None) -> list[str]:
        return [found.code for found in checked(text, catalog).diagnostics]

    return run


@pytest.fixture
def only(checked: Checker) -> Callable[..., Diagnostic]:
    """The single finding of a text."""

    def run(text: str, catalog: FakeCatalog | None = None) -> Diagnostic:
        (found,) = checked(text, catalog).diagnostics
        return found

    return run


@pytest.fixture
def catalog() -> type[FakeCatalog]:
    return FakeCatalog
