"""Fuzzing by hand: `python -m tests.property.fuzz --minutes 5`.

Worker processes make inputs and try every property on each. Every property has a limit of CPU time, two seconds and
some microseconds for each character; whoever exceeds it is ended by the system and leaves its input and a traceback.
Findings are made small and stored in a folder, one text file each, with a report beside it.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty as _Empty
from typing import NamedTuple

from . import fuzz_commands, fuzz_properties
from .fuzz_inputs import Inputs
from .fuzz_properties import Case, Property, case, hold

PROPERTIES = (*fuzz_properties.PROPERTIES, fuzz_commands.workflows_can_be_drawn, fuzz_commands.commands_never_break)

LIMIT_SECONDS = 2.0
LIMIT_PER_CHARACTER = 40e-6
MOST_MEMORY = 4 << 30
SHRINK_SECONDS = 20.0


class Finding(NamedTuple):
    """A property that does not hold. Two findings with one `signature` are most likely one mistake."""

    property: str
    signature: str
    details: str


# ── one input ───────────────────────────────────────────────────────────────────────────────────────
def try_all(text: str, seed: int, watch: Callable[[str, float], None]) -> list[Finding]:
    """Every property that fails on `text`. `watch` is told what begins and how long it may take."""
    limit = LIMIT_SECONDS + LIMIT_PER_CHARACTER * len(text)
    watch("parse", limit)
    try:
        it = case(text, seed)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        return [_finding("parse", error)]
    found = []
    for test in PROPERTIES:
        watch(test.__name__, limit)
        failed = _fails(test, it, seed)
        if failed is not None:
            found.append(failed)
    return found


def _fails(test: Property, it: Case, seed: int) -> Finding | None:
    try:
        hold(test, it, seed)
    except Exception as error:  # noqa: BLE001
        return _finding(test.__name__, error)
    return None


def _finding(name: str, error: Exception) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).stem}:{frame.name}:{frame.lineno}" for frame in frames]
    own = [place for place in places if "fuzz" in place][-1:]
    signature = f"{name} {type(error).__name__} {' '.join([*own, *places[-1:]])}"
    return Finding(name, signature, "".join(traceback.format_exception(error))[-6000:])


def shrink(text: str, still_fails: Callable[[str], bool], seconds: float = SHRINK_SECONDS) -> str:
    """A shorter text that still fails: pieces are left out, big ones first, until the time is over."""
    end = time.monotonic() + seconds
    size = max(1, len(text) // 2)
    while size and time.monotonic() < end:
        at, shorter = 0, False
        while at < len(text) and time.monotonic() < end:
            candidate = text[:at] + text[at + size :]
            if still_fails(candidate):
                text, shorter = candidate, True
            else:
                at += size
        size = size if shorter and size > 1 else size // 2
    return text


# ── one worker ──────────────────────────────────────────────────────────────────────────────────────
class _Place(NamedTuple):
    """Files of one worker: the input at hand, and the traceback of a worker that was ended."""

    input: Path
    trace: Path


def _work(seed: int, first: int, step: int, end: float, place: _Place, results: Queue[object]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with place.trace.open("w") as trace:
        faulthandler.register(signal.SIGPROF, file=trace, chain=True)
        inputs, known, number = Inputs(seed), set[str](), first
        while time.time() < end:
            made = inputs.make(number)
            note = {"number": number, "kind": made.kind, "property": "", "text": made.text}
            place.input.write_text(json.dumps(note))
            current = [""]

            def watch(name: str, seconds: float, current: list[str] = current) -> None:
                current[0] = name
                signal.setitimer(signal.ITIMER_PROF, seconds)

            for found in try_all(made.text, number, watch):
                signal.setitimer(signal.ITIMER_PROF, 0)
                if found.signature not in known:
                    known.add(found.signature)
                    results.put((number, made.kind, found, _smaller(made.text, number, found)))
                else:
                    results.put((number, made.kind, found, None))
            signal.setitimer(signal.ITIMER_PROF, 0)
            results.put((number, made.kind, None, None))
            number += step


def _smaller(text: str, seed: int, found: Finding) -> str:
    def still_fails(candidate: str) -> bool:
        return found.signature in {again.signature for again in try_all(candidate, seed, lambda *_: None)}

    return shrink(text, still_fails)


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────
class _Session:
    """The workers of one call, and what they found."""

    def __init__(self, seed: int, jobs: int, minutes: float, folder: Path) -> None:
        self._seed, self._jobs, self._folder = seed, jobs, folder
        self._end = time.time() + minutes * 60
        self._results: Queue[object] = multiprocessing.get_context("fork").Queue()
        self._workers: dict[int, BaseProcess] = {}
        self._last: dict[int, int] = {}
        self.inputs: Counter[str] = Counter()
        self.findings: Counter[str] = Counter()

    def run(self) -> None:
        for job in range(self._jobs):
            self._start(job, job)
        while self._workers:
            self._collect()
            for job, worker in list(self._workers.items()):
                if not worker.is_alive():
                    self._collect()
                    self._ended(job, worker)
        self._collect()

    def _place(self, job: int) -> _Place:
        return _Place(self._folder / f"worker-{job}.json", self._folder / f"worker-{job}.trace")

    def _start(self, job: int, first: int) -> None:
        self._last[job] = first
        arguments = (self._seed, first, self._jobs, self._end, self._place(job), self._results)
        self._workers[job] = multiprocessing.get_context("fork").Process(target=_work, args=arguments)
        self._workers[job].start()

    def _ended(self, job: int, worker: BaseProcess) -> None:
        del self._workers[job]
        if worker.exitcode == 0:
            return
        note = json.loads(self._place(job).input.read_text())
        trace = self._place(job).trace.read_text()
        frames = [
            line.split('"')[1].rsplit("/", 1)[-1] + line.split('"')[2] for line in trace.splitlines() if '"' in line
        ]
        name = signal.Signals(-worker.exitcode).name if (worker.exitcode or 0) < 0 else f"exit {worker.exitcode}"
        outer = next((frame for frame in frames if "fuzz" in frame), "")
        found = Finding("limit", f"ended by {name} {outer}", trace)
        self._keep(note["number"], note["kind"], found, note["text"])
        if time.time() < self._end:
            self._start(job, note["number"] + self._jobs)

    def _collect(self) -> None:
        try:
            while True:
                number, kind, found, text = self._results.get(timeout=0.2)  # type: ignore[misc]
                if found is None:
                    self.inputs[kind] += 1
                else:
                    self._keep(number, kind, found, text)
        except (TimeoutError, _Empty):
            return

    def _keep(self, number: int, kind: str, found: Finding, text: str | None) -> None:
        self.findings[found.signature] += 1
        if self.findings[found.signature] > 1 or text is None:
            return
        name = f"{self._seed}-{number}-{found.property}"
        (self._folder / f"{name}.wf").write_bytes(text.encode("utf-8", "surrogatepass"))
        report = f"seed {self._seed}, input {number}, {kind}\n{found.signature}\n\n{text!r}\n\n{found.details}"
        (self._folder / f"{name}.txt").write_text(report, "utf-8", "backslashreplace")
        print(f"{found.signature}\n  {self._folder / name}.txt", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Try random texts on the language until the time is over.")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long, in minutes of wall time")
    parser.add_argument("--seed", type=int, default=None, help="equal seeds make equal inputs; default: the time")
    parser.add_argument("--jobs", type=int, default=1, help="worker processes")
    parser.add_argument(
        "--out", type=Path, default=Path(tempfile.gettempdir()) / "runkon-fuzz", help="findings go here"
    )
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else int(time.time())
    given.out.mkdir(parents=True, exist_ok=True)
    os.nice(10)
    session = _Session(seed, given.jobs, given.minutes, given.out)
    session.run()
    made = ", ".join(f"{count} {kind}" for kind, count in session.inputs.most_common())
    print(f"seed {seed}: {session.inputs.total()} inputs ({made}); {len(session.findings)} findings")
    for signature, count in session.findings.most_common():
        print(f"{count:6} {signature}")
    return 1 if session.findings else 0


if __name__ == "__main__":
    sys.exit(main())
