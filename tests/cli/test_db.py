"""`runkon db`: what it prints, and with which exit code it ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runkon.store import connections, networks

from .conftest import Case

FIXTURE = Path(__file__).parents[1] / "fixtures" / "store" / "schema-1.sql"
TWO = """
    workflow x {
      script one {
        run = "echo 1"
      }
      script two {
        run = "test -e ready"
      }
    }
"""
PLUGIN = """
    from runkon import executor

    @executor("big")
    def big(request):
        print("called")
        return {"context": "z" * 100_000}
"""


def database(case: Case) -> Path:
    return case.project / ".runkon" / "runkon.db"


def change(case: Case, statement: str) -> None:
    connection = sqlite3.connect(database(case), isolation_level=None)
    assert connection.execute(statement).rowcount > 0
    connection.close()


def test_alone_it_says_what_it_can(case: Case) -> None:
    case.run("db").exits(0)
    for verb in ("path", "check", "rebuild", "backup", "migrate", "gc", "prune"):
        assert f"\n  {verb} " in case.out
    case.run("db", "nonsense").exits(2).stderr(
        "error[wrong-use]: no such command `nonsense`\n  = next: runkon db --help\n"
    )


def test_path(case: Case) -> None:
    case.run("db", "path").exits(0).stdout("TMP/project/.runkon/runkon.db\n").stderr("")
    case.run("db", "path", "--db", "other.db", "--json").exits(0)
    assert case.json() == {"schema": "runkon.db/1", "path": str(case.project / "other.db"), "exists": False}


def test_before_the_first_run(case: Case) -> None:
    case.run("db", "check").exits(0).stdout("there is no database yet: TMP/project/.runkon/runkon.db\n")
    case.run("db", "gc").exits(0).stdout("nothing to remove\n")
    for words in (("backup", "copy.db"), ("migrate",)):
        case.run("db", *words).exits(5).stderr(
            """
            error[store-empty]: there is no database at `TMP/project/.runkon/runkon.db` yet
              = help: the first run makes it
              = next: runkon run FILE
        """.replace("            ", "").rstrip(" ")
        )
    assert not database(case).exists()


def test_a_changed_row_is_found_repaired_and_the_run_goes_on(case: Case) -> None:
    case.wf(TWO).run("run", "x.wf").exits(1)
    case.run("db", "check").exits(0).stderr("")
    assert case.out.startswith("sound: 1 run, ")
    change(case, "UPDATE steps SET status = 'failed' WHERE path = 'one'")
    case.run("db", "check").exits(5).stdout(
        """
        run RUN · event 5 · step one · rule I6
          found:    in `steps` for `one`, epoch 1: status `failed`
          expected: status `completed`
          = next: runkon db rebuild RUN
    """.replace("        ", "", 1)
        .replace("\n        ", "\n")
        .rstrip(" ")
    )
    assert case.err.endswith(": 1 problem\n")
    case.run("db", "check", "@last", "--json").exits(5)
    found = case.json()
    assert (found["ok"], found["runs"], len(found["problems"])) == (False, 1, 1)
    assert found["problems"][0]["rule"] == "I6"
    case.run("resume", "@last").exits(5)
    assert "error[corrupt-run]" in case.err
    assert "runkon db " in case.err
    case.run("db", "rebuild", "@last").exits(0).stdout(
        "was: in `steps` for `one`, epoch 1: status `failed`; is now: status `completed`\n"
    )
    case.run("db", "rebuild", "@last").exits(0).stdout("the rows are what the events say; nothing was changed\n")
    case.file("ready", "").run("resume", "@last").exits(0)
    case.run("db", "check").exits(0)


def test_a_damaged_output_is_told_planned_and_made_again(case: Case) -> None:
    case.file(".runkon/plugins/big.py", PLUGIN)
    case.wf('workflow x {\n  call a { executor = "big" }\n  script two {\n    run = "test -e ready"\n  }\n}\n')
    case.run("run", "x.wf").exits(1)
    (blob,) = [file for file in (case.project / ".runkon" / "blobs").glob("??/*") if file.is_file()]
    content = bytearray(blob.read_bytes())
    content[5_000] ^= 1
    blob.write_bytes(content)
    said = f"artifact `{blob.name[:12]}…` has changed: its bytes have another SHA-256"
    case.run("db", "check").exits(5).stdout(
        f"run RUN · event 4 · step a · rule I7\n  found:    {said}\n  expected: the bytes that its id names\n"
        "  = next: runkon resume RUN\n"
    )
    case.run("show", "@last", "a").exits(0)
    assert f"damaged: {said}; a resume runs the step again\n" in case.out
    case.run("show", "@last").exits(1 if case.code else 0)
    assert f"can't be used, runs again: {said}" in case.out
    case.run("resume", "@last", "--dry-run").exits(0)
    assert said in case.out
    assert blob.read_bytes() == content
    case.file("ready", "").run("resume", "@last").exits(0)
    case.run("db", "check").exits(0)


def test_a_damaged_output_of_a_step_that_writes_is_asked_about(case: Case) -> None:
    block = '<<<FLOW_OUTPUT>>>\n{"big": "' + "y" * 80_000 + '"}\n<<<END_FLOW_OUTPUT>>>\n'
    case.file("big.txt", block).wf(
        'workflow x {\n  script a { run = "echo a >> calls; cat big.txt" }\n  script two { run = "test -e ready" }\n}\n'
    )
    case.run("run", "x.wf").exits(1)
    (blob,) = [file for file in (case.project / ".runkon" / "blobs").glob("??/*") if file.is_file()]
    blob.write_bytes(blob.read_bytes()[:-1])
    case.file("ready", "").run("resume", "@last", "--dry-run").exits(0)
    assert "; it writes\n" in case.out
    case.run("resume", "@last").exits(4)
    assert "running it again does its work twice" in case.err
    case.run("answer", "@last:unknown:a", "--set", "decision=done").exits(0)
    case.run("resume", "@last").exits(0)
    assert (case.project / "calls").read_text() == "a\n"


def test_backup_and_what_it_does_not_overwrite(case: Case) -> None:
    case.wf(TWO).run("run", "x.wf").exits(1)
    case.run("db", "backup", "copy.db").exits(0).stdout("copied 1 run to TMP/project/copy.db\n").stderr("")
    case.run("db", "backup", "copy.db").exits(2).stderr(
        "error[file-exists]: `TMP/project/copy.db` is there already and is not overwritten\n"
        "  = help: name a file that is not there yet\n"
    )
    case.run("db", "check", "--db", "copy.db", "--json").exits(0)
    assert case.json()["ok"] is True
    case.file("ready", "").run("resume", "@last", "--db", "copy.db").exits(0)
    case.run("runs", "--status", "failed", "--json").exits(0)
    assert len(case.json()["runs"]) == 1


def old_database(case: Case) -> None:
    connection = sqlite3.connect(database(case))
    connection.executescript(FIXTURE.read_text(encoding="utf-8").replace("@FOLDER@", str(case.project)))
    connection.close()


def test_an_older_database_is_brought_up_to_date_and_its_runs_go_on(case: Case) -> None:
    old_database(case)
    case.run("db", "migrate").exits(0).stdout("schema 1 → 3; the copy before is TMP/project/.runkon/runkon.db.bak-1\n")
    case.run("db", "migrate").exits(0).stdout("schema 3: nothing to do\n")
    case.run("db", "check").exits(0).stdout("sound: 2 runs, 23 events\n")
    case.file("repaired", "").run("runs", "--json").exits(0)
    cut, story = (run["run_id"] for run in case.json()["runs"])
    case.run("resume", story).exits(0)
    case.run("show", story, "--json").exits(0)
    steps = {step["path"]: step for step in case.json()["steps"]}
    assert {path: step["status"] for path, step in steps.items()} == {
        "first": "completed",
        "flaky": "completed",
        "extra": "failed",
        "never": "skipped",
        "last": "completed",
    }
    assert (steps["flaky"]["attempts"], steps["first"]["attempts"], steps["last"]["attempts"]) == (2, 1, 2)
    case.run("resume", cut)
    assert case.code in (0, 4), case.err
    case.run("db", "check").exits(0)


def test_any_command_brings_an_older_database_up_to_date(case: Case) -> None:
    old_database(case)
    case.run("runs", "--json").exits(0).stderr(
        "note: `TMP/project/.runkon/runkon.db` was brought from schema 1 to 3; the copy before is "
        "`TMP/project/.runkon/runkon.db.bak-1`\n"
    )
    assert [run["workflow"] for run in case.json()["runs"]] == ["cut", "story"]


def test_a_newer_database_is_left_alone(case: Case) -> None:
    case.wf(TWO).run("run", "x.wf").exits(1)
    change(case, "INSERT INTO schema_info VALUES (9, 'later', 1, '9.9')")
    before = database(case).read_bytes()
    for words in (("runs",), ("db", "check"), ("db", "migrate"), ("run", "x.wf"), ("db", "backup", "copy.db")):
        case.run(*words).exits(5).stderr(
            "error[store-too-new]: `TMP/project/.runkon/runkon.db` was written by a newer runkon "
            "(schema 9, this one knows 3)\n"
            "  = help: nothing was changed; update runkon, or choose another file with `--db`\n"
        )
    assert database(case).read_bytes() == before


def test_a_database_on_a_network(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = case.file("mounts", f"server:/x {case.project} nfs rw 0 0\n").project / "mounts"
    monkeypatch.setattr(networks, "MOUNTS", mounts)
    monkeypatch.setattr(connections, "_is_on_a_disk", lambda path: False)
    case.wf(TWO).run("run", "x.wf").exits(5).stderr(
        "error[store-on-network]: `TMP/project/.runkon/runkon.db` is on a network file system (nfs), "
        "where two engines can damage each other's records\n"
        "  = help: choose a place on a disk of this machine with `--db PATH`; with `--allow-network-store` "
        "it is used all the same, slower, and from one machine at a time only\n"
    )
    assert not database(case).exists()
    case.file("ready", "").run("run", "x.wf", "--allow-network-store").exits(0)
    assert "warning: `TMP/project/.runkon/runkon.db` is on a network file system (nfs);" in case.plain(case.err)
    case.env(RUNKON_ALLOW_NETWORK_STORE="1").run("db", "check").exits(0)


def test_what_is_not_there_is_said(case: Case) -> None:
    case.run("db", "check", "--db", "typo.db").exits(0).stdout("there is no database yet: TMP/project/typo.db\n")
    case.wf(TWO).file("ready", "").run("run", "x.wf").exits(0)
    case.run("db", "backup", "away/copy.db").exits(2).stderr(
        "error[file-not-found]: there is no folder `TMP/project/away`\n"
        "  = help: make it first, or name a file in a folder that is there\n"
    )
    case.run("db", "--help").exits(0)
    assert "  rebuild  make the rows of a run anew from its events\n" in case.out


def test_prune_takes_out_old_runs_that_have_ended(case: Case) -> None:
    case.wf(TWO).file("ready", "")
    for _ in range(3):
        case.run("run", "x.wf").exits(0)
    case.run("run", "x.wf", "--until", "one").exits(0)
    newest = [run["run_id"] for run in case.run("runs", "--json").json()["runs"]]
    logs = case.project / ".runkon" / "logs"
    assert len(list(logs.iterdir())) == 4
    case.run("db", "prune").exits(2).stderr(
        "error[missing-option]: the option `--keep N` is missing\n  = next: runkon db prune --help\n"
    )
    case.run("db", "prune", "--keep", "1").exits(0).stdout("took out 2 runs\n").stderr(
        "next: runkon db gc        (large values that nobody needs any more)\n"
    )
    case.run("runs", "--json").exits(0)
    kept = [run["run_id"] for run in case.json()["runs"]]
    assert kept == newest[:2]
    assert sorted(folder.name for folder in logs.iterdir()) == sorted(kept)
    case.run("db", "prune", "--keep", "1").exits(0).stdout("nothing to take out\n")
    case.run("db", "check").exits(0)
    case.run("db", "prune", "--keep", "0", "--json").exits(0)
    assert case.json() == {"schema": "runkon.db/1", "removed": [newest[1]]}
    case.run("resume", newest[0]).exits(0)
    case.run("db", "check").exits(0)
