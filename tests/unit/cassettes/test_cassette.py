"""What a record answers, and what a file keeps of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.cassettes.cassette import Cassette, answers_in, as_first_leg, last_always
from runkon.cassettes.files import read, write
from runkon.engine.asking import asked_as
from runkon.errors import UserError
from runkon.model import events as ev
from runkon.model.ids import RunID, StepPath
from runkon.model.items import ItemsCollected, ListedItem
from runkon.model.output import Output, Usage
from runkon.model.records import GateAnswer, Seen, StepError
from runkon.testing.store_story import completed, started

RUN = RunID("01J0000000000000000000000R")


def recorded(*events: tuple[int, ev.Event]) -> list[ev.Envelope]:
    """Events of the legs they are given with."""
    return [ev.Envelope(RUN, seq, seq, leg, leg, event) for seq, (leg, event) in enumerate(events, 1)]


def failed(path: str, number: int = 0) -> ev.AttemptFailed:
    return ev.AttemptFailed(path=StepPath(path), number=number, error=StepError("exit", "no"), elapsed_ms=7)


def test_attempts_are_answers_in_program_order() -> None:
    found = answers_in(
        recorded(
            (1, started("b", order=2)),
            (1, started("a", order=1)),
            (1, failed("a")),
            (1, started("a", 1, order=1)),
            (1, completed("a")),
            (1, completed("b")),
        )
    )
    assert [(one.path, one.outcome, one.seq) for one in found] == [
        ("a", "failed", 2),
        ("a", "completed", 4),
        ("b", "completed", 1),
    ]
    assert found[0].error == StepError("exit", "no")


def test_only_the_last_leg_that_tried_a_step_counts() -> None:
    found = answers_in(
        recorded(
            (1, started("a")),
            (1, completed("a")),
            (1, started("b", order=1)),
            (1, failed("b")),
            (2, started("b", 1, order=1)),
            (2, completed("b")),
        )
    )
    assert [(one.path, one.outcome, one.leg) for one in found] == [("a", "completed", 1), ("b", "completed", 2)]


@pytest.mark.parametrize("ended", [True, False])
def test_an_attempt_that_was_cut_off_is_no_answer_and_those_before_it_do_not_count(ended: bool) -> None:
    cut = ev.AttemptCutOff(path=StepPath("a"), number=1, certainty="unknown", cause="process_lost")
    events: list[tuple[int, ev.Event]] = [(1, started("a")), (1, failed("a")), (2, started("a", 1))]
    assert answers_in(recorded(*events, *([(3, cut)] if ended else []))) == ()


def test_an_answer_without_an_attempt_counts_but_blocks_do_not() -> None:
    info = started("a").info
    block = started("p", kind="parallel").info
    cached = ev.StepCompleted(path=StepPath("a"), output=Output(context="x"), info=info, cached_from="01/a")
    joined = ev.StepCompleted(path=StepPath("p"), output=Output(), info=block)
    (found,) = answers_in(recorded((1, cached), (1, joined)))
    assert (found.path, found.executor, found.output) == ("a", "", Output(context="x"))


def test_the_always_block_that_ran_last_is_the_only_one() -> None:
    found = answers_in(
        recorded(
            (1, started("always#1/bye")),
            (1, completed("always#1/bye", Output(context="old"))),
            (3, started("always#3/bye")),
            (3, completed("always#3/bye", Output(context="new"))),
        )
    )
    assert [(one.path, one.output) for one in found] == [("always#1/bye", Output(context="new"))]
    assert last_always([StepPath("a"), StepPath("always#10/x"), StepPath("always#9/x")]) == "always#10/"
    assert as_first_leg(StepPath("always#9/x"), "always#10/") is None


def a_cassette(root: Path) -> Cassette:
    events = recorded((1, started("a")), (1, completed("a")), (1, started("b", order=1)), (1, failed("b")))
    first, second = answers_in(events)
    output = Output(frozenset({"m"}), f"in {root}/src", {"n": 1.5}, Usage(cost_usd=1.0), False, "text")
    first = replace(first, asked=asked_as({"prompt": "«project»/src"}), output=output, seen=Seen(("x",), "d"))
    return Cassette(
        name="run",
        workflow="w",
        file="w.wf",
        inputs={"scope": "full", "token": {"$secret": "token"}},
        answers=(first, second),
        decisions=(GateAnswer(RUN, "gate", "approved", "kim", "cli", 5, 1, "fine", {"needed": 1}, 1),),
        lists=(ItemsCollected(path=StepPath("f"), items=(ListedItem("k", "l", {"v": 1}),), provider="files"),),
        executors={"a": "other"},
    )


def test_a_file_gives_back_what_it_was_made_of_in_another_folder(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    made = a_cassette(here)
    write(made, here / "deep" / "w.json", here, RUN)
    text = (here / "deep" / "w.json").read_text(encoding="utf-8")
    assert str(tmp_path) not in text
    assert RUN not in text
    found = read(here / "deep" / "w.json", there)
    first, second = found.answers
    assert first.output == Output(frozenset({"m"}), f"in {there}/src", {"n": 1.5}, Usage(cost_usd=1.0), False, "text")
    assert first.asked == made.answers[0].asked
    assert (first.seen, second.error) == (made.answers[0].seen, made.answers[1].error)
    assert [one._replace(run=RUN) for one in found.decisions] == list(made.decisions)
    assert [(one.path, one.items) for one in found.lists] == [(one.path, one.items) for one in made.lists]
    assert (found.inputs, found.executors, found.is_whole) == (made.inputs, made.executors, True)


def test_equal_records_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(a_cassette(tmp_path), tmp_path / f"{name}.json", tmp_path, RUN)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.json", "b.json"]


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: whole.update(schema="runkon.cassette/99"),
        lambda whole: whole["answers"][0].pop("path"),
        lambda whole: whole["answers"][0].update(outcome="odd"),
        lambda whole: whole["answers"][0]["request"].update(prompt="edited"),
        lambda whole: whole.pop("workflow"),
        lambda whole: whole.update(file=5),
        lambda whole: whole.update(inputs=["a"]),
        lambda whole: whole.update(model="\ud800"),
        lambda whole: whole["inputs"].update(a=float("inf")),
        lambda whole: whole["answers"][0].update(path=["a"]),
        lambda whole: whole["answers"][0].update(elapsed_ms="1"),
        lambda whole: whole["answers"].append("a"),
        lambda whole: whole["decisions"][0].update(gate={}),
    ],
)
def test_a_file_that_is_not_whole_is_refused_in_words(tmp_path: Path, change: object) -> None:
    path = tmp_path / "w.json"
    write(a_cassette(tmp_path), path, tmp_path, RUN)
    whole = json.loads(path.read_text())
    change(whole)  # type: ignore[operator]
    path.write_text(json.dumps(whole))
    with pytest.raises(UserError) as caught:
        read(path, tmp_path)
    assert caught.value.code == "cassette-unreadable"


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        read(path, tmp_path)
    assert caught.value.code == "cassette-unreadable"


def test_a_place_that_can_not_be_written_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        write(a_cassette(tmp_path), tmp_path / "file" / "w.json", tmp_path, RUN)
    assert (caught.value.code, caught.value.next) == ("cassette-unwritable", f"runkon replay {RUN}")
