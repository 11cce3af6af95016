"""Kill a play at chosen places, resume it to its end, and hold the end against that of a run nobody killed.

Everything happens in processes forked from this one, which has imported all it needs and never opens a store itself.
What a leg finds wrong it writes down at once: the next kill may be near.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.errors import UserError
from runkon.language.program import CheckedWorkflow
from runkon.model.decisions import UNKNOWN
from runkon.model.ids import RunID
from runkon.model.ports import RunStore
from runkon.model.records import GateAnswer
from runkon.model.status import TERMINAL_RUN, RunStatus
from runkon.store.sqlite import SqliteRunStore
from runkon.testing import check_text
from runkon.testing.failpoints import arm

from .cast import Cast, append_line, bare, calls, lines
from .picture import as_json, differences, end_findings, open_paths, picture, record_findings
from .plays import PLAYS, Play
from .processes import end, processes_of, still_alive

PATIENCE = 60.0  # seconds until a leg is given up as hanging
CRASH_LIMIT = 3
MOST_LEGS = 12  # asks and resumes of one process: more than any play needs
Durability = Literal["normal", "full"]


@dataclass(frozen=True)
class Case:
    """One play with the places at which it is killed, one leg after the other: `point@hit`, or `point@hit@path` for the
    passings of one path."""

    play: Play
    kills: tuple[str, ...] = ()
    durability: Durability = "normal"

    def __str__(self) -> str:
        mode = "" if self.durability == "normal" else f":{self.durability}"
        return f"{self.play.name}{mode}:{'+'.join(self.kills)}"


@dataclass
class Result:
    """What came of one case: how many of its kills happened, and what was wrong."""

    case: Case
    killed: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Whole:
    """The run nobody killed: its picture, the calls per path, and how often each failpoint was passed."""

    picture: Any
    calls: Counter[str]
    passed: dict[str, int]


def whole(play: Play, folder: Path) -> Whole:
    """Run `play` without a kill, in a process of its own. Raises AssertionError if even that goes wrong."""
    result = Result(Case(play))
    program_of(play.name)
    status = in_child(folder, lambda: _leg(result.case, folder, spec="", whole=None))
    findings = lines(folder / "findings")
    assert (status, findings) == (0, []), f"{play.name}: {status} {findings} {_log(folder)}"
    found = json.loads((folder / "whole.json").read_text("utf-8"))
    for name in found["modules"]:  # what a leg imports late, so that no other child has to
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    return Whole(found["picture"], calls(folder), found["passed"])


def play_case(case: Case, expected: Whole, folder: Path) -> Result:
    """Kill and resume until the run has ended; the folder stays only if something was wrong."""
    result = Result(case)
    for kill in [*case.kills, None]:
        spec = "" if kill is None else _spec(kill)
        status = in_child(folder, lambda spec=spec: _leg(case, folder, spec=spec, whole=expected))  # type: ignore[misc]
        if status == -signal.SIGKILL and kill is not None:
            result.killed.append(kill)
            continue
        if status != 0:
            result.findings.append(f"a leg ended with {status}: {_log(folder)}")
        break
    result.findings += lines(folder / "findings")
    if not result.findings and not _gave_up(folder):
        result.findings += _call_findings(case.play, expected, folder, len(result.killed))
    if not result.findings:
        shutil.rmtree(folder)
    return result


def _spec(kill: str) -> str:
    point, hit, *path = kill.split("@")
    return ":".join((point, *(f"path={one}" for one in path), f"hit={hit}"))


def finish(case: Case, expected: Whole, folder: Path) -> list[str]:
    """What is wrong once the run in `folder` was looked at, resumed to its end and compared."""
    status = in_child(folder, lambda: _leg(case, folder, spec="", whole=expected))
    return lines(folder / "findings") + ([f"it ended with {status}: {_log(folder)}"] if status else [])


def _call_findings(play: Play, expected: Whole, folder: Path, kills: int) -> list[str]:
    """A path is called as often as without kills, and once more for each kill that found it open."""
    found, wanted = _by_place(calls(folder)), _by_place(expected.calls)
    opened = _by_place(Counter(lines(folder / "opened")))
    told = []
    for path in sorted({*found, *wanted}):
        least, most = wanted[path], wanted[path] + opened[path]
        if path in play.anew or path.startswith("always/"):  # every leg has an always block of its own
            most += kills * max(1, wanted[path])
        if not least <= found[path] <= most:
            told.append(f"`{path}` was called {found[path]} times, not {least} to {most} ({kills} kills)")
    return told


def _gave_up(folder: Path) -> bool:
    """True if one attempt after the other of a step was killed: the third loss of its process fails it."""
    return max(Counter(lines(folder / "opened")).values(), default=0) >= CRASH_LIMIT


def _by_place(counted: Counter[str]) -> Counter[str]:
    places: Counter[str] = Counter()
    for path, count in counted.items():
        places[f"always/{bare(path)}" if path.startswith("always#") else path] += count
    return places


@cache
def program_of(play_name: str) -> CheckedWorkflow:
    """The checked workflow of a play: made once, before the first fork."""
    return check_text(PLAYS[play_name].text)


# ── one leg, in a process of its own ──────────────────────────────────────────────────────────────
def _leg(case: Case, folder: Path, *, spec: str, whole: Whole | None) -> None:
    """Look at what is there, then run or resume until the run has ended or the armed kill strikes."""
    state = folder / "state"
    store = SqliteRunStore(state / "runs.db", durability=case.durability, patience=10.0)
    runs = store.runs() if (state / "runs.db").exists() else ()
    run = runs[0].id if runs else None
    old = []
    if run is not None:
        _note(folder, "findings", record_findings(store, state / "runs.db", run))
        _note(folder, "opened", open_paths(list(store.steps(run))))
        old = processes_of(run) if case.play.scripts else []
    try:
        armed = arm(spec)
        runner = Runner(store, Cast(case.play, folder, store, old))
        run = to_the_end(runner, store, case.play, folder, run)
        armed.disarm()
        _look_at_the_end(case, folder, store, run)
        if whole is None:
            modules = [name for name in sys.modules if name.startswith("runkon") or "." not in name]
            found = {"picture": picture(store, run), "passed": armed.passed, "modules": modules}
            (folder / "whole.json").write_text(json.dumps(found, sort_keys=True), "utf-8")
        else:
            told = [] if _gave_up(folder) else differences(whole.picture, as_json(picture(store, run)))
            _note(folder, "findings", told)
        store.close()
    finally:
        if case.play.scripts and run is not None:
            end(processes_of(run))


def to_the_end(runner: Runner, store: RunStore, play: Play, folder: Path, run: RunID | None) -> RunID:
    """Run `play`, or resume `run`, answering questions with `rerun` and gates with `approved`, until it has ended."""
    inputs = {**play.inputs, **play.secrets}
    if play.scripts:
        inputs["folder"] = str(folder)
    program = program_of(play.name)
    config = RunConfig(working_dir=folder, log_dir=folder / "state" / "logs", kill_grace=1.0)
    if run is None:
        run = runner.create(program, inputs, config)
    else:
        runner.give_secrets(run, play.secrets)
    for _ in range(MOST_LEGS):
        record = store.run(run)
        if record is not None and record.status in TERMINAL_RUN:
            return run
        if runner.execute(run, program, config).status is RunStatus.WAITING:
            for gate in store.gates(run):
                if gate.decision is None:
                    choice = "rerun" if gate.type == UNKNOWN else "approved"
                    store.answer_gate(GateAnswer(run, gate.name, choice, "tester", "cli", 1, gate.occurrence, "well"))
    append_line(folder / "findings", f"the run did not end within {MOST_LEGS} resumes")
    return run


def _look_at_the_end(case: Case, folder: Path, store: RunStore, run: RunID) -> None:
    state, record = folder / "state", store.run(run)
    assert record is not None
    _note(folder, "findings", record_findings(store, state / "runs.db", run))
    _note(folder, "findings", end_findings(record, list(store.steps(run)), state))
    if case.play.scripts:
        left = [process.text for process in still_alive(processes_of(run))]
        _note(folder, "findings", [f"process {text} is alive after the end" for text in left])
    for value in case.play.secrets.values():
        _note(folder, "findings", [f"the secret is in {name}" for name in _files_with(folder / "state", value)])


def _files_with(folder: Path, text: str) -> list[str]:
    """Which files hold `text`. The database is looked at by name, through a copy: opening it here drops its locks."""
    found = []
    for entry in folder.rglob("*"):
        if entry.is_file() and not entry.name.startswith("runs.db") and text.encode() in entry.read_bytes():
            found.append(entry.name)
    copy = folder.parent / "copy.db"
    for name in ("runs.db", "runs.db-wal"):
        if (folder / name).exists():
            _run_and_wait("cp", str(folder / name), str(copy))
            found += [name] if text.encode() in copy.read_bytes() else []
            copy.unlink()
    return found


def _run_and_wait(*command: str) -> None:
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status = os.waitpid(pid, 0)
    assert status == 0, command


def _note(folder: Path, name: str, texts: Sequence[str]) -> None:
    for text in texts:
        append_line(folder / name, text.replace("\n", "\\n"))


# ── forking ───────────────────────────────────────────────────────────────────────────────────────
def in_child(folder: Path, work: Callable[[], None]) -> int:
    """The exit status of a child that does `work`; negative for a signal. Its output goes to `log` in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    gc.freeze()
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            code = _as_child(folder, work)
        os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _as_child(folder: Path, work: Callable[[], None]) -> int:
    with (folder / "log").open("a", buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=log)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - all of it belongs in the log
            traceback.print_exc(file=log)
            if isinstance(error, UserError):
                print(error.message, error.help, file=log)
            return 1
        return 0


def _log(folder: Path) -> str:
    text = "\\n".join(line for line in lines(folder / "log") if not line.startswith("warning: failpoints are armed"))
    return f"…{text[-1500:]} (in {folder})"


def timed() -> Callable[[], float]:
    """Seconds since the call."""
    begun = time.monotonic()
    return lambda: time.monotonic() - begun
