"""`runs show events logs resume`: what is recorded, and how a run goes on."""

from __future__ import annotations

import json

import pytest

GOOD = 'workflow good { script a { run = "echo fine" } outputs { a = "{{a.context}}" } }'
FAILS = """\
    workflow fails {
      script one { run = "echo one >> log; echo one" }
      parallel checks {
        fail_fast = false
        script lint { run = "echo lint" }
        script bad { run = "test -e fixed || { echo broken >&2; exit 3; }" }
      }
      script end { run = "echo end" }
      outputs { end = "{{end.context}}" }
    }
    """


class TestRuns:
    def test_none_yet(self, case):
        case.run("runs").exits(0).stdout("").stderr("no runs yet; next: runkon run FILE\n")
        case.run("runs", "--json").exits(0).stdout(
            '{\n  "schema": "runkon.runs/1",\n  "runs": [],\n  "more": false\n}\n'
        )

    def test_newest_first_with_what_went_wrong(self, case):
        case.wf(GOOD, "good.wf").wf(FAILS, "fails.wf").run("run", "good.wf", "-q").run("run", "fails.wf", "-q")
        case.run("runs").exits(0).stderr("")
        lines = [case.plain(line).split() for line in case.out.splitlines()]
        assert [line[:3] for line in lines] == [["RUN", "failed", "fails"], ["RUN", "completed", "good"]]
        case.run("runs", "--status", "failed", "--json")
        assert [run["workflow"] for run in case.json()["runs"]] == ["fails"]
        case.run("runs", "--workflow", "good", "--since", "1h", "--json")
        assert [run["workflow"] for run in case.json()["runs"]] == ["good"]
        case.run("runs", "--limit", "1").exits(0).stderr("older runs are not shown; see --limit, --since and --all\n")

    def test_wrong_use(self, case):
        case.run("runs", "--status", "done").exits(2)
        assert case.err.startswith("error[invalid-value]: `--status`: ")
        case.run("runs", "--since", "yesterday").exits(2)


class TestShow:
    def test_a_run_as_a_tree(self, case):
        case.wf(FAILS).run("run", "x.wf", "-q").exits(1)
        case.run("show", "@last").exits(0).stderr("").stdout("""
            fails · x.wf · run RUN
            failed · 3 steps · 1 failed · 0.0s
            started: TIME
             ✓ script one         0.0s  one
             ▾ parallel checks          1 ok · 1 failed · 1 of 2 branches succeeded, 2 needed; failed: `bad`  x.wf:3
               ✓ script lint      0.0s  lint
               ✗ script bad       0.0s  script `bad` exited with code 3: broken  x.wf:6

            error[step-failed]: `bad` failed: script `bad` exited with code 3: broken
              ┌─ x.wf:6:5                                          run RUN · step checks/bad
            6 │     script bad { run = "test -e fixed || { echo broken >&2; exit 3; }" }
              │     ^^^^^^
              = next: runkon resume RUN        (keeps 2 finished steps)
            """)

    def test_one_step_by_key_or_path(self, case):
        case.wf(FAILS).run("run", "x.wf", "-q")
        case.run("show", "@last", "lint").exits(0).stdout("""
            script checks/lint
            status: completed
            source: x.wf:5:5
            attempts: 1
            time: 0.0s
            context:
                lint
            """)
        lint = case.out
        assert case.run("show", "@last", "checks/lint").out == lint
        case.run("show", "@last", "checks/lint", "--json").exits(0)
        assert [step["path"] for step in case.json()["show"]] == ["checks/lint"]

    def test_of_several_with_one_name_the_newest_is_shown(self, case):
        twice = "".join(
            f'script a {{ run = "echo {n}" }} parallel {{ script c {{ run = "echo c{n}" }} }} ' for n in "12"
        )
        case.wf(f"workflow x {{ {twice} }}").run("run", "x.wf", "-q")
        shown = {"a": "2", "a#1": "1", "a#2": "2", "c": "c2", "parallel/c": "c1"}
        for name, words in shown.items():
            case.run("show", "@last", name).exits(0)
            assert case.out.endswith(f"context:\n    {words}\n"), name

    def test_a_block_without_a_record_of_its_own_names_its_steps(self, case):
        case.wf('workflow x { parallel { script a { run = "true" } script b { run = "true" } } }').run("run", "x.wf")
        case.run("show", "@last", "parallel").exits(2).stderr("""
            error[ambiguous-step]: `parallel` stands for several steps: parallel/a, parallel/b
              = help: give the path of one of them
            """)

    def test_the_source_with_results_in_the_margin(self, case):
        case.wf(GOOD).run("run", "x.wf", "-q").run("show", "@last", "--source").exits(0).stdout(
            f"{'✓ 0.0s':<26}    1 │ {GOOD}\n"
        )

    def test_unknown_step_is_suggested(self, case):
        case.wf(FAILS).run("run", "x.wf", "-q").run("show", "@last", "lnit").exits(2).stdout("").stderr("""
            error[unknown-step]: run `RUN` has no step `lnit`
              = help: did you mean `lint`?
              = next: runkon show RUN
            """)
        case.run("show", "@last", "checks/").exits(2)
        assert case.err.startswith("error[ambiguous-step]: `checks/` stands for several steps: ")

    def test_json_is_that_of_the_run(self, case):
        case.wf(FAILS).run("run", "x.wf", "--json", "-q")
        first = case.out
        assert case.run("show", "@last", "--json").exits(0).out == first

    @pytest.mark.parametrize("command", ["show", "events", "logs", "resume"])
    def test_an_unknown_run(self, case, command):
        for step in ("runkon init", "runkon runs"):
            case.run(command, "0000").exits(6).stdout("").stderr(f"""
                error[run-not-found]: no run has an id that begins with `0000`
                  = next: {step}
                """)
            case.wf(GOOD).run("run", "x.wf", "-q")

    def test_an_ambiguous_prefix(self, case):
        case.wf(GOOD).run("run", "x.wf", "-q").run("run", "x.wf", "-q").run("show", "01").exits(2).stdout("")
        assert case.err.startswith("error[ambiguous-run]: `01` stands for several runs: ")

    def test_any_unique_prefix_in_any_case(self, case):
        case.wf(GOOD).run("run", "x.wf", "-q", "--json")
        run = case.json()["run_id"]
        assert case.run("show", run[:12].lower(), "--json").exits(0).json()["run_id"] == run
        case.run("show", "@last-failed").exits(6)


class TestEventsAndLogs:
    def test_events_from_a_number_on(self, case):
        case.wf(GOOD).run("run", "x.wf", "-q").run("events", "@last").exits(0).stderr("")
        events = [json.loads(line) for line in case.out.splitlines()]
        case.run("events", "@last", "--since", "2").exits(0)
        assert [json.loads(line) for line in case.out.splitlines()] == events[2:]
        case.run("events", "@last", "-f").exits(0)
        assert [json.loads(line) for line in case.out.splitlines()] == events

    def test_logs_are_raw_and_name_their_step_elsewhere(self, case):
        case.wf(FAILS).run("run", "x.wf", "-q")
        case.run("logs", "@last").exits(0).stdout("one\nlint\nbroken\n").stderr("""
            ── one
            ── checks/lint
            ── checks/bad
            """)
        case.run("logs", "@last", "lint").exits(0).stdout("lint\n")
        case.run("logs", "@last", "-f").exits(0).stdout("one\nlint\nbroken\n")
        case.run("logs", "@last", "lint", "--json").exits(0)
        assert case.json() == {"schema": "runkon.logs/1", "logs": [{"step": "checks/lint", "text": "lint\n"}]}

    def test_no_output_is_said(self, case):
        case.wf('workflow x { script a { run = "true" } }').run("run", "x.wf", "-q")
        case.run("logs", "@last").exits(0).stdout("").stderr("no output was recorded\n")

    def test_logs_of_a_step_with_a_long_path(self, case):
        inside = 'do {} {{ do {} {{ do {} {{ script s {{ run = "echo deep" }} }} }} }}'.format(*(c * 90 for c in "abc"))
        case.wf(f"workflow x {{ {inside} }}").run("run", "x.wf", "-q").exits(0)
        case.run("logs", "@last").exits(0).stdout("deep\n")


class TestResume:
    def test_finished_steps_are_kept_and_the_result_is_printed(self, case):
        case.wf(FAILS).run("run", "x.wf", "-q").exits(1)
        case.file("fixed", "").run("resume").exits(0).stdout("end = end\n").stderr("""
            run RUN · fails · x.wf · resumed
            resumed     2 steps kept, 2 to run again
            started     checks/bad  attempt 2
            completed   checks/bad
            completed   checks
            started     end
            completed   end  end
            completed · 4 steps
            next: runkon show RUN
            """)
        assert (case.project / "log").read_text() == "one\n"
        reused = {step["path"]: step["reused"] for step in case.run("show", "@last", "--json").json()["steps"]}
        assert reused == {"one": True, "checks": False, "checks/lint": True, "checks/bad": False, "end": False}

    def test_a_preview_writes_nothing(self, case):
        case.wf(FAILS).run("run", "x.wf", "-q").exits(1)
        before = case.run("events", "@last").out
        case.run("resume", "--dry-run").exits(0)
        assert [line.split()[:2] for line in case.out.splitlines()] == [
            ["reuse", "one"],
            ["rerun", "checks"],
            ["reuse", "checks/lint"],
            ["rerun", "checks/bad"],
            ["new", "end"],
        ]
        case.run("resume", "@last", "--dry-run", "--json").exits(0)
        assert [line["decision"] for line in case.json()["resume"]] == ["reuse", "rerun", "reuse", "rerun", "new"]
        assert case.run("events", "@last").out == before

    def test_a_completed_run_gives_its_result_again(self, case):
        case.wf(GOOD).run("run", "x.wf", "-q").run("resume", "@last").exits(0).stdout("a = fine\n")
        case.run("resume", "@last", "--json").exits(0)
        assert case.json()["leg"] == 1

    def test_nothing_to_resume(self, case):
        case.wf(GOOD).run("run", "x.wf", "-q").run("resume").exits(6).stderr("""
            error[run-not-found]: there is no run to resume
              = next: runkon runs
            """)

    def test_after_until_it_goes_on(self, case):
        case.wf(FAILS).file("fixed", "").run("run", "x.wf", "-q", "--until", "one").exits(0)
        case.run("resume", "--json", "-q").exits(0)
        assert case.json()["status"] == "completed"
        assert (case.project / "log").read_text() == "one\n"

    def test_the_stored_text_counts_not_the_file(self, case):
        case.wf(FAILS).run("run", "x.wf", "-q").exits(1)
        case.file("fixed", "").file("x.wf", "workflow changed { }").run("resume", "-q").exits(0).stdout("end = end\n")
