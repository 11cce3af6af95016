"""Parsed files, kept between runs: an unchanged file is neither scanned nor parsed, and lark is not even imported.

An entry is named by what it depends on: the text, the language version and the code that parses. It carries a digest
of itself; an entry that is damaged, foreign or unreadable counts as absent and is written anew. Writing goes through
a file of its own and a rename, so that a reader never sees half an entry; where nothing can be written there is just
no cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path

from runkon.language.codec import SHAPE, NotATree, decode, encode
from runkon.language.diagnostics import Diagnostic
from runkon.language.nodes import Workflow
from runkon.language.program import ParseResult
from runkon.language.source import SourceFile

LANGUAGE_VERSION = 1
MAX_ENTRIES = 200
_SUFFIX = ".parsed"
_TEMPORARY = ".part"
_HERE = Path(__file__).resolve().parent
_GRAMMARS = (_HERE.parent / "grammar" / "runkon.lark", _HERE.parent.parent / "grammar" / "runkon.lark")


class ParsedFiles:
    """`parse` with a memory. `folder` is created when something is written; without one nothing is kept.

    Safe to use from several threads and processes on the same folder."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._origin: str | None = None

    def parse(self, source: SourceFile) -> ParseResult:
        """What `parser.parse` says about `source`. Never raises; on a hit no grammar is loaded."""
        if self._folder is None:
            return _parse(source)
        entry = self._folder / (self._key(source) + _SUFFIX)
        found = _read(entry, source)
        if found is None:
            found = _parse(source)
            _write(entry, found)
        return found

    def _key(self, source: SourceFile) -> str:
        if self._origin is None:
            self._origin = f"{LANGUAGE_VERSION}\n{SHAPE}\n{_code_state()}\n"
        return hashlib.sha256(f"{self._origin}{source.sha256}".encode()).hexdigest()[:40]


def _parse(source: SourceFile) -> ParseResult:
    # late: the parser brings grammar and builder, which a hit never needs
    from runkon.language.parser import parse

    return parse(source)


def _code_state() -> str:
    """Changes whenever the grammar or a module of this package changes. Looks at names, sizes and times only: reading
    them all would take longer than reading the entry."""
    files = [*_HERE.glob("*.py"), *_GRAMMARS]
    marks = []
    for file in sorted(files):
        try:
            state = file.stat()
        except OSError:
            continue
        marks.append(f"{file}:{state.st_size}:{state.st_mtime_ns}")
    return "\n".join(marks)


def _read(entry: Path, source: SourceFile) -> ParseResult | None:
    try:
        digest, _, payload = entry.read_bytes().partition(b"\n")
        if digest.decode("ascii") != _digest(payload):
            return None
        tree = decode(json.loads(payload), source.path)
    except (OSError, ValueError, NotATree, RecursionError):
        return None
    return _as_result(tree, source)


def _as_result(tree: object, source: SourceFile) -> ParseResult | None:
    match tree:
        case (tuple() as workflows, tuple() as diagnostics):
            if all(isinstance(w, Workflow) for w in workflows) and all(isinstance(d, Diagnostic) for d in diagnostics):
                return ParseResult(source, workflows, diagnostics)
    return None


def _write(entry: Path, result: ParseResult) -> None:
    try:
        tree = encode((result.workflows, result.diagnostics))
        payload = json.dumps(tree, separators=(",", ":")).encode("ascii")
    except RecursionError:
        return  # nested to the limit, and called from deep down: parsed again next time
    temporary = entry.with_suffix(f".{os.getpid()}-{threading.get_ident()}{_TEMPORARY}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(_digest(payload).encode("ascii") + b"\n" + payload)
        temporary.replace(entry)
        _prune(entry.parent)
    except OSError:
        _forget(temporary)


def _digest(payload: bytes) -> str:
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def _prune(folder: Path) -> None:
    """Keep the newest `MAX_ENTRIES` files of ours; what a killed writer left behind ages out the same way."""
    ours = [name for name in os.listdir(folder) if name.endswith((_SUFFIX, _TEMPORARY))]
    if len(ours) <= MAX_ENTRIES:
        return
    aged = sorted((_modified(folder / name), name) for name in ours)
    for _, name in aged[: len(ours) - MAX_ENTRIES]:
        _forget(folder / name)


def _modified(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _forget(file: Path) -> None:
    try:
        file.unlink()
    except OSError:
        return
