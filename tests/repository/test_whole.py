"""Thirty-one workflows that call each other: checked, drawn, rehearsed and run, wherever their parts are kept."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from runkon.language.keys import all_statements
from runkon.language.nodes import CallStep, GateStep, ScriptStep
from runkon.language.parser import parse
from runkon.language.source import SourceFile

from .building import FIXTURE, LAYOUTS, NAMES

PATHS = {name: f".conductor/workflows/{name}.wf" for name in NAMES}


def leaves() -> set[tuple[str, str]]:
    """Every call, script and gate that is written in the thirty-one files."""
    found = set()
    for name in NAMES:
        parsed = parse(SourceFile(f"{name}.wf", (FIXTURE / "workflows" / f"{name}.wf").read_text("utf-8")))
        for one in all_statements(parsed.workflows[0]):
            if isinstance(one, CallStep):
                found.add(("call", one.agent.text))
            elif isinstance(one, ScriptStep):
                found.add(("script", one.name))
            elif isinstance(one, GateStep):
                found.add(("gate", one.type))
    return found


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_at_once_without_a_word(made, layout):
    repository = made(layout)
    found = json.loads(repository.type("validate", "--json"))
    assert repository.err == ""
    assert sorted(Path(file["file"]).stem for file in found["files"]) == list(NAMES)
    assert [file["diagnostics"] for file in found["files"] if file["diagnostics"]] == []
    assert all(file["facts"]["missing"] == [] for file in found["files"])


def test_each_alone_by_name_and_by_file_from_everywhere(made):
    repository = made()
    for name in NAMES:
        assert repository.type("validate", name).startswith(f"{PATHS[name]}: ok\n")
        assert repository.type("validate", PATHS[name]).startswith(f"{PATHS[name]}: ok\n")
    repository.go("src/deep")
    for name in NAMES:
        assert ": ok\n" in repository.type("validate", name)
        assert ": ok\n" in repository.type("validate", f"../../{PATHS[name]}")
    repository.go("../elsewhere")
    for name in NAMES:
        assert ": ok\n" in repository.type("validate", str(repository.root / PATHS[name]))


@pytest.mark.parametrize("layout", ["conductor", "mixed"])
def test_every_file_is_run_to_its_end(made, layout):
    repository = made(layout)
    reached = set()
    for name in NAMES:
        for again in repository.root.glob(".once-*"):
            again.unlink()
        extra = ["-i", "qualify=true"] if name == "ticket-to-pr" else []
        run = repository.finish(repository.run(name, *extra, code=None))
        assert (repository.code, run["status"]) == (0, "completed"), (name, run["error"])
        assert {step["status"] for step in run["steps"]} <= {"completed", "skipped"}
        reached |= {(step["kind"], step["name"]) for step in run["steps"] if step["status"] == "completed"}
    # the other arms of conditions: what is drawn anew, unchanged, pushed without conflicts
    assert {name for _, name in leaves() - reached} == {
        "write-agent-notes", "comment-unchanged", "push-rebased",
    }  # fmt: skip


def test_every_file_is_rehearsed_without_running_a_script(made):
    repository = made()
    for name in NAMES:
        run = repository.run(name, "--dry-run")
        assert run["status"] == "completed", name
    assert list(repository.root.glob(".once-*")) == []


def test_stopped_in_a_called_workflow_it_goes_on_there(made):
    repository = made()
    run = repository.run("ticket-to-pr", "--until", "plan", code=0)
    assert run["status"] == "interrupted"
    run = json.loads(repository.type("resume", run["run_id"], "--json", code=None))
    run = repository.finish(run)
    assert run["status"] == "completed"
    steps = {step["path"]: step for step in run["steps"]}
    assert steps["plan"]["attempts"] == 1
    assert "has_findings" in steps["iterate-pr/do[0]/review-pr/review-aggregator"]["markers"]
    assert steps["iterate-pr/do[1]/review-pr/review-aggregator"]["markers"] == []
    assert steps["close-ticket"]["context"] == "close-ticket.sh ran"


def test_scripts_get_what_earlier_steps_and_inputs_say(made):
    repository = made()
    run = repository.finish(repository.run("create-gh-issue", code=None))
    logged = repository.type("logs", run["run_id"], "publish-issue")
    assert logged.startswith("Dark mode\n")


class TestDrawings:
    @pytest.mark.parametrize("layout", ["conductor", "mixed"])
    def test_called_workflows_are_in_every_form(self, made, layout):
        repository = made(layout, with_host=False)
        for form in ("ascii", "mermaid", "dot", "json"):
            drawn = repository.type("graph", "iterate-feature", "--format", form)
            for inside in ("qualify-ticket", "read-ticket", "review-migrations", "resolve-conflicts", "close-ticket"):
                assert inside in drawn, form
            assert repository.err == ""

    def test_a_run_laid_over_counts_a_block_once(self, made):
        repository = made()
        run = repository.finish(repository.run("label-all-tickets", code=None))
        drawn = repository.type("graph", "--run", run["run_id"]).splitlines()
        assert re.fullmatch(r"└─ ✓ foreach label-tickets → label-ticket  completed \S+", drawn[1])
        assert re.fullmatch(r"   ├─ ✓ call propose-labels  completed \S+, 2 rounds", drawn[2])
        well_formed_mermaid(repository.type("graph", "label-all-tickets", "--format", "mermaid"))

    def test_mermaid_is_well_formed(self, made):
        repository = made(with_host=False)
        for name in NAMES:
            well_formed_mermaid(repository.type("graph", name, "--format", "mermaid"))

    def test_dot_is_well_formed(self, made):
        repository = made(with_host=False)
        for name in NAMES:
            well_formed_dot(repository.type("graph", name, "--format", "dot"))


TEXT = r'"(?:[^"\\]|\\.)*"'
NODE = re.compile(r'  +(n\d+)(?:\["[^"]*"\]|\{"[^"]*"\}|\(\["[^"]*"\]\)|\[\["[^"]*"\]\])')
ARROW = re.compile(r'  (n\d+) -->(?:\|"[^"]*"\|)? (n\d+)')


def well_formed_mermaid(text: str) -> None:
    """Each line is a node, an arrow between nodes, or a frame that is closed."""
    first, *lines = text.splitlines()
    assert first == "flowchart TD"
    nodes, ends, depth = set(), set(), 0
    for line in lines:
        if node := NODE.fullmatch(line):
            assert node[1] not in nodes
            nodes.add(node[1])
        elif arrow := ARROW.fullmatch(line):
            ends |= {arrow[1], arrow[2]}
        elif re.fullmatch(r' +subgraph b\d+\["[^"]*"\]', line):
            depth += 1
        else:
            assert line.strip() == "end", line
            depth -= 1
            assert depth >= 0
    assert depth == 0
    assert ends == nodes


def well_formed_dot(text: str) -> None:
    first, *lines, last = text.splitlines()
    assert (first, last) == ("digraph workflow {", "}")
    nodes, ends, depth = set(), set(), 0
    for line in lines[2:]:
        if node := re.fullmatch(rf" +(n\d+) \[label={TEXT}, shape=\w+\]", line):
            assert node[1] not in nodes
            nodes.add(node[1])
        elif arrow := re.fullmatch(rf"  (n\d+) -> (n\d+)(?: \[label={TEXT}\])?", line):
            ends |= {arrow[1], arrow[2]}
        elif re.fullmatch(r" +subgraph cluster_b\d+ \{", line):
            depth += 1
        elif line.strip() == "}":
            depth -= 1
            assert depth >= 0
        else:
            assert re.fullmatch(rf" +label={TEXT}", line), line
    assert depth == 0
    assert ends == nodes
