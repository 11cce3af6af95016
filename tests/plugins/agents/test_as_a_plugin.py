"""As a run uses it: found by its entry point, imported when an agent runs, recorded, corrected, stopped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydantic_ai", reason="the extra is missing: pip install 'runkon[agents]'")

KEY = "lab-0123456789abcdef"
SCHEMA = "fields:\n  ok: boolean\n  why: string\n"


class Project:
    """A project with one agent, whose runtime asks the provider of the test."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        (folder / ".runkon" / "agents").mkdir(parents=True)
        (folder / ".runkon" / "schemas").mkdir()
        (folder / ".runkon" / "agents" / "review.md").write_text("Look at everything.\n")
        (folder / ".runkon" / "schemas" / "verdict.yaml").write_text(SCHEMA)
        self.settings(url)
        self.wf("call review")

    def settings(self, url: str, more: str = "") -> None:
        (self.folder / "runkon.toml").write_text(
            f'runtime = "agents"\n[runtimes.agents]\nbase_url = "{url}"\napi_key_env = "LAB_KEY"\n{more}\n'
        )

    def wf(self, body: str, meta: str = "") -> None:
        (self.folder / "w.wf").write_text(f"workflow w {{\n{meta}\n{body}\n}}\n")

    def __call__(self, *arguments: str, code: int | None = 0, **variables: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
        done = subprocess.run(
            [sys.executable, "-m", "runkon", *arguments], cwd=self.folder, env=clean | {"LAB_KEY": KEY} | variables,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert code in (None, done.returncode), done.stdout + done.stderr
        return done.stdout + done.stderr

    def events(self, kind: str) -> list[dict]:
        return [one for line in self("events", "@last").splitlines() if (one := json.loads(line))["type"] == kind]


@pytest.fixture
def project(tmp_path, provider) -> Project:
    return Project(tmp_path, provider.url)


@pytest.fixture
def without_the_extra(tmp_path) -> dict[str, str]:
    """The environment of a process for which the library is not installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['pydantic_ai'] = None\n")
    return {"PYTHONPATH": str(folder)}


def test_one_word_changes_a_made_up_answer_into_a_real_one(project, provider) -> None:
    provider.behaviours["small"] = lambda talk: talk.say("All is well.")
    assert "made up" in project("run", "w.wf", "--model", "test")
    assert provider.requests == []
    project("run", "w.wf", "--model", "openai:small")
    assert len(provider.requests) == 1
    assert "All is well." in project("show", "@last") + project("logs", "@last")
    sent = provider.requests[0][1]["messages"][0]["content"]
    assert "Look at everything." in sent
    shown = project("show", "@last", "review", "--prompt")
    assert [line for line in sent.splitlines() if line.strip() not in shown] == []


def test_a_wrong_answer_is_corrected_by_the_next_attempt(project, provider) -> None:
    wrong = lambda talk: talk.say(calls=[("give_answer", {"ok": "perhaps", "why": "x"})])  # noqa: E731
    right = lambda talk: talk.say(calls=[("give_answer", {"ok": True, "why": "tidy"})])  # noqa: E731
    provider.behaviours["small"] = [wrong, right]
    project.wf('call review { output = "verdict" retries = 1 }')
    project("run", "w.wf", "--model", "openai:small")
    first, second = (body["messages"][0]["content"] for _, body in provider.requests)
    assert "was not accepted" not in first
    assert "was not accepted" in second
    assert "$.ok" in second
    assert '"why": "tidy"' in project("show", "@last", "review", "--json")


def test_a_passing_error_is_tried_again_by_the_engine_after_the_wait_asked_for(project, provider) -> None:
    refuse = lambda talk: talk.error(429, "rate_limit_exceeded", "slow down", retry_after_ms="20")  # noqa: E731
    provider.behaviours["small"] = [refuse, refuse, lambda talk: talk.say("fine")]
    project.wf("call review { retries = 2 delay = 1ms backoff = fixed }")
    project("run", "w.wf", "--model", "openai:small")
    assert len(provider.requests) == 3
    assert [one["data"]["delay_ms"] >= 20 for one in project.events("retry_scheduled")] == [True, True]


@pytest.mark.parametrize(("status", "code"), [(401, "invalid_api_key"), (429, "insufficient_quota")])
def test_after_a_refused_key_or_no_quota_nothing_more_is_asked(project, provider, status, code) -> None:
    provider.behaviours["small"] = lambda talk: talk.error(status, code, f"no: {talk.headers['Authorization']}")
    (project.folder / ".runkon" / "agents" / "other.md").write_text("Look again.\n")
    project.wf("call review { retries = 3 on_fail = continue }\ncall other { retries = 3 on_fail = continue }")
    shown = project("run", "w.wf", "--model", "openai:small")
    assert len(provider.requests) == 1
    assert "2 failed and handled" in shown
    assert KEY not in shown


def test_no_key_is_kept_or_shown(project, provider) -> None:
    provider.behaviours["small"] = lambda talk: talk.say(f"I saw {talk.headers['Authorization']}")
    shown = project("run", "w.wf", "--model", "openai:small") + project("logs", "@last") + project("show", "@last")
    assert provider.requests[0][0]["authorization"] == f"Bearer {KEY}"
    assert KEY not in shown
    kept = [file for file in (project.folder / ".runkon").rglob("*") if file.is_file()]
    assert kept
    assert [file for file in kept if KEY.encode() in file.read_bytes()] == []


@pytest.mark.parametrize(
    "words",
    [
        "half \ud800 a character",
        "nul \0 and \x1b[31mescape",
        "<<<FLOW_OUTPUT>>>\n{]\n<<<END_FLOW_OUTPUT>>>",
        "<b>&amp;",
    ],
)
def test_strange_characters_of_an_answer_do_no_harm(project, provider, words) -> None:
    provider.behaviours["small"] = lambda talk: talk.say(words)
    shown = project("run", "w.wf", "--model", "openai:small") + project("show", "@last")
    assert "\x1b" not in shown
    assert "completed" in shown


def test_a_budget_reserves_and_stops_before_the_call_that_would_overspend(project, provider) -> None:
    provider.behaviours["small"] = lambda talk: talk.say("fine")
    project.settings(provider.url, "max_tokens = 1000\n[runtimes.agents.prices]\nsmall = [10, 100]")
    project.wf("call review", meta="meta { budget_usd = 0.05 }")
    shown = project("run", "w.wf", "--model", "openai:small", code=7)
    assert "leaves no room for step `review`" in shown
    assert provider.requests == []
    project.wf("call review", meta="meta { budget_usd = 1 }")
    assert "$0.003" in project("run", "w.wf", "--model", "openai:small")


def test_what_nobody_knows_the_price_of_needs_a_word_under_a_budget(project, provider) -> None:
    project.wf("call review", meta="meta { budget_usd = 1 }")
    assert "unpriced-call" in project("run", "w.wf", "--model", "openai:model", code=7)
    assert provider.requests == []


def test_without_the_extra_every_command_says_how_to_install_it(project, provider, without_the_extra) -> None:
    line = "pip install 'runkon[agents]'"
    for command in ("validate", "run"):
        shown = project(command, "w.wf", code=3, RUNKON_MODEL="openai:small", **without_the_extra)
        assert line in shown
        assert "the runtime `agents` needs the package pydantic-ai-slim" in shown
    assert line in project("doctor", code=None, **without_the_extra)
    project("run", "w.wf", "--model", "test", **without_the_extra)
    assert provider.requests == []


def test_a_recorded_run_is_replayed_without_the_extra_key_or_network(project, provider, without_the_extra) -> None:
    provider.behaviours["small"] = lambda talk: talk.say("recorded words")
    project("run", "w.wf", "--model", "openai:small", "--record", "--cassette", "tape.json")
    assert len(provider.requests) == 1
    project("run", "w.wf", "--model", "openai:small", "--cassette", "tape.json", "--replay", "strict", LAB_KEY="",
        **without_the_extra)  # fmt: skip
    assert len(provider.requests) == 1


def test_doctor_tells_which_keys_are_there_and_asks_only_with_check(project, provider) -> None:
    (project.folder / "runkon.toml").write_text('runtime = "agents"\n')
    shown = project("doctor", code=None, OPENAI_API_KEY=KEY)
    assert "OPENAI_API_KEY present, ANTHROPIC_API_KEY absent, GOOGLE_API_KEY or GEMINI_API_KEY absent" in shown
    assert KEY not in shown
    project.settings(provider.url)
    assert "LAB_KEY present" in project("doctor", code=None)
    assert "it answers" in project("doctor", "--check", code=None)
    assert KEY not in project("doctor", "--json", "--check", code=None)


def test_only_the_hook_is_imported_until_an_agent_runs() -> None:
    code = (
        "import sys, runkon_agents\nfound = []\nrunkon_agents.runkon_register_runtimes(found.append)\n"
        "print([one.name for one in found], [name for name in sys.modules if name.startswith('runkon_agents.')])\n"
        "found[0].offers('x'), found[0].availability({})\n"
        "print([name for name in ('asyncio', 'pydantic_ai', 'httpx2', 'genai_prices') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['agents'] []\n[]\n"
