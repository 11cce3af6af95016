"""Rescue files: what is written where, what the next leg takes from them, and what it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runkon.digest import hex_digest
from runkon.failpoints import react
from runkon.model import events as ev
from runkon.model.events import Envelope, Note
from runkon.model.output import Output
from runkon.model.records import Lease
from runkon.store import rescue
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import SOURCES, Story, completed, started

LATER = 10**15


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    return tmp_path / "state" / "runkon.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteRunStore]:
    made = SqliteRunStore(path, durability="normal", patience=0.0, is_alive=lambda _: False)
    yield made
    made.close()


@pytest.fixture
def story(store: SqliteRunStore) -> Story:
    """A run whose first leg has begun two steps."""
    told = Story(store)
    told.begin()
    told.write(started("a"), started("b", order=1))
    return told


def rescued(story: Story, *requests: list[Envelope], is_fenced: bool = False) -> Path:
    assert story.lease is not None
    return Path(story.store.rescue(story.lease, requests, is_fenced=is_fenced))


def next_leg(story: Story) -> Lease:
    lease = story.store.acquire(story.run, "second", LATER, 1000)
    assert lease is not None
    return lease


def changed(file: Path, old: str, new: str, *, hashed: bool) -> None:
    """Someone edits a line; with `hashed` they make its hash right again."""
    line = json.loads(file.read_text())
    body = file.read_text().rstrip("\n").split('","request":', 1)[1][:-1]
    assert body.count(old) == 1
    body = body.replace(old, new)
    found = hex_digest(body.encode()) if hashed else line["hash"]
    file.write_text(f'{{"hash":"{found}","request":{body}}}\n')


def statuses(story: Story) -> dict[str, str]:
    return {str(step.path): str(step.status) for step in story.store.steps(story.run)}


def test_what_continues_the_record_is_appended_as_it_is(store: SqliteRunStore, story: Story, path: Path) -> None:
    first, second = story.next(completed("a"), completed("b", Output(context="x" * 9_000, values={"n": 1.0})))
    file = rescued(story, [first], [second])
    assert file == path.parent / "rescue" / f"{story.run}-1.jsonl"
    assert len(file.read_text().splitlines()) == 2
    notes = store.rescued(next_leg(story))
    assert notes == (
        Note(
            level="info",
            code="rescue-applied",
            text=f"results that could not be written before were taken from `{file}`",
        ),
    )
    assert list(store.events(story.run)) == [*story.envelopes, first, second]
    assert statuses(story) == {"a": "completed", "b": "completed"}
    assert not file.parent.exists()


def test_later_requests_are_added_to_the_file(store: SqliteRunStore, story: Story) -> None:
    first, second = story.next(completed("a"), completed("b"))
    assert rescued(story, [first]) == rescued(story, [second])
    store.rescued(next_leg(story))
    assert statuses(story) == {"a": "completed", "b": "completed"}


def test_a_changed_workflow_keeps_its_texts(store: SqliteRunStore, story: Story) -> None:
    changed_to = ev.DefinitionChanged(sources={**SOURCES, "new.wf": "workflow new { }\n"}, changes={})
    rescued(story, story.next(changed_to))
    store.rescued(next_leg(story))
    assert dict(store.sources(story.run)) == dict(changed_to.sources)


def test_an_application_cut_short_is_finished_by_the_next(store: SqliteRunStore, story: Story) -> None:
    first, second = story.next(completed("a"), completed("b"))
    file = rescued(story, [first], [second])
    text = file.read_text()
    lease = next_leg(story)
    store.rescued(lease)
    file.parent.mkdir()
    file.write_text(text)  # killed before the file was removed
    assert [one.code for one in store.rescued(lease)] == ["rescue-applied"]
    assert not file.exists()
    assert list(store.events(story.run)) == [*story.envelopes, first, second]


@pytest.mark.parametrize(
    ("old", "new", "hashed", "why"),
    [
        ('"elapsed_ms":', '"elapsed_mS":', False, "line 1 is damaged"),
        ('"fence":2', '"fence":1', True, "line 1 is of leg 2, which is not the one that was recorded last"),
        ('"fence":2', '"fence":9', True, "line 1 is of leg 2, which is not the one that was recorded last"),
        ('"leg":2', '"leg":7', True, "line 1 is of leg 7, which is not the one that was recorded last"),
        ("[[7,", "[[9,", True, "line 1 begins with event 9, but 7 would be next"),
        ("[[7,", "[[2,", True, "line 1 differs from what is recorded under its numbers"),
        ('"a",1', '"nobody",1', True, "line 1 does not fit: "),
        ('"step_completed"', '"step_exploded"', True, "line 1 can't be understood: "),
    ],
)
def test_anything_else_is_left_and_told(
    store: SqliteRunStore, story: Story, old: str, new: str, hashed: bool, why: str
) -> None:
    story.write(ev.RunInterrupted(cause="interrupt"), release=False)
    story.begin("again", resumed=True)
    file = rescued(story, story.next(completed("a")))
    changed(file, old, new, hashed=hashed)
    before, text = list(store.events(story.run)), file.read_text()
    lease = store.acquire(story.run, "third", 2 * LATER, 1000)
    assert lease is not None
    (told,) = store.rescued(lease)
    assert (told.level, told.code) == ("warning", "rescue-kept")
    assert told.text.startswith(f"`{file}` holds results that are not part of this run's record: {why}")
    assert list(store.events(story.run)) == before
    assert file.read_text() == text


def test_a_torn_line_does_not_take_the_whole_ones_with_it(store: SqliteRunStore, story: Story) -> None:
    first, second = story.next(completed("a"), completed("b"))
    file = rescued(story, [first], [second])
    content = file.read_bytes()
    file.write_bytes(content[: len(content) - 40])
    (told,) = store.rescued(next_leg(story))
    assert "line 2 is damaged" in told.text
    assert statuses(story) == {"a": "completed", "b": "running"}
    assert file.exists()


def test_what_a_fenced_out_engine_left_is_never_applied(store: SqliteRunStore, story: Story) -> None:
    file = rescued(story, story.next(completed("a")), is_fenced=True)
    assert file.name == f"{story.run}-1.fenced.jsonl"
    (told,) = store.rescued(next_leg(story))
    assert "they were written after another process had taken the run over" in told.text
    assert statuses(story)["a"] == "running"
    assert file.exists()


def test_a_first_leg_and_a_run_without_files_have_nothing_to_tell(store: SqliteRunStore, story: Story) -> None:
    assert story.lease is not None
    rescued(story, story.next(completed("a")))
    assert store.rescued(story.lease) == ()
    other = Story(store)
    other.begin()
    assert store.rescued(next_leg(other)) == ()


def test_where_the_folder_can_not_be_written_the_temporary_one_is_used(
    store: SqliteRunStore, story: Story, path: Path, tmp_path: Path
) -> None:
    (path.parent / "rescue").write_text("in the way")
    file = rescued(story, story.next(completed("a")))
    assert file.parent.parent == tmp_path / "temporary"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [one.code for one in store.rescued(next_leg(story))] == ["rescue-applied"]
    assert statuses(story)["a"] == "completed"


def test_where_nothing_can_be_written_the_lines_go_to_standard_error(
    store: SqliteRunStore, story: Story, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(descriptor: int, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", refuse)
    assert story.lease is not None
    assert store.rescue(story.lease, [story.next(completed("a"))], is_fenced=False) == "standard error"
    monkeypatch.undo()
    err = capsys.readouterr().err
    assert err.startswith('rescued: {"hash":"')
    assert '"step_completed"' in err
    assert rescue.files_of(store._path, story.run) == []


def test_a_value_that_can_not_be_written_is_named_and_the_others_are_kept(
    store: SqliteRunStore, story: Story, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = story.next(completed("a", Output(values={"x": float("nan")})), completed("b"))
    file = rescued(story, [bad], [good])
    assert len(file.read_text().splitlines()) == 1
    assert f"warning: `step_completed` of run `{story.run}` can't be written anywhere" in capsys.readouterr().err


def test_killed_in_the_middle_of_a_line_the_lines_before_it_are_there(path: Path) -> None:
    code = f"""
from pathlib import Path
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import arm
from runkon.testing.store_story import Story, completed, started
store = SqliteRunStore(Path({str(path)!r}))
story = Story(store)
story.begin()
story.write(started("a"), started("b", order=1))
first, second = story.next(completed("a"), completed("b"))
print(story.run, flush=True)
arm("rescue_half:hit=2:do=torn")
store.rescue(story.lease, [[first], [second]], is_fenced=False)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -9
    store = SqliteRunStore(path, durability="normal", patience=0.0)
    lease = store.acquire(done.stdout.strip(), "second", LATER, 1000)  # type: ignore[arg-type]
    assert lease is not None
    (told,) = store.rescued(lease)
    assert "line 2 is damaged" in told.text
    assert {str(step.path): str(step.status) for step in store.steps(lease.run)} == {"a": "completed", "b": "running"}
    store.close()


# ── a late owner that still writes while the next leg takes over ──────────────────────────────────
def at(place: str, action: Callable[[], object]) -> None:
    """Do `action` the first time `place` is passed."""
    passed: list[str] = []

    def reaction(name: str, _path: str | None, _attempt: int | None) -> None:
        if name == place and not passed:
            passed.append(name)
            action()

    react(reaction)


@pytest.mark.parametrize("place", ["before_batch", "before_commit", "after_commit"])
def test_a_line_that_comes_while_the_file_is_taken_over_is_not_lost(
    store: SqliteRunStore, story: Story, place: str
) -> None:
    first, second = story.next(completed("a"), completed("b"))
    file = rescued(story, [first])
    lease, later = next_leg(story), []
    at(place, lambda: later.append(rescued(story, [second])))
    try:
        assert [one.code for one in store.rescued(lease)] == ["rescue-applied"]
    finally:
        react(None)
    assert not file.exists()
    assert later == [file.with_name(f"{story.run}-1.2.jsonl")]
    assert [line.envelopes for line in rescue.read(later[0])] == [(second,)]
    assert [one.code for one in store.rescued(lease)] == ["rescue-applied"]
    assert list(store.events(story.run)) == [*story.envelopes, first, second]


def test_a_line_that_is_being_written_is_waited_for(
    store: SqliteRunStore, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = story.next(completed("a"), completed("b"))
    file = rescued(story, [first])
    lease, waits, told = next_leg(story), threading.Event(), []
    monkeypatch.setattr(rescue.time, "sleep", lambda _: waits.set())
    monkeypatch.setattr(rescue, "PATIENCE", 60.0)
    taker = threading.Thread(target=lambda: told.extend(store.rescued(lease)))

    def half_written() -> None:
        taker.start()
        assert waits.wait(60)
        assert statuses(story) == {"a": "running", "b": "running"}

    at("rescue_half", half_written)
    try:
        assert rescued(story, [second]) == file
    finally:
        react(None)
    taker.join(60)
    assert [one.code for one in told] == ["rescue-applied"]
    assert statuses(story) == {"a": "completed", "b": "completed"}


def test_a_file_that_its_writer_does_not_let_go_is_left_and_told(
    store: SqliteRunStore, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = story.next(completed("a"), completed("b"))
    file = rescued(story, [first])
    lease, told = next_leg(story), []
    monkeypatch.setattr(rescue, "PATIENCE", 0.01)
    at("rescue_half", lambda: told.extend(store.rescued(lease)))
    try:
        rescued(story, [second])
    finally:
        react(None)
    assert told == [
        Note(
            level="warning",
            code="rescue-kept",
            text=f"`{file}` holds results that are not part of this run's record: "
            "the process that writes it has not let it go; it was left",
        )
    ]
    assert [line.envelopes for line in rescue.read(file)] == [(first,), (second,)]


# ── a look at what would be taken over ────────────────────────────────────────────────────────────
def test_what_would_be_taken_over_is_seen_without_a_trace(store: SqliteRunStore, story: Story) -> None:
    first, second = story.next(completed("a"), completed("b"))
    assert store.rescuable(story.run) == ()
    file = rescued(story, [first], [second])
    with file.open("a") as more:
        more.write("damaged\n")
    text, before = file.read_text(), store.run(story.run)
    assert store.rescuable(story.run) == (first, second)
    assert (file.read_text(), store.run(story.run)) == (text, before)
    assert statuses(story) == {"a": "running", "b": "running"}


def test_what_would_not_fit_is_not_seen(store: SqliteRunStore, story: Story) -> None:
    first, second = story.next(completed("a"), completed("nobody"))
    rescued(story, [first], [second])
    assert store.rescuable(story.run) == (first,)
