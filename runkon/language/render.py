"""Diagnostics and runtime errors drawn as text: the sentence, the place, the line, carets, and what to do.

The only place that draws. Plain ANSI colours on request; nothing of a source reaches the screen unescaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runkon.language.columns import cells, display_column, visible, width
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.source import SourceFile, Span
from runkon.named import NamedTuple

LINE_WIDTH = 100  # columns of a source line before it is cut around the span
LEFT_CONTEXT = 40  # columns kept before the span of a cut line
RIGHT_COLUMN = 55  # where `run … · step …` starts beside the place

_RESET = "\x1b[0m"
_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "frame": "\x1b[34m", "bold": "\x1b[1m", "second": "\x1b[36m"}


class _Mark(NamedTuple):
    """One underlined stretch of one line: character offsets in the line, and what is said about it."""

    line: int
    start: int
    end: int
    label: str
    sign: str


class _Paint:
    """Wraps text in a style when colours are wanted."""

    def __init__(self, *, color: bool) -> None:
        self._color = color

    def __call__(self, style: str, text: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if self._color and text else text


def render(diagnostic: Diagnostic, source: SourceFile | None, *, color: bool = False) -> str:
    """One finding as text without a final newline. Without its source: the sentence, the place, the help."""
    if source is not None and source.path != diagnostic.span.file:
        source = None  # an excerpt of another file would lie
    paint = _Paint(color=color)
    style = diagnostic.severity.value
    lines = [_headline(style, diagnostic.code, diagnostic.message, paint)]
    lines.append(_place(diagnostic.span, source, paint))
    gutter = 1
    if source is not None:
        near = [r for r in diagnostic.related if r.span.file == diagnostic.span.file]
        marks = [_mark(source, diagnostic.span, diagnostic.label, "^")]
        marks += [_mark(source, span, label, "-") for span, label in near]
        gutter = len(str(max(mark.line for mark in marks)))
        lines += _excerpt(source, marks, gutter, style, paint)
    for span, label in diagnostic.related:
        if source is None or span.file != diagnostic.span.file:
            lines.append(f"{_place(span, None, paint)} {visible(label)}")
    if diagnostic.help:
        lines += _notes([("help", diagnostic.help)], gutter, paint)
    return "\n".join(lines)


def render_all(diagnostics: Iterable[Diagnostic], source: SourceFile | None, *, color: bool = False) -> str:
    """All findings of one file by position, blank lines between them, and a last line that counts them."""
    ordered = sorted(diagnostics, key=position)
    if not ordered:
        return ""
    blocks = [render(found, source, color=color) for found in ordered]
    name = source.path if source is not None else ordered[0].span.file
    return "\n\n".join([*blocks, f"{count(ordered)} in {visible(name)}"])


def position(diagnostic: Diagnostic) -> tuple[str, int, int, str]:
    """The order in which findings are shown: by file and place, errors before warnings of the same place."""
    return (diagnostic.span.file, diagnostic.span.start, diagnostic.span.end, diagnostic.severity.value)


def count(diagnostics: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning`; only what there is."""
    parts = []
    for severity in (Severity.ERROR, Severity.WARNING):
        found = sum(1 for diagnostic in diagnostics if diagnostic.severity is severity)
        if found:
            parts.append(f"{found} {severity.value}{'s' if found > 1 else ''}")
    return ", ".join(parts)


def render_runtime(
    code: str,
    message: str,
    *,
    file: str,
    line: int,
    column: int,
    run: str,
    step: str,
    source: SourceFile | None = None,
    cause: str = "",
    seen: str | None = None,
    help: str | None = None,
    next: str | None = None,
    keeps: str | None = None,
    color: bool = False,
) -> str:
    """A failure of a run at the statement it came from. `cause` stands behind the carets, `seen` is a piece of what
    the executor gave, `help` what to do about it, `next` the command to type and `keeps` what that means for the run.
    `line` and `column` from 1."""
    paint = _Paint(color=color)
    span = _leading_word(source, file, line, column)
    lines = [_headline("error", code, message, paint)]
    place = _place(span, source, paint)
    bare = _place(span, source, _Paint(color=False))
    gap = max(4, RIGHT_COLUMN - width(bare))
    lines.append(place + " " * gap + f"run {visible(run)} · step {visible(step)}")
    gutter = len(str(line)) if source is not None else 1
    if source is not None:
        lines += _excerpt(source, [_mark(source, span, cause, "^")], gutter, "error", paint, alone=True)
    notes = [] if source is not None or not cause else [("cause", cause)]
    if seen:
        notes.append(("seen", seen))
    if help:
        notes.append(("help", help))
    if next:
        notes.append(("next", f"{next}        ({keeps})" if keeps else next))
    return "\n".join(lines + _notes(notes, gutter, paint))


def _headline(style: str, code: str, message: str, paint: _Paint) -> str:
    return paint(style, f"{style}[{code}]") + paint("bold", f": {visible(message)}")


def _place(span: Span, source: SourceFile | None, paint: _Paint) -> str:
    column = span.column if source is None else display_column(source, span)
    return f"  {paint('frame', '┌─')} {visible(span.file)}:{span.line}:{column}"


def _notes(notes: Iterable[tuple[str, str]], gutter: int, paint: _Paint) -> list[str]:
    """`= help: …`; further lines of a note are indented below its first."""
    lines = []
    for name, text in notes:
        first, *rest = text.split("\n")
        lines.append(f"{' ' * gutter} {paint('frame', '=')} {name}: {visible(first)}")
        lines += [f"{' ' * (gutter + 5 + len(name))}{visible(more)}" for more in rest]
    return lines


def _leading_word(source: SourceFile | None, file: str, line: int, column: int) -> Span:
    """The span of the word at a place: a runtime error marks the statement's keyword, not all of the statement."""
    if source is None:
        return Span(file, 0, 0, line, column)
    rest = source.line_text(line)[column - 1 :]
    length = next((at for at, char in enumerate(rest) if not (char.isalnum() or char in "_-")), len(rest))
    return Span(file, 0, max(length, 1), line, column)


def _mark(source: SourceFile, span: Span, label: str, sign: str) -> _Mark:
    """Where a span lies in its first line; an empty span is one column wide."""
    text = source.line_text(span.line)
    start = min(span.column - 1, len(text))
    end = min(start + max(span.end - span.start, 0), len(text))
    end = start + len(text[start:end].rstrip())
    return _Mark(span.line, start, max(end, start + 1), label, sign)


def _excerpt(
    source: SourceFile, marks: Sequence[_Mark], gutter: int, style: str, paint: _Paint, *, alone: bool = False
) -> list[str]:
    """The marked lines in order, each followed by its carets. The line before shows what a misplaced word follows."""
    lines: list[str] = []
    last = 0
    for number in sorted({mark.line for mark in marks}):
        here = [mark for mark in marks if mark.line == number]
        if len(marks) == 1 and not alone:
            lines += _line_before(source, here[0], gutter, paint)
        elif last and number > last + 1:
            lines.append(f"{' ' * gutter} {paint('frame', '·')}")
        lines += _marked_line(source.line_text(number), here, gutter, style, paint)
        last = number
    return lines


def _line_before(source: SourceFile, mark: _Mark, gutter: int, paint: _Paint) -> list[str]:
    before = source.line_text(mark.line - 1)
    if source.line_text(mark.line)[: mark.start].strip() or not before.strip():
        return []
    text, _ = _window(before, 0)
    return [f"{mark.line - 1:>{gutter}} {paint('frame', '│')} {text}".rstrip()]


def _marked_line(text: str, marks: Sequence[_Mark], gutter: int, style: str, paint: _Paint) -> list[str]:
    frame = paint("frame", "│")
    first = min(marks, key=lambda mark: mark.sign != "^")
    drawn, origin = _window(text, first.start)
    lines = [f"{marks[0].line:>{gutter}} {frame} {drawn}".rstrip()]
    for mark in sorted(marks, key=lambda mark: mark.sign != "^"):
        start, length = origin(mark.start), max(origin(mark.end) - origin(mark.start), 1)
        under = paint(style if mark.sign == "^" else "second", mark.sign * length)
        lines.append(f"{' ' * gutter} {frame} {' ' * start}{under} {visible(mark.label)}".rstrip())
    return lines


class _Columns:
    """Maps character offsets of a line to columns of its drawn, perhaps cut, form."""

    def __init__(self, ends: Sequence[int], offset: int, left: int, right: int, lead: int) -> None:
        self._ends, self._offset, self._left, self._right, self._lead = ends, offset, left, right, lead

    def __call__(self, at: int) -> int:
        index = at - self._offset
        if index <= 0:
            column = 0
        elif index <= len(self._ends):
            column = self._ends[index - 1]
        else:
            column = (self._ends[-1] if self._ends else 0) + index - len(self._ends)
        return min(max(column, self._left), self._right) - self._left + self._lead


def _window(text: str, start: int) -> tuple[str, _Columns]:
    """`text` drawn in at most `LINE_WIDTH` columns around `start`, and the map from offsets to columns."""
    offset = max(0, start - 2 * LINE_WIDTH)
    if offset and len(text) <= 4 * LINE_WIDTH:
        offset = 0
    piece = text[offset : start + 3 * LINE_WIDTH]
    shown = cells(piece)
    ends: list[int] = []
    column = 0
    for cell in shown:
        column += width(cell)
        ends.append(column)
    whole = offset == 0 and offset + len(piece) == len(text)
    if whole and column <= LINE_WIDTH:
        return "".join(shown), _Columns(ends, 0, 0, column + 1, 0)
    from_column = ends[start - offset - 1] if 0 < start - offset <= len(ends) else 0
    first = next((i for i in range(len(ends)) if ends[i] > from_column - LEFT_CONTEXT), 0)
    left = ends[first - 1] if first else 0
    last = next((i for i in range(first, len(ends)) if ends[i] - left > LINE_WIDTH), len(ends))
    right = ends[last - 1] if last else 0
    cut_left, cut_right = bool(offset or first), last < len(ends) or offset + len(piece) < len(text)
    drawn = ("…" if cut_left else "") + "".join(shown[first:last]) + ("…" if cut_right else "")
    return drawn, _Columns(ends, offset, left, right if cut_right else right + 1, 1 if cut_left else 0)
