"""A run that two processes take in at once is here once, and the one that came late says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runkon.model.ids import RunID
from runkon.store.care import bringing
from runkon.store.writer import Writer


class _Overtaken(Writer):
    """Before its first transaction begins, another process has taken in the same file."""

    def __init__(self, database: Path, overtake: Callable[[], object]) -> None:
        super().__init__(database, "full", 5.0)
        self.overtakes = [overtake]

    def transaction(self, work: Callable[[sqlite3.Cursor], Any], *, patience: float | None = None) -> Any:
        if self.overtakes:
            self.overtakes.pop()()
        return super().transaction(work, patience=patience)


def test_who_comes_second_finds_it_there(case: Any) -> None:
    case.wf('workflow x { script one { run = "echo 1" } }').run("run", "x.wf", "-q").exits(0)
    case.run("export", "@last", "one.db").exits(0)
    file, database = case.project / "one.db", case.project / "other.db"

    def bring(writer: Writer) -> bringing.Brought:
        with closing(writer):
            return bringing.bring(writer, database, file, case.project)

    first: list[bringing.Brought] = []
    late = bring(_Overtaken(database, lambda: first.append(bring(Writer(database, "full", 5.0)))))
    assert [one.is_new for one in first] == [True]
    assert (late.run, late.is_new) == (first[0].run, False)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def test_who_is_overtaken_while_looking_finds_it_there(case: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case.wf('workflow x { script one { run = "echo 1" } }').run("run", "x.wf", "-q").exits(0)
    case.run("export", "@last", "one.db").exits(0)
    file, database = case.project / "one.db", case.project / "other.db"
    look = bringing._is_taken
    overtaken = iter([True])

    def bring() -> bringing.Brought:
        with closing(Writer(database, "full", 5.0)) as writer:
            return bringing.bring(writer, database, file, case.project)

    def looked(path: Path, run: RunID) -> bool:
        if next(overtaken, False):
            assert bring().is_new
        return look(path, run)

    monkeypatch.setattr(bringing, "_is_taken", looked)
    late = bring()
    assert (late.run, late.is_new) == (late.was, False)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
