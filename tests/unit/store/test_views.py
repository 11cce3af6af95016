"""The documented views, read by what people have at hand: plain SQLite, also while a run goes on and after a kill."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.model import events as ev
from runkon.model.ids import StepPath
from runkon.model.output import Output, Usage
from runkon.model.records import CancelRequest, GateAnswer, StepError
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import START_MS, Story, attempt_failed, completed, failed, place, started

COLUMNS = {
    "v_runs": "id workflow status shown_status reason started ended seconds steps_total steps_done steps_failed "
    "steps_skipped cost_usd cost_note waiting_on file error created deadline held_until leg crashes recoveries "
    "cancel_asked cancel_by cancel_reason forked_from busy_seconds start_key",
    "v_steps": "run path kind name status handled attempts seconds context error cost_usd why epoch effect started "
    "ended due place program_order",
    "v_attempts": "run path number leg status cause executor seconds cost_usd epoch why effect started ended error "
    "evidence usage",
    "v_gates": "run name occurrence status prompt options deadline decision by via path type reason opened decided "
    "answers",
    "v_costs": "run executor calls tokens cost_usd unpriced_calls tokens_in tokens_out",
    "v_events": "run seq time leg kind path attempt payload epoch fence",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRunStore]:
    made = SqliteRunStore(path, durability="normal")
    yield made
    made.close()


def rows(path: Path, query: str, *values: object) -> list[dict[str, object]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(query, values)]
    connection.close()
    return found


@pytest.mark.parametrize("view", COLUMNS)
def test_the_columns_of_a_view_keep_their_names_and_order(store: SqliteRunStore, path: Path, view: str) -> None:
    Story(store)
    connection = sqlite3.connect(path)
    assert [column[0] for column in connection.execute(f"SELECT * FROM {view}").description] == COLUMNS[view].split()
    connection.close()


def test_a_run_from_its_first_event_to_its_end(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    story.write(started("a"), completed("a", Output(context="c" * 300, usage=Usage(cost_usd=0.5))))
    story.write(started("b", order=1), attempt_failed("b"), failed("b", handled="continue"))
    (during,) = rows(path, "SELECT * FROM v_runs")
    story.write(ev.RunCompleted(outputs={}), release=True)
    (run,) = rows(path, "SELECT * FROM v_runs")
    assert (during["status"], during["shown_status"], during["ended"]) == ("running", "interrupted", None)
    assert (run["id"], run["status"], run["shown_status"]) == (story.run, "completed", "completed")
    assert (run["steps_total"], run["steps_done"], run["steps_failed"], run["cost_usd"]) == (2, 1, 1, 0.5)
    assert (run["started"], run["ended"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.060Z")
    assert (run["seconds"], run["cost_note"], run["held_until"]) == (0.06, "known", None)
    first, second = rows(path, "SELECT * FROM v_steps ORDER BY program_order")
    assert (first["run"], first["path"], first["context"], first["seconds"]) == (story.run, "a", "c" * 200, 0.01)
    assert (first["cost_usd"], first["place"]) == (0.5, "review.wf:3")
    assert (second["status"], second["handled"], second["error"]) == ("failed", "continue", "it broke")
    events = rows(path, "SELECT seq, kind, path FROM v_events ORDER BY seq")
    assert [event["seq"] for event in events] == list(range(1, 9))
    assert events[2] == {"seq": 3, "kind": "attempt_started", "path": "a"}


def test_what_others_asked_of_a_run_and_what_became_of_its_legs(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    store.ask_to_cancel(story.run, CancelRequest(START_MS, "ann", "wrong branch"))
    crashed = ev.RunResumed(owner="second", reused=0, rerun=0, crashed=True, automatic=True, deadline_at=START_MS)
    story.lease = store.acquire(story.run, "second", START_MS + 10**7, 1)
    story.write(crashed)
    (run,) = rows(path, "SELECT * FROM v_runs")
    assert (run["cancel_asked"], run["cancel_by"], run["cancel_reason"]) == (
        "2026-01-01T00:00:00.000Z",
        "ann",
        "wrong branch",
    )
    assert (run["leg"], run["crashes"], run["recoveries"]) == (2, 1, 1)
    assert run["deadline"] == "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("usages", "cost", "note"),
    [
        ((Usage(cost_usd=0.25),), 0.25, "known"),
        ((Usage(cost_usd=0.25), Usage(cost_usd=None)), 0.25, "≥"),
        ((Usage(cost_usd=None),), 0.0, "unknown"),
        ((), 0.0, "known"),
    ],
)
def test_a_cost_says_whether_it_is_all(
    store: SqliteRunStore, path: Path, usages: tuple[Usage, ...], cost: float, note: str
) -> None:
    story = Story(store)
    story.begin()
    for number, usage in enumerate(usages):
        story.write(started(f"s{number}", order=number), completed(f"s{number}", Output(usage=usage)))
    (run,) = rows(path, "SELECT cost_usd, cost_note FROM v_runs")
    assert (run["cost_usd"], run["cost_note"]) == (cost, note)


# ── attempts ──────────────────────────────────────────────────────────────────────────────────────
def test_every_attempt_is_a_row_with_its_end(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    paid = Usage(cost_usd=0.25, input_tokens=10, output_tokens=2)
    error = StepError("timeout", "too slow")
    again = replace(started("a", 1), why="retry", effect="write")
    story.write(started("a"), attempt_failed("a", usage=paid))
    story.write(again, completed("a", Output(usage=Usage(cost_usd=1.0))))
    story.write(started("t"), ev.AttemptTimedOut(path=StepPath("t"), number=0, error=error), failed("t"))
    story.write(started("x"), ev.AttemptCancelled(path=StepPath("x"), number=0, error=StepError("cancelled", "x")))
    story.write(started("s"), ev.StepSkipped(path=StepPath("s"), reason="until_reached"))
    story.write(started("open"))
    found = rows(path, "SELECT * FROM v_attempts WHERE run = ? ORDER BY path, number", story.run)
    told = [(row["path"], row["number"], row["status"], row["cause"], row["seconds"], row["cost_usd"]) for row in found]
    assert told == [
        ("a", 0, "failed", "exception", 0.01, 0.25),
        ("a", 1, "completed", None, 0.01, 1.0),
        ("open", 0, "running", None, None, None),
        ("s", 0, "cancelled", "until_reached", 0.01, None),
        ("t", 0, "timed_out", "timeout", 0.01, None),
        ("x", 0, "cancelled", "cancelled", 0.01, None),
    ]
    assert {row["executor"] for row in found} == {"fake"}
    assert (found[1]["why"], found[1]["effect"]) == ("retry", "write")
    (step,) = rows(path, "SELECT cost_usd, why, effect FROM v_steps WHERE path = 'a'")
    assert step == {"cost_usd": 1.25, "why": "retry", "effect": "write"}


def test_an_attempt_that_a_later_leg_closed_has_no_known_duration(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    story.write(started("a"))
    story.lease = store.acquire(story.run, "second", START_MS + 10**7, 30_000)
    lost = ev.AttemptCutOff(
        path=StepPath("a"), number=0, certainty="unknown", cause="process_lost", evidence="process 7 is gone"
    )
    story.write(lost, ev.RunResumed(owner="second", reused=0, rerun=1, crashed=True))
    story.write(started("a", 1), completed("a"))
    first, second = rows(path, "SELECT * FROM v_attempts ORDER BY number")
    assert (first["status"], first["cause"], first["leg"], first["evidence"]) == (
        "unknown",
        "process_lost",
        1,
        "process 7 is gone",
    )
    assert (first["seconds"], first["ended"]) == (None, None)
    assert (second["status"], second["leg"], second["seconds"]) == ("completed", 2, 0.01)


def test_the_time_nobody_worked_on_a_step_is_not_its_own(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    story.write(started("again"), started("decided", order=1))
    story.now += 10**7
    story.lease = store.acquire(story.run, "second", story.now, 30_000)
    lost = {"number": 0, "certainty": "unknown", "cause": "process_lost"}
    story.write(*(ev.AttemptCutOff(path=StepPath(name), **lost) for name in ("again", "decided")))  # type: ignore[arg-type]
    story.write(ev.RunResumed(owner="second", reused=0, rerun=1), started("again", 1), completed("again"))
    story.write(ev.StepCompleted(path=StepPath("decided"), output=Output(), decided_by="ann"))
    found = rows(path, "SELECT path, seconds, effect FROM v_steps ORDER BY path")
    assert [tuple(row.values()) for row in found] == [("again", 0.01, "read"), ("decided", None, "read")]
    assert list(store.steps(story.run)) == story.state.in_order()


def test_attempts_of_another_epoch_and_of_parallel_steps_are_told_apart(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    story.write(started("p/a"), started("p/b"), completed("p/b"), completed("p/a"))
    story.write(ev.StepSuperseded(path=StepPath("p/a"), why="asked for"), started("p/a", epoch=2))
    found = rows(path, "SELECT path, epoch, number, status FROM v_attempts ORDER BY path, epoch")
    assert [tuple(row.values()) for row in found] == [
        ("p/a", 1, 0, "completed"),
        ("p/a", 2, 0, "running"),
        ("p/b", 1, 0, "completed"),
    ]


# ── why ───────────────────────────────────────────────────────────────────────────────────────────
def choice(path: str, construct: str, *, result: bool) -> ev.ChoiceMade:
    return ev.ChoiceMade(path=StepPath(path), construct=construct, text="a.ok", operands={}, result=result)


@pytest.mark.parametrize(
    ("events", "why"),
    [
        pytest.param((choice("b/if", "if", result=True), started("b/s")), "if a.ok is true", id="in a branch"),
        pytest.param((choice("b/if#2", "unless", result=True), started("b/s")), "unless a.ok is true", id="second if"),
        pytest.param((choice("b/if", "if", result=False), started("b/s")), None, id="after a branch not taken"),
        pytest.param((choice("c/if", "if", result=True), started("b/s")), None, id="a branch elsewhere"),
        pytest.param((choice("b", "while", result=True), started("b/s")), "while a.ok is true", id="in a round"),
        pytest.param((choice("x[0]", "do while", result=False), started("b/s")), None, id="after a loop"),
        pytest.param(
            (
                choice("b/s", "if", result=False),
                ev.StepSkipped(path=StepPath("b/s"), reason="condition", info=place("s")),
            ),
            "if a.ok is false",
            id="skipped by its condition",
        ),
        pytest.param(
            (ev.StepSkipped(path=StepPath("b/s"), reason="until_reached", info=place("s")),),
            "until_reached",
            id="skipped by its block",
        ),
        pytest.param(
            (
                ev.StepCompleted(
                    path=StepPath("b/s"), output=Output(), info=place("s"), cached_from="01J0000000/old/path"
                ),
            ),
            "reused from 01J0000000/old/path",
            id="reused",
        ),
        pytest.param(
            (
                started("b/s"),
                ev.AttemptCutOff(path=StepPath("b/s"), number=0, certainty="unknown", cause="process_lost"),
                ev.StepCompleted(path=StepPath("b/s"), output=Output(), decided_by="ann"),
            ),
            "decided by ann",
            id="decided",
        ),
    ],
)
def test_a_step_says_why(store: SqliteRunStore, path: Path, events: tuple[ev.Event, ...], why: str | None) -> None:
    story = Story(store)
    story.begin()
    story.write(*events)
    assert rows(path, "SELECT path, why FROM v_steps") == [{"path": "b/s", "why": why}]


# ── gates ─────────────────────────────────────────────────────────────────────────────────────────
def test_a_run_whose_process_stays_at_a_gate_is_shown_as_waiting(store: SqliteRunStore, path: Path) -> None:
    def shown() -> object:
        with sqlite3.connect(path) as outside:
            outside.execute("UPDATE runs SET lease_until = 4102444800000")  # the views go by the clock of the system
        outside.close()
        return rows(path, "SELECT shown_status FROM v_runs")[0]["shown_status"]

    story = Story(store)
    story.begin()
    story.write(started("a"))
    assert shown() == "running"
    gate = ev.GateOpened(path=StepPath("ship"), name="ship", type="choice", prompt="Ship it?", info=place("ship"))
    story.write(gate)
    assert shown() == "running"
    story.write(completed("a", Output()))
    assert shown() == "waiting"
    decided = ev.GateDecided(path=StepPath("ship"), name="ship", decision="approved", by="ann", via="cli")
    story.write(decided, completed("ship", Output()))
    assert shown() == "running"


def test_gates_show_who_is_waited_for_and_who_decided(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    opened = ev.GateOpened(
        path=StepPath("ship"),
        name="ship",
        type="choice",
        prompt="Ship it?",
        info=place("ship"),
        options=("now", "later"),
        deadline_at=START_MS + 60_000,
    )
    story.write(opened, replace(opened, path=StepPath("pay"), name="pay", options=(), deadline_at=None))
    story.write(ev.RunWaiting(gates=("ship", "pay")), release=True)
    store.answer_gate(GateAnswer(story.run, "ship", "later", "ann", "cli", START_MS + 1, reason="friday"))
    (run,) = rows(path, "SELECT status, shown_status, waiting_on FROM v_runs")
    assert run == {"status": "waiting", "shown_status": "waiting", "waiting_on": "ship, pay"}
    waiting = rows(path, "SELECT name, status, prompt, options, deadline, decision, answers FROM v_gates ORDER BY name")
    assert [tuple(row.values()) for row in waiting] == [
        ("pay", "open", "Ship it?", None, None, None, 0),
        ("ship", "open", "Ship it?", "now, later", "2026-01-01T00:01:00.000Z", None, 1),
    ]
    story.begin("second", resumed=True)
    decided = ev.GateDecided(path=StepPath("ship"), name="ship", decision="later", by="ann", via="cli", reason="friday")
    story.write(decided, ev.GateDecided(path=StepPath("pay"), name="pay", decision="withdrawn", by="-", via="cli"))
    found = rows(path, "SELECT name, status, decision, by, via, reason FROM v_gates ORDER BY name")
    assert [tuple(row.values()) for row in found] == [
        ("pay", "withdrawn", "withdrawn", "-", "cli", None),
        ("ship", "decided", "later", "ann", "cli", "friday"),
    ]
    assert rows(path, "SELECT waiting_on FROM v_runs") == [{"waiting_on": None}]


# ── money ─────────────────────────────────────────────────────────────────────────────────────────
def test_costs_are_summed_over_every_attempt_of_an_executor(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    priced, unpriced = Usage(cost_usd=0.5, input_tokens=10, output_tokens=1), Usage(cost_usd=None, input_tokens=5)
    story.write(started("a"), attempt_failed("a", usage=priced), started("a", 1), completed("a", Output(usage=priced)))
    story.write(started("b"), completed("b", Output(usage=unpriced)))
    story.write(replace(started("s"), executor="script"), completed("s"))
    block = ev.StepCompleted(path=StepPath("p"), output=Output(usage=priced), info=place("p", kind="parallel"))
    story.write(block)
    other = Story(store)
    other.begin()
    other.write(started("a"), completed("a", Output(usage=priced)))
    found = rows(path, "SELECT * FROM v_costs WHERE run = ? ORDER BY executor", story.run)
    assert [tuple(row.values())[1:] for row in found] == [
        ("fake", 3, 27, 1.0, 1, 25, 2),
        ("script", 1, 0, 0.0, 0, 0, 0),
    ]
    (run,) = rows(path, "SELECT cost_usd FROM v_runs WHERE id = ?", story.run)
    assert run["cost_usd"] == 1.0
    (of_block,) = rows(path, "SELECT cost_usd FROM v_steps WHERE path = 'p'")
    assert of_block["cost_usd"] is None


# ── live, and killed ──────────────────────────────────────────────────────────────────────────────
WRITER = """
import sys, time
from pathlib import Path
from runkon.model.events import RunStarted
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story, completed, started
story = Story(SqliteRunStore(Path(sys.argv[1])), at=time.time_ns() // 1_000_000)
story.lease = story.store.acquire(story.run, "writer", story.now, int(sys.argv[2]))
story.write(RunStarted(owner="writer"))
story.write(started("a"), completed("a"), started("b", order=1))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("ttl_ms", "shown"), [(3_600_000, "running"), (0, "interrupted")])
def test_a_run_is_read_while_it_is_live_and_after_a_kill(path: Path, ttl_ms: int, shown: str) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(ttl_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    live = _picture(path)
    writer.kill()
    writer.communicate()
    assert _picture(path) == live == {"status": "running", "shown": shown, "steps": "completed running", "open": "b"}


def _picture(path: Path) -> dict[str, object]:
    (run,) = rows(path, "SELECT status, shown_status FROM v_runs")
    steps = rows(path, "SELECT status FROM v_steps ORDER BY program_order")
    (attempt,) = rows(path, "SELECT path FROM v_attempts WHERE status = 'running'")
    statuses = " ".join(str(step["status"]) for step in steps)
    return {"status": run["status"], "shown": run["shown_status"], "steps": statuses, "open": attempt["path"]}


def test_the_attempts_of_one_run_are_found_without_reading_others(store: SqliteRunStore, path: Path) -> None:
    story = Story(store)
    story.begin()
    connection = sqlite3.connect(path)
    for view in ("v_attempts", "v_events", "v_steps"):
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE run = ?", (story.run,)).fetchall()
        scanned = [row[3].split()[1] for row in plan if row[3].startswith("SCAN")]
        tables = [name for name in scanned if name != "a" and not name.startswith("(subquery")]
        assert tables == []  # only what the search of one run's events gave is gone through
    connection.close()
