"""Parsed files, kept between runs: an unchanged file is neither scanned nor parsed, and lark is not even imported.

An entry is named by what it depends on: the text, the language version and the code that parses. The parse table is
kept the same way, so that an edited file does not wait for the grammar to be analysed again.
"""

from __future__ import annotations

import json
from pathlib import Path

from runkon.digest import hex_digest
from runkon.language.codec import SHAPE, NotATree, decode, encode
from runkon.language.diagnostics import Diagnostic
from runkon.language.entries import read_entry, write_entry
from runkon.language.nodes import Workflow
from runkon.language.program import ParseResult
from runkon.language.source import SourceFile

LANGUAGE_VERSION = 1
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
        if self._folder is None or not source.is_unicode:  # JSON would join halves of characters
            return _parse(source, None)
        entry = self._folder / f"{self._key(source.sha256)}.parsed"
        found = _read(entry, source)
        if found is None:
            found = _parse(source, self._folder / f"{self._key('table')}.table")
            _write(entry, found)
        return found

    def _key(self, content: str) -> str:
        if self._origin is None:
            self._origin = f"{LANGUAGE_VERSION}\n{SHAPE}\n{_code_state()}\n"
        return hex_digest(f"{self._origin}{content}".encode())[:40]


class ParsedOnce(ParsedFiles):
    """`ParsedFiles` for one process: a text is parsed, or fetched from the folder, once, however many call it."""

    def __init__(self, folder: Path | None) -> None:
        super().__init__(folder)
        self._known: dict[tuple[str, str], ParseResult] = {}

    def parse(self, source: SourceFile) -> ParseResult:
        key = (source.path, source.sha256)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = super().parse(source)
        return found


def _parse(source: SourceFile, table: Path | None) -> ParseResult:
    # late: the parser brings table and builder, which a hit never needs
    from runkon.language.parser import parse
    from runkon.language.table import kept_table

    return parse(source, None if table is None else kept_table(table))


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
    content = read_entry(entry)
    if content is None:
        return None
    try:
        tree = decode(json.loads(content), source.path)
    except (ValueError, NotATree, RecursionError):
        return None
    match tree:
        case (tuple() as workflows, tuple() as diagnostics):
            if all(isinstance(w, Workflow) for w in workflows) and all(isinstance(d, Diagnostic) for d in diagnostics):
                return ParseResult(source, workflows, diagnostics)
    return None


def _write(entry: Path, result: ParseResult) -> None:
    try:
        tree = encode((result.workflows, result.diagnostics))
        content = json.dumps(tree, separators=(",", ":")).encode("ascii")
    except RecursionError:
        return  # nested to the limit, and called from deep down: parsed again next time
    write_entry(entry, content)
