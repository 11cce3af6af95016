from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runkon.engine.results import Results, StepResult
from runkon.model.output import JsonValue, Output
from runkon.model.status import StepStatus


def done(key: str, *markers: str, context: str = "", block: bool = False, **values: JsonValue) -> StepResult:
    return StepResult(key, StepStatus.COMPLETED, Output(frozenset(markers), context, values), block=block)


def put(results: Results, result: StepResult) -> None:
    results.put(result.key, result)


def contexts(results: Results) -> list[str]:
    return [result.output.context for result in results.history()]


def test_the_newest_result_of_a_key_is_found() -> None:
    results = Results()
    put(results, done("a", "first"))
    put(results, done("a", "second"))
    found = results.get("a")
    assert found is not None
    assert found.output.markers == {"second"}
    assert results.get("b") is None


def test_an_empty_table_has_no_history() -> None:
    results = Results()
    assert (results.prior_context, results.prior_values, results.feedback) == ("", None, None)
    assert list(results.history()) == []


def test_only_completed_steps_make_history_and_variables() -> None:
    results = Results()
    put(results, done("a", context="A", x="from a"))
    put(results, StepResult("b", StepStatus.FAILED, Output(context="B", values={"x": "from b"})))
    put(results, StepResult("c", StepStatus.SKIPPED))
    assert contexts(results) == ["A"]
    assert results.prior_context == "A"
    assert results.exported("x") == "from a"
    found = results.get("b")
    assert found is not None
    assert found.output.values == {"x": "from b"}


def test_the_result_of_a_block_is_only_read_by_its_key() -> None:
    results = Results()
    put(results, done("a", context="A"))
    put(results, done("checks", block=True, failed=2))
    assert results.prior_context == "A"
    assert results.exported("failed") is None
    assert results.get("checks") is not None


def test_scalars_are_exported_as_text_and_nothing_else() -> None:
    results = Results()
    put(results, done("a", text="t", number=3, part=1.5, yes=True, no=False, nothing=None, items=[1], map={"k": 1}))
    assert {name: results.exported(name) for name in results.exported_names()} == {
        "text": "t",
        "number": "3",
        "part": "1.5",
        "yes": "true",
        "no": "false",
    }


def test_the_newest_writer_of_a_variable_wins_and_others_leave_it() -> None:
    results = Results()
    put(results, done("a", base="one"))
    put(results, done("b", base="two"))
    put(results, done("c", other="x"))
    assert results.exported("base") == "two"


def test_names_of_engine_and_host_are_not_exported() -> None:
    results = Results()
    put(
        results,
        done("a", prior_context="fake", repo_path="/", workflow_run_id="0", dry_run="true", workflow_status="x"),
    )
    assert results.exported_names() == frozenset()


def test_the_newest_structured_output_that_holds_anything_is_the_prior_one() -> None:
    results = Results()
    put(results, done("a", n=1))
    put(results, done("b", context="no values"))
    assert results.prior_values == {"n": 1}


def test_a_fork_sees_its_parent_and_hides_what_it_writes() -> None:
    results = Results()
    put(results, done("a", context="A", v="1"))
    left, right = results.fork(), results.fork()
    put(left, done("a", "left", context="L", v="2"))
    left.give_feedback("good")
    assert contexts(left) == ["A", "L"]
    assert (left.prior_context, left.exported("v"), left.feedback) == ("L", "2", "good")
    assert (right.prior_context, right.exported("v"), right.feedback) == ("A", "1", None)
    found = right.get("a")
    assert found is not None
    assert not found.output.markers
    assert contexts(results) == ["A"]


def test_branches_are_joined_in_the_order_given() -> None:
    results = Results()
    first, second = results.fork(), results.fork()
    put(second, done("x", "second", context="2", v="2"))  # finished first
    put(first, done("x", "first", context="1", v="1"))
    results.join([first, second])
    found = results.get("x")
    assert found is not None
    assert found.output.markers == {"second"}
    assert contexts(results) == ["1", "2"]
    assert (results.prior_context, results.exported("v")) == ("2", "2")


def test_joining_a_branch_that_did_nothing_changes_nothing() -> None:
    results = Results()
    put(results, done("a", context="A", v="1"))
    results.give_feedback("said")
    results.join([results.fork()])
    assert (results.prior_context, results.exported("v"), results.feedback) == ("A", "1", "said")


def test_steps_of_a_child_workflow_yield_to_those_of_the_caller() -> None:
    child = Results()
    put(child, done("build", "child", context="built", version="9"))
    put(child, StepResult("lint", StepStatus.COMPLETED, Output(frozenset({"child"})), iteration=3))
    results = Results()
    put(results, done("build", "own"))
    results.adopt(child)
    own, adopted = results.get("build"), results.get("lint")
    assert own is not None
    assert adopted is not None
    assert own.output.markers == {"own"}
    assert adopted.output.markers == {"child"}
    assert [(r.key, r.iteration) for r in results.history()] == [("build", 0), ("build", 0), ("lint", 0)]
    assert results.exported("version") == "9"


def test_a_step_of_the_caller_hides_the_childs_even_when_it_comes_from_a_branch() -> None:
    results = Results()
    branch = results.fork()
    child = Results()
    put(child, done("build", "child"))
    branch.adopt(child)
    put(results.fork(), done("unrelated"))
    results.join([branch])
    found = results.get("build")
    assert found is not None
    assert found.output.markers == {"child"}
    put(results, done("build", "own"))
    found = results.get("build")
    assert found is not None
    assert found.output.markers == {"own"}


keys = st.sampled_from("abc")
steps = st.builds(
    lambda key, context, values, completed: StepResult(
        key, StepStatus.COMPLETED if completed else StepStatus.FAILED, Output(context=context, values=values)
    ),
    keys,
    st.sampled_from(["", "x", "y"]),
    st.dictionaries(st.sampled_from(["v", "w", "prior_context"]), st.sampled_from(["1", "2", 3, None]), max_size=2),
    st.booleans(),
)
feedbacks = st.sampled_from(["good", "bad"])
program = st.recursive(
    st.lists(steps | feedbacks, max_size=4),
    lambda inner: st.lists(steps | st.lists(inner, max_size=3), max_size=4),
    max_leaves=12,
)


def run(results: Results, statements: list[object], *, forked: bool) -> None:
    """A list inside a list stands for a parallel block whose elements are branches."""
    for statement in statements:
        if isinstance(statement, StepResult):
            put(results, statement)
        elif isinstance(statement, str):
            results.give_feedback(statement)
        elif isinstance(statement, list):
            branches = [branch if isinstance(branch, list) else [branch] for branch in statement]
            if not forked:
                for branch in branches:
                    run(results, branch, forked=False)
                continue
            forks = [results.fork() for _ in branches]
            for fork, branch in reversed(list(zip(forks, branches, strict=True))):
                run(fork, branch, forked=True)
            results.join(forks)


def state(results: Results) -> object:
    return (
        {key: results.get(key) for key in "abc"},
        list(results.history()),
        {name: results.exported(name) for name in results.exported_names()},
        results.prior_context,
        results.prior_values,
        results.feedback,
    )


@given(program)
def test_forked_branches_join_to_what_running_them_in_order_gives(statements: list[object]) -> None:
    in_order, forked = Results(), Results()
    run(in_order, statements, forked=False)
    run(forked, statements, forked=True)
    assert state(forked) == state(in_order)
