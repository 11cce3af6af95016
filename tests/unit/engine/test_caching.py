"""`cache`: when an earlier answer is used again, and when not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runkon.engine.caching import may_answer
from runkon.engine.config import RunConfig
from runkon.model.events import AttemptStarted, RunCreated
from runkon.model.output import JsonValue, Output, Usage
from runkon.model.ports import RunStore, StepRequest
from runkon.plugin.decorator import executor
from runkon.store.memory import MemoryRunStore
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.clock import FakeClock
from runkon.testing.running import TextRun, run_text

ASKS = 'workflow w {{ inputs {{ scope default = "full" }} call ask {{ {options} }} }}'


class Counted:
    """An executor that counts, reads one input, and costs something. `fails` so many first calls."""

    name, version, effect, metered = "ask", "1", "read", False

    def __init__(self, fails: int = 0) -> None:
        self.calls = 0
        self.fails = fails

    def execute(self, request: StepRequest) -> Output:
        self.calls += 1
        if self.calls <= self.fails:
            raise RuntimeError("not yet")
        usage = Usage(cost_usd=0.5)
        return Output(frozenset({"done"}), str(request.inputs["scope"]), {"n": self.calls}, usage)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    return MemoryRunStore() if request.param == "memory" else SqliteRunStore(tmp_path / "runs.db")


def run(asked: object, store: RunStore, options: str = "cache = true", scope: str = "full", **more: object) -> TextRun:
    return run_text(ASKS.format(options=options), [asked], {"scope": scope}, store=store, **more)  # type: ignore[list-item, arg-type]


def test_an_equal_request_of_another_run_is_answered_from_it_and_costs_nothing(store: RunStore) -> None:
    counted = Counted()
    first, second = run(counted, store), run(counted, store)
    assert counted.calls == 1
    (before,), (step,) = first.steps, second.steps
    assert step.cached_from == f"{first.record.id}/ask"
    assert (step.output.markers, step.output.context, step.output.values) == (
        before.output.markers,
        before.output.context,
        before.output.values,
    )
    assert (first.record.cost_usd, second.record.cost_usd, second.record.calls) == (0.5, 0.0, 0)


def test_another_value_that_was_read_is_another_request(store: RunStore) -> None:
    counted = Counted()
    runs = [run(counted, store, scope=scope) for scope in ("full", "part", "full")]
    assert counted.calls == 2
    assert runs[2].steps[0].cached_from == f"{runs[0].record.id}/ask"


@pytest.mark.parametrize("change", ["version", "schema", "model"])
def test_what_the_text_says_by_name_belongs_to_the_request(store: RunStore, change: str, tmp_path: Path) -> None:
    counted, other = Counted(), Counted()
    config = RunConfig(working_dir=tmp_path)
    (tmp_path / ".runkon" / "schemas").mkdir(parents=True)
    (tmp_path / ".runkon" / "schemas" / "s.yaml").write_text("fields: {}")
    run(counted, store, config=config)
    if change == "version":
        other.version = "2"
    run(
        other,
        store,
        "cache = true" + {"schema": ' output = "s"', "model": ' model = "m"'}.get(change, ""),
        config=config,
    )
    assert other.calls == 1


def test_failures_are_not_reused(store: RunStore) -> None:
    counted = Counted(fails=1)
    assert run(counted, store).record.status == "failed"
    assert run(counted, store).record.status == "completed"
    assert counted.calls == 2


@pytest.mark.parametrize("kind", ["run_created", "attempt_started", "step_completed"])
def test_a_damaged_record_of_another_run_answers_nothing_and_is_in_nobodys_way(tmp_path: Path, kind: str) -> None:
    counted, file = Counted(), tmp_path / "runs.db"
    run(counted, SqliteRunStore(file))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE events SET payload = 'x' WHERE kind = ?", (kind,))
        connection.commit()
    assert run(counted, SqliteRunStore(file)).record.status == "completed"
    assert counted.calls == 2


@pytest.mark.parametrize("mark", [{"imported": 1}, {"replay": "strict"}])
def test_a_run_that_did_not_ask_here_answers_nothing(store: RunStore, mark: dict[str, JsonValue]) -> None:
    counted = Counted()
    first = run(counted, store)
    created = next(iter(store.events(first.record.id))).event
    assert isinstance(created, RunCreated)
    record = store.run(first.record.id)
    assert record is not None
    assert may_answer(record)
    assert not may_answer(replace(record, config={**record.config, **mark}))


def test_an_answer_that_is_too_old_is_not_used(store: RunStore) -> None:
    counted, clock = Counted(), FakeClock()
    run(counted, store, "cache = 1h", clock=clock)
    clock.advance(3599)
    assert run(counted, store, "cache = 1h", clock=clock).steps[0].cached_from is not None
    clock.advance(2)
    assert run(counted, store, "cache = 1h", clock=clock).steps[0].cached_from is None
    assert counted.calls == 2


def test_nothing_is_reused_by_a_step_that_writes_or_where_it_was_turned_off(store: RunStore, tmp_path: Path) -> None:
    counted, writes = Counted(), Counted()
    writes.effect = "write"  # type: ignore[misc]
    run(counted, store)
    run(writes, store)
    off = RunConfig(working_dir=tmp_path, uses_cache=False)
    last = run(counted, store, config=off)
    assert (counted.calls, writes.calls) == (2, 1)
    (started,) = [event for event in last.events if isinstance(event, AttemptStarted)]
    assert started.asked is not None


def test_a_later_equal_step_of_the_same_run_is_answered_and_passes_on_its_markers(store: RunStore) -> None:
    counted = Counted()
    text = """workflow w {
      inputs { scope default = "full" }
      parallel { call ask { cache = true }  }
      call ask { id = again cache = true }
      if again.done { call ask { id = third cache = true } }
    }"""
    result = run_text(text, [counted], store=store)
    assert counted.calls == 1
    assert [step.path for step in result.steps if step.cached_from] == ["again", "third"]


def test_a_step_that_is_not_described_keeps_no_request(store: RunStore) -> None:
    result = run(Counted(), store, "retries = 0")
    (started,) = [event for event in result.events if isinstance(event, AttemptStarted)]
    assert started.asked is None


def test_what_an_executor_says_it_is_asked_is_recorded_without_secrets_and_places(tmp_path: Path) -> None:
    prompts = []

    class Describes(Counted):
        metered = True

        def describe(self, request: StepRequest) -> dict[str, object]:
            return {
                "prompt": f"{request.inputs['scope']} in {request.working_dir}/src of {request.run_id}",
                "gone": None,
            }

        def execute(self, request: StepRequest) -> Output:
            prompts.append(request.prompt)
            return Output()

    config = RunConfig(working_dir=tmp_path)
    text = ASKS.format(options="")
    first = run_text(text, [Describes()], {"scope": "full"}, config=config)  # type: ignore[list-item]
    second = run_text(text, [Describes()], {"scope": "full"}, config=config)  # type: ignore[list-item]
    asked = [event.asked for one in (first, second) for event in one.events if isinstance(event, AttemptStarted)]
    assert asked[0] is not None
    assert asked[0].request == {
        "executor": "ask",
        "kind": "call",
        "prompt": "full in «project»/src of «run»",
        "version": "1",
    }
    assert asked[0] == asked[1]
    assert prompts[0] == f"full in {tmp_path}/src of {first.record.id}"
    assert first.steps[0].seen is not None
    assert "scope" in first.steps[0].seen.names


def test_an_executor_that_can_not_say_what_it_is_asked_is_called_all_the_same(store: RunStore) -> None:
    class Broken(Counted):
        def describe(self, request: StepRequest) -> dict[str, object]:
            raise RuntimeError("no idea")

    result = run(Broken(), store)
    assert result.record.status == "completed"


def test_a_function_is_described_by_what_the_text_gives_it(store: RunStore) -> None:
    @executor("ask")
    def ask(request: StepRequest) -> None:
        return None

    text = 'workflow w { call ask { inputs = { a = "1" } output = "s" cache = true } }'
    result = run_text(text, [ask], store=store)
    (started,) = [event for event in result.events if isinstance(event, AttemptStarted)]
    assert started.asked is not None
    assert started.asked.request == {
        "executor": "ask",
        "inputs": {"a": "1"},
        "kind": "call",
        "name": "ask",
        "schema": "s",
        "version": "1",
    }
