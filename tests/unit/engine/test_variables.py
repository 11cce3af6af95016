from __future__ import annotations

from collections.abc import Mapping

import pytest

from runkon.engine.results import Results, StepResult
from runkon.engine.variables import UNKNOWN, Variables
from runkon.model.output import JsonValue, Output
from runkon.model.status import StepStatus


def variables(
    results: Results | None = None,
    *,
    inputs: Mapping[str, JsonValue] = {},
    injected: Mapping[str, JsonValue] = {},
    extras: Mapping[str, JsonValue] = {},
) -> Variables:
    return Variables(
        run_id="01J", dry_run=False, inputs=inputs, injected=injected, extras=extras, results=results or Results()
    )


def ran(*steps: tuple[str, Output]) -> Results:
    results = Results()
    for key, output in steps:
        results.put(key, StepResult(key, StepStatus.COMPLETED, output))
    return results


def test_before_the_first_step_only_the_engines_own_variables_exist() -> None:
    assert dict(variables()) == {
        "workflow_run_id": "01J",
        "dry_run": False,
        "prior_context": "",
        "prior_contexts": [],
    }


def test_history_is_read_from_the_results() -> None:
    results = ran(("a", Output(frozenset({"z", "b"}), "A", {"n": 1})), ("c", Output(context="C")))
    seen = variables(results)
    assert seen["prior_context"] == "C"
    assert seen["prior_contexts"] == [
        {"step": "a", "iteration": 0, "context": "A", "markers": ["b", "z"]},
        {"step": "c", "iteration": 0, "context": "C", "markers": []},
    ]
    assert seen["prior_output"] == {"n": 1}


def test_feedback_is_a_variable_once_it_was_given() -> None:
    results = Results()
    assert "gate_feedback" not in variables(results)
    results.give_feedback("ship it")
    assert variables(results)["gate_feedback"] == "ship it"


def test_a_later_source_overrides_an_earlier_one() -> None:
    results = ran(("a", Output(values={"x": "exported", "y": "exported"})))
    seen = variables(
        results,
        inputs={"x": "input", "y": "input", "repo_path": "input", "z": "input", "repo_name": "input"},
        injected={"repo_path": "injected", "repo_name": "injected", "worktree_branch": "injected"},
        extras={"y": "step"},
    )
    assert (seen["z"], seen["x"], seen["y"]) == ("input", "exported", "step")
    assert (seen["repo_path"], seen["repo_name"], seen["worktree_branch"]) == ("injected", "input", "injected")


def test_nothing_takes_the_place_of_an_engine_variable() -> None:
    results = ran(("a", Output(context="real", values={"prior_context": "fake"})))
    seen = variables(results, inputs={"dry_run": "yes", "prior_context": "fake"}, extras={"workflow_run_id": "fake"})
    assert (seen["dry_run"], seen["prior_context"], seen["workflow_run_id"]) == (False, "real", "01J")


def test_an_export_does_not_take_the_place_of_what_the_host_injects() -> None:
    results = ran(("a", Output(values={"worktree_branch": "evil"})))
    assert variables(results, injected={"worktree_branch": "main"})["worktree_branch"] == "main"


def test_unknown_names_are_absent() -> None:
    seen = variables()
    assert "nope" not in seen
    assert seen.get("nope") is None
    assert seen.find("nope") is UNKNOWN
    with pytest.raises(KeyError):
        seen["nope"]
    assert 3 not in seen


def test_names_are_listed_once_and_counted() -> None:
    results = ran(("a", Output(values={"x": "e"})))
    seen = variables(results, inputs={"x": "i", "y": None}, extras={"x": "s"})
    assert list(seen) == ["workflow_run_id", "dry_run", "prior_context", "prior_contexts", "prior_output", "x", "y"]
    assert len(seen) == 7


class CountingResults(Results):
    """Counts how often somebody walks the history."""

    __slots__ = ("walks",)

    def __init__(self) -> None:
        super().__init__()
        self.walks = 0

    def history(self):  # type: ignore[no-untyped-def]
        self.walks += 1
        return super().history()


def test_the_history_is_walked_only_for_those_who_read_it() -> None:
    results = CountingResults()
    results.put("a", StepResult("a", StepStatus.COMPLETED, Output(context="A")))
    seen = variables(results)
    assert list(seen)
    assert seen["prior_context"] == "A"
    assert "x" not in seen
    assert results.walks == 0
    assert seen["prior_contexts"]
    assert results.walks == 1
