"""The suite passes for good executors, and fails for each way of being a bad one."""

from types import MappingProxyType

import pytest

from runkon.plugin.decorator import executor
from runkon.testing import CancellableContract, ExecutorContract, ScriptedExecutor, request_for


@executor("good")
def good(request):
    request.emit("working")
    return {"markers": ["ok"], "n": [1, 2]}


@executor("patient")
def patient(request):
    request.emit("waiting")
    if request.inputs.get("slow"):
        request.cancel.wait(60)
        request.cancel.raise_if_cancelled()


class TestFunction(ExecutorContract):
    def make(self):
        return good


class TestScripted(ExecutorContract):
    def make(self):
        return ScriptedExecutor(default={"n": 1})


class TestPatient(CancellableContract):
    def make(self):
        return patient

    def slow_request(self):
        return request_for("patient", inputs={"slow": True})


class Bad:
    name = "bad"

    def execute(self, request):
        return None


class BadEffect(Bad):
    effect = "maybe"


class BadOutput(Bad):
    def execute(self, request):
        return 42


class BadValues(Bad):
    def execute(self, request):
        return {"n": float("nan")}


class BadChange(Bad):
    def execute(self, request):
        request.inputs["list"].append(1)


class BadProgress(Bad):
    def execute(self, request):
        request.emit(b"bytes")


class BadStop(Bad):
    def execute(self, request):
        if request.cancel.is_cancelled:
            raise RuntimeError("killed")


class BadOnce(Bad):
    def __init__(self):
        self.used = False

    def execute(self, request):
        if self.used:
            raise RuntimeError("used up")
        self.used = True


@pytest.mark.parametrize(
    ("bad", "test"),
    [
        (BadEffect, "test_it_can_be_registered"),
        (BadOutput, "test_it_answers_with_an_output"),
        (BadValues, "test_the_output_can_be_recorded_as_json"),
        (BadChange, "test_it_leaves_the_request_alone"),
        (BadProgress, "test_it_reports_progress_as_text"),
        (BadOnce, "test_it_answers_again"),
        (BadOnce, "test_it_takes_concurrent_calls"),
        (BadStop, "test_a_step_cancelled_before_it_began_ends_with_an_answer_or_as_cancelled"),
    ],
)
def test_the_suite_finds(bad, test):
    class Suite(ExecutorContract):
        def make(self):
            return bad()

        def request(self):
            return request_for("bad", inputs=MappingProxyType({"list": []}))

    with pytest.raises((AssertionError, TypeError, ValueError, RuntimeError)):
        getattr(Suite(), test)()
