from __future__ import annotations

from pathlib import Path

import pytest

from runkon.executors.providers import Files, Lines, Range, Runs
from runkon.model.ids import RunID
from runkon.model.items import Item, ItemProvider, ItemRequest
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus


def asked(folder: Path, scope: dict[str, JsonValue], **wanted: JsonValue) -> ItemRequest:
    return ItemRequest(working_dir=folder, scope=scope, filter=wanted)


def ids(provider: ItemProvider, request: ItemRequest) -> list[str]:
    return [item.id for item in provider.items(request) if isinstance(item, Item)]


def test_files_come_by_path_whatever_the_disk_says(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "in/c.py", "in/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "e.py").mkdir()
    assert ids(Files(), asked(tmp_path, {"glob": "**/*.py"})) == ["a.py", "b.py", "in/c.py"]
    assert ids(Files(), asked(tmp_path, {"glob": "**/*"}, suffix=".txt")) == ["in/d.txt"]
    (found,) = Files().items(asked(tmp_path, {"glob": "in/*.py"}))
    assert found.context == {"path": "in/c.py", "name": "c.py", "stem": "c", "suffix": ".py"}


def test_lines_that_hold_something(tmp_path: Path) -> None:
    (tmp_path / "todo.txt").write_text("one\n\n  two \n")
    assert list(Lines().items(asked(tmp_path, {"path": "todo.txt"}))) == [
        Item("1", "one", {"text": "one", "number": 1}),
        Item("3", "two", {"text": "two", "number": 3}),
    ]


@pytest.mark.parametrize(
    ("scope", "numbers"),
    [
        ({"to": 3}, ["1", "2", "3"]),
        ({"from": 3, "to": 1, "step": -1}, ["3", "2", "1"]),
        ({"from": "2", "to": "6", "step": 2}, ["2", "4", "6"]),
        ({"from": 2, "to": 1}, []),
    ],
)
def test_a_range_holds_both_its_ends(scope: dict[str, JsonValue], numbers: list[str]) -> None:
    assert ids(Range(), asked(Path(), scope)) == numbers


def test_runs_come_oldest_first_without_the_one_that_asks() -> None:
    records = [RunRecord(RunID(id), "w", "w.wf", status) for id, status in zip("cba", RunStatus, strict=False)]
    request = ItemRequest(run_id="b", runs=lambda: records)
    assert ids(Runs(), request) == ["a", "c"]
    wanted = ItemRequest(run_id="b", runs=lambda: records, filter={"status": str(records[0].status)})
    assert ids(Runs(), wanted) == ["c"]


@pytest.mark.parametrize(
    ("provider", "scope", "wanted", "says"),
    [
        (Files(), {}, {}, "needs a text `glob`"),
        (Files(), {"glob": "../*"}, {}, "leads out of the working folder"),
        (Files(), {"glob": "/etc/*"}, {}, "leads out of the working folder"),
        (Files(), {"glob": "*", "x": 1}, {}, "has no `x`; it has `glob`"),
        (Lines(), {"path": "nothere"}, {}, "`nothere` can't be read"),
        (Range(), {"from": 1}, {}, "needs a whole number `to`"),
        (Range(), {"to": 2, "step": 0}, {}, "`step` of `range` is 0"),
        (Range(), {"to": 10**9}, {}, "more than 1000000"),
        (Runs(), {"x": 1}, {}, "has no `x`; it has nothing at all"),
        (Lines(), {"path": "t"}, {"y": 1}, "`filter` has no `y`; it has `text`, `number`"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, provider: ItemProvider, scope: dict[str, JsonValue], wanted: dict[str, JsonValue], says: str
) -> None:
    (tmp_path / "t").write_text("x")
    with pytest.raises(ValueError, match=says):
        list(provider.items(asked(tmp_path, scope, **wanted)))
