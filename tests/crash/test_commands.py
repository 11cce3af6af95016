"""Commands that change a run, killed half-way: the next command finishes what was asked, or nothing was asked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from runkon.store.sqlite import SqliteRunStore

from .life import KILLED, Life
from .picture import record_findings

CHAIN = "workflow x { call a call b call c outputs { x = c.context } }"
COMMITS = [f"{point}:hit={hit}" for hit in (1, 2, 3, 4) for point in ("before_commit", "after_commit")]
PLACES = ["planned", "after_lease", "after_takeover", "before_begin", "after_begin", "after_supersede", "before_end"]
PLACES += [f"{point}:path=b" for point in ("before_start", "after_start", "in_attempt", "after_return", "after_finish")]


def _kill_if_passed(life: Life, place: str, *words: str) -> bool:
    """Carry out a command with a kill at `place`; false if it never came there."""
    life.do(*words, fail=place, exits=None)
    assert life.code in (KILLED, 0), life.err
    life.assert_sound()
    return life.code == KILLED


@pytest.mark.parametrize("place", [*PLACES, *COMMITS])
def test_a_resume_from_a_step_that_is_killed_is_finished_or_was_never_asked_for(place: str, tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).do("run", "x.wf")
    _kill_if_passed(life, place, "resume", "@last", "--from", "b")
    life.resumed()
    assert life.out == "x = did c\n"
    begun = Counter(event.path for event in life.events if event.kind == "attempt_started")
    cut = Counter(event.path for event in life.events if event.kind == "attempt_cut_off")
    assert begun["a"] == life.calls["a"] == 1
    assert (begun["b"] - cut["b"], begun["c"] - cut["c"]) in ((1, 1), (2, 2))
    assert all(begun[path] - cut[path] <= life.calls[path] <= begun[path] for path in begun)
    assert not life.is_held
    life.assert_sound()


@pytest.mark.parametrize(
    "place", ["after_takeover", "after_begin", "after_supersede", "after_start:path=a", *COMMITS[:4]]
)
def test_a_restart_that_is_killed_is_finished_or_was_never_asked_for(place: str, tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).do("run", "x.wf")
    _kill_if_passed(life, place, "resume", "@last", "--restart")
    life.resumed()
    settled = Counter(event.path for event in life.events if event.kind == "step_completed")
    assert settled in ({"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2})
    assert life.run.status == "completed"
    life.assert_sound()


@pytest.mark.parametrize("place", ["after_create", "before_begin", "after_start:path=b", "before_end", *COMMITS])
def test_a_fork_that_is_killed_leaves_its_origin_and_no_half_of_a_run(place: str, tmp_path: Path) -> None:
    life = Life(tmp_path, CHAIN).do("run", "x.wf")
    origin = life.run.id
    before = life.rows()
    _kill_if_passed(life, place, "resume", "@last", "--fork", "--from", "b")
    store = SqliteRunStore(life.file)
    assert (store.run(origin), list(store.steps(origin)), list(store.events(origin))) == before[0]
    forks = [run.id for run in store.runs() if run.id != origin]
    assert len(forks) <= 1
    for fork in forks:
        life.do("resume", fork)
        assert life.out == "x = did c\n"
        record = store.run(fork)
        assert record is not None
        assert (record.status, record.forked_from) == ("completed", origin)
        assert [str(step.path) for step in store.steps(fork)] == ["a", "b", "c"]
        assert record_findings(store, life.file, fork) == []
    assert life.calls["a"] == 1
    store.close()


HOLDS = """workflow x {
  call a
  script hold { effect = read run = "echo hold >>calls; while [ ! -e go ]; do sleep 0.02; done" }
  call b
  always { call c }
}"""


@pytest.mark.parametrize("place", ["before_begin", "after_begin", "before_end", "always_entered", *COMMITS[:4]])
def test_a_cancel_that_is_killed_is_finished_by_the_next(place: str, tmp_path: Path) -> None:
    life = Life(tmp_path, HOLDS).killed("after_start:path=hold")
    _kill_if_passed(life, place, "cancel", "@last")
    life.do("cancel", "@last")
    assert life.run.status == "cancelled"
    assert life.calls["b"] == life.calls["hold"] == 0
    assert life.calls["a"] == 1
    assert any(path.startswith("always#") and path.endswith("/c") for path in life.calls)
    assert not life.is_held
    life.assert_sound()
    life.do("cancel", "@last")
    life.do("resume", "@last", exits=6)


@pytest.mark.parametrize("place", COMMITS[:4])
def test_an_answer_that_is_killed_is_given_or_not(place: str, tmp_path: Path) -> None:
    life = Life(tmp_path, "workflow x { call deploy }").killed("after_return:path=deploy").resumed(exits=4)
    _kill_if_passed(life, place, "answer", "@last:unknown:deploy", "--set", "decision=rerun")
    life.do("resume", "@last", exits=None)
    if life.code == 4:
        life.do("answer", "@last:unknown:deploy", "--set", "decision=rerun").resumed()
    assert life.code == 0
    assert life.calls == {"deploy": 2}
    life.assert_sound()
