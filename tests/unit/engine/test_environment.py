from __future__ import annotations

import subprocess
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkon.engine.environment import Environment, RunFacts
from runkon.engine.results import Results, StepResult
from runkon.errors import UserError
from runkon.language.nodes import DurationValue, Entry, ListValue, MapValue, Number, Reference, Text, Value, Word
from runkon.language.source import Span
from runkon.model.failures import StepFailure, ValueFailure
from runkon.model.output import JsonValue, Output
from runkon.model.status import StepStatus

SPAN = Span("t.wf", 0, 0, 1, 1)


def environment(
    inputs: Mapping[str, JsonValue] = {}, *, strict: bool = False, extras: Mapping[str, JsonValue] = {}
) -> Environment:
    results = Results()
    values: dict[str, JsonValue] = {"files": ["a", "b"], "top": {"n": 1, "gone": None}, "word": "exported"}
    results.put("scan", StepResult("scan", StepStatus.COMPLETED, Output(frozenset({"m"}), "ctx", values)))
    facts = RunFacts(run_id="01J", workflow="w", strict=strict, injected={"repo_name": "demo"})
    return Environment(facts, inputs, results, extras)


def text(value: str) -> Text:
    return Text(span=SPAN, text=value)


def word(value: str) -> Word:
    return Word(span=SPAN, text=value)


def entry(name: str, value: Value) -> Entry:
    return Entry(span=SPAN, name=name, name_span=SPAN, value=value)


# ── templates ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("hi {{who}} {{nope}}", "hi bob "),
        ("{{ who }}", "bob"),
        ("x {{who", "x {{who"),
        ("{{a}}", "{{who}}"),
        ("{{n}} {{part}} {{yes}} {{no}}", "3 1.5 true false"),
        ("{{scan.files}} {{scan.top}}", '["a", "b"] {"n": 1, "gone": null}'),
        ("{{scan.top.n}} {{scan.status}} {{scan.context}}", "1 completed ctx"),
        ("[{{scan.top.gone}}]", "[]"),
        ("{{inputs.who}}", "bob"),
        ("{{workflow.name}} {{workflow_run_id}} {{repo_name}}", "w 01J demo"),
        ("{{word}}", "exported"),
        ('{{nope ?? "else"}} {{scan.top.gone ?? "null"}} {{who ?? "unused"}}', "else null bob"),
        ("{{item.id}}", "exact name first"),
        ("", ""),
        ("plain", "plain"),
    ],
)
def test_placeholders_become_text(template: str, expected: str) -> None:
    env = environment(
        {"who": "bob", "a": "{{who}}", "n": 3, "part": 1.5, "yes": True, "no": False, "item.id": "exact name first"},
        extras={"item": {"id": "field"}},
    )
    assert env.render(template) == expected


def test_unknown_names_vanish_or_stay_or_fail() -> None:
    env = environment({"who": "bob"})
    template = "{{who}} {{ nope }}{{ghost.field}}{{scan.missing}}"
    assert env.render(template) == "bob "
    assert env.render(template, unknown="keep") == "bob {{ nope }}{{ghost.field}}{{scan.missing}}"
    with pytest.raises(ValueFailure, match=r"nothing gives `\{\{ nope \}\}` a value here") as caught:
        env.render(template, unknown="fail")
    assert caught.value.code == "unknown-variable"
    assert caught.value.help == "write `{{nope ?? 'text'}}` to give it a default"


def test_a_strict_workflow_fails_on_every_unknown_name_but_not_on_null_or_defaults() -> None:
    env = environment(strict=True)
    for unknown in ("empty", "keep"):
        with pytest.raises(ValueFailure):
            env.render("{{nope}}", unknown=unknown)  # type: ignore[arg-type]
    assert env.render("[{{scan.top.gone}}{{nope ?? ''}}]") == "[]"


def test_a_value_failure_is_both_a_step_failure_and_a_user_error() -> None:
    with pytest.raises(StepFailure) as caught:
        environment().render("{{x}}", unknown="fail")
    assert isinstance(caught.value, UserError)
    assert (caught.value.kind, caught.value.exit_code) == ("value", 1)


# ── shell text ────────────────────────────────────────────────────────────────────────────────────
def test_every_value_in_shell_text_is_quoted() -> None:
    env = environment({"n": "it's", "e": "", "l": ["a b"], "b": True})
    assert env.render("t {{n}}", shell=True) == "t 'it'\\''s'"
    assert env.render("t {{e}} {{l}} {{b}} {{nope}}.", shell=True) == "t '' '[\"a b\"]' 'true' ."
    assert env.render('{{nope ?? "a;b"}}', shell=True) == "'a;b'"


def test_a_plain_word_may_stand_inside_quotes() -> None:
    env = environment({"branch": "feature/x-1.2", "empty": ""})
    assert env.render('git log "{{branch}}" \'{{empty}}\' "{{nope}}"', shell=True) == 'git log "feature/x-1.2" \'\' ""'


@pytest.mark.parametrize(
    "template", ['echo "{{x}}"', "echo '{{x}}'", "echo `echo {{x}}`", "cat <<E\n{{x}}\nE", "# {{x}}"]
)
def test_any_other_value_inside_quotes_fails_the_step(template: str) -> None:
    with pytest.raises(ValueFailure, match=r"the value of `\{\{x\}\}` can't be put here safely") as caught:
        environment({"x": "$(rm -rf .)"}).render(template, shell=True)
    assert caught.value.code == "unsafe-shell"
    assert "$(rm" not in str(caught.value)


def test_a_value_with_a_nul_never_enters_shell_text() -> None:
    with pytest.raises(ValueFailure):
        environment({"x": "a\0b"}).render("echo {{x}}", shell=True)


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
def test_a_program_gets_the_value_whatever_it_holds(value: str) -> None:
    command = environment({"x": value}).render("printf %s {{x}}", shell=True)
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert ran.stdout.decode("utf-8") == value


# ── values ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (text("{{scan.files}}"), ["a", "b"]),
        (text("{{n}}"), 3),
        (text("n is {{n}}"), "n is 3"),
        (text("{{scan.top.gone}}"), None),
        (text('{{scan.top.gone ?? "d"}}'), "d"),
        (text("{{nope}}"), ""),
        (text("plain"), "plain"),
        (word("scan.files"), ["a", "b"]),
        (word("scan.missing"), None),
        (word("n"), "n"),
        (word("file"), {"path": "x"}),
        (word("file.path"), "x"),
        (word("true"), True),
        (word("null"), None),
        (Number(span=SPAN, text="-1.5"), -1.5),
        (Number(span=SPAN, text="7"), 7),
        (DurationValue(span=SPAN, text="5m", milliseconds=300_000), "5m"),
        (Reference(span=SPAN, parts=("inputs", "n")), 3),
        (ListValue(span=SPAN, items=(text("{{n}}"), word("x"))), [3, "x"]),
        (MapValue(span=SPAN, entries=(entry("k", text("{{n}}")),)), {"k": 3}),
    ],
)
def test_values_keep_their_types(value: Value, expected: JsonValue) -> None:
    env = environment({"n": 3}, extras={"file": {"path": "x"}})
    result = env.value(value)
    assert result == expected
    assert type(result) is type(expected)


def test_an_unknown_name_in_a_value_can_stay_as_written() -> None:
    env = environment()
    assert env.value(text("{{nope}}"), unknown="keep") == "{{nope}}"
    assert env.value(text("a {{nope}}"), unknown="keep") == "a {{nope}}"


# ── scopes ────────────────────────────────────────────────────────────────────────────────────────
def test_added_inputs_are_seen_here_and_not_outside() -> None:
    env = environment({"x": "outer"})
    inner = env.with_inputs({"x": "inner", "word": "step"}).with_inputs({"y": "deeper"})
    assert inner.render("{{x}} {{y}} {{word}}") == "inner deeper step"
    assert env.render("{{x}} {{y}} {{word}}") == "outer  exported"
    assert inner.results is env.results
    assert env.with_inputs({}) is env


def test_a_fork_keeps_what_it_records_to_itself() -> None:
    env = environment()
    branch = env.fork()
    branch.results.put("b", StepResult("b", StepStatus.COMPLETED, Output(values={"v": "1"})))
    assert branch.render("{{v}} {{b.v}} {{word}}") == "1 1 exported"
    assert env.render("{{v}}{{b.v}}") == ""
    env.results.join([branch.results])
    assert env.render("{{v}}") == "1"


def test_what_was_given_leaves_history_and_exports_out() -> None:
    env = environment({"x": "1"}, extras={"workflow_status": "failed"})
    assert env.given() == {"workflow_run_id": "01J", "x": "1", "repo_name": "demo", "workflow_status": "failed"}


def test_a_secret_shows_only_its_name() -> None:
    env = environment({"token": {"$secret": "token"}})
    assert env.render("use {{token}}") == "use «secret:token»"
    assert env.value(text("{{token}}")) == {"$secret": "token"}


def test_values_inside_a_long_run_cost_the_same() -> None:
    """Making variables and reading one touches no history."""
    env = environment()
    for number in range(2000):
        env.results.put("loop", StepResult("loop", StepStatus.COMPLETED, Output(context=str(number))))
    reads = 0

    class Watched(Results):
        __slots__ = ()

        def history(self):  # type: ignore[no-untyped-def]
            nonlocal reads
            reads += 1
            return super().history()

    watched = Environment(env.facts, env.inputs, Watched(env.results), env.extras)
    assert watched.render("{{prior_context}} {{word}} {{nope}}") == "1999 exported "
    assert reads == 0


def test_markers_are_read_like_fields_and_a_field_of_the_same_name_comes_first() -> None:
    results = Results()
    output = Output(markers=frozenset({"good", "bad.lint", "count"}), values={"count": 3})
    results.put("a", StepResult("a", StepStatus.COMPLETED, output, None, 1, 0))
    env = Environment(RunFacts(run_id="01J", workflow="w"), results=results)
    assert env.value(Reference(span=SPAN, parts=("a", "good"))) is True
    assert (
        env.render("{{a.good}} {{a.bad.lint}} {{a.count}} {{a.markers}}") == 'true true 3 ["bad.lint", "count", "good"]'
    )
    assert env.value(Reference(span=SPAN, parts=("a", "other"))) is None
