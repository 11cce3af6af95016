"""Asking at the terminal that started a run: one open gate after the other, one line each.

The question waits on a thread of its own, so that somebody else may decide meanwhile, from anywhere; the live tree
stands still as long as a question is on the screen.
"""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from runkon.cli.console import Console
from runkon.errors import RunkonError, UserError
from runkon.language.columns import visible
from runkon.model.decisions import APPROVED, REJECTED, UNKNOWN
from runkon.model.events import Envelope, GateDecided, GateOpened, RunResumed
from runkon.model.ids import RunID
from runkon.model.ports import EventSink
from runkon.model.records import GateRecord
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.cli.presenters import Presenter
    from runkon.cli.session import Session
    from runkon.schemas.fields import Schema

LOOK = 0.1  # seconds between two looks whether the question is still open


class Reply(NamedTuple):
    """What was typed: `choice` is `approved` or `rejected`."""

    choice: str
    selected: tuple[str, ...]
    message: str


class Prompter(EventSink):
    """An event sink that asks about every gate that opens. `close` it before anything else is printed."""

    def __init__(self, session: Session, presenter: Presenter) -> None:
        self._session = session
        self._presenter = presenter
        self._changed = threading.Condition()
        self._open: dict[tuple[str, int], None] = {}
        self._run: RunID | None = None
        self._is_over = False
        self._thread: threading.Thread | None = None

    def emit(self, envelope: Envelope) -> None:
        event = envelope.event
        if isinstance(event, GateOpened) and event.type != UNKNOWN:
            self._ask_about(envelope.run, (event.name, event.occurrence))
        elif isinstance(event, GateDecided):
            with self._changed:
                self._open.pop((event.name, event.occurrence), None)
                self._changed.notify_all()
        elif isinstance(event, RunResumed):
            for gate in self._session.app.store.gates(envelope.run):
                if gate.decision is None and gate.type != UNKNOWN:
                    self._ask_about(envelope.run, (gate.name, gate.occurrence))

    def close(self) -> None:
        """Ask no more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    # ── the thread that asks ──────────────────────────────────────────────────────────────────────
    def _ask_about(self, run: RunID, gate: tuple[str, int]) -> None:
        with self._changed:
            self._run = run
            self._open[gate] = None
            if self._thread is None and not self._is_over:
                self._thread = threading.Thread(target=self._loop, name="runkon-prompt", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open or self._is_over)
                if self._is_over:
                    return
                gate = next(iter(self._open))
            resume = self._presenter.pause()
            try:
                goes_on = self._ask(gate)
            finally:
                resume()
            if not goes_on:
                return
            with self._changed:
                self._open.pop(gate, None)

    def _ask(self, key: tuple[str, int]) -> bool:
        """Ask until the gate is decided; False if nobody will type any more."""
        assert self._run is not None
        app, console = self._session.app, self._session.console
        record = next(one for one in app.store.gates(self._run) if (one.name, one.occurrence) == key)
        show(console, record)
        while self._is_open(key):
            line = read_line(lambda: self._is_open(key))
            if line is None:
                return True
            if not line:
                console.error("nobody is asked here any more; `runkon gates` says how to decide")
                return False
            reply = parsed(line, record.options)
            if reply is None:
                console.error(hint(record.options))
                continue
            try:
                if not self._keep(key, record, reply):
                    continue
            except RunkonError as error:
                console.error(visible(str(error)))
                if isinstance(error, UserError) and error.code == "gate-decided":
                    return True
                continue
            return True
        return True

    def _is_open(self, key: tuple[str, int]) -> bool:
        return not self._is_over and key in self._open

    def _keep(self, key: tuple[str, int], record: GateRecord, reply: Reply) -> bool:
        from runkon.cli.deciding import Meant, Said, gates_of, keep  # late: once somebody has typed something

        app, run = self._session.app, self._session.app.record(record.run)
        node = next(one for one in gates_of(app.stored_program(run.id)) if one.key == record.name)
        typed: dict[str, str] | None = {}
        if node.form is not None and reply.choice == APPROVED:
            from runkon.cli.forms import form_of  # late: few gates have a form

            schema = form_of(app, run, node)
            typed = None if schema is None else self._filled_in(key, schema)
        if typed is None:
            return False
        said = Said(reply.choice, reply.message, None, reply.selected, typed, via="tty")
        keep(app, run, Meant(node, record.occurrence, record), said)
        return True

    def _filled_in(self, key: tuple[str, int], schema: Schema) -> dict[str, str] | None:
        """What is typed for each field of a form; None if the gate is decided, or nobody types any more."""
        from runkon.schemas.forms import in_words, value_of  # late: see above

        console, typed = self._session.console, dict[str, str]()
        for field in schema.fields:
            about = f": {field.description}" if field.description else ""
            leave = "" if field.is_required else "; nothing leaves it out"
            question = visible(f"{field.name} ({in_words(field)}{leave}){about}")
            while True:
                console.error(question)
                line = read_line(lambda: self._is_open(key))
                if not line:
                    return None
                text = line.removesuffix("\n").strip()
                if not text and not field.is_required:
                    break
                if not text:
                    continue
                try:
                    value_of(field.shape, text)
                except ValueError as error:
                    console.error(visible(str(error)))
                    continue
                typed[field.name] = text
                break
        return typed


def show(console: Console, gate: GateRecord) -> None:
    """The question."""
    console.error("")
    console.error(console.paint_err("warning", visible(f"{gate.path} waits for a decision")))
    for line in gate.prompt.splitlines():
        console.error(f"    {visible(line)}")
    for number, option in enumerate(gate.options, 1):
        console.error(f"    {number}  {visible(option)}")
    console.error(hint(gate.options))


def hint(options: tuple[str, ...]) -> str:
    """What may be typed."""
    choose = "the number of an option (`1`, `1,2`), " if options else "`a` to approve, "
    return f"type {choose}`r` to reject; words after it are your comment"


def parsed(line: str, options: tuple[str, ...]) -> Reply | None:
    """What a typed line says; None if it says nothing."""
    word, _, message = line.strip().partition(" ")
    message = message.strip()
    if word.lower() in ("a", "approve", "y", "yes"):
        return Reply(APPROVED, (), message)
    if word.lower() in ("r", "reject", "n", "no"):
        return Reply(REJECTED, (), message)
    if word in options:
        return Reply(APPROVED, (word,), message)
    numbers = [part for part in word.split(",") if part]
    if numbers and all(part.isdecimal() and 0 < int(part) <= len(options) for part in numbers):
        return Reply(APPROVED, tuple(options[int(part) - 1] for part in numbers), message)
    return None


def read_line(is_wanted: Callable[[], bool]) -> str | None:
    """A line from the terminal, empty at its end; None once nobody wants it any more."""
    while is_wanted():
        ready, _, _ = select.select([sys.stdin], [], [], LOOK)
        if ready:
            return sys.stdin.readline()
    return None
