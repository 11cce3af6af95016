"""The events of a run, and the rows that follow from them: R15-R25."""

from __future__ import annotations

import json

import pytest

CHAIN = "workflow x { call a call b call c }"
RUN = "(SELECT number FROM runs) * 4294967296"


def test_r17_events_from_a_number_on_are_exactly_those(world):
    life = world("workflow x { call a }").do("run", "x.wf").do("events", "@last", "--since", "3")
    assert [json.loads(line)["seq"] for line in life.out.splitlines()] == [4, 5]


def test_r17_an_unknown_run_is_an_error(world):
    life = world("workflow x { call a }").do("run", "x.wf")
    for words in (["events"], ["show"], ["resume"], ["cancel"], ["logs"]):
        life.do(*words, "01JTESTXXX", exits=6)
        assert "error[run-not-found]" in life.err or "error[unknown-run]" in life.err, words


# a log that can't be: what is done to it, and the rule that it breaks
DAMAGE = {
    "E1 a gap": f"DELETE FROM events WHERE place = {RUN} + 4",
    "E1 the last event is gone": f"DELETE FROM events WHERE place = (SELECT max(place) FROM events)",
    "E1 a falling fence": f"UPDATE events SET fence = 0 WHERE place = {RUN} + 5",
    "E1 a falling leg": f"UPDATE events SET leg = 0 WHERE place = {RUN} + 5",
    "E2 another beginning": f"UPDATE events SET kind = 'note' WHERE place = {RUN} + 1",
    "E3 a second open attempt": f"UPDATE events SET path = 'b' WHERE place = {RUN} + 3",
    "E4 the close of another number": f"UPDATE events SET kind = 'attempt_failed', attempt = 7 WHERE place = {RUN} + 4",
    "E5 a number left out": f"UPDATE events SET attempt = 3 WHERE place = {RUN} + 5",
    "E8 the end of what never began": f"UPDATE events SET path = 'zz' WHERE place = {RUN} + 4",
    "E6 an end with an attempt open": f"UPDATE events SET kind = 'run_completed', path = NULL WHERE place = {RUN} + 4",
    "I6 a row of a step": "UPDATE steps SET status = 'failed' WHERE path = 'a'",
    "I6 a row of a step that never was": (
        "INSERT INTO steps SELECT run, 'zz', epoch, kind, name, key, order_key || 'z', iteration, file, line, col, "
        "status, handled, attempts, cut_offs, leg, seq_first, seq_last, due_at, started_at, ended_at, superseded_leg, "
        "effect FROM steps WHERE path = 'a'"
    ),
    "I6 no row of a step": "DELETE FROM steps WHERE path = 'a'",
    "I6 the status of the run": "UPDATE runs SET status = 'failed'",
    "I2 a falling number": "UPDATE runs SET seq = seq - 1",
}


@pytest.mark.parametrize("rule", DAMAGE)
def test_r18_r21_a_record_that_can_not_be_is_refused_and_stays(world, rule):
    life = world(CHAIN).killed("after_start:path=b")
    life.tamper(DAMAGE[rule])
    before = life.everything()
    life.do("resume", "@last", exits=5)
    assert "error[corrupt-run]" in life.err
    assert "runkon db check" in life.err
    assert life.everything() == before
    assert life.calls == {"a": 1}
    life.do("db", "check", exits=5)
    assert life.everything() == before


def test_r18_an_event_after_the_end_is_refused(world):
    life = world(CHAIN).do("run", "x.wf")
    names = [row[1] for row in life.sql("PRAGMA table_info(events)")]
    values = {"place": "place + 1", "kind": "'attempt_started'", "path": "'zz'", "epoch": "1", "attempt": "0"}
    life.tamper(
        f"INSERT INTO events ({', '.join(names)}) SELECT {', '.join(values.get(name, name) for name in names)} "
        "FROM events WHERE place = (SELECT max(place) FROM events)",
        "UPDATE runs SET seq = seq + 1",
    )
    before = life.everything()
    life.do("resume", "@last", "--restart", exits=5)
    assert "error[corrupt-run]" in life.err
    assert life.everything() == before


def test_r18_another_run_of_the_file_is_not_affected(world):
    life = world(CHAIN).killed("after_start:path=b").do("run", "x.wf")
    life.tamper("DELETE FROM events WHERE place = (SELECT min(number) FROM runs) * 4294967296 + 4")
    good, bad = life.sql("SELECT id FROM runs ORDER BY id DESC")
    assert life.show(good)["status"] == "completed"
    life.do("resume", bad, exits=5).do("run", "x.wf")


def test_r21_a_row_changed_by_hand_is_named_and_rebuilt(world):
    life = world(CHAIN).killed("after_start:path=b")
    before = life.everything()["steps"]
    life.tamper("UPDATE steps SET attempts = 9 WHERE path = 'a'")
    life.do("db", "check", exits=5)
    assert "`a`" in life.out + life.err
    run = life.sql("SELECT id FROM runs")[0]
    life.do("db", "rebuild", run).do("db", "check")
    assert life.everything()["steps"] == before
    life.do("resume")
    assert life.calls == {"a": 1, "b": 1, "c": 1}


MIXED = """workflow x {
  call a
  parallel { call b call c { on_fail = continue } }
  script s { run = "echo s" }
  if a.no { call d }
  call e { if = a.no }
  always { call f }
}"""


def test_r23_every_row_says_what_its_last_event_says(world):
    life = world(MIXED, {"c": {"do": "fail"}}).do("run", "x.wf")
    rows = life.sql(
        "SELECT s.path, s.status, e.kind, e.path FROM steps s LEFT JOIN events e "
        "ON e.place = s.run * 4294967296 + s.seq_last ORDER BY s.order_key"
    )
    assert [row[1:3] for row in rows if row[0] != row[3]] == []
    assert {path: (status, kind) for path, status, kind, _ in rows} == {
        "a": ("completed", "step_completed"),
        "parallel/b": ("completed", "step_completed"),
        "parallel/c": ("failed", "step_failed"),
        "s": ("completed", "step_completed"),
        "e": ("skipped", "step_skipped"),
        "always#1/f": ("completed", "step_completed"),
    }
    life.do("db", "check")


def test_r25_wall_time_and_busy_time_are_apart(world):
    life = world("workflow x { call a call b }").do("run", "x.wf", "--until", "a")
    (stopped,) = life.sql("SELECT max(at) FROM events")
    life.do("resume")
    (resumed,) = life.sql("SELECT at FROM events WHERE kind = 'run_resumed'")
    assert resumed > stopped
    ((wall, busy),) = life.sql("SELECT seconds, busy_seconds FROM v_runs")
    assert [busy] == life.sql("SELECT sum(seconds) FROM v_attempts")
    assert 0 <= busy <= wall - (resumed - stopped) / 1000 + 0.002
