"""Folders as they grow: broken files beside good ones, links, odd names and encodings, deep and circular calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = 'script s { run = "echo %s" }'


@pytest.fixture
def folder(made):
    """A project with nothing in it but its folders."""
    repository = made("conductor", with_host=False)
    for file in repository.root.glob(".conductor/workflows/*.wf"):
        file.unlink()
    return repository


def put(folder, name: str, text: str | bytes, where: str = ".conductor") -> Path:
    path = folder.root / where / "workflows" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def workflow(name: str, body: str = SCRIPT % "hello") -> str:
    return f"workflow {name} {{ {body} }}\n"


def verdicts(folder, code: int) -> dict[str, list[str]]:
    """The codes of what is wrong with each file, all of them validated at once."""
    found = json.loads(folder.type("validate", "--json", code=code))["files"]
    return {Path(file["file"]).name: [one["code"] for one in file["diagnostics"]] for file in found}


def test_broken_files_hide_nothing(folder):
    put(folder, "good.wf", workflow("good"))
    put(folder, "broken.wf", "workflow broken { cal x }")
    put(folder, "latin.wf", b'workflow latin { meta { title = "caf\xe9" } }')
    put(folder, "empty.wf", "")
    put(folder, "calls.wf", workflow("calls", "call workflow broken"))
    (folder.root / ".conductor/workflows/folder.wf").mkdir()
    os.symlink("nowhere", folder.root / ".conductor/workflows/dangling.wf")
    assert verdicts(folder, 3) == {
        "broken.wf": ["unknown-statement"],
        "calls.wf": ["broken-workflow"],
        "dangling.wf": ["file-not-found"],
        "empty.wf": ["no-workflow"],
        "good.wf": [],
        "latin.wf": ["not-utf8"],
    }
    assert folder.type("run", "good", "-q") == ""


def test_marks_line_ends_and_names_of_other_alphabets(folder):
    put(folder, "windows.wf", ("\ufeff" + workflow("windows").replace(" ", "\r\n", 3)).encode())
    put(folder, "grüße.wf", workflow("greet"))
    assert verdicts(folder, 0) == {"windows.wf": [], "grüße.wf": []}
    for target in ("windows", ".conductor/workflows/grüße.wf"):
        run = json.loads(folder.type("run", target, "--json"))
        assert run["steps"][0]["context"] == "hello"


def test_a_file_name_that_is_no_text_is_shown_and_checked(folder):
    path = os.fsencode(folder.root) + b"/.conductor/workflows/caf\xe9.wf"
    try:
        Path(os.fsdecode(path)).write_text(workflow("coffee"))
    except OSError:
        path = os.fsencode(put(folder, "cafe.wf", workflow("coffee")))  # a file system that has only names in Unicode
    command = [sys.executable, "-m", "runkon", "validate"]
    done = subprocess.run(command, cwd=folder.root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count(": ok\n") == 1


def test_what_leads_outside_is_no_workflow_of_the_project(folder, tmp_path):
    outside = tmp_path / "outside.wf"
    outside.write_text(workflow("outside"))
    os.symlink(outside, folder.root / ".conductor/workflows/link.wf")
    put(folder, "calls.wf", workflow("calls", "call workflow link"))
    folder.type("validate", "calls", code=3)
    assert "error[unknown-workflow]: there is no workflow `link`" in folder.err
    assert "`.conductor/workflows/link.wf` leads outside the project" in folder.err
    folder.type("run", "link", code=2)
    assert "leads outside the project" in folder.err


def test_one_name_in_both_folders_means_the_nearer(folder):
    put(folder, "twice.wf", workflow("twice", SCRIPT % "far"))
    put(folder, "twice.wf", workflow("twice", SCRIPT % "near"), ".runkon")
    put(folder, "calls.wf", workflow("calls", "call workflow twice"))
    put(folder, "calls-it.wf", workflow("calls-it", "call workflow twice"), ".runkon")
    said = {
        name: json.loads(folder.type("run", name, "--json"))["steps"][-1]["context"]
        for name in ("twice", "calls", "calls-it")
    }
    assert said == {"twice": "near", "calls": "far", "calls-it": "near"}  # what stands beside the caller comes first


def test_files_are_found_by_their_own_name(folder):
    for name in ("one", "two"):
        put(folder, f"{name}.wf", workflow("same"))
    put(folder, "calls.wf", workflow("calls", "call workflow same call workflow one"))
    assert verdicts(folder, 3) == {"calls.wf": ["unknown-workflow"], "one.wf": [], "two.wf": []}
    told = "`.conductor/workflows/one.wf` holds a workflow of that name, but files are found by their own: `one`"
    assert told in folder.type("validate", "calls", code=3) + folder.err
    folder.type("run", "same", code=2)
    assert told in folder.err


def test_several_workflows_in_one_file(folder):
    put(
        folder,
        "many.wf",
        "workflow many { call workflow inner }\nworkflow inner { call workflow deepest }\n"
        + workflow("deepest", SCRIPT % "here"),
    )
    put(folder, "deepest.wf", workflow("deepest", SCRIPT % "another file"))
    run = json.loads(folder.type("run", "many", "--json"))
    assert [(step["path"], step["context"]) for step in run["steps"]][-1] == ("inner/deepest/s", "here")


class TestChains:
    def test_five_levels_and_no_more(self, folder):
        for level in range(1, 7):
            body = f"call workflow d{level + 1}" if level < 6 else SCRIPT % "down"
            put(folder, f"d{level}.wf", workflow(f"d{level}", body))
        assert verdicts(folder, 3) == {"d1.wf": ["workflow-too-deep"], **{f"d{level}.wf": [] for level in range(2, 7)}}
        assert json.loads(folder.type("run", "d2", "--json"))["steps"][-1]["path"] == "d3/d4/d5/d6/s"

    def test_a_circle_is_named_as_a_whole_from_each_of_its_files(self, folder):
        for name, called in ("ab", "bc", "ca"):
            put(folder, f"{name}.wf", workflow(name, f"if x.y {{ call workflow {called} }} call workflow {called}"))
        for circle in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c"):
            folder.type("validate", circle[0], code=3)
            assert f"error[workflow-cycle]: circular call of workflows: {circle}\n" in folder.err
            folder.type("run", circle[0], code=3)
            assert f"circular call of workflows: {circle}\n" in folder.err
        drawn = folder.type("graph", "a")
        assert [drawn.count(f"call workflow {name}") for name in "bca"] == [2, 4, 8]


def test_a_megabyte_of_statements_is_checked_and_told_in_one_screen(folder):
    steps = "".join(f'  script s{number} {{ run = "echo {number}" }}\n' for number in range(25_000))
    put(folder, "big.wf", f"workflow big {{\n{steps}}}\n")
    told = folder.type("validate", "big")
    assert len(told) < 1000
    assert "s18, s19 and 24980 more" in told


class TestWhatPluginsBring:
    def test_is_said_in_one_screen(self, folder):
        put(folder, "each.wf", workflow("each", "foreach t { over = tickets max_parallel = 1 workflow = one }"))
        put(folder, "one.wf", workflow("one"))
        folder.type("run", "each", code=3)
        assert folder.err == (
            "error[unknown-provider]: there is no item provider `tickets`\n"
            "  ┌─ .conductor/workflows/each.wf:1:36\n"
            "1 │ workflow each { foreach t { over = tickets max_parallel = 1 workflow = one } }\n"
            "  │                                    ^^^^^^^\n"
            "  = help: there are `files`, `lines`, `range`, `runs`; others come from plugins, by the hook "
            "`runkon_register_item_providers`\n\n"
        )

    def test_a_gate_that_a_program_could_decide_waits_for_a_person_and_says_so(self, folder):
        put(folder, "ship.wf", workflow("ship", 'gate pr_checks { } gate pr_approval { prompt = "ok?" }'))
        told = folder.type("validate", "ship")
        assert "decided by a person, as no plugin looks after them: pr_checks, pr_approval\n" in told
        ended = json.loads(folder.type("run", "ship", "--json", code=4))
        assert ended["waiting"]["prompt"].endswith("no plugin looks after `pr_checks` here, so a person decides")

    def test_agent_files_without_a_runtime_are_one_error(self, folder):
        put(folder, "ask.wf", workflow("ask", "call plan call implement call plan"))
        folder.type("run", "ask", code=3)
        assert folder.err.count("error[") == 1
        assert "error[unknown-runtime]" in folder.err
        assert "the same for `implement`\n" in folder.err

    def test_a_broken_file_far_down_is_named_at_every_call(self, folder):
        put(folder, "top.wf", workflow("top", "call workflow middle"))
        put(folder, "middle.wf", workflow("middle", "call workflow low"))
        put(folder, "low.wf", workflow("low", "if ghost.ok { " + SCRIPT % "x" + " }"))
        folder.type("validate", "top", code=3)
        assert "error[broken-workflow]: workflow `middle` has errors: no step named `ghost`" in folder.err
        assert "(.conductor/workflows/low.wf:1)" in folder.err
        assert "see all of them: runkon validate .conductor/workflows/low.wf\n" in folder.err
