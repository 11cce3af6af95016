"""`runkon logs`: what the steps of a run wrote, byte for byte where nobody watches, made visible on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import click

from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import record_of, step_named
from runkon.cli.session import Session
from runkon.language.columns import visible
from runkon.model.log_names import log_name
from runkon.model.records import RunRecord, StepRecord

_PIECE = 65_536


@runkon_command(
    "logs",
    summary="""Print the raw output of a run's steps, or of one STEP.

    RUN is an id or a unique beginning of one, @last, or @last-failed. STEP is a key or a path.""",
)
@click.argument("run")
@click.argument("step", required=False)
@click.option("-f", "--follow", cls=VariableOption, is_flag=True, help="go on until the run stops")
@click.pass_obj
def command(session: Session, run: str, step: str | None, *, follow: bool) -> int:
    record = record_of(session.app, run)
    folder = _folder(record)
    wanted = step_named(record, session.app.store.steps(record.id), step) if step is not None else None
    out = _Out(session)
    try:
        for _ in _looks(session, record) if follow else (record,):
            for path in _files(session, record, folder, wanted):
                out.copy(path)
    except KeyboardInterrupt:
        out.finish()
        return _let_go(session, record)
    out.finish()
    if session.as_json:
        session.console.data({"schema": "runkon.logs/1", "logs": out.entries})
    elif not out.has_written:
        session.console.note("no output was recorded")
    if follow:
        _say_end(session, record)
    return 0


def _folder(run: RunRecord) -> Path | None:
    folder = run.config.get("log_dir")
    return Path(folder) / run.id if isinstance(folder, str) else None


def _files(session: Session, run: RunRecord, folder: Path | None, wanted: StepRecord | None) -> list[Path]:
    """The log files that exist, in program order."""
    if folder is None:
        return []
    steps: Sequence[StepRecord] = [wanted] if wanted is not None else session.app.store.steps(run.id)
    paths = [folder / log_name(step.path) for step in steps]
    return [path for path in paths if path.is_file()]


def _looks(session: Session, run: RunRecord) -> Iterator[RunRecord | None]:
    """One look after the other while the run goes on; with JSON, which is whole or nothing, only the last."""
    from runkon.cli.attach import watched  # late: where it was asked for

    last = None
    for last in watched(session.app.store, run.id):
        if not session.as_json:
            yield last
    if session.as_json:
        yield last


def _let_go(session: Session, run: RunRecord) -> int:
    from runkon.cli.attach import let_go  # late: where it was asked for

    return let_go(session, run.id)


def _say_end(session: Session, run: RunRecord) -> None:
    from runkon.cli.attach import end_of_now  # late: where it was asked for

    session.console.note(end_of_now(session, run.id))


class _Out:
    """Writes log files to standard output, each from where it was left; a heading where the file changes."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._read: dict[Path, int] = {}
        self._last: Path | None = None
        self._rest = b""
        self.entries: list[dict[str, str]] = []
        self.has_written = False

    def copy(self, path: Path) -> None:
        """Write what a file has gained."""
        if self._session.as_json:
            text = path.read_bytes().decode("utf-8", "backslashreplace")
            self.entries.append({"step": path.stem.replace("~", "/"), "text": text})
            return
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            for piece in _pieces(file):
                self._read[path] = self._read.get(path, 0) + len(piece)
                self._heading(path)
                self._write(piece)

    def finish(self) -> None:
        if self._rest:
            self._write(b"\n")
        sys.stdout.flush()

    def _heading(self, path: Path) -> None:
        """Name the step whose words follow; to standard error, so that the output stays raw."""
        if path != self._last:
            if self._rest:
                self._write(b"\n")
            sys.stdout.flush()
            self._session.console.note(f"── {visible(path.stem.replace('~', '/'))}")
        self._last = path

    def _write(self, piece: bytes) -> None:
        self.has_written = True
        if not self._session.console.is_terminal:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._session.console.result(visible(line.decode("utf-8", "replace").rstrip("\r")))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
