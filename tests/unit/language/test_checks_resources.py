from __future__ import annotations

from pathlib import Path

import pytest

from runkon.language.program import Located


def nothing(catalog, **known):
    return catalog(known=known, everything=False)


MISSING = {
    "an agent": ("W{ call ghost }", "unknown-agent"),
    "an agent file": ('W{ call "x/ghost.md" }', "unknown-agent"),
    "a fallback": ('W{ script s { run = "echo x" fallback = ghost } }', "unknown-agent"),
    "an on_fail agent": ('W{ script s { run = "echo x" on_fail = ghost } }', "unknown-agent"),
    "a branch": ("W{ parallel { call ghost } }", "unknown-agent"),
    "a chosen executor": ("W{ call a { executor = ghost } }", "unknown-executor"),
    "a gate type": ("W{ gate slack_vote { } }", "unknown-gate"),
    "a script file": ('W{ script s { run = "x.sh" } }', "unknown-script"),
    "a script in a folder": ('W{ script s { run = "tools/x" } }', "unknown-script"),
    "a script in always": ('W{ always { script s { run = "x.sh" } } }', "unknown-script"),
}


@pytest.mark.parametrize(("text", "code"), MISSING.values(), ids=MISSING.keys())
def test_what_is_not_there_is_one_error_that_lists_the_places(only, catalog, text: str, code: str) -> None:
    found = only(text, nothing(catalog))
    assert found.code == code
    assert found.help


def test_snippets_and_schemas_are_looked_for(codes, catalog) -> None:
    world = catalog(
        known={"executor": ("a",)},
        everything=False,
        files={("snippet", "there"): Located(Path("p"), ()), ("schema", "there"): Located(Path("s"), ())},
    )
    assert codes('W{ call a { with = ["there"] output = "there" } }', world) == []
    assert codes('W{ call a { with = ["there", "gone"] output = "gone" } }', world) == [
        "unknown-snippet",
        "unknown-schema",
    ]
    assert codes('W{ do { with = "gone" call a } }', world) == ["unknown-snippet"]
    assert codes('W{ parallel { output = "gone" call a } }', world) == ["unknown-schema"]
    assert codes('W{ gate human_review { form = "gone" } }', world) == ["unknown-schema"]


def test_the_missing_snippet_of_a_list_is_marked(only, catalog) -> None:
    world = catalog(known={"executor": ("a",)}, everything=False, files={("snippet", "there"): Located(Path("p"), ())})
    text = 'W{ call a { with = ["there", "gone"] } }'
    found = only(text, world)
    assert found.span.end - found.span.start == len('"gone"')


def test_a_registered_executor_needs_no_file(codes, catalog) -> None:
    assert codes("W{ call a }", nothing(catalog, executor=("a",))) == []


def test_an_agent_file_needs_a_runtime(codes, catalog) -> None:
    files = {("agent", "a"): Located(Path("a.md"), ("a.md",))}
    assert codes("W{ call a }", catalog(known={}, files=files, everything=False)) == ["unknown-runtime"]
    assert codes("W{ call a }", catalog(known={"runtime": ("claude",)}, files=files, everything=False)) == []


def test_an_agent_of_a_plugin_folder_is_found(codes, catalog) -> None:
    files = {("agent", "kit/agents/a.md"): Located(Path("a.md"), ("a.md",))}
    world = catalog(known={"runtime": ("claude",)}, files=files, everything=False)
    assert codes('W{ call a { plugin_dirs = ["kit/"] } }', world) == []


def test_an_executor_chosen_for_the_run_takes_the_place_of_the_agent(checked, catalog) -> None:
    world = nothing(catalog, executor=("fake",))
    assert checked("W{ call ghost }", world, executors={"ghost": "fake"}).checked is not None
    (found,) = checked("W{ call ghost }", world, executors={"ghost": "fak"}).diagnostics
    assert (found.code, found.help) == ("unknown-executor", "did you mean `fake`?")


def test_a_close_executor_is_suggested(only, catalog) -> None:
    assert only("W{ call revuew }", nothing(catalog, executor=("review",))).help == "did you mean `review`?"


def test_well_known_gates_are_never_missing(codes, catalog) -> None:
    text = "W{ gate human_approval { } gate human_review { } gate pr_approval { } gate pr_checks { } }"
    assert codes(text, nothing(catalog)) == []
    assert codes("W{ gate slack_vote { } }", nothing(catalog, gate=("slack_vote",))) == []


@pytest.mark.parametrize(
    "run", ["echo hi", "make", "a.sh --fast", "{{d}}/x.sh", "$HOME/x.sh", "a && b.sh", "python3.11"]
)
def test_shell_text_is_not_looked_for(codes, catalog, run: str) -> None:
    assert "unknown-script" not in codes(f'W{{ inputs {{ d }} script s {{ run = "{run}" }} }}', nothing(catalog))


def test_a_script_that_cannot_be_started_says_how_to_fix_it(only, catalog) -> None:
    located = Located(Path("x.sh"), ("x.sh",), "it is not executable (mode 0644)")
    found = only('W{ script s { run = "x.sh" } }', catalog(files={("script", "x.sh"): located}))
    assert found.code == "script-not-executable"
    assert found.help == "make it executable: `chmod +x x.sh`"


def test_a_provider_is_looked_for_and_references_are_not(codes, catalog) -> None:
    text = "W{ foreach t { over = tickets max_parallel = 1 workflow = k } } workflow k { }"
    assert codes(text, nothing(catalog)) == ["unknown-provider"]
    assert codes(text, nothing(catalog, provider=("tickets",))) == []
    assert codes(text.replace("tickets", "files"), nothing(catalog)) == []


def test_a_slip_in_on_fail_continue_is_seen(only, catalog) -> None:
    found = only("W{ call a { on_fail = contineu } }", nothing(catalog, executor=("a",)))
    assert (found.code, found.help) == ("unknown-agent", "did you mean `continue`?")
    found = only("W{ call contineu }", nothing(catalog, executor=("a",)))
    assert "did you mean" not in (found.help or "")
