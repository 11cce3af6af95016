"""As a run uses it: found by its entry point, imported when an agent runs, recorded, retried in the same session."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

WORKFLOW = "workflow w {\n  call review { retries = 1 }\n}\n"
AGENT = "---\nrole: reviewer\n---\nLook at everything.\n"
ANSWER = (
    "said = json.dumps(dict(markers=['clean'], context='nothing found'))\n"
    "text = 'Fine.\\n<<<FLOW_OUTPUT>>>\\n' + said + '\\n<<<END_FLOW_OUTPUT>>>'\n"
    "say(type='result', subtype='success', result=text, session_id='s-1', total_cost_usd=0.25, num_turns=2)\n"
)
FAILS_ONCE = (
    "say(type='system', subtype='init', session_id='s-1')\n"
    "note('argv', sys.argv[1:])\n"
    "if '--resume' not in sys.argv:\n"
    "    say(type='assistant', message=dict(id='m', content=[], usage=dict(input_tokens=7, output_tokens=1)))\n"
    "    sys.exit(3)\n"
)


@pytest.fixture
def runkon(tmp_path, program):
    (tmp_path / ".runkon" / "agents").mkdir(parents=True)
    (tmp_path / ".runkon" / "agents" / "review.md").write_text(AGENT)
    (tmp_path / "w.wf").write_text(WORKFLOW)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}

    def call(*arguments: str, code: int = 0, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "runkon", *arguments], cwd=tmp_path, env=clean | variables, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return call


def settings(tmp_path, text: str) -> None:
    (tmp_path / "runkon.toml").write_text(text)


def test_an_agent_file_is_run_by_the_program_of_the_settings(runkon, program, tmp_path):
    file = program(ANSWER)
    settings(tmp_path, f'runtime = "mine"\n[runtimes.mine]\ntype = "claude"\nbinary = "{file}"\n')
    shown = runkon("run", "w.wf")
    assert "clean" in shown
    assert "$0.25" in shown
    assert '"type": "result"' in runkon("logs", "@last")


def test_claude_is_taken_where_it_is_installed_and_nothing_is_said(runkon, program, tmp_path):
    program(ANSWER, "claude")
    assert "clean" in runkon("run", "w.wf", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def test_a_retry_goes_on_in_the_session_of_the_failed_attempt(runkon, program, tmp_path):
    file = program(FAILS_ONCE + ANSWER)
    settings(tmp_path, f'runtime = "claude"\n[runtimes.claude]\nbinary = "{file}"\n')
    assert "clean" in runkon("run", "w.wf")
    assert json.loads((tmp_path / "bin" / "argv").read_text())[4:6] == ["--resume", "s-1"]
    failed = [json.loads(line) for line in runkon("events", "@last").splitlines() if "attempt_failed" in line]
    assert len(failed) == 1
    assert '"input_tokens": 7' in json.dumps(failed[0])


def test_a_missing_program_is_fatal_and_says_what_to_do(runkon, tmp_path):
    settings(tmp_path, 'runtime = "codex"\n[runtimes.codex]\nbinary = "no-such-codex"\n')
    assert "install it with `npm install -g @openai/codex`" in runkon("run", "w.wf", code=1)


def test_only_the_hook_is_imported_until_an_agent_runs():
    code = (
        "import sys, runkon_cli\nfound = {}\n"
        "runkon_cli.runkon_register_runtimes(lambda one: found.__setitem__(one.name, one))\n"
        "print(sorted(found), [name for name in sys.modules if name.startswith('runkon_cli.')])\n"
        "found['claude'].offers('opus')\nprint('runkon_cli.rows' in sys.modules, 'acp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['acp', 'claude', 'codex', 'command', 'gemini'] []\nTrue False\n"


# ── what happens to the program when the run is stopped ───────────────────────────────────────────
STAYS = (
    "if os.path.exists(os.path.join(here, 'pids')):\n    pass\n"
    "else:\n"
    "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'], start_new_session=True)\n"
    "    say(type='system', subtype='init', session_id='s-1')\n"
    "    note('pids', [os.getpid(), child.pid])\n"
    "    forever()\n"
)


@pytest.fixture
def running(runkon, program, tmp_path):
    """A run whose agent is at work, and the processes of the agent."""
    file = program(STAYS + ANSWER)
    settings(tmp_path, f'runtime = "claude"\n[runtimes.claude]\nbinary = "{file}"\n')
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
    engine = subprocess.Popen([sys.executable, "-m", "runkon", "run", "w.wf", "-q"], cwd=tmp_path, env=clean)
    deadline = time.monotonic() + 60
    while not (tmp_path / "bin" / "pids").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    pids = json.loads((tmp_path / "bin" / "pids").read_text())
    yield engine, pids
    for pid in (engine.pid, *pids):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    engine.wait()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_an_interrupted_run_leaves_nothing_of_its_agent(runkon, running):
    engine, pids = running
    engine.send_signal(signal.SIGINT)
    assert engine.wait(60) == 130
    assert alive(pids) == []
    assert "clean" in runkon("resume", "@last")


def test_what_a_killed_engine_left_is_ended_by_the_next_leg(runkon, running):
    engine, pids = running
    engine.kill()
    engine.wait()
    assert alive(pids) == pids
    assert "clean" in runkon("resume", "@last")
    assert alive(pids) == []
