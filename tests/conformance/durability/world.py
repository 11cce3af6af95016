"""A folder in which runs live and die: real commands, executors that count their calls in a file that survives any
kill, and the record as anybody can read it with plain SQLite."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds after which a condition that does not come is a failure
KILLED = -signal.SIGKILL
PLUGIN = '''
import json, os, signal, time
from pathlib import Path
from runkon import Cancelled, Fatal, Output, Transient, Usage, executor

HERE = Path(__file__).parents[2]

def note(name, text):
    with open(HERE / name, "a") as file:
        file.write(f"{text}\\n")

def wait_for(name, request=None):
    end = time.monotonic() + 60
    while not (HERE / name).exists():
        if request is not None:
            request.cancel.raise_if_cancelled()
        if time.monotonic() > end:
            raise TimeoutError(name)
        time.sleep(0.01)

def answer(request):
    note("calls", request.path)
    answers = json.loads((HERE / "answers.json").read_text())
    inputs = None if "$blind" in answers else dict(request.inputs)
    note("seen", json.dumps({"path": request.path, "dry": request.dry_run, "model": request.model, "inputs": inputs}))
    given = answers.get(str(request.path), answers.get(request.name, {}))
    if isinstance(given, list):
        count = (HERE / "calls").read_text().splitlines().count(str(request.path))
        given = given[min(count, len(given)) - 1]
    usage = Usage(cost_usd=given["cost"]) if "cost" in given else None
    kind = given.get("do", "")
    message = given.get("message", f"{request.path} fails as it should")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "wait":
        wait_for(given["for"], request)
    if kind == "ignore":
        wait_for(given["for"])
    for name, error in (("fail", ValueError), ("fatal", Fatal), ("transient", Transient), ("cancelled", Cancelled),
                        ("exit", SystemExit), ("generator", GeneratorExit), ("base", BaseException),
                        ("memory", MemoryError), ("recursion", RecursionError), ("stop", StopIteration)):
        if kind == name:
            raised = error(message)
            if usage is not None:
                raised.usage = usage
            raise raised
    if kind == "nan":
        return Output(context="n", values={"x": float("nan")})
    fields = given.get("fields", {"at": str(request.path)})
    return Output(frozenset(given.get("markers", ())), given.get("context", f"did {request.path}"), fields, usage=usage)

for name in "abcdefgh":
    globals()[name] = executor(name)(lambda request: answer(request))
deploy = executor("deploy", effect="write")(lambda request: answer(request))
'''


class World:
    """One project folder with the workflow `x.wf` over the executors `a` to `h` (effect `read`) and `deploy` (`write`).

    `answers` say by path or name what they do, see `PLUGIN`; with `$blind` they read no variable, else all of them. Each
    command is a process of its own."""

    def __init__(self, folder: Path, text: str, answers: Mapping[str, object] | None = None) -> None:
        self.folder = folder
        self.database = folder / ".runkon" / "runkon.db"
        (folder / ".runkon" / "plugins").mkdir(parents=True)
        (folder / ".runkon" / "plugins" / "counted.py").write_text(PLUGIN, "utf-8")
        self.wf(text)
        self.answer(answers or {})
        self.code = 0
        self.out = self.err = ""

    # ── given ─────────────────────────────────────────────────────────────────────────────────────
    def wf(self, text: str, name: str = "x.wf") -> World:
        (self.folder / name).write_text(text, "utf-8")
        return self

    def answer(self, answers: Mapping[str, object]) -> World:
        (self.folder / "answers.json").write_text(json.dumps(dict(answers)), "utf-8")
        return self

    def note(self, name: str, text: str = "now") -> None:
        with (self.folder / name).open("a") as file:
            file.write(f"{text}\n")

    # ── when ──────────────────────────────────────────────────────────────────────────────────────
    def start(self, *words: str, fail: str | None = None, **variables: str) -> subprocess.Popen[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RUNKON_")}
        clean |= {"HOME": str(self.folder / "home"), **variables}
        if fail is not None:
            clean |= {"RUNKON_FAILPOINTS": fail, "RUNKON_TESTING": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "runkon", *words],
            cwd=self.folder,
            env=clean,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def do(self, *words: str, fail: str | None = None, exits: int | None = 0, **variables: str) -> World:
        with self.start(*words, fail=fail, **variables) as process:
            return self.ended(process, exits)

    def ended(self, process: subprocess.Popen[str], exits: int | None = 0) -> World:
        self.out, self.err = process.communicate(timeout=PATIENCE)
        self.code = process.returncode
        assert exits is None or self.code == exits, f"exit code {self.code}\n{self.out}\n{self.err}"
        return self

    def killed(self, place: str, *words: str) -> World:
        """A command, by default `run x.wf`, that dies at `place`; what it leaves has to be sound."""
        self.do(*(words or ("run", "x.wf")), fail=place, exits=KILLED)
        return self.do("db", "check")

    # ── then ──────────────────────────────────────────────────────────────────────────────────────
    def sql(self, query: str, *values: object) -> list[Any]:
        """Rows as plain SQLite gives them."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query, values).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def tamper(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            for statement in statements:
                assert connection.execute(statement).rowcount != 0, f"nothing changed by {statement}"
            connection.commit()

    def everything(self) -> dict[str, list[Any]]:
        """All rows of all tables."""
        names = self.sql("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        return {name: self.sql(f"SELECT * FROM {name} ORDER BY 1, 2") for name in names}

    @property
    def calls(self) -> Counter[str]:
        file = self.folder / "calls"
        return Counter(file.read_text("utf-8").splitlines() if file.exists() else ())

    @property
    def seen(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "seen").read_text("utf-8").splitlines()]

    def json(self, *words: str, exits: int | None = 0) -> dict[str, Any]:
        found = json.loads(self.do(*words, "--json", exits=exits).out)
        assert isinstance(found, dict)
        return found

    def show(self, run: str = "@last") -> dict[str, Any]:
        return self.json("show", run)

    def events(self, run: str = "@last") -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.do("events", run).out.splitlines()]

    def kinds(self, path: str | None = None) -> list[str]:
        """The kinds of all events of the newest run, or of those of one path."""
        return self.sql(
            "SELECT kind FROM v_events WHERE run = (SELECT max(id) FROM runs) AND (? IS NULL OR path = ?) ORDER BY seq",
            path,
            path,
        )

    def payloads(self, kind: str) -> list[dict[str, Any]]:
        texts = self.sql(
            "SELECT payload FROM v_events WHERE run = (SELECT max(id) FROM runs) AND kind = ? ORDER BY seq", kind
        )
        return [json.loads(text) for text in texts]

    def step(self, path: str) -> dict[str, Any]:
        (found,) = [step for step in self.show()["steps"] if step["path"] == path]
        return dict(found)

    @property
    def run(self) -> tuple[str, str | None]:
        """Status and reason of the newest run."""
        return self.sql("SELECT status, reason FROM runs ORDER BY id DESC LIMIT 1")[0]

    def free(self) -> bool:
        """True if nobody holds the newest run."""
        return self.sql("SELECT lease_owner FROM runs ORDER BY id DESC LIMIT 1") == [None]


def until(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds. There may be no database yet, or none with tables."""
    end = time.monotonic() + PATIENCE
    while True:
        with suppress(sqlite3.OperationalError, FileNotFoundError):
            if condition():
                return
        assert time.monotonic() < end, f"it never came: {what}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """True while a process of this number runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
