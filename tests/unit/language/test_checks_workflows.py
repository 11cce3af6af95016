from __future__ import annotations

import pytest


def test_a_missing_workflow_is_one_error(only, catalog) -> None:
    found = only("W{ call workflow nope }", catalog())
    assert found.code == "unknown-workflow"
    assert ".runkon/workflows/nope.wf" in (found.help or "")


def test_a_workflow_of_the_same_file_comes_first(codes, catalog) -> None:
    assert codes("W{ call workflow k } workflow k { call a }", catalog()) == []


def test_a_close_workflow_of_the_file_is_suggested(only, catalog) -> None:
    assert only("W{ call workflow kidd } workflow kids { call a }", catalog()).help == "did you mean `kids`?"


def test_required_inputs_are_reported_one_by_one(codes, only, catalog) -> None:
    child = "workflow k { inputs { id other } }"
    assert codes("W{ call workflow k }", catalog(workflows={"k": child})) == ["missing-workflow-input"] * 2
    found = only("W{ call workflow k { inputs = { id = 1 } } }", catalog(workflows={"k": child}))
    assert "`other`" in found.message
    assert "`k`" in found.message


def test_optional_inputs_and_extra_inputs_are_fine(codes, catalog) -> None:
    world = catalog(workflows={"k": "workflow k { inputs { x default = 1 y boolean } }"})
    assert codes('W{ call workflow k { inputs = { more = "z" } } }', world) == []


def test_foreach_children_need_their_inputs(codes, catalog) -> None:
    world = catalog(workflows={"k": "workflow k { inputs { id } }"})
    text = "W{ foreach f { over = runs max_parallel = 1 workflow = k %s } }"
    assert codes(text % "", world) == ["missing-workflow-input"]
    assert codes(text % 'inputs = { id = "{{item.id}}" }', world) == []


def test_a_child_with_errors_is_reported_at_its_call(only, checked, catalog) -> None:
    world = catalog(workflows={"k": "workflow k { if ghost.x { call a } }"})
    found = only("W{ call workflow k }", world)
    assert found.code == "broken-workflow"
    assert "(k.wf:1)" in found.message
    assert checked("W{ call workflow k }", world).checked is None


def test_a_child_that_does_not_parse_is_reported_at_its_call(only, catalog) -> None:
    assert only("W{ call workflow k }", catalog(workflows={"k": "workflow k { ] }"})).code == "broken-workflow"


def test_a_broken_child_in_the_same_file_is_not_reported_twice(checked) -> None:
    result = checked("W{ call workflow k } workflow k { if ghost.x { call a } }")
    assert result.diagnostics == ()
    assert result.checked is None


def test_children_of_children_are_checked_with_their_own_names(checked, catalog) -> None:
    world = catalog(workflows={"k": "workflow k { call workflow l }", "l": "workflow l { call a }"})
    checked_program = checked("W{ call workflow k }", world).checked
    assert checked_program is not None
    assert set(checked_program.children) == {"k"}
    assert set(checked_program.children["k"].children) == {"l"}


CYCLES = {
    "itself": ("W{ call workflow w }", "w -> w"),
    "another": ("W{ call workflow b } workflow b { call workflow w }", "w -> b -> w"),
    "three": ("W{ call workflow b } workflow b { call workflow c } workflow c { call workflow w }", "w -> b -> c -> w"),
    "through always": ("W{ always { call workflow w } }", "w -> w"),
    "through foreach": ("W{ foreach f { over = runs max_parallel = 1 workflow = w } }", "w -> w"),
    "through a body never run": ("W{ inputs { f boolean } if f { call workflow w } }", "w -> w"),
    "further down": ("W{ call workflow b } workflow b { call workflow b }", "b -> b"),
}


@pytest.mark.parametrize(("text", "chain"), CYCLES.values(), ids=CYCLES.keys())
def test_a_circle_is_reported_with_its_chain(only, text: str, chain: str) -> None:
    found = only(text)
    assert found.code == "workflow-cycle"
    assert found.message.endswith(f": {chain}")


def chain_of(length: int) -> str:
    names = ["w", *(f"w{number}" for number in range(2, length + 1))]
    calls = zip(names, [*names[1:], ""], strict=True)
    return " ".join(f"workflow {name} {{ {f'call workflow {then}' if then else 'call a'} }}" for name, then in calls)


def test_five_workflows_in_a_row_are_fine_and_six_are_not(codes) -> None:
    assert codes(chain_of(5)) == []
    assert codes(chain_of(6)) == ["workflow-too-deep"]


def test_many_workflows_that_call_each_other_are_checked_quickly(codes) -> None:
    names = ["w", *(f"w{number}" for number in range(40))]
    text = " ".join(f"workflow {name} {{ {' '.join(f'call workflow {other}' for other in names)} }}" for name in names)
    assert set(codes(text)) == {"workflow-cycle"}


def test_skip_dependents_needs_an_order(codes) -> None:
    text = (
        "W{ foreach f { over = runs max_parallel = 1 workflow = k on_child_fail = skip_dependents %s } } workflow k { }"
    )
    assert codes(text % "") == ["skip-without-order"]
    assert codes(text % "ordered = true") == []


def test_a_list_knows_no_order(codes) -> None:
    assert codes("W{ foreach x in [1, 2] { ordered = true call x } }") == ["no-order"]
    assert codes("W{ call s foreach x in s.list { ordered = true call x } }") == ["no-order"]
