"""Executors are other people's code: whatever comes back from one ends as a record, never as the end of the engine."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from runkon.engine import answers
from runkon.engine.answers import MAX_MESSAGE, Failed, answer_of, failure_of_error
from runkon.errors import Transient
from runkon.model.failures import StepFailure
from runkon.model.output import Output, Usage
from runkon.model.ports import StepRequest

from .conftest import Flow

Make = Callable[[str], Flow]
SECRET = "s3cret-value"


class EvilText(str):
    def encode(self, *_: object, **__: object) -> bytes:
        raise SystemExit(3)


class EvilMap(dict[str, object]):
    def items(self) -> Any:
        raise KeyboardInterrupt

    def keys(self) -> Any:
        raise KeyboardInterrupt


class EvilInt(int):
    def __int__(self) -> int:
        raise SystemExit(1)


class EvilError(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


UNUSABLE: Mapping[str, object] = {
    "a set": {1, 2},
    "not a number": {"x": math.nan},
    "a number too long to write": {"x": 10**5000},
    "half a character": Output(context="\ud800"),
    "half a character in a marker": Output(markers=frozenset(["\ud800"])),
    "a context that is none": Output(context=None),  # type: ignore[arg-type]
    "values that are a list": Output(values=[1, 2]),  # type: ignore[arg-type]
    "values that are none": Output(values=None),  # type: ignore[arg-type]
    "markers that are one text": Output(markers="abc"),  # type: ignore[arg-type]
    "markers that are numbers": Output(markers=[1]),  # type: ignore[arg-type]
    "a usage that is text": Output(usage="free"),  # type: ignore[arg-type]
    "a cost that is no number": Output(usage=Usage(cost_usd=math.nan)),
    "a cost below zero": Output(usage=Usage(cost_usd=-5.0)),
    "a cost that is text": Output(usage=Usage(cost_usd="1")),  # type: ignore[arg-type]
    "half a token": Output(usage=Usage(input_tokens=2.5)),  # type: ignore[arg-type]
    "a flag that is text": Output(degraded="yes"),  # type: ignore[arg-type]
    "a text that ends the process": Output(context=EvilText("\u00e9")),
    "a mapping that raises": {"x": EvilMap(a=1)},
    "a number that raises": {"x": EvilInt(3)},
}


@pytest.mark.parametrize("value", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_value_nobody_can_store_is_a_failure_of_kind_value_and_the_run_ends_well(flow: Make, value: object) -> None:
    answer = answer_of(value, {})
    assert isinstance(answer, Failed)
    assert answer.error.kind == "value"
    case = flow("call a { on_fail = continue } call b")
    case.answers({"a": lambda request: value})
    case.start()
    assert case.statuses["b"] == "completed"
    assert case.statuses["a"] == "failed"


def test_markers_of_an_output_may_be_any_collection_of_texts() -> None:
    answer = answer_of(Output(markers=["b", "a"]), {})  # type: ignore[arg-type]
    assert isinstance(answer, Output)
    assert answer.markers == frozenset(["a", "b"])


@pytest.mark.parametrize(
    ("asked", "granted"),
    [(math.nan, None), (math.inf, None), (-5, None), ("soon", None), (None, None), (0.5, 0.5), (1e300, 604_800.0)],
)
def test_the_wait_an_executor_asks_for_is_a_number_of_seconds_or_nothing(asked: Any, granted: float | None) -> None:
    assert failure_of_error(Transient("later", retry_after=asked), "a", {}).retry_after == granted


def test_an_exception_whose_words_cannot_be_read_is_named_by_its_class() -> None:
    assert failure_of_error(EvilError(), "a", {}).error.message == "executor `a` raised EvilError"
    assert failure_of_error(StepFailure(3, 4), "a", {}).error.message == "4"  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_an_executor_forked_and_let_return_does_not_go_on_with_the_run(flow: Make) -> None:
    def forks(request: StepRequest) -> object:
        child = os.fork()
        if child == 0:
            return {"exit": "of the copy"}
        return {"exit": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

    case = flow("call a call b outputs { exit = a.exit }")
    scripted = case.answers({"a": forks})
    assert case.start().outputs == {"exit": 70}
    assert list(scripted.paths) == ["a", "b"]


# ── secrets ───────────────────────────────────────────────────────────────────────────────────────
def test_a_secret_is_taken_out_of_everything_an_executor_returns() -> None:
    output = Output(
        markers=frozenset([f"m{SECRET}"]),
        context=f"c {SECRET}",
        text=f"t {SECRET}",
        values={f"k{SECRET}": [SECRET, {"deep": f"x{SECRET}y"}]},
    )
    answer = answer_of(output, {"token": SECRET})
    assert SECRET not in repr(answer)
    assert isinstance(answer, Output)
    assert answer.values == {
        "k\u00absecret:token\u00bb": ["\u00absecret:token\u00bb", {"deep": "x\u00absecret:token\u00bby"}]
    }


def test_a_secret_is_taken_out_of_an_error_before_the_error_is_cut() -> None:
    text = "x" * (MAX_MESSAGE - 30) + SECRET
    failed = failure_of_error(StepFailure("exit", text), "a", {"token": SECRET})
    assert SECRET[:4] not in failed.error.message


def test_no_event_result_or_progress_line_holds_a_secret(flow: Make) -> None:
    case = flow(
        """inputs { token secret }
        call returns call raises { on_fail = continue }
        outputs { v = returns.v t = "{{token}}" }"""
    )
    seen: list[str] = []

    def returns(request: StepRequest) -> object:
        value = request.secrets["token"]
        request.emit(f"using {value}")
        return {"v": value, "context": value, "markers": [value]}

    def raises(request: StepRequest) -> object:
        raise ValueError(f"refused {request.secrets['token']} after {request.inputs['prior_context']}")

    case.answers({"returns": returns, "raises": raises})
    case.progress = lambda path, text: seen.append(text)
    case.inputs = {"token": SECRET}
    record = case.start()
    assert record.status == "completed"
    assert SECRET not in repr(case.events) + repr(record) + repr(seen)
    assert seen == ["using \u00absecret:token\u00bb"]


def test_a_watcher_of_progress_that_raises_does_not_fail_the_step(flow: Make) -> None:
    def refuse(path: str, text: str) -> None:
        raise ValueError("nobody watches")

    def talks(request: StepRequest) -> object:
        request.emit("hello")
        request.emit(3)  # type: ignore[arg-type]
        return "said"

    case = flow("call a")
    case.answers({"a": talks})
    case.progress = refuse
    assert case.start().status == "completed"


def test_what_an_executor_does_to_its_inputs_is_seen_by_nobody_else(flow: Make) -> None:
    def changes(request: StepRequest) -> object:
        for name in ("files", "prior_output", "extra"):
            value: Any = request.inputs[name]
            value.clear()
        return None

    case = flow(
        """inputs { files list } call a call b { inputs = { extra = a.deep } }
        outputs { files = inputs.files deep = a.deep }"""
    )
    case.answers({"a": {"deep": [1]}, "b": changes})
    case.inputs = {"files": ["x"]}
    assert case.start().outputs == {"files": ["x"], "deep": [1]}


def test_an_output_of_more_than_is_kept_is_a_failure_of_kind_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MAX_VALUE", 2 * answers.MIB)
    fits, large = "ü" * (answers.MIB - 100), "ü" * (answers.MIB + 1)
    for value in ({"context": fits}, {"text": fits}, Output(text=fits)):
        assert isinstance(answer_of(value, {}), Output)
    for value in ({"context": large}, {"text": [large]}, Output(text=large), Output(markers=frozenset([large]))):
        answer = answer_of(value, {})
        assert isinstance(answer, Failed)
        assert answer.error.kind == "value"
        assert answer.error.message == (
            "the output can't be stored: the output is 2 MiB large, more than the 2 MiB that are kept"
        )
