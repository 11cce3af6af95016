from __future__ import annotations

import pytest

from runkon.language.diagnostics import Severity

SCRIPT = 'script s { run = "echo %s" }'


@pytest.mark.parametrize(
    "text",
    [
        'W{ inputs { who } script s { run = "echo {{who}} {{ who }}" } }',
        'W{ script s { run = "echo {{repo_path}} {{dry_run}} {{prior_context}}" } }',
        'W{ script s { run = "echo {{nobody ?? \\"x\\"}}" } }',
        'W{ call a script s { run = "echo {{anything}}" } }',  # a step before may have exported it
        'W{ script s { run = "echo {{extra}}" inputs = { extra = "x" } } }',
        'W{ call a { inputs = { x = "{{who}}" } } inputs { who } }',
        'W{ call a script s { run = "echo {{a.path}}" } }',
        'W{ call scan foreach f in scan.files { script s { run = "echo {{f.path}} {{item.path}}" } } }',
        'W{ script s { run = "echo {{inputs.who}}" } inputs { who } }',
        'W{ script s { run = "echo {{workflow.run_id}}" } }',
        'W{ script s { run = "a {{ b" } }',
        'W{ foreach t { over = runs max_parallel = 1 workflow = w2 inputs = { id = "{{item.id}}" } } } workflow w2 { }',
        'W{ script s { run = "echo {{item.id}} {{item.kind}}" } }',  # whoever goes through items with it gives them
    ],
)
def test_what_may_have_a_value_is_left_alone(codes, text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('W{ script s { run = "echo {{nobody}}" } }', "nobody"),
        ('W{ call a script s { run = "echo {{ghost.path}}" } }', "ghost.path"),
        ('W{ script s { run = "echo {{b.path}}" } call b }', "b.path"),
        ('W{ call a script s { run = "echo {{#if x}}" } }', "#if x"),
        ('W{ script s { run = "x" env = { A = "{{nobody}}" } } }', "nobody"),
        ('W{ gate human_review { prompt = "{{nobody}}" } }', "nobody"),
        ('W{ call a outputs { v = "{{ghost.x}}" } }', "ghost.x"),
        ("W{ call a { inputs = { file = report.md } } }", "report.md"),
        ("W{ gate human_review { options = ghost.field } }", "ghost.field"),
        ('W{ call a { inputs = { files = ["{{nobody}}"] } } }', "nobody"),
    ],
)
def test_what_can_have_no_value_is_one_warning(only, text: str, name: str) -> None:
    found = only(text)
    assert (found.code, found.severity) == ("unknown-variable", Severity.WARNING)
    assert f"`{name}`" in found.message


def test_the_placeholder_is_marked_in_the_text(only) -> None:
    text = 'W{\n  script s { run = "echo {{nobody}}" }\n}'
    found = only(text)
    assert (found.span.line, found.span.end - found.span.start) == (2, len("{{nobody}}"))
    assert found.span.column == text.split("\n")[1].index("{{nobody") + 1


def test_the_second_of_two_equal_placeholders_is_marked_apart(checked) -> None:
    text = 'W{\n  script s { run = "a {{nobody}} {{nobody}}" }\n}'
    columns = [found.span.column for found in checked(text).diagnostics]
    line = text.split("\n")[1]
    assert columns == [line.index("{{") + 1, line.rindex("{{") + 1]


def test_help_names_the_close_input_or_the_default(only) -> None:
    assert only('W{ inputs { scope } script s { run = "echo {{scpoe}}" } }').help == "did you mean `scope`?"
    assert "{{nobody ?? 'text'}}" in (only('W{ script s { run = "echo {{nobody}}" } }').help or "")


# ── text of steps inside shell quotes ─────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "run",
    ["echo '{{a.summary}}'", 'echo \\"{{a.summary}}\\"', "echo '{{prior_context}}'", "echo '{{exported}}'"],
)
def test_text_of_a_step_inside_shell_quotes_is_a_warning(only, run: str) -> None:
    found = only(f'W{{ call a script s {{ run = "{run}" }} }}')
    assert found.code == "tainted-shell"
    assert "env = {" in (found.help or "")


@pytest.mark.parametrize(
    "text",
    [
        'W{ call a script s { run = "echo {{a.summary}}" } }',
        'W{ call a script s { run = "echo \\"$({{a.command}})\\"" } }',
        "W{ inputs { name } call a script s { run = \"echo '{{name}}' '{{repo_path}}'\" } }",
        'W{ call a script s { run = "echo \\"$TEXT\\"" env = { TEXT = "{{a.summary}}" } } }',
        'W{ script s { run = "x" env = { A = "\'{{prior_context}}\'" } } }',
    ],
)
def test_what_is_quoted_by_the_engine_or_given_by_a_person_is_fine(codes, text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize("default", ["3", "-0.5", "true", "false", "'none'", '\\"none\\"', "''", "", "'a.b'"])
def test_a_default_in_quotes_or_a_constant_is_left_alone(codes, default: str) -> None:
    assert codes('W{ inputs { who } call a { inputs = { x = "{{who ?? ' + default + '}}" } } }') == []


@pytest.mark.parametrize("default", ["none", "a.context", "inputs.who", "null", "it is", '\\"open'])
def test_a_default_without_quotes_is_a_warning(only, default: str) -> None:
    found = only('W{ inputs { who } call a call b { inputs = { x = "{{who ?? ' + default + '}}" } } }')
    assert (found.code, found.severity) == ("unquoted-default", Severity.WARNING)


@pytest.mark.parametrize("text", ["{{who", "{{ who and more", "{{a.context", "x {{inputs.who", "{{repo_path", "{{who}"])
def test_a_placeholder_that_is_never_closed_is_a_warning(only, text: str) -> None:
    found = only('W{ inputs { who } call a script s { run = "echo ' + text + '" } }')
    assert (found.code, found.severity) == ("unclosed-placeholder", Severity.WARNING)
    assert (found.help or "").startswith("close it: `{{")


@pytest.mark.parametrize("text", ["{{", "a {{ b", "{{nobody", "{{ghost.path", "awk '{{print}'", "{{{{", "{{who}} {{ x"])
def test_open_braces_before_other_text_are_left_alone(codes, text: str) -> None:
    assert codes('W{ inputs { who } script s { run = "echo ' + text + '" } }') == []
