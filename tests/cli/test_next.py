"""After a failure the next command is one that can help."""

from __future__ import annotations

from .conftest import Case

_CHANGE = "runkon run x.wf        (once the file is changed; a resume goes by the recorded text)"


def test_a_value_that_can_not_stand_where_it_is(case: Case) -> None:
    case.wf('workflow x { script a { run = "echo a b" } script v { run = "echo \\"<{{a.context}}>\\"" } }')
    case.run("run", "x.wf").exits(1)
    assert case.err.count("error[") == 1
    assert "= help: pass it through `env`" in case.err
    assert f"= next: {_CHANGE}\n" in case.err


def test_a_loop_that_does_not_end_is_named_with_its_line(case: Case) -> None:
    case.wf(
        'workflow x {\n  script a { run = "true" }\n'
        '  do { max_iterations = 2 script b { run = "echo go" } } while b.context == "go"\n}'
    )
    case.run("run", "x.wf").exits(1)
    assert "error[max-iterations]: `do` (x.wf:3) failed: " in case.err
    assert f"= next: {_CHANGE}\n" in case.err


def test_an_output_no_record_can_hold_is_the_plugin_to_change(case: Case) -> None:
    plugin = "from runkon import executor\n@executor('odd')\ndef odd(request):\n    return {'n': object()}\n"
    case.file(".runkon/plugins/odd.py", plugin).wf("workflow x { call odd }").run("run", "x.wf").exits(1)
    assert case.err.count("error[") == 1
    assert "= next: runkon resume " in case.err


def test_a_run_that_took_too_long_is_given_more_time(case: Case) -> None:
    case.wf('workflow x { script a { run = "test -e go || exec sleep 60" } }')
    case.run("run", "x.wf", "--timeout", "50ms").exits(124)
    command = next(line for line in case.err.splitlines() if "= next: " in line).split("= next: ")[1]
    words = command.split("        ")[0].split()
    assert (words[:2], words[3:]) == (["runkon", "resume"], ["--timeout", "1h"])
    case.file("go", "").run(*words[1:]).exits(0)


def test_a_log_that_can_not_be_written_is_said_and_recorded(case: Case) -> None:
    case.file(".runkon/logs", "in the way").wf('workflow x { script a { run = "echo hi" } }')
    case.run("run", "x.wf").exits(0)
    text = "the log `a.log` can't be written, so what is printed is not kept: not a directory"
    assert text in case.err
    case.run("events", "@last").exits(0)
    assert text in case.out


def test_the_help_says_what_a_dry_run_calls(case: Case) -> None:
    case.run("run", "--help").exits(0)
    assert "call no script and no metered executor" in " ".join(case.out.split())


def test_a_command_to_type_names_the_database_that_was_named(case: Case) -> None:
    case.wf('workflow x { script a { run = "test -e go" } }').run("run", "x.wf", "--db", "my runs.db").exits(1)
    command = next(line for line in case.err.splitlines() if "= next: " in line).split("= next: ")[1]
    assert command.startswith("runkon --db 'my runs.db' resume ")
    case.run("--db", "my runs.db", "show", "@last").exits(0)
    assert "= next: runkon --db 'my runs.db' resume " in case.out
    case.file("go", "").run("--db", "my runs.db", *command.split()[-2:]).exits(0)


def test_a_command_to_type_names_no_database_unasked(case: Case) -> None:
    case.wf('workflow x { script a { run = "false" } }').run("run", "x.wf").exits(1)
    assert "= next: runkon resume " in case.err
    assert "--db" not in case.err
