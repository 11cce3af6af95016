"""`run --record`, `replay`, `verify`, `show --prompt`, `run --replay`, `--no-cache`: whole output."""

from __future__ import annotations

import json

import pytest

FLOW = """\
    workflow flow {
      inputs { who default = "kim" }
      script hello { run = "echo ran >> log; echo hello {{who}}" }
      gate human_review { prompt = "fine?" timeout = 48h }
      parallel checks {
        script lint { run = "echo ran >> log; echo lint" }
        script bad { run = "echo ran >> log; echo no >&2; exit 3" retries = 1 on_fail = continue }
      }
      if hello.completed { script never { run = "true" } }
      script end { run = "echo ran >> log; echo {{hello.context}}, {{human_review.by}}" }
      always { script bye { run = "echo ran >> log; echo {{workflow_status}}" } }
      outputs { end = "{{end.context}}" }
    }
    """
CASSETTE = ".runkon/cassettes/flow.json"


@pytest.fixture
def recorded(case):
    case.wf(FLOW, "flow.wf").run("run", "flow.wf", "--record", "-q").exits(4)
    case.run("approve", "@last", "--as", "ann", "--resume", "-q").exits(0).stdout("end = hello kim, ann\n")
    assert calls(case) == 6
    return case


def calls(case) -> int:
    return len((case.project / "log").read_text().splitlines())


def edit(case, before: str, after: str) -> None:
    path = case.project / "flow.wf"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


class TestReplay:
    def test_a_cassette_answers_everything_also_over_legs(self, recorded):
        recorded.run("replay", CASSETTE).exits(0).stdout("end = hello kim, ann\n")
        assert recorded.err.splitlines()[0].endswith(" · flow · flow.wf · replay of .runkon/cassettes/flow.json")
        assert "failed      checks/bad  script `bad` exited with code 3: no (handled: continue)" in recorded.err
        assert "as recorded: 6 answers; nothing was called" in recorded.err
        assert calls(recorded) == 6

    def test_the_replay_is_an_ordinary_run_that_cost_nothing_and_can_be_replayed(self, recorded):
        recorded.run("replay", CASSETTE, "-q").exits(0).run("show", "@last").exits(0)
        assert "mode: replay of .runkon/cassettes/flow.json" in recorded.out
        recorded.run("verify", "@last").exits(0)
        assert recorded.out.startswith("identical: 6 answers")
        assert calls(recorded) == 6

    def test_a_changed_command_is_named_with_both_requests_and_nothing_is_called(self, recorded):
        edit(recorded, "echo {{hello.context}}, {{human", "echo so: {{hello.context}}, {{human")
        recorded.run("replay", CASSETTE, "-q").exits(1).stdout("").stderr(
            """\
            error[replay-miss]: `end` is not as on record: its request is another one (field `command`)
              = help: 1 later step of the record was not compared; `--replay fill` calls only what has changed
              = next: runkon replay .runkon/cassettes/flow.json --replay fill
              - the record
              + now, run RUN
              @@ -1,3 +1,3 @@
              -command: echo ran >> log; echo 'hello kim', 'ann'
              +command: echo ran >> log; echo so: 'hello kim', 'ann'
               executor: script
               inputs: {"who":"kim"}
            """
        )
        assert calls(recorded) == 6

    def test_fill_calls_what_has_changed_and_keeps_the_rest(self, recorded):
        edit(recorded, "echo {{hello.context}}, {{human", "echo so: {{hello.context}}, {{human")
        recorded.run("replay", CASSETTE, "--replay", "fill", "-q").exits(0).stdout("end = so: hello kim, ann\n")
        assert calls(recorded) == 7

    def test_a_step_that_is_new_is_named(self, recorded):
        edit(recorded, "script end {", 'script more { run = "echo more" }\n script end {')
        recorded.run("replay", CASSETTE, "-q", "--json").exits(1)
        found = recorded.json()
        assert (found["schema"], found["identical"], found["status"]) == ("runkon.replay/1", False, "interrupted")
        assert (found["divergence"]["path"], found["divergence"]["field"]) == ("more", "path")

    def test_other_inputs_are_other_requests(self, recorded):
        recorded.run("run", "flow.wf", "--replay", "strict", "-i", "who=tom", "-q").exits(1)
        assert "`hello` is not as on record" in recorded.err
        assert "-command: echo ran >> log; echo hello 'kim'" in recorded.err
        recorded.run("run", "flow.wf", "--cassette", CASSETTE, "--replay", "strict", "-q").exits(0)
        assert calls(recorded) == 6

    def test_a_replay_is_not_continued_but_replayed(self, recorded):
        edit(recorded, "echo lint", "echo linted")
        recorded.run("replay", CASSETTE, "-q").exits(1).run("resume", "@last").exits(6)
        assert "is a replay, which is not continued" in recorded.err
        run = recorded.run("show", "@last").exits(0).out.rpartition("next: runkon replay ")[2].split()
        assert run[1:3] == ["--replay", "fill"]
        recorded.run("resume").exits(6)
        assert "there is no run to resume" in recorded.err
        recorded.run("replay", run[0], "--replay", "fill", "-q").exits(0)

    def test_a_replay_that_failed_as_recorded_names_no_resume(self, case):
        case.wf('workflow x { script a { run = "exit 2" } }').run("run", "x.wf", "-q").exits(1)
        case.run("replay", "@last", "-q").exits(1).run("show", "@last").exits(0)
        assert "next: runkon show " in case.out
        assert "runkon resume" not in case.out

    def test_a_run_is_its_own_cassette_by_its_stored_text(self, recorded):
        edit(recorded, "echo lint", "echo linted")
        recorded.run("runs", "--json")
        run = recorded.json()["runs"][0]["run_id"]
        recorded.run("verify", run).exits(0)
        recorded.run("replay", run).exits(0)
        assert "note: `flow.wf` has changed" in recorded.err
        assert calls(recorded) == 6

    def test_a_failed_run_fails_again_and_verify_calls_that_identical(self, case):
        case.wf('workflow x { script a { run = "exit 2" } script b { run = "true" } }')
        case.run("run", "x.wf", "-q").exits(1).run("replay", "@last", "-q").exits(1).run("verify", "@last").exits(0)

    def test_an_interrupted_run_is_replayed_as_far_as_it_goes(self, case):
        case.wf('workflow x { script a { run = "true" } script b { run = "true" } }')
        case.run("run", "x.wf", "-q", "--until", "a").exits(0).run("replay", "@last").exits(0)
        assert "the record ends at b" in case.err
        case.run("verify", "@last").exits(0)

    def test_a_run_that_waits_is_replayed_up_to_the_gate(self, case):
        case.wf('workflow x { script a { run = "true" } gate human_review { prompt = "?" } }')
        case.run("run", "x.wf", "-q").exits(4).run("replay", "@last", "-q").exits(4)
        case.run("verify", "@last").exits(0)

    def test_a_damaged_cassette_is_told(self, case):
        case.file("c.json", "{}").run("replay", "c.json").exits(2).stderr(
            """\
            error[cassette-unreadable]: the cassette `c.json` can't be read: its `schema` is not `runkon.cassette/1`
              = help: make it anew with `runkon run FILE --record --cassette FILE`
            """
        )
        case.run("replay", "gone.json").exits(2)
        assert "no such file" in case.err


class TestRun:
    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            (("--record", "--replay", "strict"), "`--record` asks for new answers"),
            (("--cassette", "c.json"), "neither is there"),
            (("--record", "--dry-run"), "a dry run asks nobody"),
            (("--replay", "strict", "--detach"), "`--detach` and `--replay`"),
            (("--replay", "fill", "--key", "k"), "`--key` and `--replay`"),
        ],
    )
    def test_options_that_do_not_go_together(self, case, words, problem):
        case.wf('workflow x { script a { run = "true" } }').run("run", "x.wf", *words).exits(2)
        assert problem in case.err

    def test_a_secret_is_in_no_cassette_and_not_needed_to_replay_it(self, case):
        text = """\
            workflow x {
              inputs { token secret required }
              script a { run = "echo $T; echo $RUNKON_TOKEN >&2" env = { T = "{{token}}" } }
            }
            """
        case.wf(text).run(
            "run", "x.wf", "--record", "--cassette", "deep/c.json", "-i", "token=s3cr3t-value", "-q"
        ).exits(0)
        kept = (case.project / "deep" / "c.json").read_text()
        assert "s3cr3t" not in kept
        assert str(case.folder) not in kept
        case.run("replay", "deep/c.json", "-q").exits(0)

    def test_the_cache_answers_unless_told_not_to(self, case):
        case.wf('workflow x { script a { run = "echo ran >> log; echo a" effect = read cache = true } }')
        case.run("run", "x.wf", "-q").run("run", "x.wf").exits(0)
        assert calls(case) == 1
        case.run("explain", "@last", "a")
        assert "completed with the result of" in case.out
        case.run("run", "x.wf", "-q", "--no-cache")
        assert calls(case) == 2

    def test_a_workflow_that_was_answered_from_the_cache_is_replayed_as_it_was(self, case):
        case.wf(
            """
            workflow x { call workflow k { cache = true } script b { run = "echo {{k.n}}" } outputs { n = b.context } }
            workflow k { script a { run = "echo ran >> log; echo 7" effect = read } outputs { n = a.context } }
            """
        )
        case.run("run", "x.wf", "-q").run("run", "x.wf", "-q", "--record").exits(0).stdout("n = 7\n")
        assert calls(case) == 1
        case.run("replay", ".runkon/cassettes/x.json", "-q").exits(0).stdout("n = 7\n")
        case.run("run", "x.wf", "-q").run("verify", "@last").exits(0)
        assert calls(case) == 1

    def test_the_cassette_of_a_run_that_was_resumed_is_whole(self, case):
        case.wf('workflow x { script a { run = "echo a" } script b { run = "test -e fixed" } }')
        case.run("run", "x.wf", "--record", "-q").exits(1)
        case.file("fixed", "").run("resume", "-q").exits(0)
        whole = json.loads((case.project / ".runkon/cassettes/x.json").read_text())
        assert [(one["path"], one["outcome"]) for one in whole["answers"]] == [("a", "completed"), ("b", "completed")]
        assert whole["is_whole"]
        case.run("replay", ".runkon/cassettes/x.json", "-q").exits(0)


class TestPrompt:
    def test_what_was_asked_is_shown_without_control_characters(self, recorded):
        recorded.run("show", "@last", "end", "--prompt").exits(0)
        lines = recorded.out.splitlines()
        assert lines[0].startswith("end · attempt 1 · asked ")
        assert "  command: echo ran >> log; echo 'hello kim', 'ann'" in lines
        recorded.run("show", "@last", "end", "--prompt", "--json").exits(0)
        (asked,) = recorded.json()["prompt"]
        assert lines[0].endswith(asked["digest"][:12])
        recorded.run("explain", "@last", "end")
        assert asked["digest"][:12] in recorded.out

    def test_what_was_not_described_is_said(self, case):
        case.wf('workflow x { script a { run = "true" } }').run("run", "x.wf", "-q")
        case.run("show", "@last", "a", "--prompt").exits(2)
        assert "the record does not say what `a` was asked" in case.err
        case.run("show", "@last", "--prompt").exits(2)
        assert "name the step" in case.err


class TestCases:
    CASE = """\
        test "as recorded" {
          workflow = "flow"
          cassette = "flow.json"
          decide human_review { approve = true by = "ann" after = 3h }
          expect { status = completed  ran = ["end"]  failed = ["bad"]  outputs { end = "hello kim, ann" } }
        }
        """

    def test_a_test_is_answered_by_the_cassette_of_a_real_run(self, case):
        case.wf(FLOW, "flow.wf").file("flow.wftest", self.CASE)
        case.run("test", "--record").exits(0)
        assert calls(case) == 6
        assert "passed  flow.wftest:1  as recorded" in case.out
        assert "recorded flow.json: completed" in case.err
        case.run("test", "-q").exits(0)
        assert calls(case) == 6

    def test_decisions_and_inputs_come_from_there_and_answers_of_the_test_come_first(self, recorded):
        text = """\
            test "other" {
              workflow = "flow"
              cassette = ".runkon/cassettes/flow.json"
              answer hello { context = "good day" }
              expect { status = completed  that = human_review.by == "ann" }
            }
            """
        recorded.file("flow.wftest", text).run("test", "-q").exits(0)

    def test_a_step_that_is_not_on_it_is_named(self, recorded):
        edit(recorded, "script end {", 'script more { run = "echo more" }\n script end {')
        text = 'test "x" { workflow = "flow" cassette = ".runkon/cassettes/flow.json" expect { status = completed } }'
        recorded.file("flow.wftest", text).run("test", "-q").exits(1)
        assert "the step `more` has no answer in this test, and no more in its cassette" in recorded.out

    def test_a_cassette_that_is_not_there_is_told_with_what_to_do(self, case):
        case.wf(FLOW, "flow.wf").file("flow.wftest", self.CASE).run("test", "-q").exits(1)
        assert "cassette-unreadable" in case.out
        assert "no such file" in case.out

    def test_two_tests_can_not_leave_their_answers_in_one_file(self, case):
        case.wf(FLOW, "flow.wf").file("flow.wftest", self.CASE + self.CASE.replace("as recorded", "again"))
        case.run("test", "--record", "-q").exits(2)
        assert "duplicate-cassette" in case.err


RUNTIME = """\
    import json
    from runkon import hookimpl
    from runkon.model.agents import AgentReply, Availability

    class Far:
        name, version, metered = "far", "7", False
        def run(self, request):
            with open("asked", "a") as file:
                file.write("x")
            block = json.dumps({"context": f"answer to: {request.prompt.splitlines()[0]}"})
            return AgentReply(text=f"<<<FLOW_OUTPUT>>>\\n{block}\\n<<<END_FLOW_OUTPUT>>>")
        def offers(self, model):
            return model == "far-1"
        def availability(self, settings, *, check=False):
            return Availability(ready=True)
        def most_cost_usd(self, request):
            return None
        def describe(self, request):
            return {"heat": 3}

    @hookimpl
    def runkon_register_runtimes(register):
        register(Far())
    """


class TestAgents:
    @pytest.fixture
    def asked(self, case):
        case.file(".runkon/plugins/far.py", RUNTIME).file(".runkon/agents/plan.md", "Plan for {{who}}.\n")
        case.wf('workflow x { inputs { who default = "kim" } call plan  outputs { plan = "{{plan.context}}" } }')
        return case.run("run", "x.wf", "--record", "--runtime", "far", "-q").exits(0)

    def test_a_runtime_that_is_not_installed_is_not_missed(self, asked):
        (asked.project / ".runkon/plugins/far.py").unlink()
        asked.run("replay", ".runkon/cassettes/x.json", "-q").exits(0).stdout("plan = answer to: Plan for kim.\n")
        asked.run("verify", "@last", "-q").exits(0)
        assert (asked.project / "asked").read_text() == "x"

    def test_an_edited_prompt_is_named_with_what_is_different(self, asked):
        asked.file(".runkon/agents/plan.md", "Plan well for {{who}}.\n")
        asked.run("replay", ".runkon/cassettes/x.json", "-q").exits(1)
        assert (
            "error[replay-miss]: `plan` is not as on record: its request is another one (field `prompt`)" in asked.err
        )
        assert "-prompt: Plan for kim." in asked.err or "-    Plan for kim." in asked.err
        assert (asked.project / "asked").read_text() == "x"

    def test_the_prompt_is_shown(self, asked):
        asked.run("show", "@last", "plan", "--prompt").exits(0)
        assert "    Plan for kim." in asked.out.splitlines()
        assert '  parameters: {"can_commit":false,"heat":3}' in asked.out.splitlines()


class TestLists:
    def test_the_items_of_a_provider_come_from_the_record(self, case):
        case.file("todo.txt", "a\nb\n")
        case.wf(
            """\
            workflow x {
              foreach line in lines { scope = { path = "todo.txt" }
                script s { run = "echo ran >> log; echo {{line.id}}" } }
            }
            """
        )
        case.run("run", "x.wf", "--record", "-q").exits(0)
        (case.project / "todo.txt").unlink()
        case.run("replay", ".runkon/cassettes/x.json", "-q").exits(0).run("verify", "@last").exits(0)
        assert calls(case) == 2


class TestCrashes:
    def test_a_cassette_that_was_not_left_is_left_by_the_next_resume(self, case):
        case.wf('workflow x { script a { run = "echo a" } }').run("run", "x.wf", "--record", "-q").exits(0)
        path = case.project / ".runkon/cassettes/x.json"
        before = path.read_text()
        path.unlink()
        run = case.run("runs", "--json").json()["runs"][0]["run_id"]
        case.run("resume", run, "-q").exits(0)
        assert path.read_text() == before


PAID = """\
    import runkon

    @runkon.executor("paid", metered=True)
    def paid(request):
        with open("log", "a") as file:
            file.write("ran\\n")
        usage = runkon.Usage(cost_usd=0.5)
        return runkon.Output(context=str(request.inputs.get("n")), usage=usage)
    """


class TestCosts:
    @pytest.fixture
    def paid(self, case):
        case.file(".runkon/plugins/paid.py", PAID)
        case.wf('workflow x { call paid { id = a inputs = { n = "1" } } call paid { id = b inputs = { n = "2" } } }')
        case.run("run", "x.wf", "--record", "--json").exits(0)
        assert case.json()["cost_usd"] == 1.0
        return case

    def test_a_replay_costs_nothing(self, paid):
        paid.run("replay", "@last", "-q").exits(0).run("show", "@last", "--json")
        assert paid.json()["cost_usd"] == 0.0
        assert calls(paid) == 2

    def test_what_is_filled_in_is_paid_and_nothing_else(self, paid):
        paid.wf('workflow x { call paid { id = a inputs = { n = "1" } } call paid { id = b inputs = { n = "3" } } }')
        paid.run("replay", ".runkon/cassettes/x.json", "--replay", "fill", "--json").exits(0)
        found = paid.json()
        assert (found["cost_usd"], [step["context"] for step in found["steps"]]) == (0.5, ["1", "3"])
        assert calls(paid) == 3

    def test_an_executor_that_is_gone_is_answered_all_the_same(self, paid):
        (paid.project / ".runkon/plugins/paid.py").unlink()
        paid.run("replay", ".runkon/cassettes/x.json", "-q").exits(0).run("verify", "@last").exits(0)
        assert calls(paid) == 2

    def test_another_version_of_an_executor_is_a_difference(self, paid):
        paid.file(".runkon/plugins/paid.py", PAID.replace("metered=True", 'version="2"'))
        paid.run("verify", "@last", "--json").exits(1)
        assert (paid.json()["divergence"]["path"], paid.json()["divergence"]["field"]) == ("a", "version")
