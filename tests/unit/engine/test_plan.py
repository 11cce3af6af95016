from __future__ import annotations

from pathlib import Path

import pytest

from runkon.engine.config import RunConfig
from runkon.engine.constructs import constructs
from runkon.engine.plan import Planned, names_of, order_text, plan_body
from runkon.engine.runner import Runner
from runkon.errors import UserError
from runkon.language.keys import result_key
from runkon.language.parser import parse
from runkon.language.program import CheckedWorkflow
from runkon.language.source import SourceFile
from runkon.store.memory import MemoryRunStore
from runkon.testing import ScriptedExecutor


def planned(body: str) -> tuple[Planned, ...]:
    parsed = parse(SourceFile("flow.wf", f"workflow w {{\n{body}\n}}"))
    assert parsed.ok, parsed.diagnostics
    return plan_body(parsed.workflows[0].body, constructs())


def leaves(body: tuple[Planned, ...]) -> list[Planned]:
    found: list[Planned] = []
    for statement in body:
        inner = [leaf for part in statement.bodies for leaf in leaves(part)]
        found += inner if statement.bodies else [statement]
    return found


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ("call a call a call b", ["a", "a#2", "b"]),
        ('call "x/a.md" call a script a { run = "true" }', ["a", "a#2", "a#3"]),
        ("call a { id = q } call q", ["q", "q#2"]),
        ("call a if a.x { call b } else if a.y { call b } else { call b } unless a.z { call b }",
         ["a", "b", "b#2", "b#3", "b#4"]),
        ("do { call a } do x { call a } do { call a } do x { call a }", ["a", "x/a", "a#2", "x#2/a"]),
        ("do { always { call a } } call a", ["a", "a#2"]),
        ("parallel { call a call a } parallel { call a } parallel p { do { call a call b } }",
         ["parallel/a", "parallel/a#2", "parallel#2/a", "p/a", "p/b"]),
        ("do { parallel { call a } } parallel { call a }", ["parallel/a", "parallel#2/a"]),
    ],
)  # fmt: skip
def test_paths_count_equal_segments_in_text_order_through_blocks_without_a_segment(body: str, paths: list[str]) -> None:
    assert [str(leaf.path) for leaf in leaves(planned(body))] == paths


def test_inside_loops_paths_are_known_only_when_they_run() -> None:
    leaf = leaves(planned("do { max_iterations = 2 do x { call a } } while a.x"))[0]
    assert leaf.path is None
    assert leaf.segment == "a"


def test_orders_sort_like_the_text() -> None:
    body = " ".join(f"call s{n}" for n in range(12)) + " parallel p { call a do { call b call c } call d } call z"
    found = leaves(planned(body))
    orders = [leaf.static_order or "" for leaf in found]
    assert orders == sorted(orders)
    assert len(set(orders)) == len(orders)


def test_numbers_as_text_sort_like_numbers() -> None:
    texts = [order_text(number) for number in (0, 9, 10, 99, 100, 1234)]
    assert texts == sorted(texts)


def test_names_are_those_of_steps_and_named_blocks_with_their_paths() -> None:
    body = """
    call a { id = q on_fail = doctor }
    parallel p { call b  do inner { call e } }
    do { max_iterations = 2 call c } while c.x
    if q.x { call d } else { do { call q } }
    parallel { call f }
    """
    names = names_of(planned(body))
    assert names.steps == {"q", "doctor", "b", "c", "d", "e", "f"}
    assert names.blocks == {"p", "inner"}
    assert names.paths == {
        "q", "q/on_fail", "p", "p/b", "p/inner", "p/inner/e", "do[]/c", "d", "q#2", "parallel/f",
    }  # fmt: skip


def test_a_statement_the_engine_does_not_know_is_refused_before_a_run_exists(tmp_path: Path) -> None:
    source = SourceFile("flow.wf", "workflow w { call a }")
    parsed = parse(source)
    with pytest.raises(UserError) as raised:
        plan_body(parsed.workflows[0].body, {})
    assert raised.value.code == "unsupported-statement"
    assert "flow.wf:1" in raised.value.message
    runner = Runner(MemoryRunStore(), ScriptedExecutor(default=None))
    program = CheckedWorkflow(parsed.workflows[0], source)
    assert runner.create(program, {}, RunConfig(working_dir=tmp_path))


@pytest.mark.parametrize("path", ["agents/plan.md", "a.v2.md", ".hidden", "plan.", "plan/", ".", ""])
def test_a_path_agent_has_the_key_that_the_checks_know(path: str) -> None:
    source = SourceFile("w.wf", f'workflow w {{ call "{path}" }}')
    (step,) = parse(source).workflows[0].body
    (leaf,) = plan_body((step,), constructs())
    assert leaf.key == result_key(step)
