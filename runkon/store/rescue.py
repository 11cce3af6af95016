"""Rescue files: events that could not be written to the database, kept beside it until the run's next leg.

One file per leg, one line per request: the events, who wrote them under which fence, and a hash of it all. A line
goes into the database only as what it is, the continuation of what is recorded there, under the fence of that record;
everything else stays in its file and is told of. An owner that is late may still write while a next leg takes over:
each holds a lock on the file meanwhile. Nothing here opens the database.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from runkon.digest import hex_digest
from runkon.errors import UserError
from runkon.failpoints import failpoint
from runkon.model.events import DefinitionChanged, Envelope, Note
from runkon.model.ids import RunID
from runkon.model.json_text import dumps, loads
from runkon.model.ports import RunStore
from runkon.model.records import Lease
from runkon.named import NamedTuple
from runkon.store import codec, rows

FOLDER = "rescue"  # beside the database
PATIENCE = 2.0  # seconds a leg waits for a line that is being written
_HEAD, _MIDDLE, _TAIL = '{"hash":"', '","request":', "}"
_NOWHERE = "standard error"


def folders(database: Path) -> tuple[Path, Path]:
    """Where files may be: beside the database, and in this user's part of the system's temporary folder."""
    names = (os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    temporary = Path(next((name for name in names if name and os.path.isdir(name)), os.sep + "tmp"))
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    return database.absolute().parent / FOLDER, temporary / f"runkon-{FOLDER}-{owner}"


# ── keeping ───────────────────────────────────────────────────────────────────────────────────────
def keep(database: Path, lease: Lease, requests: Sequence[Sequence[Envelope]], *, is_fenced: bool) -> str:
    """Write `requests` down where that is possible, synced, and say where. Never raises."""
    lines = [line for request in requests if (line := _line_of(request, is_fenced=is_fenced)) is not None]
    name = f"{lease.run}-{lease.leg}{'.fenced' if is_fenced else ''}.jsonl"
    for folder in folders(database):
        try:
            return str(_write(folder, name, lines))
        except OSError:
            continue
    for line in lines:
        print(f"rescued: {line}", file=sys.stderr)
    return _NOWHERE


def _line_of(request: Sequence[Envelope], *, is_fenced: bool) -> str | None:
    """One request as text; None, and a word on stderr, if its values are what keeps it from being written."""
    run, _, _, leg, fence, _ = request[0]
    try:
        found = rows.plain(request)
        changed = [one.event for one in request if isinstance(one.event, DefinitionChanged)]
        texts = [text for event in changed for text in event.sources.values()]
        events = ",".join(
            f"[{seq},{at},{dumps([kind, path, epoch, attempt])},{payload}]"
            for seq, at, _, _, kind, path, epoch, attempt, payload in found
        )
        body = f'{{"run":{dumps(run)},"leg":{leg},"fence":{fence},"fenced":{str(is_fenced).lower()}'
        body += f',"texts":{dumps(texts)},"events":[{events}]}}'
        return f"{_HEAD}{hex_digest(body.encode())}{_MIDDLE}{body}{_TAIL}"
    except (UserError, ValueError, TypeError) as error:
        kinds = ", ".join(f"`{one.event.kind}`" for one in request)
        print(f"warning: {kinds} of run `{run}` can't be written anywhere: {error}", file=sys.stderr)
        return None


def _write(folder: Path, name: str, lines: Sequence[str]) -> Path:
    """Append all lines or none, and say to which file. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    file, descriptor = _opened(folder, name)
    before = os.fstat(descriptor).st_size
    try:
        for line in lines:
            content = line.encode() + b"\n"
            _write_all(descriptor, content[: len(content) // 2])
            failpoint("rescue_half")
            _write_all(descriptor, content[len(content) // 2 :])
            os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, before)
        if not before:
            file.unlink()
        raise
    finally:
        os.close(descriptor)
    if not before:
        _sync_folder(folder)
        _sync_folder(folder.parent)
    return file


def _opened(folder: Path, name: str) -> tuple[Path, int]:
    """The file to add to, locked. One that is being taken over is left alone: the next name is used."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    for number in itertools.count(1):
        file = folder / (name if number == 1 else name.replace(".jsonl", f".{number}.jsonl"))
        descriptor = os.open(file, flags, 0o600)
        try:
            if _lock(descriptor) and os.stat(file).st_ino == os.fstat(descriptor).st_ino:
                return file, descriptor
        except FileNotFoundError:  # taken over, and gone
            pass
        os.close(descriptor)
    raise AssertionError  # the count never ends


def _lock(descriptor: int) -> bool:
    """False if another process has it. A system without locks has none to wait for."""
    try:
        import fcntl  # late: not on every system
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
class Line(NamedTuple):
    """One line of a file. `damage` says why nothing can be taken from it; `envelopes` are empty then."""

    file: Path
    number: int
    envelopes: tuple[Envelope, ...] = ()
    is_fenced: bool = False
    damage: str | None = None


def files_of(database: Path, run: RunID) -> list[Path]:
    """The files of `run` that belong to this user, by leg."""
    found: list[Path] = []
    for folder in folders(database):
        try:
            names = [name for name in os.listdir(folder) if name.startswith(f"{run}-") and name.endswith(".jsonl")]
            is_ours = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
        except OSError:
            continue
        found += [folder / name for name in names if is_ours]
    return sorted(found, key=lambda file: (len(file.name), file.name))


def read(file: Path) -> Iterator[Line]:
    """The lines of a file; one that was not finished, or changed since, is damaged."""
    try:
        texts = file.read_bytes().decode("utf-8", "replace").split("\n")
    except OSError as error:
        yield Line(file, 1, damage=f"it can't be read: {error.strerror or error}")
        return
    for number, text in enumerate(texts, 1):
        if text:
            yield _read_line(file, number, text)


@contextmanager
def _held(file: Path) -> Iterator[bool]:
    """Inside nobody adds to the file; false if whoever does so has not let it go in time."""
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:  # said by whoever reads it
        yield True
        return
    try:
        end = time.monotonic() + PATIENCE
        while not (is_ours := _lock(descriptor)) and time.monotonic() < end:
            time.sleep(0.02)
        yield is_ours
    finally:
        os.close(descriptor)


def _read_line(file: Path, number: int, text: str) -> Line:
    start = len(_HEAD) + 64 + len(_MIDDLE)
    body = text[start : -len(_TAIL)]
    if text != f"{_HEAD}{hex_digest(body.encode())}{_MIDDLE}{body}{_TAIL}":
        return Line(file, number, damage=f"line {number} is damaged")
    try:
        found = loads(body)
        texts = {codec.text_id(one): one for one in found["texts"]}
        envelopes = []
        for seq, at, (kind, path, epoch, attempt), payload in found["events"]:
            if kind == DefinitionChanged.kind:
                payload["sources"] = {name: texts[id] for name, id in payload["sources"].items()}
            event = codec.read_event(kind, path, epoch, attempt, payload)
            envelopes.append(Envelope(RunID(found["run"]), seq, at, found["leg"], found["fence"], event))
        return Line(file, number, tuple(envelopes), found["fenced"])
    except (KeyError, TypeError, ValueError) as error:
        return Line(file, number, damage=f"line {number} can't be understood: {error!r}")


# ── taking over ───────────────────────────────────────────────────────────────────────────────────
class Past(NamedTuple):
    """What is recorded of the run: the last event's number, leg and fence."""

    seq: int
    leg: int
    fence: int


_BUSY = "the process that writes it has not let it go"


class Takeover:
    """Brings what the files of a run hold into its record in `store`, under the `lease` of a new leg; `write` appends
    a request."""

    def __init__(self, store: RunStore, lease: Lease, past: Past, write: Callable[[Sequence[Envelope]], None]) -> None:
        self._store = store
        self._lease = lease
        self._past = past
        self._write = write

    def run(self, files: Sequence[Path]) -> tuple[Note, ...]:
        """Take over what continues the record, remove files of which nothing is left to take, and say what was done."""
        with ExitStack() as held:
            mine = [file for file in files if held.enter_context(_held(file))]
            refused = {file: _BUSY for file in files if file not in mine}
            taken = set()
            for line in _in_order(mine):
                why = self._take(line)
                if why is not None:
                    refused.setdefault(line.file, why)
                else:
                    taken.add(line.file)
            return tuple(self._cleared(files, refused, taken))

    def look(self, files: Sequence[Path]) -> None:
        """Give what `run` would take over to `write`, and leave the files as they are."""
        for line in _in_order(files):
            self._take(line)

    @staticmethod
    def _cleared(files: Sequence[Path], refused: Mapping[Path, str], taken: Collection[Path]) -> Iterator[Note]:
        for file in files:
            if file in refused:
                text = f"`{file}` holds results that are not part of this run's record: {refused[file]}; it was left"
                yield Note(level="warning", code="rescue-kept", text=text)
                continue
            file.unlink(missing_ok=True)
            with suppress(OSError):  # others may be in it
                file.parent.rmdir()
            if file in taken:
                text = f"results that could not be written before were taken from `{file}`"
                yield Note(level="info", code="rescue-applied", text=text)

    def _take(self, line: Line) -> str | None:
        """Why a line was not taken over; None if it is part of the record now."""
        if line.damage is not None or not line.envelopes:
            return line.damage or f"line {line.number} holds nothing"
        if line.is_fenced:
            return "they were written after another process had taken the run over"
        first, last = line.envelopes[0], line.envelopes[-1]
        if first.run != self._lease.run or last.seq - first.seq + 1 != len(line.envelopes):
            return f"line {line.number} belongs elsewhere"
        if last.seq <= self._past.seq:
            there = itertools.islice(self._store.events(first.run, first.seq - 1), len(line.envelopes))
            is_there = list(line.envelopes) == list(there)
            return None if is_there else f"line {line.number} differs from what is recorded under its numbers"
        if first.seq != self._past.seq + 1:
            return f"line {line.number} begins with event {first.seq}, but {self._past.seq + 1} would be next"
        if not self._past.fence <= first.fence < self._lease.fence or not self._past.leg <= first.leg < self._lease.leg:
            return f"line {line.number} is of leg {first.leg}, which is not the one that was recorded last"
        try:
            self._write(line.envelopes)
        except UserError as error:
            if error.code != "corrupt-run":
                raise
            return f"line {line.number} does not fit: {error.message}"
        self._past = Past(last.seq, last.leg, last.fence)
        return None


def preview(store: RunStore, run: RunID, past: Past, files: Sequence[Path]) -> Sequence[Envelope]:
    """What the next leg would take over from `files`."""
    from runkon.model.fold import RunState  # late: for people who look before they resume

    found: list[Envelope] = []

    def write(envelopes: Sequence[Envelope]) -> None:
        state = RunState()
        for envelope in (*store.events(run), *found, *envelopes):
            state.apply(envelope)
        found.extend(envelopes)

    Takeover(store, Lease(run, "", past.fence + 1, past.leg + 1, 0), past, write).look(files)
    return tuple(found)


def _in_order(files: Sequence[Path]) -> list[Line]:
    lines = [line for file in files for line in read(file)]
    return sorted(lines, key=lambda line: (line.envelopes[0].seq if line.envelopes else 0, line.number))
