"""Agent files as workflows call them: which file, what is sent, what is read (D1, D29, D30, C36, C181, C182, C185)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import runkon
from runkon import hookimpl
from runkon.model.agents import AgentReply, AgentRequest, Availability
from runkon.model.output import JsonValue, Usage

GENERIC = (
    '<<<FLOW_OUTPUT>>>\n{"markers": [], "context": "one or two sentences for the next step"}\n<<<END_FLOW_OUTPUT>>>'
)


class Echo:
    """A runtime that answers what it is told and keeps what it was asked; as a plugin, it registers itself."""

    name = "echo"
    version = "1"
    metered = False

    def __init__(self, *answers: str) -> None:
        self.asked: list[AgentRequest] = []
        self.answers = list(answers)

    @hookimpl
    def runkon_register_runtimes(self, register) -> None:
        register(self)

    def run(self, request: AgentRequest) -> AgentReply:
        self.asked.append(request)
        return AgentReply(text=self.answers.pop(0) if self.answers else "", usage=Usage(0.0))

    def offers(self, model: str) -> bool:
        return False

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        return Availability(ready=True)

    def most_cost_usd(self, request: AgentRequest) -> float | None:
        return 0.0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".runkon").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def play(project: Path, body: str, files: Mapping[str, str], *answers: str, **inputs: JsonValue):
    """Run a workflow `w`; the result, and what the runtime was asked."""
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (project / "w.wf").write_text(f"workflow w {{ {body} }}\n")
    echo = Echo(*answers)
    return runkon.run("w.wf", inputs, plugins=[echo], settings={"runtime": "echo"}), echo.asked


def block(text: str) -> str:
    return f"<<<FLOW_OUTPUT>>>\n{text}\n<<<END_FLOW_OUTPUT>>>"


def test_unknown_variables_vanish_from_prompts(project) -> None:
    _, asked = play(
        project, "inputs { who } call a", {".runkon/agents/a.md": "hi {{who}} {{nope}} {{"}, who="bob {{who}}"
    )
    assert asked[0].prompt.startswith("hi bob {{who}}  {{\n")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("---\ncan_commit: true\n---\nx", "broken-agent"),
        ("---\nrole: boss\n---\nx", "broken-agent"),
        ("---\nmodel: [opus]\n---\nx", "broken-agent"),
        ("---\nname: x\ndescription: unknown keys are ignored\ntools: Read, Bash\n---\nx", None),
        ("no front matter", None),
    ],
)
def test_front_matter(project, text: str, code: str | None) -> None:
    if code is None:
        _, asked = play(project, "call a", {".runkon/agents/a.md": text})
        assert (asked[0].agent.role, asked[0].agent.can_commit) == ("reviewer", False)
        return
    with pytest.raises(runkon.UserError) as raised:
        play(project, "call a", {".runkon/agents/a.md": text})
    assert [found.code for found in raised.value.diagnostics] == [code]


def test_an_agent_of_the_workflow_comes_before_a_shared_one(project) -> None:
    files = {
        ".conductor/workflows/w/agents/a.md": "local",
        ".conductor/agents/a.md": "shared",
        ".claude/agents/a.md": "c",
    }
    _, asked = play(project, "call a", files)
    assert asked[0].prompt.startswith("local\n")


def test_the_prompt_in_its_order_and_without_a_list_of_variables(project) -> None:
    files = {
        ".runkon/agents/a.md": "Body {{x}}.",
        ".runkon/prompts/one.md": "One {{x}}.",
        ".runkon/prompts/two.md": "Two.",
    }
    body = 'inputs { x unused } do { with = ["one"] call a { with = ["two"] retries = 1 output = "s" } }'
    files |= {".runkon/schemas/s.yaml": "fields: {ok: boolean}"}
    result, asked = play(project, body, files, "nothing", block('{"ok": true}'), x="X", unused="never shown")
    assert result.ok
    first, second = (one.prompt for one in asked)
    assert first.startswith("Body X.\n\nOne X.\n\nTwo.\n\nWhen you are finished")
    assert "never shown" not in first
    assert second.index("has no output block") < second.index("Body X.")
    assert second.endswith(first)


def test_without_a_schema_the_instructions_are_the_general_ones(project) -> None:
    _, asked = play(project, "call a", {".runkon/agents/a.md": "x"})
    assert GENERIC in asked[0].prompt


def test_a_schema_of_the_call_comes_before_that_of_the_block(project) -> None:
    files = {
        ".runkon/agents/a.md": "x",
        ".runkon/schemas/s.yaml": "fields: {a: string}",
        ".runkon/schemas/t.yaml": "fields: {b: string}",
    }
    body = 'do { output = "s" call a call a { id = b output = "t" } }'
    result, asked = play(project, body, files, block('{"a": "1"}'), block('{"b": "2"}'))
    assert result.ok
    assert [one.schema.name for one in asked if one.schema is not None] == ["s", "t"]


@pytest.mark.parametrize(
    ("answer", "markers", "context"),
    [
        (block('{"markers": ["m"], "context": "c"}'), ["m"], "c"),
        (block('{"markers": ["m",], "context": "C:\\path",}'), ["m"], "C:\\path"),
        (block('```json\n{"markers": ["m"]}\n```'), ["m"], ""),
        (block('{"markers": ["old"]}') + block('{"markers": ["new"]}'), ["new"], ""),
        (block('{"markers": "m"}'), [], ""),
        (block('{"context": 3}'), [], ""),
        ("no block at all", [], ""),
    ],
)
def test_without_a_schema_markers_and_context_are_read(project, answer: str, markers: list[str], context: str) -> None:
    result, _ = play(project, "call a", {".runkon/agents/a.md": "x"}, answer)
    (step,) = result.steps
    assert result.ok
    assert (sorted(step.output.markers), step.output.context, dict(step.output.values)) == (markers, context, {})


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (block('{"a": "x", "more": 1}'), None),
        (block('{"a": null}'), "$.a"),
        (block('{"b": "x"}'), "a"),
        (block("{a: x}"), "not valid JSON"),
        ("prose", "no output block"),
    ],
)
def test_with_a_schema_the_answer_has_to_match_it(project, answer: str, said: str | None) -> None:
    files = {".runkon/agents/a.md": "x", ".runkon/schemas/s.yaml": "fields: {a: string}"}
    result, _ = play(project, 'call a { output = "s" }', files, answer)
    (step,) = result.steps
    if said is None:
        assert dict(step.output.values) == {"a": "x", "more": 1}
    else:
        assert step.error is not None
        assert step.error.kind == "schema"
        assert said in step.error.message
