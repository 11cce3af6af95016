"""Real `runkon` processes on one database, killed from outside once their record has come to a chosen event."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from runkon.model.ids import RunID
from runkon.model.records import RunRecord
from runkon.model.status import StepStatus
from runkon.store.sqlite import SqliteRunStore

from .cast import lines
from .picture import end_findings, open_paths, record_findings
from .processes import Living, end, processes_of

PATIENCE = 60.0  # seconds until a process is given up as hanging
WAITING, HELD = 4, 8  # exit codes
TEXT = """workflow load {
  inputs { tag required }
  script a { effect = read retries = 9 run = "echo a >>{{tag}}.calls" }
  parallel p {
    fail_fast = false
    script b { effect = read retries = 9 run = "echo b >>{{tag}}.calls; sleep 0.05; echo of b" }
    script c { retries = 9 run = "echo c >>{{tag}}.calls; setsid sleep 300 >/dev/null 2>&1 & echo of c" }
    do d {
      script e { effect = read retries = 9 run = "echo e >>{{tag}}.calls; sleep 0.02" }
      script f { effect = read retries = 9 run = "echo f >>{{tag}}.calls; sleep 300 >/dev/null 2>&1 & sleep 0.02" }
    }
  }
  script g { retries = 9 run = "echo g >>{{tag}}.calls; sleep 0.02; echo of g" }
  if g.status == "completed" { script h { effect = read retries = 9 run = "echo h >>{{tag}}.calls; echo of h" } }
  script z { effect = read retries = 9 run = "echo z >>{{tag}}.calls; echo of z" }
  outputs { b = b.context c = c.context g = g.context h = h.context z = z.context }
}
"""
NAMES = "abcefghz"
OUTPUTS = {name: f"of {name}" for name in "bcghz"}
EVENTS = 24  # about as many as a run without kills records


@dataclass
class Victim:
    """One run, the process that advances it now, and what is still to be done to it: event number and whom to kill."""

    tag: str
    plan: list[tuple[int, str]]
    process: subprocess.Popen[bytes] | None = None
    run: RunID | None = None
    kills: Counter[str] = field(default_factory=Counter)
    opened: Counter[str] = field(default_factory=Counter)
    done: dict[str, int] = field(default_factory=dict)  # completed at some kill: path to its calls then
    findings: list[str] = field(default_factory=list)


class Battle:
    """`count` runs at a time in one project; `seed` says what is killed when."""

    def __init__(self, folder: Path, seed: int, *, count: int = 2, kills: int = 3) -> None:
        self._folder = folder
        (folder / ".runkon").mkdir(parents=True)
        (folder / "load.wf").write_text(TEXT, "utf-8")
        self._file = folder / ".runkon" / "runkon.db"
        self._store = SqliteRunStore(self._file)
        random = Random(seed)
        self.victims = [Victim(f"t{number}", _plan(random, kills)) for number in range(count)]

    def fight(self) -> list[str]:
        """Everything that went wrong until all runs had ended."""
        try:
            for victim in self.victims:
                self._start(victim, "run", "load.wf", "-i", f"tag={victim.tag}")
            deadline = time.monotonic() + PATIENCE
            while any(victim.process is not None for victim in self.victims):
                for victim in self.victims:
                    if victim.process is not None:
                        self._look_after(victim)
                if time.monotonic() > deadline:
                    return [*self._findings(), "the runs did not end in time"]
                time.sleep(0.001)  # between two looks at the record
            return [*self._findings(), *(text for victim in self.victims for text in self._at_the_end(victim))]
        finally:
            self._clean_up()

    @property
    def kills(self) -> Counter[str]:
        return sum((victim.kills for victim in self.victims), Counter())

    # ── processes ─────────────────────────────────────────────────────────────────────────────────
    def _start(self, victim: Victim, *words: str) -> None:
        with (self._folder / f"{victim.tag}.log").open("ab") as log:
            victim.process = subprocess.Popen(
                [sys.executable, "-m", "runkon", *words], cwd=self._folder, env=_environment(), stdout=log, stderr=log
            )

    def _look_after(self, victim: Victim) -> None:
        """Kill when the record has come so far; when a process has ended, do what the situation asks for."""
        assert victim.process is not None
        record = self._record(victim)
        if record is not None and victim.plan and record.seq >= victim.plan[0][0]:
            self._strike(victim)
        if (code := victim.process.poll()) is None:
            return
        victim.process = None
        if code == -signal.SIGKILL:
            self._resume(victim)
        elif code == WAITING and victim.run is not None:
            if self._answer(victim):
                self._resume(victim)
        elif code != 0:
            victim.findings.append(f"{victim.tag}: exit code {code}: {lines(self._folder / f'{victim.tag}.log')[-12:]}")

    def _strike(self, victim: Victim) -> None:
        _, whom = victim.plan.pop(0)
        assert victim.process is not None
        if whom == "child":
            for child in _children(victim.process.pid)[:1]:
                victim.kills["child"] += 1
                end([child])
            return
        with contextlib.suppress(ProcessLookupError):
            if victim.process.poll() is None:
                victim.process.kill()
                victim.process.wait()
                victim.kills["parent"] += victim.process.returncode == -signal.SIGKILL

    def _resume(self, victim: Victim) -> None:
        if victim.run is None and self._record(victim) is None:
            self._start(victim, "run", "load.wf", "-i", f"tag={victim.tag}")
            return
        assert victim.run is not None
        victim.findings += [f"{victim.tag}: {text}" for text in record_findings(self._store, self._file, victim.run)]
        steps = list(self._store.steps(victim.run))
        victim.opened.update(_name(path) for path in open_paths(steps))
        counted = self._calls(victim)
        for step in steps:
            if step.status is StepStatus.COMPLETED:
                victim.done.setdefault(_name(str(step.path)), counted[_name(str(step.path))])
        self._start(victim, "resume", victim.run)

    def _answer(self, victim: Victim) -> bool:
        assert victim.run is not None
        for gate in self._store.gates(victim.run):
            if gate.decision is None:
                command = ["answer", f"{victim.run}:{gate.name}", "--set", "decision=rerun"]
                done = subprocess.run(
                    [sys.executable, "-m", "runkon", *command],
                    cwd=self._folder,
                    env=_environment(),
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if done.returncode != 0:
                    victim.findings.append(f"{victim.tag}: `{' '.join(command)}` failed: {done.stderr}")
                    return False
        return True

    def _record(self, victim: Victim) -> RunRecord | None:
        if victim.run is not None:
            return self._store.run(victim.run)
        if self._file.exists():
            for listed in self._store.runs():
                record = self._store.run(listed.id)
                if record is not None and record.inputs.get("tag") == victim.tag:
                    victim.run = record.id
                    return record
        return None

    # ── findings ──────────────────────────────────────────────────────────────────────────────────
    def _calls(self, victim: Victim) -> Counter[str]:
        return Counter(lines(self._folder / f"{victim.tag}.calls"))

    def _findings(self) -> list[str]:
        return [text for victim in self.victims for text in victim.findings]

    def _at_the_end(self, victim: Victim) -> Iterator[str]:
        if victim.run is None or (record := self._store.run(victim.run)) is None:
            yield f"{victim.tag}: the run is not there"
            return
        counted, spare = self._calls(victim), victim.kills["child"]
        for name in NAMES:
            spare -= max(0, counted[name] - 1 - victim.opened[name])
            if not counted[name]:
                yield f"{victim.tag}: `{name}` was never called"
            if name in victim.done and counted[name] != victim.done[name]:
                yield f"{victim.tag}: `{name}` was completed and called again"
        if spare < 0:
            yield f"{victim.tag}: {-spare} calls too many: {dict(counted)} with {dict(victim.opened)} open at kills"
        if dict(record.outputs or {}) != OUTPUTS:
            yield f"{victim.tag}: the outputs are {record.outputs}"
        for text in record_findings(self._store, self._file, victim.run):
            yield f"{victim.tag}: {text}"
        folder = self._file.parent
        for text in end_findings(record, list(self._store.steps(victim.run)), folder):
            if "left behind" not in text:
                yield f"{victim.tag}: {text}"
        for process in processes_of(victim.run):
            yield f"{victim.tag}: process {process.text} is alive after the end"

    def _clean_up(self) -> None:
        for victim in self.victims:
            if victim.process is not None:
                victim.process.kill()
                victim.process.wait()
            if victim.run is not None:
                end(processes_of(victim.run))
        self._store.close()


def _plan(random: Random, kills: int) -> list[tuple[int, str]]:
    chosen = sorted(random.sample(range(1, EVENTS), kills))
    return [(number, random.choice(("parent", "parent", "child"))) for number in chosen]


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}


def _children(pid: int) -> list[Living]:
    """The processes that `pid` has started and that live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == pid and fields[0] not in "ZX":
                    found.append(Living(int(entry.name), fields[19], entry.name))
    return found
