"""`runkon validate`: facts on standard output, findings on standard error, exit code 3."""

from __future__ import annotations

import pytest

GOOD = """\
    workflow good {
      inputs { scope  level default = 2 }
      script look { run = "echo {{scope}}" }
      if look.has_more { script again { run = "true" } }
    }
    """
BAD = """\
    workflow bad {
      script build { run = "make" }
      if biuld.failed { script tell { run = "echo no" } }
    }
    """


def test_a_good_file_and_what_it_needs(case):
    case.wf(GOOD).run("validate", "x.wf").exits(0).stderr("").stdout("""
        x.wf: ok
          calls: none, at once: none
          inputs required: scope
          scripts: look, again
          executors: script
        """)


def test_a_bad_file_is_shown_where_it_is_wrong(case):
    case.wf(BAD).run("validate", "x.wf").exits(3).stdout("x.wf: 1 error\n").stderr("""
        error[unknown-step]: no step named `biuld` comes before this condition
          ┌─ x.wf:3:6
        3 │   if biuld.failed { script tell { run = "echo no" } }
          │      ^^^^^
          = help: did you mean `build` (line 2)?

        """)


def test_all_independent_errors_of_all_files_at_once(case):
    case.wf(BAD, "a.wf").wf("workflow b {\n  parralel { }\n  call nobody\n}\n", "b.wf").wf(GOOD, "c.wf")
    case.run("validate").exits(3)
    assert case.out.startswith("a.wf: 1 error\nb.wf: ")
    assert "c.wf: ok\n" in case.out
    assert "error[unknown-statement]: unknown statement `parralel`" in case.err
    assert "error[unknown-step]" in case.err


def test_without_names_the_folder_and_the_project_are_searched(case):
    case.wf(GOOD, "x.wf").wf(GOOD, ".runkon/workflows/inner.wf").wf(GOOD, "deep/other.wf")
    case.run("validate", "-q").exits(0).stdout("x.wf: ok\n.runkon/workflows/inner.wf: ok\n")
    case.run("validate", "-q", "deep", "inner").exits(0).stdout("deep/other.wf: ok\n.runkon/workflows/inner.wf: ok\n")


def test_no_files_at_all(case):
    case.run("validate").exits(2).stdout("").stderr("""
        error[no-workflows]: there are no workflow files here
          = help: a workflow file ends in `.wf`; without names, this folder and `.runkon/workflows` are searched
          = next: runkon init
        """)


def test_json_has_findings_with_their_ends_and_the_facts(case):
    case.wf(BAD).wf(GOOD, "good.wf").run("validate", "x.wf", "good.wf", "--json").exits(3).stderr("")
    assert case.json() == {
        "schema": "runkon.validate/1",
        "ok": False,
        "files": [
            {
                "file": "x.wf",
                "ok": False,
                "diagnostics": [
                    {
                        "severity": "error",
                        "code": "unknown-step",
                        "message": "no step named `biuld` comes before this condition",
                        "file": "x.wf",
                        "line": 3,
                        "column": 6,
                        "end_line": 3,
                        "end_column": 11,
                        "help": "did you mean `build` (line 2)?",
                    }
                ],
                "facts": case.json()["files"][0]["facts"],
            },
            {
                "file": "good.wf",
                "ok": True,
                "diagnostics": [],
                "facts": {
                    "calls_max": 0,
                    "concurrency_max": 0,
                    "gates": [],
                    "scripts": ["look", "again"],
                    "inputs_required": ["scope"],
                    "executors": ["script"],
                    "missing": [],
                    "providers": [],
                    "reducers": [],
                },
            },
        ],
    }


WARNED = """\
    workflow warned {
      meta { trigger = "scheduled" }
      script a { run = "true" }
    }
    """


def test_warnings_fail_only_when_asked_to(case):
    case.wf(WARNED).run("validate", "x.wf").exits(0)
    assert case.err.startswith("warning[inactive-trigger]: trigger `scheduled` is not active")
    case.run("validate", "x.wf", "-q").exits(0).stdout("x.wf: ok\n").stderr("")
    case.run("validate", "x.wf", "--strict", "-q").exits(3).stdout("x.wf: 1 warning\n")
    case.env(RUNKON_STRICT="1").run("validate", "x.wf").exits(3)


def test_syntax_leaves_out_what_the_surroundings_decide(case):
    case.wf("workflow x {\n  call nobody\n}\n").run("validate", "x.wf").exits(3)
    assert "error[unknown-agent]" in case.err
    case.run("validate", "x.wf", "--syntax").exits(0).stderr("")
    case.wf("workflow x {\n  cal nobody\n}\n").run("validate", "x.wf", "--syntax").exits(3)


@pytest.mark.parametrize(
    ("target", "code", "start"),
    [
        ("none.wf", 2, "error[file-not-found]: "),
        ("nothing", 2, "error[workflow-not-found]: "),
        ("latin.wf", 2, "error[not-utf8]: "),
        ("../project/.runkon", 2, "error[no-workflows]: "),
    ],
)
def test_what_cannot_be_read_is_said_and_the_others_are_checked(case, target, code, start):
    case.wf(GOOD)
    (case.project / "latin.wf").write_bytes(b'workflow x { script a { run = "\xe9" } }')
    case.run("validate", target, *(["x.wf"] if target.endswith("wf") else []))
    assert case.err.startswith(start)
    assert "Traceback" not in case.err
    assert case.code != 0
    if target.endswith("wf"):
        assert "x.wf: ok" in case.out


def test_text_of_the_file_is_never_obeyed_by_the_terminal(case):
    case.wf("workflow x {\n  \x1b[31mparralel\x07 { }\n}\n").run("validate", "x.wf").exits(3)
    assert "\x1b" not in case.err + case.out
    assert "\x07" not in case.err + case.out


def test_a_misspelt_option_hides_no_other_finding(case):
    text = 'workflow w {\n  script a { runn = "x" }\n  if nope.x { script b { run = "true" } }\n  call plan\n}\n'
    case.wf(text).run("validate", "--json", "x.wf").exits(3)
    found = [(each["line"], each["code"]) for each in case.json()["files"][0]["diagnostics"]]
    assert found == [(2, "unknown-option"), (3, "unknown-step"), (4, "unknown-agent")]


def test_a_plugin_that_is_left_out_is_named_once(case):
    case.file(".runkon/plugins/broken.py", "import nothing_of_this_name\n")
    case.file("a.wf", "workflow a { call lint }\n").file("b.wf", "workflow b { call lint }\n")
    case.run("validate", "a.wf", "b.wf").exits(3)
    assert case.err.count("warning[broken-plugin]: the plugin `broken`") == 1
    case.run("validate", "a.wf", "--syntax").exits(0)
    assert "broken-plugin" not in case.err
