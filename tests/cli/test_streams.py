"""Standard streams that are closed, full, or left by their reader: the run goes on, and the end says what was lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HELLO = """\
workflow x {
  script a { run = "echo hi" }
  script b { run = "echo ho" }
  outputs { x = "{{b.context}}" }
}
"""
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".runkon").mkdir()
    (tmp_path / "x.wf").write_text(HELLO)
    return tmp_path


def shell(folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Both streams as the shell line leaves them; `runkon` and the buffering of a user's own machine."""
    dropped = ("PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONIOENCODING", "LC_ALL", "NO_COLOR", "FORCE_COLOR")
    clean = {n: v for n, v in os.environ.items() if not n.startswith("RUNKON") and n not in dropped}
    line = f'runkon() {{ "{sys.executable}" -m runkon "$@"; }}\n{text}'
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=clean | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def statuses(folder: Path) -> list[str]:
    runs = json.loads(shell(folder, "runkon runs --json").stdout)["runs"]
    return [run["status"] for run in runs]


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}])
class TestOrder:
    def test_results_stand_before_what_is_said_after_them(self, folder, variables):
        done = shell(folder, "runkon init 2>&1", **variables)
        lines = done.stdout.splitlines()
        assert lines.index("next:") == len([line for line in lines if line.startswith("wrote ")]) > 0
        shell(folder, "runkon run x.wf -q; runkon run x.wf -q")
        done = shell(folder, "runkon runs --limit 1 2>&1", **variables)
        assert done.stdout.splitlines()[-1].startswith("older runs are not shown")

    def test_findings_stand_beside_their_file(self, folder, variables):
        (folder / "y.wf").write_text("workflow y { call }\n")
        lines = shell(folder, "runkon validate x.wf y.wf x.wf 2>&1", **variables).stdout.splitlines()
        begins = [line.partition(":")[0].partition("[")[0] for line in lines if line[:1] not in (" ", "", "1")]
        assert begins == ["x.wf", "error", "y.wf"]


class TestClosed:
    @pytest.mark.parametrize(("redirections", "code"), [(">&-", 5), ("2>&-", 0), ("<&- >&- 2>&-", 5), ("<&-", 0)])
    def test_the_run_is_carried_out_and_recorded(self, folder, redirections, code):
        done = shell(folder, f"runkon run x.wf {redirections}")
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        assert statuses(folder) == ["completed"]

    def test_the_database_is_not_taken_for_a_stream(self, folder):
        shell(folder, "runkon run x.wf -v <&- >&- 2>&-")
        assert (folder / ".runkon" / "runkon.db").read_bytes().startswith(b"SQLite format 3\0")
        assert statuses(folder) == ["completed"]

    def test_a_result_that_goes_nowhere_is_said(self, folder):
        assert shell(folder, "runkon validate >&-").stderr == (
            "error[cannot-write]: standard output can't be written: it is closed\n"
            "  = help: give it somewhere to go, like `> FILE` or `> /dev/null`\n"
        )

    def test_a_command_without_a_result_does_not_mind(self, folder):
        assert shell(folder, "runkon fmt x.wf >&-").returncode == 0

    @pytest.mark.parametrize("command", ["fmt -", "run x.wf --inputs -"])
    def test_standard_input_that_is_asked_for(self, folder, command):
        done = shell(folder, f"runkon {command} <&-")
        assert done.returncode == 2
        assert done.stderr.startswith("error[unreadable-input]: standard input, asked for by ")

    @pytest.mark.parametrize("command", ["fmt -", "run x.wf --inputs -"])
    def test_standard_input_that_is_for_writing(self, folder, command):
        done = shell(folder, f"runkon {command} 0> given")
        assert done.returncode == 2
        assert "can't be read: bad file descriptor" in done.stderr


@FULL
class TestFull:
    def test_a_result_that_does_not_fit_is_said(self, folder):
        for command in ("run x.wf -q", "show @last", "graph x.wf", "--help"):
            done = shell(folder, f"runkon {command} > /dev/full")
            assert done.returncode == 5, command
            assert done.stderr == (
                "error[cannot-write]: standard output can't be written: no space left on device\n"
                "  = help: make room on that disk\n"
            )
        assert statuses(folder) == ["completed"]

    def test_what_people_would_read_is_worth_no_run(self, folder):
        done = shell(folder, "runkon run x.wf 2> /dev/full")
        assert (done.returncode, done.stdout) == (0, "x = ho\n")
        assert statuses(folder) == ["completed"]

    def test_events_that_do_not_fit(self, folder):
        done = shell(folder, "runkon run x.wf -q --events /dev/full")
        assert (done.returncode, done.stdout) == (5, "x = ho\n")
        assert done.stderr.startswith("error[cannot-write]: `/dev/full` of `--events` can't be written: no space")
        assert statuses(folder) == ["completed"]

    def test_a_failed_run_keeps_its_own_exit_code(self, folder):
        (folder / "x.wf").write_text('workflow x { script a { run = "exit 3" } }\n')
        assert shell(folder, "runkon run x.wf -q --events /dev/full").returncode == 1


class TestReaderGoneAway:
    def test_of_both_streams(self, folder):
        done = shell(folder, "runkon run x.wf 2>&1 | head -n 1; echo ${PIPESTATUS[0]}")
        assert done.stdout.splitlines()[-1] == "0"
        assert done.stderr == ""
        assert statuses(folder) == ["completed"]

    def test_of_the_events(self, folder):
        done = shell(folder, "runkon run x.wf -q --events - | head -n 1; echo ${PIPESTATUS[0]}")
        assert json.loads(done.stdout.splitlines()[0])["type"] == "run_created"
        assert done.stdout.splitlines()[-1] == "0"
        assert done.stderr == ""
        assert statuses(folder) == ["completed"]

    def test_before_anything_was_written(self, folder):
        reading, writing = os.pipe()
        os.close(reading)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON")}
        words = [sys.executable, "-m", "runkon", "run", "x.wf", "-q"]
        done = subprocess.run(
            words, cwd=folder, env=clean, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
        os.close(writing)
        assert done.returncode == 5
        assert done.stderr.startswith("error[cannot-write]: standard output can't be written: broken pipe\n")
        assert statuses(folder) == ["completed"]

    def test_who_follows_a_run_stops_when_nobody_reads(self, folder):
        (folder / "x.wf").write_text(
            'workflow x { script a { run = "echo 1; touch began; while ! test -e go; do sleep 0.05; done" } }\n'
        )
        done = shell(
            folder,
            "runkon run x.wf -q & while ! test -e began; do sleep 0.05; done\n"
            "runkon events -f @last | head -n 1 | wc -l; touch go; wait $!; echo $?",
        )
        assert done.stdout.split() == ["1", "0"]


def test_a_pipe_that_somebody_made_non_blocking_gets_everything(folder):
    program = (
        "import os, subprocess, sys\n"
        "reading, writing = os.pipe(); os.set_blocking(writing, False)\n"
        "child = subprocess.Popen([sys.executable, '-m', 'runkon', 'fmt', '-'], stdin=open('big.wf'), stdout=writing)\n"
        "os.close(writing); sys.stdout.buffer.write(open(reading, 'rb').read()); sys.exit(child.wait())\n"
    )
    big = "workflow x {\n" + "".join(f'  script s{n} {{ run = "echo {"x" * 200}" }}\n' for n in range(1000)) + "}\n"
    (folder / "big.wf").write_text(big)
    (folder / "pipe.py").write_text(program)
    done = shell(folder, f'"{sys.executable}" pipe.py')
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("echo xxx") == 1000
