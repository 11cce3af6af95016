from __future__ import annotations

import pytest

from runkon.language import nodes
from runkon.language.options import TABLE, Construct
from runkon.language.parser import parse
from runkon.language.source import SourceFile

# One statement per construct, with a place for its options.
TEMPLATES = {
    "call": "call a {{ {} }}",
    "call workflow": "call workflow k {{ {} }}",
    "script": 'script s {{ run = "x" {} }}',
    "parallel": "parallel p {{ {} call a call b }}",
    "do": "do {{ {} call a }}",
    "do-while": "do {{ max_iterations = 3 {} call a }} while a.x",
    "while": "while a.x {{ max_iterations = 3 {} call a }}",
    "gate": "gate human_review {{ {} }}",
    "quality_gate": 'gate quality_gate {{ source = "a" threshold = 5 {} }}',
    "foreach": "foreach f {{ over = files max_parallel = 2 workflow = k {} }}",
    "foreach-in": "foreach f in scan.files {{ {} call a }}",
}
GIVEN = {
    "script": {"run"},
    "do-while": {"max_iterations"},
    "while": {"max_iterations"},
    "quality_gate": {"source", "threshold"},
    "foreach": {"over", "max_parallel", "workflow"},
}


def workflow_text(construct: str, options: str) -> str:
    if construct == "meta":
        return f"workflow w {{ meta {{ {options} }} }}"
    return f"workflow w {{ call a {TEMPLATES[construct].format(options)} }}"


def findings(construct: str, options: str) -> list[tuple[str, str]]:
    result = parse(SourceFile("t.wf", workflow_text(construct, options)))
    return [(d.code, d.message) for d in result.diagnostics]


def example(construct: Construct, name: str) -> str:
    """A good value for an option, chosen by what it expects."""
    option = construct.find(name)
    assert option is not None
    if option.type.words:
        return option.type.words[0]
    for start, value in (
        ("a whole number of at least 2", "2"),
        ("a whole number", "1"),
        ("`1`", "1"),
        ("a duration", "5m"),
        ("`true`", "2h"),
        ("an amount", "0.5"),
        ("a map", '{ x = "1" }'),
        ("a condition", "a.ok"),
        ("a list, a map", '["y", "n"]'),
        ("a name", "other"),
    ):
        if option.type.expected.startswith(start):
            return value
    return '"text"'


def bad_example(construct: Construct, name: str) -> str | None:
    """A value the option refuses, None if it takes everything that parses there."""
    option = construct.find(name)
    assert option is not None
    if option.type.expected in ("anything", "a condition such as `build.failed`"):
        return None
    return '"x"' if option.type.expected.startswith("a map") else '{ x = { y = "1" } }'


ALL = [(construct, name) for construct, table in TABLE.items() for name in table.names]
ADDED = [(construct, name) for construct, name in ALL if name not in GIVEN.get(construct, ())]


def test_every_construct_has_options_and_a_title() -> None:
    assert set(TEMPLATES) | {"meta"} == set(TABLE)
    for table in TABLE.values():
        assert table.title
        assert table.options
        assert len(set(table.names)) == len(table.names)


@pytest.mark.parametrize(("construct", "name"), ADDED)
def test_a_good_value_is_accepted(construct: str, name: str) -> None:
    assert findings(construct, f"{name} = {example(TABLE[construct], name)}") == []


@pytest.mark.parametrize(("construct", "name"), ADDED)
def test_a_value_of_the_wrong_shape_is_refused_by_name(construct: str, name: str) -> None:
    bad = bad_example(TABLE[construct], name)
    if bad is None:
        assert findings(construct, f"{name} = {example(TABLE[construct], name)}") == []
        return
    found = findings(construct, f"{name} = {bad}")
    assert [code for code, _ in found] == ["invalid-value"]
    assert f"invalid `{name}`: expected " in found[0][1]


@pytest.mark.parametrize(("construct", "name"), ADDED)
def test_a_repeated_option_is_reported_with_both_places(construct: str, name: str) -> None:
    text = f"{name} = {example(TABLE[construct], name)}"
    source = workflow_text(construct, f"{text} {text}")
    found = parse(SourceFile("t.wf", source)).diagnostics
    assert [d.code for d in found] == ["duplicate-option"]
    first, second = source.index(text), source.rindex(text)
    assert found[0].span.start == second
    assert [related.span.start for related in found[0].related] == [first]


@pytest.mark.parametrize(("construct", "name"), ADDED)
def test_a_misspelt_option_is_unknown_and_the_closest_is_suggested(construct: str, name: str) -> None:
    if len(name) < 4:
        misspelt, suggestion = "zzzzzzzz", None
    else:
        misspelt, suggestion = name + "x", f"did you mean `{name}`?"
    result = parse(SourceFile("t.wf", workflow_text(construct, f"{misspelt} = 1")))
    assert [d.code for d in result.diagnostics] == ["unknown-option"]
    assert f"`{misspelt}`" in result.diagnostics[0].message
    if suggestion is not None:
        assert result.diagnostics[0].help == suggestion


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("script s {}", ["run"]),
        ("while a.x { call a }", ["max_iterations"]),
        ("do { call a } while a.x", ["max_iterations"]),
        ("gate quality_gate {}", ["source", "threshold"]),
        ("foreach f {}", ["over", "workflow", "max_parallel"]),
        ("foreach f { over = files }", ["workflow", "max_parallel"]),
    ],
)
def test_a_missing_option_is_named(text: str, missing: list[str]) -> None:
    found = parse(SourceFile("t.wf", f"workflow w {{ call a {text} }}")).diagnostics
    assert [d.code for d in found] == ["missing-option"] * len(missing)
    assert [f"`{name}`" in d.message for d, name in zip(found, missing, strict=True)] == [True] * len(missing)


@pytest.mark.parametrize("text", ["if a.x { note = 1 call a }", "always { retries = 1 call a }"])
def test_a_construct_without_options_says_so(text: str) -> None:
    found = parse(SourceFile("t.wf", f"workflow w {{ call a {text} }}")).diagnostics
    assert [d.code for d in found] == ["unknown-option"]
    assert found[0].help is not None
    assert "has no options" in found[0].help


def test_a_plain_do_names_the_only_options_it_takes() -> None:
    found = parse(SourceFile("t.wf", "workflow w { do { label = 5 call f } }")).diagnostics
    assert [(d.code, d.help) for d in found] == [("unknown-option", "`do` accepts only `output` and `with`")]


def test_loop_options_on_a_plain_do_say_what_is_missing() -> None:
    found = parse(SourceFile("t.wf", "workflow w { do { max_iterations = 5 call f } }")).diagnostics
    assert [d.code for d in found] == ["unknown-option"]
    assert "while CONDITION" in (found[0].help or "")


@pytest.mark.parametrize("construct", ["gate", "foreach"])
def test_two_names_of_one_option_exclude_each_other(construct: str) -> None:
    options = "min_approvals = 2 quorum = 2" if construct == "gate" else "id = x id = y"
    assert [code for code, _ in findings(construct, options)] == ["duplicate-option"]


def test_gate_name_and_id_are_one_option() -> None:
    found = parse(SourceFile("t.wf", "workflow w { gate human_review { name = a id = b } }")).diagnostics
    assert [(d.code, d.help) for d in found] == [
        ("duplicate-option", "`id` and `name` are two words for the same option")
    ]


def test_all_problems_of_one_block_are_reported_at_once() -> None:
    found = findings("call", 'retries = x timeout = "soon" colour = red retries = 2 if = a.ok')
    assert [code for code, _ in found] == ["invalid-value", "invalid-value", "unknown-option", "duplicate-option"]


def test_a_key_given_twice_in_a_map_is_reported() -> None:
    assert [code for code, _ in findings("script", 'env = { A = "1" B = "2" A = "3" }')] == ["duplicate-key"]


def test_inputs_in_both_forms_are_given_twice() -> None:
    assert [c for c, _ in findings("call workflow", 'inputs { a = "x" } inputs = { b = "y" }')] == ["duplicate-option"]
    assert [c for c, _ in findings("call workflow", 'inputs { a = "x" } inputs { b = "y" }')] == ["duplicate-option"]


@pytest.mark.parametrize("form", ["inputs { p = x.y }", "inputs = { p = x.y }"])
@pytest.mark.parametrize("construct", ["call", "call workflow", "foreach", "foreach-in"])
def test_inputs_have_two_forms_everywhere(construct: str, form: str) -> None:
    assert findings(construct, form) == []


def test_a_second_meta_block_may_replace_a_key_of_the_first() -> None:
    result = parse(SourceFile("t.wf", 'workflow w { meta { title = "a" group = g } meta { title = "b" } }'))
    assert result.diagnostics == ()
    assert result.workflows[0].meta == nodes.Meta(title="b", group="g")
