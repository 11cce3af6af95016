"""The real thing on a real terminal: the live tree, ^C once and twice, signals, colours, small windows.

Every wait is for something on the screen or in a file, never for time.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pyte
import pytest

WAIT = 60  # seconds until something that must appear is given up
SLOW = """\
workflow slow {
  script one { run = "echo one" }
  parallel checks {
    fail_fast = false
    script bad { run = "echo oops >&2; exit 3" on_fail = continue }
    script esc { run = "printf 'hi \\\\033[31mred\\\\033[0m [bold]x[/bold]\\\\n'" }
    script wait { run = "touch began; echo waiting here; while ! test -e go; do sleep 0.05; done" }
  }
  always { script bye { run = "echo bye {{workflow_status}} > said" } }
}
"""


class Terminal:
    """A program on a screen of a given size."""

    def __init__(self, folder: Path, *words: str, rows: int = 24, columns: int = 110, **variables: str) -> None:
        clean = {n: v for n, v in os.environ.items() if not n.startswith("RUNKON_")}
        for name in ("CI", "NO_COLOR", "FORCE_COLOR"):
            clean.pop(name, None)
        clean |= {"TERM": "xterm-256color", "HOME": str(folder / "home"), **variables}
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.child = pexpect.spawn(
            sys.executable, ["-m", "runkon", *words], cwd=folder, env=clean, dimensions=(rows, columns), timeout=WAIT
        )

    def until(self, text: str) -> Terminal:
        """Read until the text stands on the screen."""
        while text not in self.text:
            try:
                self._feed(self.child.read_nonblocking(65536, timeout=WAIT))
            except pexpect.EOF:
                pytest.fail(f"ended without {text!r}:\n{self.text}")
            except pexpect.TIMEOUT:
                pytest.fail(f"never showed {text!r}:\n{self.text}")
        return self

    def end(self) -> int:
        """Read to the end; the exit code."""
        while True:
            try:
                self._feed(self.child.read_nonblocking(65536, timeout=WAIT))
            except pexpect.EOF:
                break
        self.child.close()
        assert self.child.exitstatus is not None, self.text
        return self.child.exitstatus

    def _feed(self, piece: bytes) -> None:
        self.raw += piece
        self._stream.feed(piece)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".runkon").mkdir()
    (tmp_path / "slow.wf").write_text(SLOW)
    return tmp_path


def test_the_tree_while_it_runs_and_what_stays(folder):
    terminal = Terminal(folder, "run", "slow.wf").until("waiting here").until("[bold]x[/bold]")
    terminal.until("1 ok · 1 failed · 1 running")
    lines = terminal.text.split("\n")
    assert "slow · slow.wf · run 01" in lines[1]
    assert "✓ script one" in terminal.text
    assert "▾ parallel checks" in terminal.text
    assert "✗ script bad" in terminal.text
    assert "hi ␛[31mred␛[0m [bold]x[/bold]" in terminal.text
    (folder / "go").touch()
    assert terminal.end() == 0
    assert "completed · 5 steps · 1 failed and handled · " in terminal.text
    assert terminal.text.count("slow · slow.wf") == 1
    assert terminal.text.count("✓ script one") == 1
    assert "next: runkon show 01" in terminal.text


def test_first_interrupt_pauses_and_a_resume_ends_it(folder):
    terminal = Terminal(folder, "run", "slow.wf").until("waiting here")
    terminal.child.sendintr()
    assert terminal.end() == 130
    assert "stopping: running steps are told to stop (^C again kills them)" in terminal.text
    assert "interrupted; continue: runkon resume 01" in terminal.text.split("\n")[-1]
    assert (folder / "said").read_text() == "bye cancelled\n"
    (folder / "go").touch()
    terminal = Terminal(folder, "resume")
    assert terminal.end() == 0
    assert "kept" in terminal.text
    assert (folder / "said").read_text() == "bye completed\n"


STUBBORN = """\
workflow stubborn {
  script hold { run = "trap '' TERM; touch began; echo holding; while ! test -e go; do sleep 0.05; done" }
}
"""


def test_second_interrupt_kills(folder):
    (folder / "hold.wf").write_text(STUBBORN)
    (folder / "runkon.toml").write_text("kill_grace = '1h'\n")
    terminal = Terminal(folder, "run", "hold.wf").until("holding")
    terminal.child.sendintr()
    terminal.until("stopping:")
    terminal.child.sendintr()
    assert terminal.end() == 130
    assert "Traceback" not in terminal.text


def test_a_small_window_shows_what_runs(folder):
    many = "\n".join(f'    script s{n} {{ run = "true" }}' for n in range(30))
    wait = 'script wait { run = "echo here; while ! test -e go; do sleep 0.05; done" }'
    (folder / "many.wf").write_text(f"workflow many {{\n  parallel {{\n{many}\n  }}\n  {wait}\n}}\n")
    terminal = Terminal(folder, "run", "many.wf", rows=8, columns=60).until("● script wait").until("here")
    assert "many · many.wf" in terminal.text
    assert "30 ok" in terminal.text
    (folder / "go").touch()
    assert terminal.end() == 0


@pytest.mark.parametrize(
    ("words", "variables"),
    [((), {"TERM": "dumb"}), ((), {"CI": "true"}), (("--plain",), {}), ((), {"RUNKON_PLAIN": "1"})],
)
def test_plain_lines_on_a_terminal_where_they_are_wanted(folder, words, variables):
    (folder / "go").touch()
    terminal = Terminal(folder, "run", "slow.wf", *words, **variables)
    assert terminal.end() == 0
    assert "completed   one  one" in terminal.text
    assert b"\x1b[?25l" not in terminal.raw  # the cursor was never hidden: nothing was redrawn


def test_no_color_keeps_the_tree_and_drops_the_colours(folder):
    (folder / "go").touch()
    terminal = Terminal(folder, "run", "slow.wf", NO_COLOR="1")
    assert terminal.end() == 0
    assert "▾ parallel checks" in terminal.text
    colours = [piece for piece in terminal.raw.split(b"\x1b[")[1:] if piece[:2] in (b"31", b"32", b"36")]
    assert colours == []


def test_rich_is_imported_on_a_terminal_only(folder):
    (folder / "go").touch()
    probe = "import sys; from runkon.cli.main import main; main(['run', 'slow.wf']); print('rich' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=folder, capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_off_the_terminal(folder, number, code):
    process = subprocess.Popen(
        [sys.executable, "-m", "runkon", "run", "slow.wf", "--json", "-v"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting here" in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=WAIT)
    assert process.returncode == code, err
    assert json.loads(out)["status"] == "interrupted"
    assert err.rstrip().split("\n")[-1].startswith("interrupted; continue: runkon resume 01")


def test_a_run_whose_process_was_killed_is_shown_interrupted_and_goes_on(folder):
    text = SLOW
    for name in ("bad", "esc", "wait"):  # what only reads runs again without a question
        text = text.replace(f"script {name} {{", f"script {name} {{ effect = read")
    (folder / "slow.wf").write_text(text)
    process = subprocess.Popen(
        [sys.executable, "-m", "runkon", "run", "slow.wf", "-v"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "waiting here" in line:
            break
    process.kill()
    process.communicate(timeout=WAIT)

    def runkon(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "runkon", *words], cwd=folder, capture_output=True, text=True, check=False
        )

    assert json.loads(runkon("runs", "--json").stdout)["runs"][0]["status"] == "interrupted"
    assert json.loads(runkon("show", "@last", "--json").stdout)["status"] == "interrupted"
    assert len(json.loads(runkon("runs", "--status", "interrupted", "--json").stdout)["runs"]) == 1
    (folder / "go").touch()
    done = runkon("resume", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "completed"
