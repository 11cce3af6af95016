"""`runkon resume` with its modes: what is shown before, what runs again, what stays as it was."""

from __future__ import annotations

import hashlib

import pytest

CHAIN = """
workflow x {
  inputs { word default = "hi" }
  script one { run = "echo one >> log; echo {{word}}" }
  script two { run = "echo two >> log; echo {{one.context}}" }
  script weak { run = "test -e fixed && echo fine" on_fail = continue }
  script three { run = "echo three >> log; echo {{weak.context}}" }
  outputs { end = "{{three.context}}" }
}
"""


@pytest.fixture
def done(case):
    """A completed run of the chain, in which `weak` failed and was passed over."""
    return case.wf(CHAIN).run("run", "x.wf", "-q").exits(0)


def log(case) -> list[str]:
    return (case.project / "log").read_text().split()


def database(case) -> str:
    """What the database holds, whatever its pages look like: the digest of every row."""
    import sqlite3

    with sqlite3.connect(case.project / ".runkon" / "runkon.db") as connection:
        text = "\n".join(connection.iterdump())
    return hashlib.sha256(text.encode()).hexdigest()


class TestModes:
    def test_from_runs_the_step_and_what_follows(self, done):
        done.run("resume", "@last", "--from", "two", "-q").exits(0)
        assert log(done) == ["one", "two", "three", "two", "three"]

    def test_the_plan_is_shown_before(self, done):
        done.run("resume", "@last", "--from", "three").exits(0).stderr("""
            reuse  one    completed just now
            reuse  two    completed just now
            reuse  weak   failed, taken by continue just now
            rerun  three  named by --from
            3 steps kept, 1 to run again
            run RUN · x · x.wf · resumed
            resumed     3 steps kept, 1 to run again
            again       three  named by --from
            started     three
            completed   three
            completed · 4 steps · 1 failed and handled
            next: runkon show RUN
            """)

    def test_only_failed_runs_the_failed_step_and_its_reader(self, done):
        done.file("fixed", "").run("resume", "@last", "--only-failed", "-q").exits(0).stdout("end = fine\n")
        assert log(done) == ["one", "two", "three", "three"]

    def test_restart_runs_everything_in_the_same_run(self, done):
        done.run("resume", "@last", "--restart", "--json", "-q").exits(0)
        assert (done.json()["leg"], done.json()["status"]) == (2, "completed")
        assert log(done) == ["one", "two", "three"] * 2

    def test_a_fork_is_a_new_run_and_takes_other_inputs(self, done):
        old = done.run("show", "@last", "--json").json()
        events = done.run("events", old["run_id"]).out
        done.run("resume", "@last", "--fork", "-i", "word=yo", "--json", "-q").exits(0)
        new = done.json()
        assert new["run_id"] != old["run_id"]
        assert new["inputs"] == {"word": "yo"}
        assert log(done) == ["one", "two", "three", "one", "two", "three"]
        assert done.run("events", old["run_id"]).out == events
        assert done.run("show", old["run_id"], "--json").json() == old

    def test_the_preview_names_the_command_that_does_what_it_says(self, done):
        done.run("resume", "@last", "--fork", "-i", "word=yo ho", "--until", "two", "--dry-run").exits(0)
        assert done.plain(done.err).endswith("next: runkon resume RUN --fork --until two -i 'word=yo ho'\n")
        assert [line.split(maxsplit=2)[:2] for line in done.out.splitlines()] == [
            ["rerun", "one"], ["rerun", "two"], ["rerun", "weak"], ["rerun", "three"],
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("words", "text"),
        [
            (["--restart", "--from", "one"], "`--from` and `--restart` say different things about what runs again"),
            (
                ["--only-failed", "--restart"],
                "`--only-failed` and `--restart` say different things about what runs again",
            ),
        ],
    )
    def test_modes_that_contradict_each_other(self, done, words, text):
        before = database(done)
        done.run("resume", "@last", *words).exits(2).stderr(f"error[wrong-use]: {text}\n  = help: give one of them\n")
        assert database(done) == before

    def test_an_unknown_step(self, done):
        before = database(done)
        done.run("resume", "@last", "--from", "thre").exits(0)
        done.run("resume", "@last", "--from", "wto").exits(2).stderr("""
            error[unknown-step]: this run has no step `wto`
              = help: did you mean `two`?
            """)
        assert database(done) != before  # the first word was a beginning of `three`

    def test_other_inputs_need_a_fork_or_edits(self, done):
        done.run("resume", "@last", "--restart", "-i", "word=yo").exits(2)
        assert "error[fixed-input]: `word` can't be given to run" in done.err
        assert "with `--fork` a new run takes other inputs" in done.err


class TestEdits:
    def test_they_are_shown_and_need_a_yes(self, done):
        done.wf(CHAIN.replace("echo two", "echo 2"))
        before = database(done)
        done.run("resume", "@last", "--with-edits").exits(2).stderr("""
            reuse  one    completed just now
            rerun  two    text changed: line 5
            reuse  weak   failed, taken by continue just now
            reuse  three  completed just now

            two: text changed: line 5
              -   run = "echo two >> log; echo {{one.context}}"
              +   run = "echo 2 >> log; echo {{one.context}}"

            3 steps kept, 1 to run again
            error[not-confirmed]: the changes of `--with-edits` were not confirmed
              = help: look at them above; `--yes` takes them
              = next: runkon resume RUN --with-edits --yes
            """)
        assert database(done) == before
        done.run("resume", "@last", "--with-edits", "--yes", "-q").exits(0)
        assert log(done) == ["one", "two", "three", "2"]

    def test_comments_and_how_failures_are_dealt_with_change_nothing(self, done):
        text = CHAIN.replace("script two {", "// now with patience\n  script two { retries = 3 timeout = 1m")
        done.wf(text).run("resume", "@last", "--with-edits").exits(0)
        assert log(done) == ["one", "two", "three"]

    def test_an_invalid_file_changes_nothing(self, done):
        before = database(done)
        done.wf("workflow x { call }").run("resume", "@last", "--with-edits", "--yes").exits(3)
        assert database(done) == before

    def test_a_removed_step_is_no_result_any_more_but_stays_on_record(self, done):
        text = CHAIN.replace('  script two { run = "echo two >> log; echo {{one.context}}" }\n', "")
        done.wf(text).run("resume", "@last", "--with-edits", "--yes", "-q").exits(0)
        assert [step["path"] for step in done.run("show", "@last", "--json").json()["steps"]] == [
            "one",
            "weak",
            "three",
        ]
        assert "step_superseded" in done.run("events", "@last", "--json").out

    def test_new_inputs_in_place(self, done):
        done.run("resume", "@last", "--with-edits", "-i", "word=yo", "--json", "-q").exits(0)
        assert done.json()["inputs"] == {"word": "yo"}
        assert log(done) == ["one", "two", "three", "one", "two", "three"]

    def test_a_changed_file_is_told_of_and_not_used(self, case):
        case.wf(CHAIN.replace("{{weak.context}}", "; test -e go")).run("run", "x.wf", "-q").exits(1)
        case.wf(CHAIN).file("go", "").run("resume").exits(0)
        assert case.err.startswith(
            "note: `x.wf` has changed; the run goes by the text it began with (`--with-edits` takes the new one)\n"
        )
        assert log(case) == ["one", "two", "three", "three"]


class TestPreview:
    def test_it_writes_nothing_and_says_what_may_follow(self, done):
        before = database(done)
        done.run("resume", "@last", "--only-failed", "--dry-run").exits(0).stdout("""
            reuse  one    completed just now
            reuse  two    completed just now
            rerun  weak   failed: script `weak` exited with code 1 and said nothing
            reuse  three  completed just now; runs again if {{weak.context}} comes out differently
            """).stderr("""
            completed: 3 steps kept, 1 to run again, 1 of the kept only if what they read stays the same
            next: runkon resume RUN --only-failed
            """)
        done.run("resume", "@last", "--fork", "--from", "two", "--dry-run", "--json").exits(0)
        plan = done.json()
        assert plan["schema"] == "runkon.resume/1"
        assert plan["totals"] == {
            "kept": 1, "rerun": 3, "asked": 0, "new": 0, "usd_kept": 0.0, "usd_at_risk": 0.0,
        }  # fmt: skip
        assert [line["reason"] for line in plan["resume"]][1:3] == ["named by --from", "after --from"]
        assert database(done) == before

    def test_a_cancelled_run_can_only_be_forked(self, case):
        case.wf('workflow x { script a { run = "true" } script b { run = "test -e go" } }')
        case.run("run", "x.wf", "-q").exits(1)
        case.run("resume", "@last", "--until", "a", "-q").exits(0)
        case.run("cancel", "@last", "-q").exits(0)
        case.run("resume", "@last").exits(6).stderr("""
            error[not-resumable]: run `RUN` was cancelled, which is final
              = help: `--fork` makes a new run that keeps what this one has finished
              = next: runkon resume RUN --fork
            """)
        case.file("go", "").run("resume", "@last", "--fork", "--json", "-q").exits(0)
        assert [(step["path"], step["status"]) for step in case.json()["steps"]] == [
            ("a", "completed"),
            ("b", "completed"),
        ]

    def test_a_dry_run_stays_dry_in_every_leg(self, case):
        case.wf(CHAIN).run("run", "x.wf", "-q", "--dry-run", "--until", "one").exits(0)
        case.run("resume", "--json", "-q").exits(0)
        assert case.json()["dry_run"] is True
        assert not (case.project / "log").exists()


def test_a_plugin_that_is_gone_is_named(case):
    case.file(
        ".runkon/plugins/tools.py",
        """
        from runkon import executor, hookimpl

        @executor("tool")
        def tool(request):
            raise RuntimeError("not yet")

        @hookimpl
        def runkon_register_executors(register):
            register(tool)
        """,
    )
    case.wf("workflow x { call tool }").run("run", "x.wf", "-q").exits(1)
    (case.project / ".runkon" / "plugins" / "tools.py").unlink()
    before = database(case)
    case.run("resume").exits(6)
    assert "error[program-unusable]: the stored workflow of run" in case.err
    assert "install again what is missing: the plugin `tools` brought executor `tool`" in case.err
    assert database(case) == before


def test_another_version_of_an_executor_is_told_of(case):
    text = """
        from runkon import executor, hookimpl

        @executor("tool", version="VERSION")
        def tool(request):
            if VERSION == 1:
                raise RuntimeError("not yet")

        @hookimpl
        def runkon_register_executors(register):
            register(tool)
        """
    case.file(".runkon/plugins/tools.py", text.replace("VERSION", "1"))
    case.wf("workflow x { call tool }").run("run", "x.wf", "-q").exits(1)
    case.file(".runkon/plugins/tools.py", text.replace("VERSION", "12")).run("resume").exits(0)
    assert case.err.startswith(
        "note: executor `tool` has version 12 now, the run began with 1; what it has finished is kept\n"
    )


class TestAnInterruptThatNoLegTakes:
    """^C while the command still reads, or when its leg is over: the message names the command that goes on."""

    def test_before_the_leg(self, done, monkeypatch):
        monkeypatch.setattr("runkon.resuming.Resuming.prepare", _interrupted)
        done.run("resume", "@last", "--from", "two").exits(130).stderr("interrupted; next: runkon resume RUN\n")
        assert log(done) == ["one", "two", "three"]

    def test_after_the_leg(self, case, monkeypatch):
        monkeypatch.setattr("runkon.cli.leg.report", _interrupted)
        case.wf(CHAIN).run("run", "x.wf", "-q").exits(130).stderr("interrupted; next: runkon show RUN\n")
        assert log(case) == ["one", "two", "three"]

    def test_while_a_cancel_waits(self, case, monkeypatch):
        case.wf(CHAIN).run("run", "x.wf", "-q", "--until", "one").exits(0)
        monkeypatch.setattr("runkon.cli.commands.cancel.is_held", _interrupted)
        case.run("cancel", "@last").exits(130).stderr("interrupted; next: runkon cancel RUN\n")

    def test_where_there_is_no_run_yet(self, case, monkeypatch):
        monkeypatch.setattr("runkon.app.App.start", _interrupted)
        case.wf(CHAIN).run("run", "x.wf", "-q").exits(130).stderr("interrupted\n")


def _interrupted(*_arguments, **_named):
    raise KeyboardInterrupt
