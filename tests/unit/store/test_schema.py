"""The tables, the generated schema and the statements say the same."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from runkon.model.status import RunStatus, StepStatus
from runkon.store import schema, statements
from runkon.store.tables import TABLES


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in schema.ddl():
        connection.execute(statement)
    return connection


def columns_of(table: str) -> set[str]:
    connection = database()
    found = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
    connection.close()
    return found


def test_the_schema_file_is_what_the_tables_generate() -> None:
    assert schema.SCHEMA_FILE.read_text(encoding="utf-8") == schema.generate()


def test_the_schema_command_prints_it() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "runkon.store.schema"], capture_output=True, text=True, check=True
    ).stdout
    assert printed == schema.SCHEMA_FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("model", TABLES, ids=lambda model: str(model.__tablename__))
def test_the_database_has_the_columns_of_the_classes(model: type) -> None:
    assert columns_of(model.__tablename__) == set(model.model_fields)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("runs", statements.RUN_NEW),
        ("events", statements.EVENT_COLUMNS),
        ("steps", statements.STEP_BEGUN),
        ("steps", statements.STEP_CLOSED),
        ("gates", statements.GATE_OPENED),
        ("gate_answers", statements.ANSWER_COLUMNS),
        ("sources", statements.SOURCE_COLUMNS),
        ("artifacts", statements.ARTIFACT_COLUMNS),
        ("artifact_refs", statements.ARTIFACT_REF_COLUMNS),
        ("schema_info", statements.SCHEMA_COLUMNS),
    ],
)
def test_the_statements_name_columns_that_exist(table: str, columns: tuple[str, ...]) -> None:
    assert set(columns) <= columns_of(table)
    assert len(columns) == len(set(columns))


def test_every_statement_fits_the_tables() -> None:
    connection = database()
    named = {name: text for name, text in vars(statements).items() if name.isupper() and isinstance(text, str)}
    checked = 0
    for text in named.values():
        if text.split()[0] in ("SELECT", "INSERT", "UPDATE"):
            numbered = [int(part[0]) for part in text.split("?")[1:] if part[:1].isdigit()]
            values = (None,) * (max(numbered) if numbered else text.count("?"))
            connection.execute(f"EXPLAIN {text}", values)
            checked += 1
    connection.close()
    assert checked >= 25


def test_what_every_step_writes_has_no_index_but_its_key() -> None:
    connection = database()
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name IN ('steps', 'events')"
    )
    assert [name for (name,) in found if not name.startswith("sqlite_autoindex")] == []
    plan = connection.execute(f"EXPLAIN QUERY PLAN {statements.SELECT_EVENTS}", (1, 0, 9)).fetchall()
    assert "PRIMARY KEY" in plan[0][3]
    connection.close()


@pytest.mark.parametrize(("table", "statuses"), [("runs", RunStatus), ("steps", StepStatus)])
def test_statuses_are_those_of_the_model_and_no_others(table: str, statuses: type[RunStatus]) -> None:
    connection = database()
    ddl = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    connection.close()
    assert {status for status in statuses if f"status = '{status}'" in ddl} == set(statuses)
    assert ddl.count("status = '") == len(statuses)


def test_an_unknown_status_is_refused() -> None:
    connection = database()
    row = ("R", "w", "w.wf", "dreaming", "live", 1, 0, None)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(statements.INSERT_RUN, row)
    connection.close()


def test_the_sqlite_store_does_not_load_sqlmodel() -> None:
    code = (
        "import sys, pathlib, tempfile\n"
        "from runkon.store.sqlite import SqliteRunStore\n"
        "from runkon.testing.store_story import Story\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    store = SqliteRunStore(pathlib.Path(folder) / 'runs.db')\n"
        "    story = Story(store); story.begin(); list(store.events(story.run)); store.close()\n"
        "heavy = {'sqlmodel', 'sqlalchemy', 'pydantic', 'asyncio', 'psutil'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
