"""`runkon run`: what is said, where it is said, and how it exits."""

from __future__ import annotations

import json

import pytest

HELLO = """\
    workflow hello {
      inputs { name default = "world" }
      script greet { run = "echo Hello, {{name}}!" }
      if greet.status == "completed" {
        script shout { run = "echo {{greet.context}} | tr a-z A-Z" }
      }
      script never { run = "true" if = greet.nothing }
      outputs { greeting = "{{greet.context}}"  size = 3 }
    }
    """
FAILS = """\
    workflow fails {
      script one { run = "echo one" }
      script two { run = "echo broken >&2; exit 3" retries = 1 }
      script three { run = "echo three" }
    }
    """


def test_a_run_off_the_terminal_is_one_line_per_change(case):
    case.wf(HELLO).run("run", "x.wf", "-i", "name=Ada").exits(0)
    case.stdout("""
        greeting = Hello, Ada!
        size = 3
        """)
    case.stderr("""
        run RUN · hello · x.wf
        started     greet
        completed   greet  Hello, Ada!
        started     shout
        completed   shout  HELLO, ADA!
        skipped     never  its condition is false
        completed · 3 steps · 1 skipped
        next: runkon show RUN
        """)


def test_quiet_leaves_the_result(case):
    case.wf(HELLO).run("run", "x.wf", "-q").exits(0).stderr("").stdout("greeting = Hello, world!\nsize = 3\n")


def test_a_failure_is_drawn_at_its_statement_and_names_the_next_command(case):
    case.wf(FAILS).run("run", "x.wf").exits(1).stdout("").stderr("""
        run RUN · fails · x.wf
        started     one
        completed   one  one
        started     two
        failed      two  script `two` exited with code 3: broken
        started     two  attempt 2
        failed      two  attempt 2: script `two` exited with code 3: broken

        error[step-failed]: `two` failed after 2 attempts: script `two` exited with code 3: broken
          ┌─ x.wf:3:3                                          run RUN · step two
        3 │   script two { run = "echo broken >&2; exit 3" retries = 1 }
          │   ^^^^^^
          = next: runkon resume RUN        (keeps 1 finished step)

        failed · 2 steps · 1 failed
        """)


def test_json_is_one_object_of_the_promised_shape(case):
    case.wf(FAILS).run("run", "x.wf", "--json", "-q").exits(1)
    found = case.json()
    assert found["schema"] == "runkon.run/1"
    assert (found["workflow"], found["status"]) == ("fails", "failed")
    assert found["error"]["code"] == "step-failed"
    assert found["waiting"] is None
    assert {"run_id", "inputs", "outputs", "started_at", "ended_at", "duration_ms", "cost_usd", "calls"} <= set(found)
    two = found["steps"][1]
    assert two["error"] == {
        "code": "step-failed",
        "kind": "exit",
        "message": "script `two` exited with code 3: broken",
    }
    assert (two["path"], two["key"], two["kind"], two["attempts"], two["reused"]) == ("two", "two", "script", 2, False)
    assert two["source"] == {"file": "x.wf", "line": 3, "column": 3}
    assert found["steps"][0]["started_at"].endswith("Z")


def test_an_invalid_file_is_refused_before_anything_is_recorded(case):
    case.wf("workflow x {\n  parralel { }\n}\n").run("run", "x.wf").exits(3).stdout("")
    assert "error[unknown-statement]" in case.err
    case.run("runs").stdout("")


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("call workflow other { max_turns = 3 }", "unsupported-option"),
        ('script a { run = "true" stream = lines }', "unsupported-option"),
    ],
)
def test_what_this_version_cannot_run_is_refused_at_its_line(case, statement, code):
    case.wf('workflow other { script a { run = "true" } }', ".runkon/workflows/other.wf")
    case.wf(f"workflow x {{\n  {statement}\n}}\n").run("run", "x.wf").exits(3).stdout("")
    assert f"error[{code}]" in case.err
    assert "x.wf:2:" in case.err
    case.run("runs").stdout("")


class TestInputs:
    TEXT = """\
        workflow x {
          inputs {
            text
            level integer default = 1
          }
          script say { run = "printf %s {{text}}" }
          outputs { said = "{{say.context}}" level = "{{level}}" }
        }
        """

    def test_from_a_file_of_text(self, case):
        case.wf(self.TEXT).file("note.txt", "from a file").run("run", "x.wf", "-q", "-i", "text=@note.txt")
        case.exits(0).stdout("said = from a file\nlevel = 1\n")

    def test_a_doubled_at_sign_is_a_text(self, case):
        case.wf(self.TEXT).run("run", "x.wf", "-q", "-i", "text=@@home").exits(0).stdout("said = @home\nlevel = 1\n")

    def test_from_json_with_a_pair_on_top(self, case):
        case.wf(self.TEXT).file("in.json", '{"text": "json", "level": 2}')
        case.run("run", "x.wf", "-q", "--inputs", "in.json").exits(0).stdout("said = json\nlevel = 2\n")
        case.run("run", "x.wf", "-q", "--inputs", "in.json", "-i", "level=5").stdout("said = json\nlevel = 5\n")
        case.stdin('{"text": "piped"}').run("run", "x.wf", "-q", "--inputs", "-").stdout("said = piped\nlevel = 1\n")

    @pytest.mark.parametrize(
        ("words", "start"),
        [
            ((), "error[missing-input]: "),
            (("-i", "text=a", "-i", "leevl=1"), "error[unknown-input]: "),
            (("-i", "text=a", "-i", "level=many"), "error[invalid-input]: "),
            (("-i", "text=@none.txt"), "error[unreadable-input]: the file `none.txt` of `-i text=@none.txt` "),
            (("--inputs", "bad.json"), "error[invalid-input]: `bad.json` is not valid JSON: expecting value (line 1,"),
            (("--inputs", "list.json"), "error[invalid-input]: `list.json` holds no JSON object"),
            (("--inputs", "nan.json"), "error[invalid-input]: `nan.json` is not valid JSON: NaN is not a JSON value"),
        ],
    )
    def test_wrong_ones_are_wrong_use(self, case, words, start):
        case.wf(self.TEXT).file("bad.json", "{").file("bad.json", "x").file("list.json", "[]")
        case.file("nan.json", '{"text": NaN}')
        case.run("run", "x.wf", *words).exits(2).stdout("")
        assert case.err.startswith(start)
        case.run("runs").stdout("")


class TestEvents:
    def test_on_standard_output_they_are_all_there_in_order(self, case):
        case.wf(HELLO).run("run", "x.wf", "--events", "-").exits(0)
        events = [json.loads(line) for line in case.out.splitlines()]
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert [events[0]["type"], events[-1]["type"]] == ["run_created", "run_completed"]
        assert {"v", "seq", "ts", "run", "path", "type", "attempt", "source", "data"} <= set(events[0])
        started = next(event for event in events if event["type"] == "attempt_started")
        assert (started["path"], started["attempt"]) == ("greet", 0)
        ended = next(event for event in events if event["type"] == "step_completed")
        assert ended["source"] == {"file": "x.wf", "line": 3, "column": 3}

    def test_in_a_file_they_are_those_of_the_record(self, case):
        case.wf(HELLO).run("run", "x.wf", "-q", "--events", "log.ndjson").exits(0)
        written = (case.project / "log.ndjson").read_text()
        assert case.run("events", "@last").exits(0).out == written

    def test_two_things_on_standard_output_are_wrong_use(self, case):
        case.wf(HELLO).run("run", "x.wf", "--events", "-", "--json").exits(2).stderr("""
            error[wrong-use]: `--events -` and `--json` both want standard output
              = help: give a file to `--events`, or leave `--json` out
            """)
        case.run("runs").stdout("")

    def test_a_file_that_cannot_be_written(self, case):
        case.wf(HELLO).run("run", "x.wf", "--events", "none/log").exits(5).stdout("").stderr("""
            error[cannot-write]: `none/log` of `--events` can't be written: no such file or directory
            """)
        case.run("runs").stdout("")


def test_until_stops_after_the_step_and_is_no_failure(case):
    case.wf(HELLO).run("run", "x.wf", "--until", "greet").exits(0).stdout("").stderr("""
        run RUN · hello · x.wf
        started     greet
        completed   greet  Hello, world!
        interrupted · 1 step
        interrupted; continue: runkon resume RUN · give up: runkon cancel RUN
        """)


def test_a_run_timeout_has_its_own_exit_code(case):
    case.wf('workflow x { script a { run = "sleep 60" } }').run("run", "x.wf", "--timeout", "200ms").exits(124)
    assert "error[run-timeout]" in case.err


def test_a_dry_run_makes_no_calls(case):
    case.wf('workflow x { script a { run = "touch made" } }').run("run", "x.wf", "--dry-run").exits(0)
    assert not (case.project / "made").exists()
    assert "· dry run\n" in case.err


def test_an_executor_for_one_step(case):
    case.file("mine.py", "from runkon import executor\n@executor('mine')\ndef mine(request):\n    return 'by mine'\n")
    case.wf('workflow x { script a { run = "echo by script" } outputs { a = "{{a.context}}" } }')
    case.run("run", "x.wf", "-q", "--plugin", "mine.py", "--executor", "a=mine").exits(0).stdout("a = by mine\n")


def test_a_broken_plugin_is_named_and_nothing_else_happens(case):
    case.file(".runkon/plugins/broken.py", "import nothing_of_this_name\n").wf(HELLO)
    case.run("run", "x.wf").exits(0)
    assert case.err.startswith("warning[broken-plugin]: ")
    assert "broken" in case.err.splitlines()[0]
    assert "nothing_of_this_name" in case.err.splitlines()[0]


def test_output_of_steps_is_data(case):
    case.file("say.py", "import sys\nsys.stdout.write('\\x1b[31mred\\x07 [bold]x[/bold] \\u202etrojan\\r\\n' * 3)\n")
    case.wf('workflow x { script a { run = "python3 say.py" } outputs { a = "{{a.context}}" } }')
    for words in (("run", "x.wf", "-v"), ("show", "@last"), ("show", "@last", "a"), ("run", "x.wf", "--json")):
        case.run(*words).exits(0)
        assert not {"\x1b", "\x07", "\u202e", "\r"} & set(case.out + case.err), words
        assert "[bold]x[/bold]" in case.out + case.err


def test_a_megabyte_on_one_line_is_cut_for_people_and_kept_for_programs(case):
    case.file("big.py", "print('x' * 1_000_000)\n")
    case.wf('workflow x { script a { run = "python3 big.py" } }').run("run", "x.wf").exits(0)
    assert max(len(line) for line in case.err.splitlines()) < 300
    assert "…" in case.err
    assert case.run("logs", "@last").exits(0).out == "x" * 1_000_000 + "\n"
    case.run("show", "@last")
    assert max(len(line) for line in case.out.splitlines()) < 400


def test_a_place_that_cannot_be_written(case):
    case.wf(HELLO).run("run", "x.wf", "--db", "x.wf/below.db").exits(5).stdout("")
    assert case.err.startswith("error[")
    assert "x.wf" in case.err


def test_a_database_that_is_something_else(case):
    case.wf(HELLO).file("notes.txt", "these are notes, not a database, and they stay as they are\n" * 50)
    before = (case.project / "notes.txt").read_bytes()
    case.run("run", "x.wf", "--db", "notes.txt").exits(5).stdout("")
    assert case.err.startswith("error[")
    assert "notes.txt" in case.err
    assert (case.project / "notes.txt").read_bytes() == before


def test_colours_only_where_they_are_wanted(case):
    case.wf(FAILS)
    for wanted, variables, words in (
        (False, {}, ()),
        (True, {"FORCE_COLOR": "1"}, ()),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, ()),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": ""}, ("--no-color",)),
        (False, {"FORCE_COLOR": "0"}, ()),
    ):
        case.env(**variables).run("run", "x.wf", *words).exits(1)
        assert ("\x1b[1;31m" in case.err) is wanted, (variables, words)
