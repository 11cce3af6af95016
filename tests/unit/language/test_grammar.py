"""The grammar file as Lark itself reads it, and the words that are names in one place and keywords in another."""

from __future__ import annotations

import lark
import pytest

from runkon.language.grammar_files import grammar_text
from runkon.language.parser import parse
from runkon.language.source import SourceFile
from runkon.language.table import NAME, RESERVED, STARTS, parse_table

WORDS = sorted(parse_table().words)
CONTEXTUAL = sorted(w for w, kind in parse_table().words.items() if kind not in RESERVED)
NEVER_NAMES = ("do", "meta")
PLAIN_WORDS = ["required", "default", "description", "boolean", "number", "integer", "list", "secret", "one_of"]
PLAIN_WORDS += ["true", "false", "null", "state", "set", "graph", "route", "when", "start", "end"]

NAME_POSITIONS = {
    "workflow": "workflow %s { call a }",
    "first input": "workflow w { inputs { %s } }",
    "input after a separator": "workflow w { inputs { x, %s; y } }",
    "called workflow": "workflow w { call workflow %s }",
    "gate": "workflow w { gate %s {} }",
    "script": 'workflow w { script %s { run = "x" } }',
    "foreach": "workflow w { foreach %s { over = tickets max_parallel = 1 workflow = kid } }",
    "loop variable": "workflow w { foreach %s in plan.files { call a } }",
    "parallel": "workflow w { parallel %s { call a } }",
    "do": "workflow w { do %s { call a } }",
    "map key": 'workflow w { script s { run = "x" env = { a = b %s = "1", %s2 = c } } }',
    "map key behind a word": 'workflow w { script s { run = "x" env = { a = b %s = "1" } } }',
    "input passed on": "workflow w { call workflow k { inputs { a = b %s = c } } }",
    "output": "workflow w { outputs { a = b.c %s = d } }",
    "value": "workflow w { call a { output = %s } }",
    "value before an option": "workflow w { call a { output = %s retries = 1 } }",
    "value after a dot": "workflow w { foreach f in plan.%s { call a } }",
    "value before a dot": "workflow w { foreach f in %s.x { call a } }",
    "list element": "workflow w { call a { with = [x %s, y %s] } }",
    "marker": "workflow w { if plan.%s { call a } }",
    "field in a comparison": "workflow w { if plan.%s == 3 and plan.%s in [1] { call a } }",
    "step of a reference": "workflow w { if %s.ok { call a } }",
    "step behind an operator": "workflow w { if a.b and %s.ok or not %s.ok { call a } }",
    "step in parentheses": "workflow w { if (%s.ok) { call a } }",
    "right side": "workflow w { if a.b == %s.c { call a } }",
    "element of a condition's list": "workflow w { if a.b in [%s, %s.c] { call a } }",
}


def errors(text: str) -> list[str]:
    return [d.message for d in parse(SourceFile("a.wf", text)).diagnostics if d.code != "unknown-option"]


@pytest.mark.parametrize("word", [w for w in WORDS + PLAIN_WORDS if w not in NEVER_NAMES])
@pytest.mark.parametrize("position", NAME_POSITIONS)
def test_every_word_is_a_name_where_a_name_is_due(word: str, position: str) -> None:
    assert errors(NAME_POSITIONS[position].replace("%s", word)) == []


@pytest.mark.parametrize("word", NEVER_NAMES)
@pytest.mark.parametrize("position", NAME_POSITIONS)
def test_meta_and_do_are_never_names(word: str, position: str) -> None:
    assert errors(NAME_POSITIONS[position].replace("%s", word)) != []


@pytest.mark.parametrize("word", [*CONTEXTUAL, *PLAIN_WORDS])
def test_a_contextual_word_is_an_agent(word: str) -> None:
    assert errors(f"workflow w {{ call {word} }}") == []


@pytest.mark.parametrize("word", sorted(w for w, kind in parse_table().words.items() if kind in RESERVED))
def test_a_reserved_word_is_no_agent(word: str) -> None:
    assert errors(f"workflow w {{ call {word} {{ retries = 1 }} }}") != []


@pytest.mark.parametrize("word", ["and", "or", "in", "not", "true", "false", "null"])
def test_a_word_of_conditions_names_an_input_where_it_starts_one(word: str) -> None:
    condition = parse(SourceFile("a.wf", f"workflow w {{ if {word}.x {{ call a }} }}")).workflows[0].body[0]
    assert condition.arms[0].condition.parts == (word, "x")


VALID = [
    "workflow w {}",
    'workflow w { meta { title = "t", trigger = manual; } inputs { x, y boolean default = true } }',
    'workflow w { call a { if = not (a.b or c.d == "x") and e in [1, "two", f.g] } }',
    "workflow w { if a { call b } else if c { call d } else { call e } unless f { call g } }",
    "workflow w { while a.b { max_iterations = 2 call c } do { max_iterations = 2 call c } while c.d }",
    "workflow w { parallel p { fail_fast = false until = a.b call a call workflow k { inputs { x = y } } } }",
    'workflow w { gate human_review { timeout = 2h30m prompt = """\n  go\n""" } always { call z } }',
    "workflow w { foreach f in plan.files { max_parallel = 2 call a } outputs { v = a.b } }"
    " workflow k { inputs { x } }",
]


class AlwaysWords:
    """Lets Lark's own contextual lexer see a whole word everywhere: `inx` is no `in`."""

    always_accept = (NAME, *sorted(RESERVED))

    def process(self, stream):
        return stream


@pytest.mark.parametrize("text", VALID)
def test_the_grammar_works_with_lark_alone(text: str) -> None:
    own = lark.Lark(grammar_text(), parser="lalr", lexer="contextual", start=list(STARTS), postlex=AlwaysWords())
    assert own.parse(text, start="start").data == "start"
    assert parse(SourceFile("a.wf", text)).ok


@pytest.mark.parametrize(
    "text", ["workflow w { call gate }", "workflow do {}", "workflow w { foreach f inx { call a } }"]
)
def test_lark_alone_refuses_what_the_parser_refuses(text: str) -> None:
    own = lark.Lark(grammar_text(), parser="lalr", lexer="contextual", start=list(STARTS), postlex=AlwaysWords())
    with pytest.raises(lark.exceptions.UnexpectedInput):
        own.parse(text, start="start")
    assert not parse(SourceFile("a.wf", text)).ok


def test_every_rule_has_a_method_of_the_builder() -> None:
    from runkon.language.builder import Builder

    missing = [r.method for r in parse_table().reductions if r.method and not hasattr(Builder, r.method)]
    assert missing == []
