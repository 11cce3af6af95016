"""What it takes to go on after a death, to end a run from outside, and to look whether a record is whole."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import psutil

from benchmarks import programs
from benchmarks.measure import Workload, stopwatch
from benchmarks.runs import noop, program
from benchmarks.starts import RUNKON
from benchmarks.yardsticks import STEPS, bare_python, clean_environment, raw_normal
from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.plugin.registry import Registry
from runkon.store.sqlite import SqliteRunStore

DIES_AT = 900  # of STEPS
LAUNCHES = 5
GRACE = 1.0  # seconds a step gets to stop
PATIENCE = 60.0  # seconds after which something that does not come is an error
STOP, SAID = "BENCH_STOP", "BENCH_SAID"
PLUGIN = f"""\
import os, signal, time
from runkon import executor, hookimpl

@executor("noop", effect="pure")
def noop(request):
    if request.path == os.environ.get("{STOP}"):
        with open(os.environ["{SAID}"], "w") as said:
            said.write(str(time.monotonic_ns()))
        os.kill(os.getpid(), signal.SIGKILL)

@hookimpl
def runkon_register_executors(register):
    register(noop)
"""
STUBBORN = """\
workflow stubborn {
  script stay { run = "trap '' TERM; sh -c 'echo $$ > inner; trap : TERM; while :; do sleep 1; done' & wait; wait" }
}
"""


# ── going on ──────────────────────────────────────────────────────────────────────────────────────
def cold_start(folder: Path) -> float:
    """The seconds from starting a process to the dispatch of the only step of its workflow."""
    _project(folder, "one.wf", programs.chain(1))
    _launch(folder, ["run", "one.wf", "-q"])  # parsed once, so that the text comes from the cache
    return min(_dispatched(folder, ["run", "one.wf", "-q"], "step0") for _ in range(LAUNCHES))


def resume(folder: Path, *, by: str) -> float:
    """The seconds from starting a process to the dispatch of step 900 of a run of 1,000 steps, all before it done.
    `by` is how the run had ended: `death` while it dispatched that step, or `pause` before it."""
    _project(folder, "chain.wf", programs.chain(STEPS))
    at = f"step{DIES_AT}"
    if by == "death":
        _dispatched(folder, ["run", "chain.wf", "-q"], at)
    else:
        _launch(folder, ["run", "chain.wf", "-q", "--until", f"step{DIES_AT - 1}"])
    shutil.copytree(folder / ".runkon", folder / "kept")
    times = []
    for _ in range(LAUNCHES):  # each from the same record: a step that keeps ending its process is given up
        shutil.rmtree(folder / ".runkon")
        shutil.copytree(folder / "kept", folder / ".runkon")
        times.append(_dispatched(folder, ["resume", "-q"], at))
    return min(times)


def resume_above_cold_start(folder: Path) -> float:
    """The seconds that the resume takes longer than a cold start."""
    long, short = folder / "long", folder / "short"
    long.mkdir()
    short.mkdir()
    return resume(long, by="death") - cold_start(short)


def _project(folder: Path, name: str, text: str) -> None:
    (folder / ".runkon" / "plugins").mkdir(parents=True)
    (folder / ".runkon" / "plugins" / "bench.py").write_text(PLUGIN, encoding="utf-8")
    (folder / name).write_text(text, encoding="utf-8")


def _launch(folder: Path, words: Sequence[str]) -> None:
    done = subprocess.run(
        [*RUNKON, *words], cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{words} ended with code {done.returncode}: {done.stderr}")


def _dispatched(folder: Path, words: Sequence[str], step: str) -> float:
    """The seconds until the step is dispatched; then the process is gone."""
    said = folder / "said"
    said.unlink(missing_ok=True)
    environment = {**clean_environment(), STOP: step, SAID: str(said)}
    began = time.monotonic_ns()
    done = subprocess.run([*RUNKON, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != -signal.SIGKILL:
        raise RuntimeError(f"{words} ended with code {done.returncode} before `{step}`: {done.stderr}")
    return (int(said.read_text()) - began) / 1e9


# ── ending a run from outside ─────────────────────────────────────────────────────────────────────
def cancel(folder: Path) -> float:
    """The seconds from starting `cancel` in another process to the end of the last process of a step that ignores
    being told to stop."""
    _project(folder, "stubborn.wf", STUBBORN)
    environment = {**clean_environment(), "RUNKON_KILL_GRACE": str(GRACE)}
    owner = subprocess.Popen(
        [*RUNKON, "run", "stubborn.wf", "-q"], cwd=folder, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        inner = folder / "inner"
        _wait_for(lambda: inner.exists() and inner.read_text().strip() != "")
        child = int(inner.read_text())
        with stopwatch() as took:
            asked = subprocess.Popen([*RUNKON, "cancel", "@last", "-q"], cwd=folder, env=environment)
            _wait_for(lambda: not _lives(child))
        asked.wait(PATIENCE)
    finally:
        owner.kill()
        owner.wait()
    return took[0]


def grace(_: Path) -> float:
    return GRACE


def _lives(pid: int) -> bool:
    """False also for one that has ended and was not reaped yet: whoever adopted it may take its time."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError("what was waited for did not come")
        time.sleep(0.005)


# ── looking whether a record is whole ─────────────────────────────────────────────────────────────
def check_before_a_leg(folder: Path) -> float:
    """The seconds that the look at a record before a leg takes, for as many events as the yardstick has steps."""
    registry = Registry()
    registry.register_executor(noop, "benchmarks")
    store = SqliteRunStore(folder / "runkon.db", durability="normal")
    try:
        config, checked = RunConfig(working_dir=folder), program(programs.chain(STEPS))
        runner = Runner(store, registry)
        record = runner.execute(runner.create(checked, {}, config), checked, config)
        store.check_log(record.id)
        with stopwatch() as took:
            store.check_log(record.id)
    finally:
        store.close()
    return took[0] * STEPS / record.seq


def check_by_command(folder: Path) -> float:
    """The same for `db check`, which reads every payload: what it takes longer for a long run than for a short one."""
    long, short = folder / "long", folder / "short"
    events = []
    for place, steps in ((long, STEPS), (short, 1)):
        place.mkdir()
        _project(place, "chain.wf", programs.chain(steps))
        _launch(place, ["run", "chain.wf", "-q", "--durability", "normal"])
        events.append(_events(place))
    took = [_fastest(place, ["db", "check", "-q"]) for place in (long, short)]
    return (took[0] - took[1]) * STEPS / (events[0] - events[1])


def _events(folder: Path) -> int:
    """How many events the only run there has."""
    done = subprocess.run(
        [*RUNKON, "events", "@last"], cwd=folder, env=clean_environment(), capture_output=True, text=True, check=True
    )
    return int(json.loads(done.stdout.splitlines()[-1])["seq"])


def _fastest(folder: Path, words: Sequence[str]) -> float:
    times = []
    for _ in range(LAUNCHES):
        with stopwatch() as took:
            _launch(folder, words)
        times += took
    return min(times)


DEATH, PAUSE = partial(resume, by="death"), partial(resume, by="pause")
WORKLOADS = (
    Workload("resume at step 900 of 1,000, over a start", "P", 3.0, 1.0, resume_above_cold_start, bare_python),
    Workload("takeover from a killed process", "resume", 1.2, 1.0, DEATH, PAUSE),
    Workload("cancel to the last child's end", "grace", 1.0 + 1.0 / GRACE, 1.3, cancel, grace),
    Workload("check of a record before a leg, per event", "Yn step", 0.1, 0.05, check_before_a_leg, raw_normal),
    Workload("db check, per event", "Yn step", 0.7, 0.35, check_by_command, raw_normal),
)
