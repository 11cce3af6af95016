"""`runkon export` and `db check --export`: a run as a file of its own; whole outputs."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

LARGE = """
workflow large {
  inputs { token secret }
  call big
  script two { run = "echo done" }
  outputs { said = two.context }
}
"""
SECRET = "hunter2hunter2"
BIG = """
from runkon import Output, executor

@executor("big")
def big(request):
    return Output(context="x" * 200_000)
"""


def exported(case: Any) -> Path:
    (file,) = case.project.glob("runkon-*.db")
    return Path(file)


def rows(file: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def large(case: Any) -> Any:
    case.file(".runkon/plugins/big.py", BIG).wf(LARGE).run(
        "run", "x.wf", "-i", f"token={SECRET}", "--until", "big", "-q"
    ).exits(0)
    case.run("resume", "-i", f"token={SECRET}", "-q").exits(0)
    return case


def test_a_run_is_written_to_one_file_that_says_the_same(large: Any) -> None:
    large.run("export", "@last").exits(0).stderr("""
        next: runkon show RUN --db TMP/project/runkon-RUN.db
        """)
    file = exported(large)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    large.stdout(f"""
        wrote 10 events to TMP/project/runkon-RUN.db
        sha256 {digest}
        """)
    assert file.with_name(f"{file.name}.sha256").read_text() == f"{digest}  {file.name}\n"
    assert [one.name for one in large.project.iterdir() if one.name.startswith(file.name)] in (
        [file.name, f"{file.name}.sha256"],
        [f"{file.name}.sha256", file.name],
    )
    large.run("db", "check", "--db", str(file)).exits(0).stdout("sound: 1 run, 10 events, 1 large value\n")
    shown = [
        json.loads(large.run("show", "@last", "--json", *words).exits(0).out) for words in ([], ["--db", str(file)])
    ]
    assert shown[0] == shown[1]
    here = large.project / ".runkon" / "runkon.db"
    for view in ("v_runs", "v_steps", "v_attempts", "v_costs"):
        columns = "*" if view != "v_runs" else "id, status, seconds, busy_seconds, leg, steps_done"
        assert rows(file, f"SELECT {columns} FROM {view}") == rows(here, f"SELECT {columns} FROM {view}"), view


def test_nothing_of_this_machine_and_no_secret_is_in_it(large: Any) -> None:
    large.run("export", "@last", "one.db").exits(0)
    content = (large.project / "one.db").read_bytes()
    for text in (str(large.folder), os.uname().nodename + "/", SECRET):
        assert text.encode() not in content, text
    assert rows(large.project / "one.db", "SELECT DISTINCT lease_owner FROM runs") == [(None,)]
    owners = rows(
        large.project / "one.db", "SELECT json_extract(payload, '$.owner') FROM events WHERE kind LIKE 'run_%'"
    )
    assert {owner for (owner,) in owners} == {"exported", None}
    large.run("export", "@last", "two.db", "--keep-paths").exits(0)
    assert str(large.project).encode() in (large.project / "two.db").read_bytes()


def test_other_runs_stay_out_of_it_and_answers_come_with_it(case: Any) -> None:
    case.wf('workflow x { gate human_approval { prompt = "go?" } script s { run = "true" } }').run("run", "x.wf", "-q")
    case.exits(4).run("approve", "@last", "-m", "why not").exits(0)
    case.run("run", "x.wf", "-q").exits(4)
    (first,) = rows(case.project / ".runkon" / "runkon.db", "SELECT min(id) FROM runs")
    case.run("export", first[0], "one.db", "--json").exits(0)
    assert json.loads(case.out)["events"] == rows(case.project / "one.db", "SELECT count(*) FROM events")[0][0]
    assert rows(case.project / "one.db", "SELECT id FROM runs") == [first]
    assert rows(case.project / "one.db", "SELECT run, choice, reason FROM gate_answers") == [(1, "approved", "why not")]


def test_what_is_there_is_never_overwritten(large: Any) -> None:
    large.file("one.db", "mine").run("export", "@last", "one.db").exits(2).stdout("").stderr("""
        error[file-exists]: `TMP/project/one.db` is there already and is not overwritten
          = help: name a file that is not there yet
        """)
    assert (large.project / "one.db").read_text() == "mine"
    large.run("export", "@last", "no/one.db").exits(2).stderr("""
        error[file-not-found]: there is no folder `TMP/project/no`
          = help: make it first, or name a file in a folder that is there
        """)
    large.run("export", "01NOSUCHRUN", "two.db").exits(6)
    assert not (large.project / "two.db").exists()


def test_of_a_damaged_run_what_comes_before_the_damage_is_written(large: Any) -> None:
    here = large.project / ".runkon" / "runkon.db"
    with closing(sqlite3.connect(here)) as connection:
        connection.execute("UPDATE events SET payload = 'x' WHERE kind = 'step_completed' AND path = 'two'")
        connection.commit()
    before = rows(here, "SELECT * FROM events")
    large.run("db", "check", "@last", "--export").exits(5)
    (why,) = [line for line in large.err.splitlines() if line.startswith("it ends before what can't be used: ")]
    assert "breaks rule E2 at event 9: found a payload that does not read back" in why
    file = exported(large)
    assert large.plain(large.out).splitlines()[-2] == "wrote 8 events to TMP/project/runkon-RUN.db"
    assert rows(here, "SELECT * FROM events") == before
    large.run("db", "check", "--db", str(file)).exits(0)
    assert rows(file, "SELECT path, status FROM steps ORDER BY path") == [("big", "completed"), ("two", "running")]


def test_a_sound_run_is_checked_and_written(large: Any) -> None:
    large.run("db", "check", "@last", "--export").exits(0)
    assert large.plain(large.out).splitlines()[:2] == [
        "sound: 1 run, 10 events, 1 large value",
        "wrote 10 events to TMP/project/runkon-RUN.db",
    ]
    large.run("db", "check", "--export").exits(2).stdout("").stderr("""
        error[wrong-use]: `--export` writes one run, and none was named
          = next: runkon db check RUN --export
        """)


def test_a_run_in_which_nothing_can_be_read_is_refused(large: Any) -> None:
    with closing(sqlite3.connect(large.project / ".runkon" / "runkon.db")) as connection:
        connection.execute("UPDATE events SET payload = 'x' WHERE kind = 'run_created'")
        connection.commit()
    large.run("export", "@last", "one.db").exits(5)
    assert "error[corrupt-run]" in large.err
    assert list(large.project.glob("one.db*")) == []


# ── taken in elsewhere ────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def elsewhere(large: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Another project, and the exported run beside it."""
    large.run("export", "@last", str(large.folder / "one.db")).exits(0)
    first, large.project = large.project, large.folder / "other"
    (large.project / ".runkon" / "plugins").mkdir(parents=True)
    (large.project / ".runkon" / "plugins" / "big.py").write_text(BIG)
    monkeypatch.chdir(large.project)
    large.first = first / ".runkon" / "runkon.db"
    return large


def everything(file: Path) -> dict[str, list[Any]]:
    return {
        table: rows(file, f"SELECT * FROM {table}") for table in ("runs", "events", "steps", "artifacts", "sources")
    }


def test_it_is_the_same_run_there(elsewhere: Any) -> None:
    elsewhere.run("import", "../one.db").exits(0).stdout("imported run RUN\n").stderr("next: runkon show RUN\n")
    elsewhere.run("db", "check").exits(0).stdout("sound: 1 run, 10 events, 1 large value\n")
    shown = [elsewhere.run("show", "@last", "--json", *words).out for words in ([], ["--db", str(elsewhere.first)])]
    assert json.loads(shown[0]) == json.loads(shown[1])
    elsewhere.run("explain", "@last", "big").exits(0)
    here = elsewhere.project / ".runkon" / "runkon.db"
    before = everything(here)
    elsewhere.run("import", "../one.db").exits(0).stdout("run RUN is here already; nothing was changed\n")
    assert everything(here) == before


def test_it_is_forked_and_not_resumed(elsewhere: Any) -> None:
    token = ["-i", f"token={SECRET}"]
    elsewhere.run("import", "../one.db").exits(0)
    elsewhere.run("resume", "@last", "--from", "two", *token).exits(6).stdout("").stderr("""
        error[not-resumable]: run `RUN` was imported: what it did, it did elsewhere
          = help: `--fork` makes a new run that keeps what this one has finished
          = next: runkon resume RUN --fork
        """)
    elsewhere.run("resume", "@last", "--from", "two", "--fork", *token).exits(0).stdout("said = done\n")
    elsewhere.run("logs", "@last", "two").exits(0).stdout("done\n")
    elsewhere.run("resume", "@last", *token).exits(0).stdout("said = done\n")


def test_it_is_cancelled_without_a_leg_of_its_own(elsewhere: Any) -> None:
    elsewhere.wf('workflow y { gate human_approval { prompt = "go?" } }').run("run", "x.wf", "-q").exits(4)
    elsewhere.run("export", "@last", "y.db").exits(0)
    elsewhere.run("import", "y.db", "--db", "other.db").exits(0)
    elsewhere.run("cancel", "@last", "--db", "other.db", "--wait", "1s").exits(0).stdout("run RUN is cancelled\n")
    assert "does not run: run `RUN` was imported" in elsewhere.plain(elsewhere.err)


def test_another_run_of_that_id_keeps_it(elsewhere: Any) -> None:
    elsewhere.run("import", "../one.db").exits(0)
    here = elsewhere.project / ".runkon" / "runkon.db"
    with closing(sqlite3.connect(here)) as connection:
        connection.execute("UPDATE events SET at = at + 1 WHERE kind = 'run_created'")
        connection.commit()
    elsewhere.run("import", "../one.db").exits(0).stdout("imported run RUN, which was RUN\n")
    assert len({run for (run,) in rows(here, "SELECT id FROM runs")}) == 2
    assert rows(here, "SELECT steps_done FROM v_runs") == [(2,), (2,)]


def test_a_run_that_can_not_be_read_here_keeps_its_id(elsewhere: Any) -> None:
    elsewhere.run("import", "../one.db").exits(0)
    here = elsewhere.project / ".runkon" / "runkon.db"
    with closing(sqlite3.connect(here)) as connection:
        connection.execute("UPDATE events SET payload = 'x' WHERE kind = 'run_created'")
        connection.commit()
    elsewhere.run("import", "../one.db").exits(0).stdout("imported run RUN, which was RUN\n")
    assert len({run for (run,) in rows(here, "SELECT id FROM runs")}) == 2


def test_no_folder_of_the_file_is_taken_for_one_of_here(elsewhere: Any) -> None:
    first, db = elsewhere.first.parent / "logs", elsewhere.folder / "two.db"
    elsewhere.run("export", "@last", str(db), "--keep-paths", "--db", str(elsewhere.first)).exits(0)
    (run,) = [folder for folder in first.iterdir() if list(folder.iterdir())]
    elsewhere.run("import", "../two.db").exits(0).run("db", "prune", "--keep", "0").exits(0)
    assert elsewhere.plain(elsewhere.out) == "took out 1 run\n"
    assert list(run.iterdir()), "the logs of the first project are gone"


def test_no_file_of_here_is_taken_for_its_cassette(elsewhere: Any) -> None:
    file = elsewhere.file("precious", "mine").project / "precious"
    elsewhere.file("y.wf", 'workflow y { script s { run = "true" } }')
    elsewhere.run("run", "y.wf", "-q", "--record", "--cassette", str(file)).exits(0)
    elsewhere.run("export", "@last", "y.db", "--keep-paths").exits(0)
    file.write_text("mine")
    elsewhere.run("import", "y.db", "--db", "other.db").exits(0)
    elsewhere.run("resume", "@last", "--db", "other.db").exits(0)
    assert file.read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE runs SET id = '../precious'", "`../precious` is not the id of a run"),
        ('ALTER TABLE steps ADD COLUMN "a""b" text', "its table `steps` has other columns"),
    ],
)
def test_a_file_that_was_made_to_deceive_is_refused(elsewhere: Any, change: str, said: str) -> None:
    file = elsewhere.folder / "one.db"
    file.with_name("one.db.sha256").unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(change)
        connection.commit()
    elsewhere.run("import", "../one.db").exits(5).stdout("")
    first, _, _ = elsewhere.plain(elsewhere.err).partition("\n")
    assert first == f"error[import-damaged]: `TMP/one.db` is not as it was written: {said}"


def test_nothing_is_taken_from_a_file_that_is_not_as_it_was_written(elsewhere: Any) -> None:
    file, said = elsewhere.folder / "one.db", "error[import-damaged]: `TMP/one.db` is not as it was written: "
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    elsewhere.run("import", "../one.db").exits(5).stdout("")
    assert "error[import-damaged]: `TMP/one.db` is not as it was written: its SHA-256 is " in elsewhere.plain(
        elsewhere.err
    )
    file.with_name("one.db.sha256").unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE steps SET status = 'failed' WHERE path = 'two'")
        connection.commit()
    elsewhere.run("import", "../one.db").exits(5)
    assert f"{said}rule " in elsewhere.plain(elsewhere.err)
    assert elsewhere.run("runs", "--json").exits(0).out.count("run_id") == 0


def test_what_is_no_exported_run_is_refused(elsewhere: Any) -> None:
    elsewhere.run("import", "no.db").exits(5).stdout("").stderr("""
        error[file-not-found]: there is no file `TMP/other/no.db`
          = help: name one that `runkon export` wrote
        """)
    elsewhere.file("words.db", "words, and no database " * 50).run("import", "words.db").exits(5)
    assert "error[store-corrupt]" in elsewhere.err
    elsewhere.run("import", "../one.db").exits(0)
    elsewhere.run("resume", "--fork", "@last", "-i", f"token={SECRET}").exits(0)
    elsewhere.run("db", "backup", "all.db").exits(0).run("import", "all.db").exits(2).stdout("").stderr("""
        error[import-unfit]: `TMP/other/all.db` holds 2 runs, not one
          = help: take a file that `runkon export` wrote; `--db FILE` looks into any other
        """)


def test_a_file_of_an_older_schema_is_taken_in_and_stays_as_it_was(elsewhere: Any) -> None:
    file = elsewhere.folder / "one.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE schema_info SET number = 2")
        connection.commit()
    content = file.read_bytes()
    file.with_name("one.db.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  one.db\n")
    there = sorted(elsewhere.folder.iterdir())
    elsewhere.run("import", "../one.db").exits(0).stderr("next: runkon show RUN\n")
    assert file.read_bytes() == content
    assert sorted(elsewhere.folder.iterdir()) == there
    assert "is here already" in elsewhere.run("import", "../one.db").exits(0).out


def test_what_killed_exports_have_left_is_removed_by_the_next(elsewhere: Any) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left, others = f"z.db.{gone.pid}.part", (f"z.db.{os.getpid()}.part", "z.db.x.part", f"y.db.{gone.pid}.part")
    for name in (left, f"{left}-wal", *others):
        elsewhere.file(name, "")
    elsewhere.run("import", "../one.db").exits(0)
    elsewhere.run("export", "@last", "z.db").exits(0)
    found = {place.name for place in elsewhere.project.glob("*.part*")}
    assert found == set(others) - {f"z.db.{os.getpid()}.part"}  # its own is the one it has written
