"""Plugins that print, and threads they leave behind: standard output is the result's, and the program ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .conftest import Case

PLUGIN = """
import threading
from runkon import executor

print("imported")

@executor("loud")
def loud(request):
    print("working")
    return {"said": True}

@executor("stays")
def stays(request):
    threading.Thread(target=threading.Event().wait, name="forever", daemon=False).start()
    return {"said": True}
"""


def test_json_on_standard_output_is_all_there_is(case: Case) -> None:
    case.file(".runkon/plugins/loud.py", PLUGIN).wf("workflow x { call loud outputs { said = loud.said } }")
    case.run("run", "x.wf", "--json", "-q").exits(0)
    assert case.json()["outputs"] == {"said": True}
    assert case.err == "imported\nworking\n"
    case.run("run", "x.wf", "-q").exits(0).stdout("said = true\n")


def test_a_thread_an_executor_left_does_not_keep_the_program(tmp_path: Path) -> None:
    (tmp_path / ".runkon" / "plugins").mkdir(parents=True)
    (tmp_path / ".runkon" / "plugins" / "loud.py").write_text(PLUGIN)
    (tmp_path / "x.wf").write_text("workflow x { call stays outputs { said = stays.said } }")
    program = (
        "import sys; from runkon.cli import main; main._PATIENCE = 0.1; sys.argv[1:] = ['run', 'x.wf', '-q'];"
        "sys.exit(main.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "said = true\n")
    assert "left without waiting for forever" in done.stderr
