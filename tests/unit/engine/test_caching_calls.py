"""`cache` on `call workflow`: when an earlier call is used again, what it gives, and when not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runkon.engine.config import RunConfig
from runkon.errors import UserError
from runkon.model.events import StepCompleted
from runkon.model.output import Output, Usage
from runkon.model.ports import RunStore, StepRequest
from runkon.store.memory import MemoryRunStore
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.clock import FakeClock
from runkon.testing.running import TextRun, check_text, run_text
from tests.unit.engine.conftest import Flow

CHILD = "workflow k { inputs { s required } call ask outputs { r = ask.n } }"
TEXT = """workflow w {{
  inputs {{ scope default = "full" }}
  call workflow k {{ {options} inputs = {{ s = "{{{{scope}}}}" }} }}
  if k.done {{ call ask {{ id = last }} }}
  outputs {{ n = k.r said = k.context }}
}}
"""


class Counted:
    """Counts its calls; each costs something."""

    name, version, effect, metered = "ask", "1", "read", True

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails = False

    def execute(self, request: StepRequest) -> Output:
        self.calls.append(request.path)
        if self.fails:
            raise RuntimeError("not yet")
        return Output(frozenset({"done"}), f"call {len(self.calls)}", {"n": len(self.calls)}, Usage(cost_usd=0.5))


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return MemoryRunStore() if request.param == "memory" else SqliteRunStore(tmp_path / "runs.db")


def run(
    asked: Counted,
    store: RunStore,
    scope: str = "full",
    options: str = "cache = true",
    child: str = CHILD,
    **more: object,
) -> TextRun:
    files = {"k": child, "m": str(more.pop("below", ""))}
    text = TEXT.format(options=options)
    return run_text(text, [asked], {"scope": scope}, workflows=files, store=store, **more)  # type: ignore[arg-type, list-item]


def test_an_equal_call_gives_what_the_earlier_one_gave_without_any_step_inside(store: RunStore) -> None:
    counted = Counted()
    first, second = run(counted, store), run(counted, store)
    assert counted.calls == ["k/ask", "last", "last"]
    call, last = second.steps
    before = first.steps[0]
    assert (call.path, call.status, call.cached_from) == ("k", "completed", f"{first.record.id}/k")
    assert (call.output.markers, call.output.context, call.output.values) == (
        before.output.markers,
        before.output.context,
        before.output.values,
    )
    assert second.record.outputs == first.record.outputs == {"n": 1, "said": "call 1"}
    assert (first.record.cost_usd, second.record.cost_usd, second.record.calls) == (1.0, 0.5, 1)
    assert last.path == "last"


def test_a_damaged_record_of_another_run_gives_nothing_and_is_in_nobodys_way(tmp_path: Path) -> None:
    counted, file = Counted(), tmp_path / "runs.db"
    run(counted, SqliteRunStore(file))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE events SET payload = 'x' WHERE kind = 'step_completed' AND path = 'k'")
        connection.commit()
    assert run(counted, SqliteRunStore(file)).record.status == "completed"
    assert counted.calls == ["k/ask", "last"] * 2


def test_other_inputs_are_another_call(store: RunStore) -> None:
    counted = Counted()
    found = [run(counted, store, scope).steps[0].cached_from for scope in ("full", "part", "full")]
    assert found[:2] == [None, None]
    assert found[2] is not None


def test_another_text_of_the_workflow_or_of_one_it_calls_is_another_call(store: RunStore) -> None:
    counted = Counted()
    deep = "workflow k { inputs { s required } call workflow m outputs { r = m.q } }"
    below = "workflow m { call ask outputs { q = ask.n } }"
    found = [
        run(counted, store, child=text).steps[0].cached_from for text in (CHILD, CHILD.replace("ask.n", "7"), CHILD)
    ]
    found += [
        run(counted, store, child=deep, below=text).steps[0].cached_from
        for text in (below, below.replace("ask.n", "8"), below)
    ]
    assert [one is not None for one in found] == [False, False, True, False, False, True]


def test_a_version_of_an_executor_and_a_file_belong_to_it(store: RunStore, tmp_path: Path) -> None:
    counted, config = Counted(), RunConfig(working_dir=tmp_path)
    child = CHILD.replace("call ask", 'call ask { with = ["style"] }')
    snippet = tmp_path / ".runkon" / "prompts" / "style.md"
    snippet.parent.mkdir(parents=True)
    snippet.write_text("one")
    run(counted, store, child=child, config=config)
    assert run(counted, store, child=child, config=config).steps[0].cached_from is not None
    snippet.write_text("two")
    assert run(counted, store, child=child, config=config).steps[0].cached_from is None
    counted.version = "2"  # type: ignore[misc]
    assert run(counted, store, child=child, config=config).steps[0].cached_from is None


def test_one_that_is_too_old_or_turned_off_or_failed_is_not_used(store: RunStore, tmp_path: Path) -> None:
    counted, clock = Counted(), FakeClock()
    counted.fails = True
    assert run(counted, store, options="cache = 1h", clock=clock).record.status == "failed"
    counted.fails = False
    assert run(counted, store, options="cache = 1h", clock=clock).steps[0].cached_from is None
    clock.advance(3599)
    assert run(counted, store, options="cache = 1h", clock=clock).steps[0].cached_from is not None
    off = RunConfig(working_dir=tmp_path, uses_cache=False)
    assert run(counted, store, options="cache = 1h", clock=clock, config=off).steps[0].cached_from is None
    clock.advance(3700)
    assert run(counted, store, options="cache = 1h", clock=clock).steps[0].cached_from is None


def test_a_call_in_which_something_was_changed_is_never_found(store: RunStore) -> None:
    counted = Counted()
    counted.effect = "write"  # type: ignore[misc]
    first, second = run(counted, store), run(counted, store)
    assert second.steps[0].cached_from is None
    ends = [one for one in first.events if isinstance(one, StepCompleted) and one.path == "k"]
    assert [one.asked for one in ends] == [None]


def test_what_a_cached_call_gave_is_not_passed_on_as_its_own(store: RunStore) -> None:
    counted = Counted()
    origin = run(counted, store).record.id
    assert {run(counted, store).steps[0].cached_from for _ in range(2)} == {f"{origin}/k"}


def test_a_resume_keeps_a_cached_call(tmp_path: Path) -> None:
    text = f"workflow w {{ call workflow k {{ cache = true inputs = {{ s = 1 }} }} call b }}\n{CHILD}"
    case = Flow(text, tmp_path)
    case.program = check_text(text)
    scripted = case.answers({"k/ask": Output(values={"n": 1}), "b": [Output(), RuntimeError("no"), Output()]})
    first = case.start()
    assert (first.status, case.start().status) == ("completed", "failed")
    assert case.steps["k"].cached_from == f"{first.id}/k"
    assert case.resume().status == "completed"
    assert scripted.paths == ["k/ask", "b", "b", "b"]


@pytest.mark.parametrize(
    ("child", "why"),
    [
        ('script s { run = "ls" }', "its step `k/s` may change something outside"),
        ("if a.b { call a { effect = write } }", "its step `k/a` may change something outside"),
        ('gate human_review { prompt = "ok?" }', "at its gate `k/human_review` somebody decides"),
        ("call workflow m", "its step `m/s` may change something outside"),
    ],
)
def test_a_workflow_that_may_write_is_refused_and_the_step_named(child: str, why: str) -> None:
    text = (
        f"workflow w {{ call workflow k {{ cache = true }} }}\nworkflow k {{ call a {child} }}\n"
        'workflow m { script s { run = "ls" } }'
    )
    with pytest.raises(UserError, match="cache-of-writer") as raised:
        check_text(text)
    assert f"the answer of `k` can't be used again: {why}" in raised.value.message


@pytest.mark.parametrize(
    ("own", "given", "declared"),
    [("token secret", "t = token", "t required"), ("token", 't = "x"', "t secret")],
)
def test_a_workflow_that_is_given_a_secret_is_refused(own: str, given: str, declared: str) -> None:
    text = (
        f"workflow w {{ inputs {{ {own} }} call workflow k {{ cache = true inputs = {{ {given} }} }} }}\n"
        f"workflow k {{ inputs {{ {declared} }} call a }}"
    )
    with pytest.raises(UserError, match="cache-of-secret"):
        check_text(text)


def test_a_workflow_whose_steps_say_that_they_only_read_is_fine() -> None:
    text = 'workflow w { call workflow k { cache = 2h } }\nworkflow k { script s { run = "ls" effect = read } call a }'
    assert check_text(text).warnings == ()
