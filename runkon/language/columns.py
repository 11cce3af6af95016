"""How text looks on a terminal: what a character is shown as and how many columns it takes.

Text of a file or an agent is data: nothing of it may move the cursor, ring a bell or reorder a line.
"""

from __future__ import annotations

from runkon.language.source import TAB_WIDTH, SourceFile, Span

LONG_LINE = 5_000  # from here on exact columns help nobody and cost time


def visible(text: str) -> str:
    """`text` on one line, with every control, escape and invisible formatting character made visible."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(shown(char) for char in text)


def shown(char: str) -> str:
    """What stands on the screen for one character; a tab gives one space here, `cells` expands it."""
    if char.isprintable():
        return char
    code = ord(char)
    if char == "\t":
        return " "
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    # late: most files are ASCII and never need the tables
    import unicodedata

    if unicodedata.category(char) in ("Zs", "Co"):
        return char if unicodedata.category(char) == "Zs" else "\ufffd"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def width(text: str) -> int:
    """Columns that `text`, already visible, takes on a terminal: wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    # late: most files are ASCII and never need the tables
    import unicodedata

    columns = 0
    for char in text:
        if unicodedata.category(char) in ("Mn", "Me"):
            continue
        columns += 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
    return columns


def cells(line: str) -> list[str]:
    """For each character of `line` what is shown for it, tabs expanded to the next stop."""
    result: list[str] = []
    column = 0
    for char in line:
        piece = " " * (TAB_WIDTH - column % TAB_WIDTH) if char == "\t" else shown(char)
        column += width(piece)
        result.append(piece)
    return result


def display_column(source: SourceFile, span: Span) -> int:
    """The column of a span's start as people see it, from 1: tabs expanded, wide characters counted twice."""
    before = source.line_text(span.line)[: span.column - 1]
    if len(before) > LONG_LINE:
        return span.column
    missing = span.column - 1 - len(before)  # a span may start at the line's end
    return sum(width(piece) for piece in cells(before)) + missing + 1
