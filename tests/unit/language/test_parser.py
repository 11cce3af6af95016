"""Text → tree: every rule of the grammar once, and the positions of what it gives."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import pytest

from runkon.language import nodes
from runkon.language.parser import DEEPEST, parse
from runkon.language.program import ParseResult
from runkon.language.source import SourceFile, Span
from runkon.language.table import parse_table
from runkon.language.tokens import END, tokenize


def read(text: str) -> ParseResult:
    return parse(SourceFile("a.wf", text))


def workflow(inside: str) -> nodes.Workflow:
    result = read(f"workflow w {{ {inside} }}")
    assert [d.message for d in result.diagnostics] == []
    return result.workflows[0]


def statement(text: str) -> nodes.Statement:
    (found,) = workflow(text).body
    return found


def codes(text: str) -> list[str]:
    return [d.code for d in read(text).diagnostics]


# ── file and workflow ───────────────────────────────────────────────────────────────────────────
def test_an_empty_workflow_has_defaults_everywhere() -> None:
    found = workflow("")
    assert (found.name, found.items, found.body, found.always, found.inputs) == ("w", (), (), (), ())
    assert found.meta == nodes.Meta()


def test_a_file_may_hold_several_workflows_in_order() -> None:
    assert [w.name for w in read("workflow a {} workflow b { call c } workflow a-b {}").workflows] == ["a", "b", "a-b"]


def test_sections_and_statements_may_be_mixed_and_repeated() -> None:
    found = workflow(
        'always { call y } meta { title = "A" description = "d" } call a inputs { x } call b '
        'meta { title = "T" } inputs { z } always { call z } outputs { v = a.b } outputs { u = 1 }'
    )
    kinds = [item.kind for item in found.items]
    assert kinds == [
        "always_section",
        "meta",
        "call",
        "inputs",
        "call",
        "meta",
        "inputs",
        "always_section",
        "outputs",
        "outputs",
    ]
    assert [step.agent.text for step in found.body] == ["a", "b"]
    assert [step.agent.text for step in found.always] == ["y", "z"]
    assert [declared.name for declared in found.inputs] == ["x", "z"]
    assert [entry.name for entry in found.outputs] == ["v", "u"]
    assert (found.meta.title, found.meta.description) == ("T", "d")


def test_a_byte_order_mark_and_comments_of_both_kinds_are_skipped() -> None:
    text = "\ufeff// one\nworkflow w { # two {\n call a // three }\n}\n# end"
    result = read(text)
    assert result.diagnostics == ()
    assert result.workflows[0].span == Span("a.wf", 8, text.index("\n# end"), 2, 1)


@pytest.mark.parametrize("space", "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000")
def test_unicode_white_space_separates_words(space: str) -> None:
    assert codes(f"workflow{space}w{space}{{{space}call{space}a{space}}}") == []


@pytest.mark.parametrize("character", "\x1c\x1d\x1e\x1f\u200b\ufeff\x00")
def test_other_invisible_characters_do_not(character: str) -> None:
    assert codes(f"workflow w {{{character}call a }}") == ["unexpected-character"]


# ── steps ───────────────────────────────────────────────────────────────────────────────────────
def test_a_call_by_name_and_by_path() -> None:
    by_name, by_path = workflow('call a-b-1_c call "x/plan.md" {}').body
    assert (by_name.agent.form, by_name.agent.text) == ("name", "a-b-1_c")
    assert (by_path.agent.form, by_path.agent.text) == ("path", "x/plan.md")


def test_options_may_be_separated_by_nothing_commas_and_semicolons() -> None:
    forms = ["retries = 2 output = o", "retries = 2, output = o", "retries = 2; output = o;", "retries=2,\noutput=o,"]
    assert len({statement(f"call a {{ {form} }}") for form in forms}) == 1


def test_call_workflow_takes_inputs_as_a_block_and_as_a_value() -> None:
    block = statement("call workflow kid { retries = 1 inputs { a = x, b = 2; } as = bot }")
    value = statement("call workflow kid { retries = 1 inputs = { a = x b = 2 } as = bot }")
    assert block == value
    assert [(e.name, e.value.text) for e in block.options.inputs] == [("a", "x"), ("b", "2")]


def test_script_gate_and_both_forms_of_foreach() -> None:
    script = statement('script s { run = a.sh env = { A = "1", script = b } }')
    assert (script.run, [e.name for e in script.env]) == ("a.sh", ["A", "script"])
    gate = statement('gate human_review { timeout = 1h30m options = ["a" "b"] }')
    assert (gate.type, gate.timeout, gate.choices) == ("human_review", 5_400_000, (("a", "a"), ("b", "b")))
    old = statement("foreach f { over = tickets max_parallel = 2 workflow = kid }")
    assert (old.over.text, old.workflow, old.body) == ("tickets", "kid", None)
    new = statement("foreach f in plan.files { max_parallel = 4 call a }")
    assert (new.over.text, new.max_parallel, [s.kind for s in new.body]) == ("plan.files", 4, ["call"])
    assert statement('foreach f in ["a", 2, [b]] { call a }').over.kind == "list"


# ── blocks ──────────────────────────────────────────────────────────────────────────────────────
def test_if_gathers_its_arms_and_else() -> None:
    found = statement("if a.b { call c } else if d { call e } else if f.g { } else { call h }")
    assert [arm.condition.parts for arm in found.arms] == [("a", "b"), ("d",), ("f", "g")]
    assert [len(arm.body) for arm in found.arms] == [1, 1, 0]
    assert [s.agent.text for s in found.orelse] == ["h"]
    assert statement("if a.b { call c }").orelse is None
    assert statement("unless a.b { call c } else { call d }").negated


def test_a_while_without_a_block_ends_the_do_before_it() -> None:
    loop, rest = workflow("do { max_iterations = 2 call f } while c.x call g").body
    assert (loop.kind, loop.condition.parts, rest.kind) == ("do_while", ("c", "x"), "call")


def test_a_while_with_a_block_is_a_loop_of_its_own() -> None:
    first, second = workflow("do { call f } while c.x { max_iterations = 2 call g }").body
    assert (first.kind, second.kind) == ("do", "while")


def test_a_while_without_a_block_needs_a_do() -> None:
    assert codes("workflow w { call a while c.x }") == ["loose-while"]


def test_do_and_parallel_may_have_names() -> None:
    assert [
        s.name for s in workflow("do { call a } do x { call a } parallel { call a } parallel y { call a }").body
    ] == [
        None,
        "x",
        None,
        "y",
    ]


def test_any_statement_may_be_a_branch() -> None:
    found = statement(
        "parallel { until = a.b call a script s { run = x } if a { call b } parallel { call c } gate g {} }"
    )
    assert [s.kind for s in found.body] == ["call", "script", "if", "parallel", "gate"]
    assert found.until.parts == ("a", "b")


def test_a_nested_always_is_a_statement() -> None:
    assert statement("if s.ok { always { call z } }").arms[0].body[0].kind == "always"


def test_options_stand_before_statements() -> None:
    assert codes("workflow w { parallel { call a fail_fast = false } }") == ["option-after-statement"]
    assert codes("workflow w { x = 1 call a }") == ["option-out-of-place"]


def test_sections_stand_directly_in_the_workflow() -> None:
    assert codes("workflow w { if a.b { meta { title = x } call c } }") == ["misplaced-section"]


def test_a_foreach_with_statements_needs_a_list() -> None:
    assert codes("workflow w { foreach f { call a } }") == ["foreach-without-list"]


def test_an_output_stands_once() -> None:
    assert codes("workflow w { outputs { v = a.b v = 2 } }") == ["duplicate-key"]


# ── positions ───────────────────────────────────────────────────────────────────────────────────
def test_spans_cover_what_was_written() -> None:
    text = 'workflow w {\n  call a {\n    with = ["x",\n      "y"]\n  }\n  if a.b == "c" { call d }\n}\n'
    found = read(text).workflows[0]
    call, branch = found.body
    entry = call.written[0]
    shown = [
        text[s.start : s.end]
        for s in (found.name_span, call.agent.span, entry.name_span, branch.arms[0].condition.span)
    ]
    assert shown == ["w", "a", "with", 'a.b == "c"']
    assert text[entry.span.start : entry.span.end] == 'with = ["x",\n      "y"]'
    assert (call.span.line, call.span.column) == (2, 3)
    assert text[call.span.start : call.span.end].endswith("}")
    assert (entry.value.items[1].span.line, entry.value.items[1].span.column) == (4, 7)


def test_the_path_of_the_caller_stands_in_every_span() -> None:
    assert parse(SourceFile("odd name.wf", "workflow w {}")).workflows[0].span.file == "odd name.wf"


# ── depth and growth ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("times", [DEEPEST + 1, 10_000])
def test_deep_nesting_is_an_error_of_its_own(times: int) -> None:
    for text in (
        "if a.b { " * times + "call x" + "}" * times,
        "if " + "(" * times + "a" + ")" * times + " { call x }",
        "if " + "not " * times + "a.b { call x }",
        "call x { with = " + "[" * times + "]" * times + " }",
        "if a.b { " * times,
        'call x { if = "' + "(" * times + "a" + ")" * times + '" }',
    ):
        assert codes(f"workflow w {{ {text} }}") == ["nesting-too-deep"]


def test_nesting_up_to_the_limit_parses() -> None:
    times = DEEPEST - 1
    assert codes("workflow w {" + "if a.b { " * times + "call x" + "}" * times + "}") == []
    assert codes("workflow w { if " + "(" * times + "a" + ")" * times + " { call x } }") == []


def test_a_condition_in_quotes_counts_with_the_blocks_around_it() -> None:
    """Without its quotes, as the formatter writes it, it must still be within the limit."""
    nots = DEEPEST - 2
    assert codes(f'workflow w {{ call a {{ if = "{"not " * nots}x.y" }} }}') == []
    assert codes(f'workflow w {{ call a {{ if = "{"not " * (nots + 1)}x.y" }} }}') == ["nesting-too-deep"]
    assert codes(f"workflow w {{ call a {{ if = {'not ' * (nots + 1)}x.y }} }}") == ["nesting-too-deep"]


def test_long_chains_are_no_nesting() -> None:
    found = workflow(
        "if a.b { call c } " + "else if a.b { call c } " * 3000 + "if " + " and ".join(["a.b"] * 3000) + " { }"
    )
    assert [len(found.body[0].arms), len(found.body[1].arms[0].condition.operands)] == [3001, 3000]


def test_tokens_grow_with_the_text_and_nothing_is_read_twice() -> None:
    step = "call a { retries = 2 }\n"
    counts = [len(tokenize(SourceFile("a.wf", f"workflow w {{ {step * n} }}"), parse_table())) for n in (10, 1000)]
    assert [count - 5 for count in counts] == [7 * 10, 7 * 1000]
    assert tokenize(SourceFile("a.wf", ""), parse_table())[-1].kind == END


def test_a_file_of_many_steps_is_read_whole() -> None:
    assert len(workflow("call a { retries = 2 }\n" * 5000).body) == 5000


def test_threads_may_parse_at_the_same_time() -> None:
    texts = [f"workflow w{n} {{ {'call a { retries 2 } ' * (n % 2)} call b{n} }}" for n in range(40)]
    alone = [(read(text).workflows, read(text).diagnostics) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = [(result.workflows, result.diagnostics) for result in pool.map(read, texts)]
    assert together == alone
    assert gc.isenabled()
