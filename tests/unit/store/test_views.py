"""The documented views: stable names for people who query the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from runkon.model.events import RunCompleted
from runkon.model.output import Output, Usage
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story, attempt_failed, completed, failed, started


def rows(path: Path, query: str) -> list[dict[str, object]]:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(query)]
    connection.close()
    return found


def test_views_show_runs_steps_and_events(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    store = SqliteRunStore(path)
    story = Story(store)
    story.begin()
    story.write(started("a"), completed("a", Output(context="c" * 300, usage=Usage(cost_usd=0.5))))
    story.write(started("b", order=1), attempt_failed("b"), failed("b", handled="continue"))
    (during,) = rows(path, "SELECT * FROM v_runs")
    story.write(RunCompleted(outputs={}), release=True)
    store.close()
    (run,) = rows(path, "SELECT * FROM v_runs")
    assert (during["status"], during["shown_status"], during["ended"]) == ("running", "interrupted", None)
    assert (run["id"], run["status"], run["shown_status"]) == (story.run, "completed", "completed")
    assert (run["steps_total"], run["steps_done"], run["steps_failed"], run["cost_usd"]) == (2, 1, 1, 0.5)
    assert run["started"] == "2026-01-01T00:00:00.000Z"
    first, second = rows(path, "SELECT * FROM v_steps ORDER BY path")
    assert (first["run"], first["path"], first["context"], first["seconds"]) == (story.run, "a", "c" * 200, 0.01)
    assert (second["status"], second["handled"], second["error"]) == ("failed", "continue", "it broke")
    events = rows(path, "SELECT seq, kind, path FROM v_events ORDER BY seq")
    assert [event["seq"] for event in events] == list(range(1, 9))
    assert events[2] == {"seq": 3, "kind": "attempt_started", "path": "a"}
