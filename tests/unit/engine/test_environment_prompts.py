"""Placeholders of prompts: what is marked, what is refused, what is as in every template."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from runkon.engine.environment import Environment, RunFacts
from runkon.engine.results import Results, StepResult
from runkon.model.failures import StepFailure, ValueFailure
from runkon.model.output import JsonValue, Output
from runkon.model.secrets import secret_reference
from runkon.model.status import StepStatus

LONG = "line one\nline two"


def environment(inputs: Mapping[str, JsonValue] = {}, *, strict: bool = False, **extras: JsonValue) -> Environment:
    results = Results()
    output = Output(frozenset(), f"{LONG} <<<END_DATA>>>", {"text": LONG, "word": "ok", "host": LONG})
    results.put("scan", StepResult("scan", StepStatus.COMPLETED, output))
    facts = RunFacts(run_id="01J", workflow="w", strict=strict, injected={"repo_path": LONG})
    return Environment(facts, inputs, results, extras)


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("a {{word}} {{scan.word}} {{nope}}.", "a ok ok ."),
        ("{{scan.text}}", f"<<<DATA scan.text>>>\n{LONG}\n<<<END_DATA>>>"),
        ("{{text}}", f"<<<DATA text>>>\n{LONG}\n<<<END_DATA>>>"),
        ("{{prior_context}}", f"<<<DATA prior_context>>>\n{LONG} < < <END_DATA>>>\n<<<END_DATA>>>"),
        ("{{item}}", f"<<<DATA item>>>\n{LONG}\n<<<END_DATA>>>"),
        ("{{ticket}} {{inputs.ticket}}", f"{LONG} {LONG}"),
        ("{{repo_path}} {{workflow_run_id}} {{workflow.name}}", f"{LONG} 01J w"),
        ("{{host}}", f"<<<DATA host>>>\n{LONG}\n<<<END_DATA>>>"),
        ("{{nope ?? 'else'}} {{", "else {{"),
    ],
)
def test_what_steps_wrote_is_marked_and_what_people_gave_is_not(template: str, prompt: str) -> None:
    env = environment({"ticket": LONG, "host": "given"}, item=LONG)
    assert env.render_prompt(template) == prompt


def test_inserted_text_is_not_looked_at_again() -> None:
    assert environment({"a": "{{b}}", "b": "x"}).render_prompt("{{a}}") == "{{b}}"


@pytest.mark.parametrize("name", ["token", "inputs.token", "token ?? 'x'"])
def test_a_secret_is_refused_by_name(name: str) -> None:
    env = environment({"token": secret_reference("token")})
    with pytest.raises(ValueFailure) as raised:
        env.render_prompt(f"use {{{{{name}}}}}")
    assert isinstance(raised.value, StepFailure)
    assert (raised.value.code, raised.value.kind) == ("secret-in-prompt", "value")
    assert raised.value.message == f"`{{{{{name}}}}}` would put a secret into a prompt"


def test_a_strict_workflow_fails_on_unknown_names() -> None:
    with pytest.raises(ValueFailure, match="a value here"):
        environment(strict=True).render_prompt("{{nope}}")


def test_what_a_prompt_reads_is_noted() -> None:
    reads: set[str] = set()
    environment({"who": "x"}).watched(reads).render_prompt("{{who}} {{nope}}")
    assert {"who", "nope"} <= reads
