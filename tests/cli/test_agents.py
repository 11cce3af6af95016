"""Agent files as people meet them: run offline, chosen, retried, resumed after a kill, and every mistake told."""

from __future__ import annotations

import json
import sqlite3

import pytest

from .conftest import Case

SCHEMA = """
fields:
  approved: boolean
  findings:
    type: array
    items: {severity: "enum(low, high)", file: string}
  summary: string
"""
RUNTIME = '''
import json, os
from pathlib import Path
from runkon import hookimpl, Transient, Fatal
from runkon.model.agents import AgentReply, Availability
from runkon.model.output import Usage


class Local:
    """Answers what `answers/AGENT-ATTEMPT.txt` says, and leaves what it was asked."""

    name = "local"
    version = "1"

    def run(self, request):
        step = request.step
        with open("asked.jsonl", "a") as file:
            file.write(json.dumps([str(step.path), request.prompt, request.model, request.session]) + "\\n")
        name = f"answers/{request.agent.name}-{step.attempt}.txt"
        text = Path(name).read_text("utf-8", "surrogateescape") if Path(name).exists() else "done"
        if text.startswith("fatal"):
            raise Fatal(text)
        return AgentReply(text=text, usage=Usage(0.25, 10, 5), session=f"s{step.attempt}", model="local-1")

    def offers(self, model):
        return model.startswith("local-")

    def availability(self, settings, *, check=False):
        return Availability(ready=True, detail="in this project")

    def most_cost_usd(self, request):
        return 0.25


@hookimpl
def runkon_register_runtimes(register):
    register(Local())
'''
BLOCK = "{}\n<<<FLOW_OUTPUT>>>\n{}\n<<<END_FLOW_OUTPUT>>>\n"


def project(case: Case, body: str, agent: str = "Plan it.\n") -> Case:
    case.file(".runkon/agents/plan.md", agent).file(".runkon/schemas/out.yaml", SCHEMA)
    return case.file(".runkon/plugins/local.py", RUNTIME).wf(f"workflow x {{\n{body}\n}}\n")


def asked(case: Case) -> list[list[str | None]]:
    lines = (case.project / "asked.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# ── offline ───────────────────────────────────────────────────────────────────────────────────────
def test_a_run_with_made_up_answers_says_so_everywhere(case: Case) -> None:
    project(case, '  call plan\n  call plan { id = again output = "out" }\n  outputs { ok = again.approved }')
    case.run("run", "x.wf", "--model", "test").exits(0).stdout("ok = true\n").stderr(
        """
        run RUN · x · x.wf · ≤ 2 calls
        started     plan
        completed   plan  `plan` was not asked: this answer is made up by the model `test`
        started     again
        completed   again  summary
        completed · 2 steps · 2 calls · model `test`: its answers are made up
        next: runkon show RUN
        """
    )
    case.run("show", "@last").exits(0).stdout(
        """
        x · x.wf · run RUN
        completed · 2 steps · 2 calls · model `test`: its answers are made up · 0.0s
        started: TIME
         ✓ call plan     0.0s  `plan` was not asked: this answer is made up by the model `test`
         ✓ call again    0.0s  summary

        ok = true
        """
    )
    found = case.run("show", "@last", "--json").exits(0).json()
    assert (found["models"], [step["model"] for step in found["steps"]]) == (["test"], ["test", "test"])
    assert found["steps"][1]["output"] == {"approved": True, "findings": [], "summary": "summary"}
    assert (found["cost_usd"], found["cost_known"]) == (0.0, True)
    assert "model: test (its answers are made up)\n" in case.run("show", "@last", "plan").exits(0).out


def test_the_same_answers_come_every_time(case: Case) -> None:
    project(case, '  call plan { output = "out" }\n  outputs { all = plan.output }')
    outputs = {case.run("run", "x.wf", "--model", "test", "-q").exits(0).out for _ in range(2)}
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("words", "variables", "file"),
    [
        (("--runtime", "test"), {}, ""),
        ((), {"RUNKON_MODEL": "test"}, ""),
        ((), {"RUNKON_RUNTIME": "test"}, ""),
        ((), {}, 'runtime = "test"\n'),
        ((), {}, 'model = "test"\n'),
        ((), {}, 'runtime = "mine"\n[runtimes.mine]\ntype = "test"\n'),
        (("--model", "test"), {}, 'runtime = "local"\n'),
    ],
)
def test_every_way_to_choose_a_runtime(case: Case, words, variables, file: str) -> None:
    project(case, "  call plan").env(**variables)
    if file:
        case.file("runkon.toml", file)
    case.run("run", "x.wf", *words, "--json").exits(0)
    assert case.json()["models"] == ["test"]


def test_the_options_of_a_step_choose_too(case: Case) -> None:
    project(
        case,
        '  call plan { executor = "local" }\n  call plan { id = b model = "local-9" }\n'
        '  call plan { id = c model = "test" }',
    )
    found = case.run("run", "x.wf", "--json").exits(0).json()
    assert [step["model"] for step in found["steps"]] == ["local-1", "local-1", "test"]
    assert [(path, model) for path, _, model, _ in asked(case)] == [("plan", None), ("b", "local-9")]


def test_a_step_is_given_to_another_runtime_from_the_command_line(case: Case) -> None:
    project(case, "  call plan", "---\nruntime: claude\n---\nPlan.\n")
    found = case.run("run", "x.wf", "--executor", "plan=local", "--json").exits(0).json()
    assert found["models"] == ["local-1"]


def test_the_test_model_holds_for_every_step_whatever_else_is_said(case: Case) -> None:
    project(case, '  call plan { executor = "local" model = "local-9" }', "---\nruntime: local\nmodel: m\n---\nPlan.\n")
    assert case.run("run", "x.wf", "--model", "test", "--json").exits(0).json()["models"] == ["test"]
    assert not (case.project / "asked.jsonl").exists()


# ── a real runtime ────────────────────────────────────────────────────────────────────────────────
def test_a_bad_answer_is_corrected_by_the_next_attempt(case: Case) -> None:
    project(case, '  call plan { executor = "local" output = "out" retries = 2 }')
    case.file("answers/plan-0.txt", "All fine.")
    case.file("answers/plan-1.txt", BLOCK.format("here", '{"approved": "yes", "findings": [], "summary": "s"}'))
    case.file(
        "answers/plan-2.txt",
        BLOCK.format("so", '{"approved": true, "findings": [{"severity": "low", "file": "a"},], "summary": "s"}'),
    )
    found = case.run("run", "x.wf", "--json").exits(0).json()
    (step,) = found["steps"]
    assert (step["attempts"], step["markers"], step["context"]) == (3, ["has_findings"], "s")
    assert (found["cost_usd"], found["calls"]) == (0.75, 3)
    first, second, third = asked(case)
    assert "not accepted" not in (first[1] or "")
    assert "the answer of `plan` has no output block, which schema `out` needs" in (second[1] or "")
    assert '$.approved: "yes" is not' in (third[1] or "")
    assert [session for *_, session in asked(case)] == [None, "s0", "s1"]


def test_a_last_bad_answer_fails_the_step_and_has_cost(case: Case) -> None:
    project(case, '  call plan { executor = "local" output = "out" }')
    found = case.run("run", "x.wf", "--json").exits(1).json()
    assert found["steps"][0]["error"]["kind"] == "schema"
    assert found["cost_usd"] == 0.25


def test_a_refused_key_is_not_asked_for_again_in_the_same_run(case: Case) -> None:
    project(
        case,
        '  call plan { executor = "local" retries = 3 on_fail = continue }\n'
        '  call plan { id = b executor = "local" on_fail = continue }',
    )
    case.file("answers/plan-0.txt", "fatal: no such key")
    found = case.run("run", "x.wf", "--json").json()
    assert [step["error"]["kind"] for step in found["steps"]] == ["fatal", "fatal"]
    assert len(asked(case)) == 1


def test_values_of_steps_are_marked(case: Case) -> None:
    project(
        case,
        "  inputs { topic }\n  script s { run = \"printf 'one\\\\ntwo <<<END_DATA>>>'\" }\n"
        '  call plan { executor = "local" }',
        "On {{topic}} {{ s.status }}:\n{{prior_context}}\n{{nope}}.",
    )
    case.run("run", "x.wf", "-i", "topic=bees").exits(0)
    prompt = asked(case)[0][1] or ""
    assert prompt.startswith(
        "On bees completed:\n<<<DATA prior_context>>>\none\ntwo < < <END_DATA>>>\n<<<END_DATA>>>\n."
    )


def test_a_secret_that_gets_into_a_snippet_during_a_run_is_refused(case: Case) -> None:
    body = """
      inputs { token secret }
      script s { run = "cp leak.md .runkon/prompts/more.md" }
      call plan { executor = "local" with = ["more"] }
    """
    project(case, body).file(".runkon/prompts/more.md", "Nothing yet.").file("leak.md", "It is {{token}}.")
    found = case.run("run", "x.wf", "-i", "token=abcdef", "--json").exits(1).json()
    assert found["steps"][1]["error"] == {
        "code": "step-failed",
        "kind": "value",
        "message": "`{{token}}` would put a secret into a prompt",
    }
    assert not (case.project / "asked.jsonl").exists()


def test_a_budget_stops_before_the_call_that_could_exceed_it(case: Case) -> None:
    project(
        case,
        '  call plan { executor = "local" }\n  call plan { id = b executor = "local" }\n'
        '  call plan { id = c executor = "local" }',
    )
    case.run("run", "x.wf", "--budget", "0.6").exits(7)
    assert len(asked(case)) == 2
    assert "a call of `local` may cost $0.25" in case.err


def test_a_dry_run_asks_nobody_but_finds_what_is_wrong(case: Case) -> None:
    project(case, '  call plan { executor = "local" output = "out" }')
    case.run("run", "x.wf", "--dry-run", "--json").exits(0)
    (step,) = case.json()["steps"]
    assert (step["output"]["approved"], case.json()["cost_usd"]) == (True, 0.0)
    assert not (case.project / "asked.jsonl").exists()


def test_answers_that_nothing_should_survive_are_survived(case: Case) -> None:
    project(case, '  call plan { executor = "local" }')
    case.file("answers/plan-0.txt", "")
    path = case.project / "answers/plan-0.txt"
    path.write_bytes(b"\xff\xfe\x1b[31m[red]bold[/red]\x00 <<<FLOW_OUTPUT>>> no block\n")
    case.run("run", "x.wf").exits(0)
    assert "\x1b" not in case.err
    assert "[red]bold[/red]" in case.run("show", "@last", "plan").exits(0).out
    assert "[red]bold[/red]" in case.run("logs", "@last", "plan").exits(0).out


# ── resume ────────────────────────────────────────────────────────────────────────────────────────
def test_a_killed_run_goes_on_with_the_runtime_it_began_with(case: Case) -> None:
    project(case, '  call plan\n  call plan { id = b output = "out" }')
    case.dies("after_start:path=b", "run", "x.wf", "--model", "test")
    case.run("resume").exits(0)
    found = case.run("show", "@last", "--json").json()
    assert [(step["attempts"], step["model"]) for step in found["steps"]] == [(1, "test"), (2, "test")]


def test_an_agent_that_may_commit_asks_before_it_runs_again(case: Case) -> None:
    project(case, "  call plan", "---\nrole: actor\ncan_commit: true\nruntime: local\n---\nFix it.\n")
    case.dies("in_attempt:path=plan", "run", "x.wf")
    case.run("resume").exits(4)
    project(case, "  call plan", "---\nruntime: local\n---\nLook at it.\n")
    case.dies("in_attempt:path=plan", "run", "x.wf")
    case.run("resume").exits(0)


def test_an_agent_file_is_read_again_by_a_resume(case: Case) -> None:
    project(case, '  script s { run = "test -e go" }\n  call plan { executor = "local" }')
    case.run("run", "x.wf").exits(1)
    case.file("go", "").file(".runkon/agents/plan.md", "Another plan.\n")
    case.run("resume").exits(0)
    assert (asked(case)[0][1] or "").startswith("Another plan.")


def test_a_run_begun_with_a_runtime_that_is_gone_says_so(case: Case) -> None:
    project(case, '  script s { run = "test -e go" }\n  call plan')
    case.run("run", "x.wf", "--runtime", "local").exits(1)
    (case.project / ".runkon/plugins/local.py").unlink()
    case.run("resume").exits(6)
    assert "there is no runtime `local` to run the agent file `plan` (x.wf:3)" in case.err


def test_agents_of_a_plugin_folder_are_called_told_and_put_in_place(case: Case) -> None:
    body = """
      call main { plugin_dirs = ["kit"] executor = "local" fallback = spare on_fail = told }
    """
    project(case, body).file("kit/agents/main.md", "---\nruntime: local\n---\nMain.\n")
    case.file("kit/agents/spare.md", "---\nruntime: local\nmodel: local-2\n---\nSpare.\n")
    case.file("kit/agents/told.md", "---\nmodel: test\n---\n{{failed_step}} failed: {{failure_reason}}\n")
    case.file("answers/main-0.txt", "fatal: no key").file("answers/spare-1.txt", "fatal: none here either")
    found = case.run("run", "x.wf", "--json").exits(1).json()
    assert [(step["path"], step["status"], step["model"]) for step in found["steps"]] == [
        ("main", "failed", None),
        ("main/on_fail", "completed", "test"),
    ]


# ── mistakes ──────────────────────────────────────────────────────────────────────────────────────
def test_a_missing_agent_is_told_with_the_places_searched(case: Case) -> None:
    project(case, "  call paln\n  call plan")
    case.run("run", "x.wf", "--model", "test").exits(3).stdout("").stderr(
        """
        error[unknown-agent]: there is no agent or executor `paln`
          ┌─ x.wf:2:8
        2 │   call paln
          │        ^^^^
          = help: no executor of this name is registered; looked for
                  .runkon/workflows/x/agents/paln.md
                  .conductor/workflows/x/agents/paln.md
                  .runkon/agents/paln.md
                  .conductor/agents/paln.md
                  .claude/agents/paln.md

        """
    )


def test_a_broken_agent_file_is_told_with_its_line(case: Case) -> None:
    project(case, "  call plan", "---\nrole: reviewer\ncan_commit: true\n---\nPlan.\n")
    case.run("run", "x.wf", "--model", "test").exits(3).stdout("").stderr(
        """
        error[broken-agent]: the agent file `plan` can't be used: a reviewer can't have `can_commit`
          ┌─ x.wf:2:8
        2 │   call plan
          │        ^^^^
          ┌─ .runkon/agents/plan.md:3:13 can_commit: true
          = help: write `role: actor` as well

        """
    )


def test_an_unknown_runtime_is_told_with_those_there_are(case: Case) -> None:
    project(case, "  call plan")
    case.run("run", "x.wf", "--runtime", "locl").exits(3).stdout("").stderr(
        """
        error[unknown-runtime]: there is no runtime `locl` to run the agent file `plan`
          ┌─ x.wf:2:8
        2 │   call plan
          │        ^^^^
          = help: did you mean `local`?

        """
    )


def test_a_secret_in_a_prompt_is_refused_before_the_run(case: Case) -> None:
    project(case, "  inputs { token secret }\n  call plan", "Use {{ token }}.\n")
    case.run("run", "x.wf", "--model", "test", "-i", "token=abcdefgh").exits(3).stdout("").stderr(
        """
        error[secret-in-prompt]: the agent file `plan` would put the secret `token` into its prompt
          ┌─ x.wf:3:8
        3 │   call plan
          │        ^^^^
          ┌─ .runkon/agents/plan.md:1:5 Use {{ token }}.
          = help: agents never see secrets: give it to a script through `env`, or to the runtime by its settings

        """
    )


def test_a_file_that_breaks_during_a_run_fails_its_step(case: Case) -> None:
    project(case, '  script s { run = "rm .runkon/agents/plan.md" }\n  call plan { on_fail = continue }')
    found = case.run("run", "x.wf", "--runtime", "local", "--json").json()
    assert found["steps"][1]["error"]["kind"] == "fatal"
    assert found["steps"][1]["error"]["message"].startswith("there is no agent or executor `plan`\nhelp: looked for")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("runtime = 3\n", "`runtime` in `runkon.toml` is 3"),
        ("runtimes = 3\n", "`runtimes` in `runkon.toml` is 3"),
        ("[runtimes]\nclaude = 3\n", "`runtimes` in `runkon.toml` is {'claude': 3}"),
        ('runtme = "x"\n', "did you mean `runtime`?"),
    ],
)
def test_settings_of_runtimes_that_make_no_sense(case: Case, file: str, message: str) -> None:
    project(case, "  call plan").file("runkon.toml", file).run("run", "x.wf").exits(5)
    assert message in case.err


def test_what_was_asked_is_on_record_without_the_secret(case: Case) -> None:
    project(case, '  inputs { token secret }\n  call plan { executor = "local" }')
    case.run("run", "x.wf", "-i", "token=swordfish").exits(0)
    database = sqlite3.connect(case.project / ".runkon/runkon.db")
    text = " ".join(str(row) for table in ("events", "artifacts") for row in database.execute(f"SELECT * FROM {table}"))
    database.close()
    assert "Plan it." in text
    assert "swordfish" not in text
