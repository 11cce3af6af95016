from __future__ import annotations

import pytest

from runkon.language import nodes
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.parser import parse
from runkon.language.source import SourceFile

from .statements import bad, good, read

DAY = 86_400_000


def gate(text: str, type_: str = "human_review") -> nodes.GateStep:
    node = good(f"gate {type_} {{ {text} }}")
    assert isinstance(node, nodes.GateStep)
    return node


# ── gates ─────────────────────────────────────────────────────────────────────────────────────────
def test_gate_defaults() -> None:
    found = gate("")
    assert (found.key, found.timeout, found.min_approvals, found.on_timeout) == ("human_review", DAY, 1, "fail")


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ('"2h"', 7_200_000),
        ("2h", 7_200_000),
        ('"48h"', 2 * DAY),
        ('"60s"', 60_000),
        ('"3600"', 3_600_000),
        ("3600", 3_600_000),
        ('" 5m "', 300_000),
        ('"\\"5m\\""', 300_000),
        ('"5ms"', 5),
        ('"1d"', DAY),
        ("0", 0),
    ],
)
def test_gate_timeout(text: str, milliseconds: int) -> None:
    assert gate(f"timeout = {text}").timeout == milliseconds


@pytest.mark.parametrize("text", ['"1.5h"', '"2H"', '"h"', '""', '"2 h"', "soon"])
def test_unfit_gate_timeout(text: str) -> None:
    assert [code for code, _ in bad(f"gate human_review {{ timeout = {text} }}")] == ["invalid-value"]


@pytest.mark.parametrize(
    ("text", "choices", "choices_from"),
    [
        ('options = { up = "yes" down = "no" }', (("up", "yes"), ("down", "no")), None),
        ('options = ["a", b]', (("a", "a"), ("b", "b")), None),
        ("options = s.items", None, "s.items"),
        ('options = "s.items"', None, "s.items"),
    ],
)
def test_gate_options(text: str, choices: object, choices_from: str | None) -> None:
    found = gate(text, "slack_vote")
    assert (found.choices, found.choices_from) == (choices, choices_from)


@pytest.mark.parametrize("text", ["options = yes", "mode = banana", "on_timeout = maybe", "min_approvals = x"])
def test_unfit_gate_option(text: str) -> None:
    assert [code for code, _ in bad(f"gate human_review {{ {text} }}")] == ["invalid-value"]


def test_quorum_is_another_word_for_min_approvals() -> None:
    assert gate("quorum = 3").min_approvals == 3


@pytest.mark.parametrize("name", ["min_approvals", "quorum"])
def test_a_review_decision_leaves_no_room_for_approvals(name: str) -> None:
    assert gate("mode = review_decision").mode == "review_decision"
    found = bad(f"gate pr_approval {{ mode = review_decision {name} = 2 }}")
    assert [code for code, _ in found] == ["conflicting-options"]
    assert "cannot specify both" in found[0][1]


@pytest.mark.parametrize("name", ["name", "id"])
def test_a_gate_may_have_a_key_of_its_own(name: str) -> None:
    assert gate(f"{name} = ship").key == "ship"


def test_quality_gate_waits_for_nobody() -> None:
    found = gate('source = "rt" threshold = 85 on_fail = continue', "quality_gate")
    assert (found.source, found.threshold, found.on_fail, found.timeout) == ("rt", 85, "continue", 0)


def test_quality_gate_keeps_taking_options_without_effect() -> None:
    found = gate('source = rt threshold = 0 prompt = "x" mode = banana timeout = "5m"', "quality_gate")
    assert (found.prompt, found.mode, found.timeout) == (None, "min_approvals", 0)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("source = a threshold = 150", "invalid-value"),
        ("source = a threshold = high", "invalid-value"),
        ("source = a threshold = 5 on_fail = fixer", "invalid-value"),
        ('source = a threshold = 5 options = ["a"]', "unknown-option"),
        ("threshold = 5", "missing-option"),
        ("source = a", "missing-option"),
    ],
)
def test_unfit_quality_gate(text: str, code: str) -> None:
    assert [found for found, _ in bad(f"gate quality_gate {{ {text} }}")] == [code]


# ── blocks ────────────────────────────────────────────────────────────────────────────────────────
def test_parallel_fields() -> None:
    node = good("parallel p { fail_fast = false min_success = 1 max_parallel = 2 output = o with = [s] call a call b }")
    assert isinstance(node, nodes.ParallelBlock)
    assert (node.name, node.fail_fast, node.min_success, node.max_parallel) == ("p", False, 1, 2)
    assert (node.output, node.snippets, len(node.body)) == ("o", ("s",), 2)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("parallel { }", "empty-parallel"),
        ("parallel { min_success = 3 call a call b }", "min-success-unreachable"),
        ("parallel { fail_fast = no call a }", "invalid-value"),
        ("parallel { min_success = x call a }", "invalid-value"),
        ("parallel { max_parallel = 0 call a }", "invalid-value"),
        ("parallel { call a { retries = bad } }", "invalid-value"),
    ],
)
def test_unfit_parallel(text: str, code: str) -> None:
    assert [found for found, _ in bad(text)] == [code]


def test_min_success_may_name_every_branch() -> None:
    node = good("parallel { min_success = 2 call a call b }")
    assert isinstance(node, nodes.ParallelBlock)
    assert node.min_success == 2


def test_branches_take_every_step_option() -> None:
    node = good('parallel { call a { if = d.m as = bot timeout = "1m" retries = 1 on_fail = continue } }')
    assert isinstance(node, nodes.ParallelBlock)
    branch = node.body[0]
    assert isinstance(branch, nodes.CallStep)
    assert (branch.options.identity, branch.options.timeout, branch.options.on_fail) == ("bot", 60_000, "continue")


def test_loop_fields() -> None:
    node = good("call r while r.bad { max_iterations = 5 stuck_after = 2 on_max_iter = continue call f }")
    assert isinstance(node, nodes.WhileBlock)
    assert (node.max_iterations, node.stuck_after, node.on_max_iter) == (5, 2, "continue")


def test_a_loop_may_run_no_time_at_all() -> None:
    node = good("do { max_iterations = 0 call f } while f.x")
    assert isinstance(node, nodes.DoWhileBlock)
    assert node.max_iterations == 0


@pytest.mark.parametrize(
    "text", ["stuck_after = 0", "stuck_after = 1", "stuck_after = x", "on_max_iter = explode", "on_max_iter = [fail]"]
)
def test_unfit_loop_option(text: str) -> None:
    found = bad(f"call r while r.bad {{ max_iterations = 5 {text} call f }}")
    assert [code for code, _ in found] == ["invalid-value"]


def test_do_hands_output_and_snippets_on() -> None:
    node = good('do { output = "s" with = ["p"] call f }')
    assert isinstance(node, nodes.DoBlock)
    assert (node.output, node.snippets) == ("s", ("p",))


def test_foreach_over_a_provider() -> None:
    node = good(
        'foreach f { over = tickets scope = { label = "x" } max_parallel = 2 workflow = kid '
        'inputs = { id = "{{item.id}}" } }'
    )
    assert isinstance(node, nodes.ForEachBlock)
    assert (node.key, node.workflow, node.max_parallel, node.body) == ("f", "kid", 2, None)
    assert (node.on_child_fail, node.on_cycle, node.ordered) == ("continue", "fail", False)
    assert isinstance(node.over, nodes.Word)


@pytest.mark.parametrize(("text", "kind"), [("scan.files", "word"), ('"tickets"', "text"), ('["a", "b"]', "list")])
def test_foreach_over_kinds(text: str, kind: str) -> None:
    node = good(f"foreach f {{ over = {text} max_parallel = 0 workflow = kid }}")
    assert isinstance(node, nodes.ForEachBlock)
    assert (node.over.kind, node.max_parallel) == (kind, 1)


def test_foreach_with_a_body() -> None:
    node = good('foreach f in scan.files { key = "{{f.path}}" id = each max_items = 9 call a }')
    assert isinstance(node, nodes.ForEachBlock)
    assert (node.name, node.key, node.item_key, node.max_items) == ("f", "each", "{{f.path}}", 9)
    assert (node.max_parallel, node.workflow) == (1, None)
    assert node.body is not None
    assert len(node.body) == 1


@pytest.mark.parametrize("name", ["workflow", "over"])
def test_a_foreach_with_a_body_explains_what_stands_in_place_of_an_option(name: str) -> None:
    _, found = read(f"foreach f in scan.files {{ {name} = kid call a }}")
    assert [d.code for d in found] == ["unknown-option"]
    assert "foreach … in" in (found[0].help or "") or "after `in`" in (found[0].help or "")


@pytest.mark.parametrize(
    "text",
    [
        "ordered = yes",
        "on_cycle = skip",
        "on_child_fail = retry",
        'scope = "x"',
        "filter = x",
        'inputs = "x"',
        "max_items = lots",
    ],
)
def test_unfit_foreach_option(text: str) -> None:
    found = bad(f"foreach f {{ over = files max_parallel = 1 workflow = kid {text} }}")
    assert [code for code, _ in found] == ["invalid-value"]


# ── meta ──────────────────────────────────────────────────────────────────────────────────────────
def meta(text: str) -> tuple[nodes.Meta, tuple[Diagnostic, ...]]:
    result = parse(SourceFile("t.wf", f"workflow w {{ meta {{ {text} }} }}"))
    return result.workflows[0].meta, result.diagnostics


def test_meta_fields() -> None:
    found, problems = meta(
        'title = "T" description = "D" targets = worktree group = g timeout = 2h budget_usd = 2.50 '
        "max_calls = 10 max_tokens = 5000000000 max_parallel = 4 strict = true version = 1"
    )
    assert problems == ()
    assert found == nodes.Meta(
        title="T",
        description="D",
        targets=("worktree",),
        group="g",
        timeout=7_200_000,
        budget_usd=2.5,
        max_calls=10,
        max_tokens=5_000_000_000,
        max_parallel=4,
        strict=True,
    )


@pytest.mark.parametrize("trigger", ["pr", "scheduled"])
def test_a_trigger_that_starts_nothing_is_a_warning(trigger: str) -> None:
    found, problems = meta(f"trigger = {trigger}")
    assert found.trigger == trigger
    assert [(d.code, d.severity) for d in problems] == [("inactive-trigger", Severity.WARNING)]


@pytest.mark.parametrize("text", ["trigger = cron", "version = 2", "strict = yes", "budget_usd = lots", "title = [a]"])
def test_unfit_meta_key(text: str) -> None:
    _, problems = meta(text)
    assert [d.code for d in problems] == ["invalid-value"]
