"""What a run is from its first row on: R1-R14."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from sqlite3 import connect

import pytest

from .world import until

CHAIN = "workflow x { call a call b call c outputs { x = c.context } }"


def test_r1_a_run_of_one_step_is_five_events_and_a_free_lease(world):
    life = world("workflow x { call a }").do("run", "x.wf")
    events = life.events()
    assert [(each["seq"], each["type"]) for each in events] == [
        (1, "run_created"),
        (2, "run_started"),
        (3, "attempt_started"),
        (4, "step_completed"),
        (5, "run_completed"),
    ]
    assert [(each["path"], each["attempt"]) for each in events[2:3]] == [("a", 0)]
    assert life.run == ("completed", None)
    assert life.free()


# ── what the run is made from ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("case", "damage"),
    [
        ("r2 another text", "UPDATE sources SET text = text || ' '"),
        ("r3 no text", "DELETE FROM sources"),
        ("r4 white space", "UPDATE events SET payload = payload || ' ' WHERE kind = 'run_created'"),
        ("r4 another value", "UPDATE events SET payload = replace(payload, '\"max_parallel\":16', '\"max_parallel\":9')"),
        ("r4 no payload", "UPDATE events SET payload = ' {' WHERE kind = 'run_created'"),
    ],
)
def test_r2_r3_r4_a_damaged_definition_is_refused_and_nothing_is_added(world, case, damage):
    life = world(CHAIN).killed("after_start:path=b")
    life.tamper(damage)
    before = life.everything()
    life.do("resume", "@last", exits=5)
    assert "error[corrupt-" in life.err, case
    assert life.sql("SELECT id FROM runs")[0][-6:] in life.err or life.sql("SELECT id FROM runs")[0][:8] in life.err
    assert life.everything() == before
    assert life.calls == {"a": 1}


# ── values ────────────────────────────────────────────────────────────────────────────────────────
def test_r8_numbers_come_back_to_the_byte_after_a_resume(world):
    fields = {"x": 1.5, "n": 1e21, "i": 9007199254740993}
    life = world("workflow x { call a call b }", {"a": {"fields": fields}}).killed("after_start:path=b")
    (before,) = life.sql("SELECT payload FROM v_events WHERE kind = 'step_completed'")
    life.do("resume", "@last")
    assert life.sql("SELECT payload FROM v_events WHERE kind = 'step_completed' AND path = 'a'") == [before]
    output = life.step("a")["output"]
    assert {name: output[name] for name in fields} == fields
    assert isinstance(output["i"], int)


def test_r8_not_a_number_fails_the_attempt_and_leaves_none_open(world):
    life = world("workflow x { call a { retries = 1 } }", {"a": {"do": "nan"}}).do("run", "x.wf", exits=1)
    assert life.kinds("a") == [
        "attempt_started",
        "attempt_failed",
        "retry_scheduled",
        "attempt_started",
        "attempt_failed",
        "step_failed",
    ]
    assert {each["error"]["kind"] for each in life.payloads("attempt_failed")} == {"value"}
    assert life.run[0] == "failed"
    assert life.sql("SELECT count(*) FROM v_attempts WHERE status = 'running'") == [0]
    assert life.free()


def test_r10_what_is_stored_apart_is_named_by_its_sha_256(world):
    """R9 as decided: the order of keys is kept, so equal objects in another order are two texts."""
    answers = {"a": {"context": "r" * 20_000}, "b": {"context": "f" * 200_000}, "c": {"context": "f" * 200_000}}
    life = world(CHAIN, answers).do("run", "x.wf")
    stored = life.sql("SELECT id, place, bytes, size FROM artifacts")
    assert {place for _, place, _, _ in stored} == {"row", "file"}
    files = {file.name: file.read_bytes() for file in (life.folder / ".runkon" / "blobs").glob("*/*")}
    for name, _, data, size in stored:
        whole = data if data is not None else files.pop(name)
        assert (hashlib.sha256(whole).hexdigest(), len(whole)) == (name, size)
    assert files == {}
    known = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert hashlib.sha256(b"hello").hexdigest() == known


# ── the database ──────────────────────────────────────────────────────────────────────────────────
def test_r11_an_invalid_workflow_leaves_no_row(world):
    life = world("workflow x { call a }").do("run", "x.wf").wf("workflow x { call a { timeout = 5x } }")
    before = life.everything()
    life.do("run", "x.wf", exits=3)
    assert life.everything() == before


def test_r11_an_invalid_workflow_makes_no_database(world):
    life = world("workflow x { cal a }").do("run", "x.wf", exits=3)
    assert not life.database.exists()


def test_r13_a_newer_database_is_refused_by_every_command_and_stays(world):
    life = world(CHAIN).do("run", "x.wf")
    life.tamper("INSERT INTO schema_info VALUES (999, 'of the future', 1, '99.0')")
    with closing(connect(life.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = life.database.read_bytes()
    commands = (["run", "x.wf"], ["resume"], ["runs"], ["show", "@last"], ["events", "@last"], ["cancel", "@last"],
                ["db", "check"], ["db", "migrate"], ["explain", "@last", "a"], ["recover"])  # fmt: skip
    for words in commands:
        life.do(*words, exits=5)
        assert "error[store-too-new]" in life.err, words
    assert life.database.read_bytes() == before


def test_p16_the_id_that_is_printed_is_that_of_a_run_that_exists(world):
    life = world("workflow x { call a }").do("run", "x.wf", "--json")
    assert life.sql("SELECT id FROM runs") == [json.loads(life.out)["run_id"]]


KEYED = """workflow x { inputs { topic default = "tides" } call a call b outputs { o = b.context } }"""


def test_r5_the_same_key_and_inputs_are_one_run(world):
    life = world(KEYED, {"b": {"do": "wait", "for": "go"}})
    first = life.start("run", "x.wf", "--key", "k")
    until(lambda: life.calls["b"], "the run is under way")
    second = life.start("run", "x.wf", "--key", "k")
    assert second.stderr.readline().endswith(" has the key `k`\n")
    life.note("go")
    for process in (first, second):
        assert life.ended(process).out == "o = did b\n"
    before = life.everything()
    assert life.do("run", "x.wf", "--key", "k").out == "o = did b\n"
    assert life.everything() == before
    assert (life.calls, life.sql("SELECT leg, start_key FROM v_runs")) == ({"a": 1, "b": 1}, [(1, "k")])


def test_r6_the_same_key_with_another_input_is_refused(world):
    life = world(KEYED).do("run", "x.wf", "--key", "k")
    before = life.everything()
    life.do("run", "x.wf", "--key", "k", "-i", "topic=moons", exits=2)
    assert "error[start-key-conflict]" in life.err
    assert "`topic`" in life.err
    assert life.everything() == before


def test_r7_of_two_processes_with_one_key_one_starts_it(world):
    life = world(KEYED)
    both = [life.start("run", "x.wf", "--key", "k") for _ in range(2)]
    assert [life.ended(process).out for process in both] == ["o = did b\n"] * 2
    assert life.calls == {"a": 1, "b": 1}
    assert life.sql("SELECT count(*) FROM runs") == [1]
