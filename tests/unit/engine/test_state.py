"""State channels: reducers, forks, joins, and that nothing but program order decides what they hold."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from runkon.engine.state import State, Update
from runkon.language.nodes import Channel, StateSection
from runkon.language.parser import parse
from runkon.language.source import SourceFile
from runkon.model.events import StateSet
from runkon.model.failures import StepFailure
from runkon.model.output import JsonValue
from runkon.model.status import RunStatus
from runkon.testing import Hold, ScriptedExecutor
from runkon.testing.running import TextRun, resume_run, run_text

CHANNELS = """
  log list = [0] reduce = append
  total number reduce = sum
  whole integer reduce = sum
  high number reduce = max
  low number reduce = min
  seen list reduce = union
  facts map = { a = 1 } reduce = merge
  last text
  once text reduce = error
"""


def channels(text: str = CHANNELS) -> tuple[Channel, ...]:
    found = parse(SourceFile("w.wf", f"workflow w {{ state {{ {text} }} call a }}"))
    assert found.ok
    section = found.workflows[0].items[0]
    assert isinstance(section, StateSection)
    return section.channels


def none_found(_name: str) -> None:
    return None


def state(find: Callable[[str], object] = none_found, text: str = CHANNELS) -> State:
    return State.of(channels(text), find)  # type: ignore[arg-type]


def write(table: State, writer: str = "a", **values: JsonValue) -> None:
    table.apply([Update(writer, name, value) for name, value in values.items()])


@pytest.mark.parametrize(
    ("channel", "writes", "held"),
    [
        ("log", [[1], [2, 3]], [0, 1, 2, 3]),
        ("total", [1, 2.5], 3.5),
        ("whole", [2**70, 1], 2**70 + 1),
        ("high", [-3, -1], -1),
        ("low", [7, 4], 4),
        ("seen", [["x", 1, "x"], [1.0, {"k": [1]}], [{"k": [1]}]], ["x", 1, {"k": [1]}]),
        ("facts", [{"b": 2}, {"a": None}], {"a": None, "b": 2}),
        ("last", ["x", "y"], "y"),
        ("last", ["x", None], None),
        ("whole", [4, None, 5], 5),
        ("log", [None, [1]], [1]),
    ],
)
def test_what_a_channel_holds_after_writes(channel: str, writes: list[JsonValue], held: JsonValue) -> None:
    table = state()
    for value in writes:
        write(table, **{channel: value})
    assert table.get(channel) == held


def test_a_tie_keeps_the_first_and_its_type() -> None:
    table = state()
    write(table, high=3, low=3.0)
    write(table, high=3.0, low=3)
    assert (type(table.get("high")), type(table.get("low"))) == (int, float)


@pytest.mark.parametrize(
    ("channel", "value"),
    [("whole", 3.0), ("whole", True), ("total", "3"), ("total", float("nan")), ("log", "x"), ("facts", [1])],
)
def test_a_value_of_another_type_is_refused_and_named(channel: str, value: JsonValue) -> None:
    table = state()
    with pytest.raises(StepFailure, match=f"`{channel}`") as refused:
        write(table, last="x", **{channel: value})
    assert refused.value.kind == "schema"
    assert table.get("last") is None


def test_a_channel_that_is_written_once_stays_used_up() -> None:
    table = state()
    write(table, "a", once="x")
    write(table, "b", once=None)
    with pytest.raises(StepFailure) as refused:
        write(table, "c", once="x")
    assert refused.value.kind == "state-conflict"
    assert "`a`" in refused.value.message
    assert "`c`" in refused.value.message


def test_a_fork_sees_what_was_before_it_and_nothing_of_others() -> None:
    table = state()
    write(table, last="before", whole=1)
    one, two = table.fork(), table.fork()
    write(one, last="one", whole=5)
    assert (two.get("last"), two.get("whole"), table.get("last")) == ("before", 1, "before")
    write(two, whole=7)
    table.join([one.log, two.log])
    assert (table.get("last"), table.get("whole")) == ("one", 13)


def test_branches_that_disagree_change_nothing() -> None:
    table = state()
    one, two = table.fork(), table.fork()
    write(one, "p/a", last="x", log=[1])
    write(two, "p/b", last="y", log=[2])
    with pytest.raises(StepFailure) as refused:
        table.join([one.log, two.log])
    assert refused.value.kind == "state-conflict"
    assert all(word in refused.value.message for word in ("p/a", "p/b", '"x"', '"y"', "`last`"))
    assert (table.get("last"), table.get("log"), table.log) == (None, [0], [])


class Joined:
    """A reducer of a plugin."""

    name = "joined"

    def __init__(self) -> None:
        self.calls: list[tuple[JsonValue, JsonValue]] = []

    def __call__(self, old: JsonValue, new: JsonValue) -> JsonValue:
        self.calls.append((old, new))
        if new == "bad":
            raise ValueError("not this one")
        return f"{old}-{new}"


def test_a_reducer_of_a_plugin_begins_with_none_and_may_fail() -> None:
    reducer = Joined()
    table = state({"joined": reducer}.get, "k text reduce = joined m text")
    write(table, k="x")
    write(table, k="y")
    assert (table.get("k"), reducer.calls) == ("None-x-y", [(None, "x"), ("None-x", "y")])
    with pytest.raises(StepFailure, match="not this one") as refused:
        write(table, m="lost", k="bad")
    assert (refused.value.kind, table.get("m")) == ("reducer-failed", None)


# ── in a run ──────────────────────────────────────────────────────────────────────────────────────
class WithReducer(ScriptedExecutor):
    def reducer(self, name: str) -> Joined | None:
        return Joined() if name == "joined" else None


ORDERLESS = """workflow w {
  state { log list reduce = append k text seen list reduce = union n number reduce = sum m map reduce = merge }
  parallel { call a call b do { call c set { n = 10 } } call d }
  outputs { log = state.log seen = state.seen n = state.n m = state.m }
}"""


def end_of(run: TextRun) -> Mapping[str, JsonValue]:
    """What the channels held when the last leg ended."""
    found = [one.event for one in run.store.events(run.record.id)]
    return next(event.updates for event in reversed(found) if isinstance(event, StateSet) and event.path is None)


def values_of(name: str) -> dict[str, object]:
    return {"log": [name, name], "seen": [name, "x"], "n": ord(name) / 4, "m": {name: 1, "who": name}}


@pytest.mark.parametrize("seed", range(12))
def test_the_order_in_which_branches_end_decides_nothing(seed: int) -> None:
    """Each branch is held until the one before it, in an order by chance, has been answered."""
    order = random.Random(seed).sample(["a", "b", "c", "d"], 4)
    holds = {name: Hold() for name in order}

    def answer(name: str) -> Callable[[object], object]:
        def given(request: object) -> object:
            holds[name].answer(request)  # type: ignore[arg-type]
            at = order.index(name) + 1
            if at < len(order):
                holds[order[at]].release()
            return values_of(name)

        return given

    holds[order[0]].release()
    run = run_text(ORDERLESS, ScriptedExecutor({name: answer(name) for name in order}))
    plain = run_text(ORDERLESS, ScriptedExecutor({name: values_of(name) for name in order}))
    assert run.record.status is RunStatus.COMPLETED
    assert end_of(run) == end_of(plain)
    assert run.record.outputs == plain.record.outputs


def test_neither_a_conflict_nor_a_reducer_that_fails_is_retried() -> None:
    text = "workflow w { state { k text reduce = joined } call a { retries = 3 } }"
    for tried, kind in ((text, "reducer-failed"), (text.replace("joined", "error", 1), "state-conflict")):
        executor = WithReducer({"a": {"k": "bad"}})
        run = run_text(tried if kind == "reducer-failed" else tried.replace("call a", "call a call a", 1), executor)
        failed = [step for step in run.store.steps(run.record.id) if step.error is not None]
        assert [(step.error.kind, step.attempts) for step in failed if step.error] == [(kind, 1)]
        assert run.record.status is RunStatus.FAILED


def test_a_resume_holds_what_the_first_leg_held() -> None:
    text = """workflow w {
      state { log list reduce = append n integer = 0 reduce = sum }
      parallel { call a do { call b set { n = 5 } } }
      set { n = 1 }
      call c
      outputs { log = state.log n = state.n }
    }"""
    executor = ScriptedExecutor({"a": {"log": ["a"]}, "b": {"log": ["b"]}, "c": [RuntimeError("x"), {"log": ["c"]}]})
    first = run_text(text, executor)
    assert end_of(first) == {"log": ["a", "b"], "n": 6}
    after = resume_run(first, executor)
    assert after.record.outputs == {"log": ["a", "b", "c"], "n": 6}
    assert executor.paths.count("parallel/a") == 1
