"""What a resume keeps, runs again, and says before: R98-R108 and R112-R119 as far as they concern plain workflows."""

from __future__ import annotations

import json

import pytest

CHAIN = "workflow x { call a call b call c call d }"
LOOP = "workflow x { call a while a.more { max_iterations = 9 call a call b call c } call d }"
ROUNDS = {"a": {"markers": ["more"]}, "while[2]/a": {}}


def contents(life):
    """Every file of the state folder that holds anything, byte by byte; the database is at rest."""
    folder = life.folder / ".runkon"
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*"))
            if file.is_file() and file.stat().st_size and "__pycache__" not in file.parts and not file.name.endswith("-shm")}  # fmt: skip


def decisions(life, *words):
    return {line["path"]: line["decision"] for line in life.json("resume", "@last", "--dry-run", *words)["resume"]}


def test_r98_a_preview_says_all_and_writes_nothing(world):
    life = world(CHAIN, {"a": {"cost": 0.5}, "b": {"do": "fail", "cost": 0.25}}).do("run", "x.wf", exits=1)
    before, rows = contents(life), life.everything()
    plan = life.json("resume", "@last", "--dry-run")
    lines = {line["path"]: (line["decision"], line["reason"]) for line in plan["resume"]}
    assert lines["a"][0] == "reuse" and "completed" in lines["a"][1]
    assert lines["b"][0] == "rerun" and lines["b"][1].startswith("failed") and "fails as it should" in lines["b"][1]
    assert lines["c"][0] == lines["d"][0] == "new"
    totals = plan["totals"]
    assert (totals["kept"], totals["rerun"], totals["asked"], totals["new"]) == (1, 1, 0, 2)
    assert (totals["usd_kept"], totals["usd_at_risk"]) == (0.5, 0.25)
    life.do("resume", "@last", "--dry-run")
    assert [line.split()[:2] for line in life.out.splitlines()[:4]] == [
        ["reuse", "a"],
        ["rerun", "b"],
        ["new", "c"],
        ["new", "d"],
    ]
    assert contents(life) == before
    assert life.everything() == rows
    assert life.calls == {"a": 1, "b": 1}


FULL = ";".join(f"before_commit:hit={hit}:do=sql(FULL)" for hit in range(5, 60))


def test_r98_a_preview_knows_what_is_kept_outside(world):
    life = world("workflow x { call a call deploy call c }")
    (life.folder / "runkon.toml").write_text('store_patience = "0s"\n', "utf-8")
    life.do("run", "x.wf", fail=FULL, exits=5)
    before = contents(life)
    life.do("resume", "@last", "--dry-run")
    assert life.out == (
        "reuse  a       completed just now\nreuse  deploy  completed just now\nnew    c       not reached yet\n"
    )
    assert life.err.splitlines()[:2] == [
        "note: 1 result kept outside the record will be taken over first",
        "interrupted: 2 steps kept, 0 to run again, 1 not reached yet",
    ]
    assert contents(life) == before
    life.do("resume", "@last")
    assert life.calls == {"a": 1, "deploy": 1, "c": 1}


def test_r98_the_preview_of_a_dead_run_takes_no_lease(world):
    life = world(CHAIN).killed("after_start:path=b")
    rows = life.everything()
    assert decisions(life) == {"a": "reuse", "b": "rerun", "c": "new", "d": "new"}
    assert life.everything() == rows


# ── from a step ───────────────────────────────────────────────────────────────────────────────────
def test_r99_from_a_step_of_a_chain(world):
    life = world(CHAIN).do("run", "x.wf")
    assert decisions(life, "--from", "b") == {"a": "reuse", "b": "rerun", "c": "rerun", "d": "rerun"}
    life.do("resume", "@last", "--from", "b")
    assert life.calls == {"a": 1, "b": 2, "c": 2, "d": 2}


def test_r99_from_a_branch_its_siblings_are_kept_and_what_follows_runs(world):
    life = world("workflow x { call a parallel { call b call c } call d }").do("run", "x.wf")
    life.do("resume", "@last", "--from", "c")
    assert life.calls == {"a": 1, "parallel/b": 1, "parallel/c": 2, "d": 2}


def test_r99_from_inside_a_round(world):
    life = world(LOOP, ROUNDS).do("run", "x.wf")
    once = {"a", *(f"while[{n}]/{name}" for n in range(3) for name in "abc"), "d"}
    assert life.calls == dict.fromkeys(once, 1)
    life.do("resume", "@last", "--from", "while[1]/b")
    again = {"while[1]/b", "while[1]/c", "while[2]/a", "while[2]/b", "while[2]/c", "d"}
    assert life.calls == {path: 2 if path in again else 1 for path in once}
    life.do("db", "check")


def test_r100_only_what_failed_and_its_readers(world):
    text = "workflow x { call a call b { on_fail = continue } call c { if = b.found } call d { if = a.ready } call e }"
    life = world(text, {"$blind": 1, "a": {"markers": ["ready"]}, "b": [{"do": "fail"}, {"markers": ["found"]}]})
    life.do("run", "x.wf").do("resume", "@last", "--only-failed")
    assert life.calls == {"a": 1, "b": 2, "c": 1, "d": 1, "e": 1}
    assert life.step("c")["status"] == "completed"


def test_r101_restart_runs_all_and_goes_on_counting(world):
    life = world("workflow x { call a call b }", {"a": {"cost": 0.5}, "b": {"cost": 0.25}}).do("run", "x.wf")
    (run,) = life.sql("SELECT id FROM runs")
    life.do("resume", "@last", "--restart")
    assert life.sql("SELECT id, status, cost_usd FROM v_runs") == [(run, "completed", 1.5)]
    assert life.calls == {"a": 2, "b": 2}
    assert life.sql("SELECT path, epoch FROM v_steps") == [("a", 2), ("b", 2)]


@pytest.mark.parametrize(
    ("words", "code", "slug"),
    [
        (["--from", "b", "--restart"], 2, None),
        (["--from", "nobody"], None, "unknown-step"),
        (["--from", "nobody", "--fork"], None, "unknown-step"),
        (["--only-failed", "--restart"], 2, None),
    ],
)
def test_r102_what_contradicts_itself_or_names_nothing_changes_nothing(world, words, code, slug):
    life = world(CHAIN).do("run", "x.wf")
    before = life.everything()
    life.do("resume", "@last", *words, exits=code)
    assert life.code != 0
    assert slug is None or f"error[{slug}]" in life.err
    assert life.everything() == before


def test_r102_an_ambiguous_step_is_told_with_its_paths(world):
    life = world(LOOP, ROUNDS).do("run", "x.wf")
    before = life.everything()
    life.do("resume", "@last", "--from", "b", exits=None)
    assert life.code != 0 and "error[unknown-step]" in life.err
    assert "while[0]/b" in life.err and "while[1]/b" in life.err
    assert life.everything() == before


# ── edits ─────────────────────────────────────────────────────────────────────────────────────────
EDITED = """workflow x {
  script a { run = "echo a >> calls; echo one" }
  script b { run = "echo b >> calls; echo two" }
  script c { run = "echo c >> calls; echo three" }
  script d { run = "echo d >> calls; echo {{c}}" env = { SEEN = "{{prior_context}}" } }
  script e { run = "echo e >> calls; false" }
}"""


def edited(life, old, new):
    life.wf(EDITED.replace(old, new))
    return life.do("resume", "@last", "--with-edits", "--yes", exits=None)


def test_r103_a_comment_changes_nothing(world):
    life = world(EDITED).do("run", "x.wf", exits=1)
    edited(life, "script c {", "# said differently\n  script c {")
    assert life.calls == {"a": 1, "b": 1, "c": 1, "d": 1, "e": 2}


def test_r103_a_changed_step_and_its_readers_run_again_and_others_do_not(world):
    life = world(EDITED).do("run", "x.wf", exits=1)
    edited(life, "echo three", "echo four")
    assert life.calls == {"a": 1, "b": 1, "c": 2, "d": 2, "e": 2}
    assert life.kinds().count("definition_changed") == 1


def test_r103_an_invalid_file_is_refused_and_changes_nothing(world):
    life = world(EDITED).do("run", "x.wf", exits=1)
    before = life.everything()
    edited(life, "script c {", "scrpt c {")
    assert life.code == 3
    assert life.everything() == before


def test_r103_a_removed_step_is_no_result_any_more_and_stays_on_record(world):
    life = world(EDITED).do("run", "x.wf", exits=1)
    edited(life, '  script b { run = "echo b >> calls; echo two" }\n', "")
    assert life.calls["b"] == 1
    assert "b" not in [step["path"] for step in life.show()["steps"]]
    assert life.sql("SELECT count(*) FROM steps WHERE path = 'b'") == [1]
    assert life.calls["a"] == life.calls["c"] == 1


def test_r104_without_being_asked_for_edits_are_not_used_and_told(world):
    life = world(EDITED).do("run", "x.wf", exits=1)
    life.wf(EDITED.replace("echo e >> calls; false", "echo new >> calls")).do("resume", "@last", exits=1)
    assert life.calls == {"a": 1, "b": 1, "c": 1, "d": 1, "e": 2}
    assert "--with-edits" in life.err


def test_r106_a_plugin_that_is_gone_is_named_before_anything_is_written(world):
    life = world(CHAIN).killed("after_start:path=b")
    before = life.everything()
    plugin = life.folder / ".runkon" / "plugins" / "counted.py"
    text = plugin.read_text()
    plugin.write_text("")
    life.do("resume", exits=None)
    assert life.code in (5, 6) and "`counted`" in life.err and "Traceback" not in life.err
    assert life.everything() == before
    plugin.write_text(text.replace("executor(name)", 'executor(name, version="2")'))
    life.do("resume")
    assert "version" in life.err
    assert life.calls == {"a": 1, "b": 1, "c": 1, "d": 1}


# ── what a resume takes from the run ──────────────────────────────────────────────────────────────
def test_r107_a_dry_run_stays_dry_after_a_kill_and_settings_come_back(world):
    text = 'workflow x { call a call b script s { run = "echo s >> calls" } call c }'
    life = world(text).killed("after_return:path=b", "run", "x.wf", "--dry-run", "--model", "small", "--jobs", "3")
    config = life.sql("SELECT payload FROM events WHERE kind = 'run_created'")
    life.do("resume", "@last")
    assert life.calls == {"a": 1, "b": 2, "c": 1}, "the script was not to run"
    assert {(each["dry"], each["model"]) for each in life.seen} == {(True, "small")}
    assert json.loads(config[0])["config"]["max_parallel"] == 3
    assert life.sql("SELECT mode FROM runs") == ["dry"]
    assert life.run == ("completed", None)


def test_r107_totals_hold_earlier_legs_and_lost_attempts(world):
    life = world(CHAIN, {"a": {"cost": 1}, "b": [{"cost": 0.5, "do": "fail"}, {"cost": 0.25}]})
    life.do("run", "x.wf", exits=1).do("resume", "@last")
    assert life.show()["cost_usd"] == 1.75
    assert life.sql("SELECT calls FROM runs") == [5]


def test_r108_two_forks_leave_their_origin_alone(world):
    life = world(CHAIN, {"c": [{"do": "fail"}, {}, {}]}).do("run", "x.wf", exits=1)
    (old,) = life.sql("SELECT id FROM runs")
    number = "(SELECT number FROM runs WHERE id = ?)"
    tables = {
        "runs": "SELECT * FROM runs WHERE id = ?",
        "steps": f"SELECT * FROM steps WHERE run = {number} ORDER BY path",
        "events": f"SELECT * FROM events WHERE place / 4294967296 = {number} ORDER BY place",
    }
    before = {name: life.sql(query, old) for name, query in tables.items()}
    life.do("resume", old, "--fork").do("resume", old, "--fork")
    assert {name: life.sql(query, old) for name, query in tables.items()} == before
    assert life.sql("SELECT forked_from, status FROM runs WHERE id <> ?", old) == [(old, "completed")] * 2
    assert life.calls == {"a": 1, "b": 1, "c": 3, "d": 2}
    taken = life.sql("SELECT why FROM v_steps WHERE path = 'a' AND run <> ?", old)
    assert taken == [f"reused from {old}/a"] * 2
    life.do("db", "check")


def test_r105_another_kind_at_a_recorded_path_is_refused_and_nothing_runs(world):
    """Nobody but a hand in the record can make it so."""
    life = world(CHAIN).killed("after_start:path=b")
    life.tamper("UPDATE sources SET text = replace(text, 'call a', 'script a { run = \"true\" }')")
    life.do("resume", exits=None)
    assert life.code != 0
    assert "error[replay-mismatch]" in life.err or "error[corrupt-" in life.err
    assert life.calls == {"a": 1}


# ── large values and secrets ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_r116_a_damaged_large_value_is_not_used_and_planned_again(world, damage):
    life = world("workflow x { call a call b call c }", {"a": {"context": "x" * 200_000}}).killed("after_start:path=c")
    (blob,) = [
        file for file in (life.folder / ".runkon" / "blobs").rglob("*") if file.name != ".gitignore" and file.is_file()
    ]
    data = bytearray(blob.read_bytes())
    data[1000] ^= 1
    {"flip": lambda: blob.write_bytes(data), "cut": lambda: blob.write_bytes(data[:-1]), "gone": blob.unlink}[damage]()
    life.do("db", "check", exits=5)
    plan = {line["path"]: line for line in life.json("resume", "--dry-run")["resume"]}
    assert plan["a"]["decision"] == "rerun" and plan["b"]["decision"] in ("reuse", "rerun")
    assert "x" * 100 not in life.do("show", "@last", "a", exits=None).out
    life.do("resume")
    assert life.calls["a"] == 2
    assert life.run == ("completed", None)
    life.do("db", "check")


SECRET = "hunter2-hunter2-hunter2"


def test_r119_a_secret_is_in_no_file_and_asked_for_before_the_lease(world):
    text = """workflow x {
  inputs { token secret }
  call a { on_fail = continue }
  script s { run = "printf hunter2-; sleep 0.2; printf hunter2-hunter2; env | grep -i token >&2; env | grep -i token | base64 -w0" }
  call b
}"""
    said = f"x{SECRET}y"
    answers = {"a": {"do": "fail", "message": said}, "b": {"context": said, "fields": {"k": [said]}, "markers": ["ok"]}}
    life = world(text, answers).do("run", "x.wf", "-i", f"token={SECRET}", fail="after_start:path=b", exits=-9)
    before = life.everything()
    life.do("resume", exits=None)
    assert life.code != 0 and "error[missing-secret]" in life.err
    assert life.everything() == before, "not even the lease was taken"
    life.do("resume", "-i", f"token={SECRET}")
    assert SECRET not in life.out + life.err
    for file in life.folder.rglob("*"):
        if file.is_file() and file.name not in ("answers.json", "seen"):
            assert SECRET.encode() not in file.read_bytes(), file
    assert "«secret:token»" in life.step("b")["context"]
