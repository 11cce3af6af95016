"""Text with `{{placeholders}}`: cutting it into pieces. What a placeholder stands for is decided by the engine.

A placeholder is `{{name}}`, `{{step.field}}` or `{{name ?? 'text'}}`, white space inside the braces ignored. A default
may stand in double quotes as well, which a string of a workflow has to escape. A `{{` without a later `}}` is ordinary
text. Values put in are never looked at again.
"""

from __future__ import annotations

from functools import lru_cache

from runkon.named import NamedTuple

OPEN, CLOSE = "{{", "}}"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}


class Placeholder(NamedTuple):
    """One `{{…}}`. `name` is the trimmed text before `??`, `parts` the same cut at its dots; `default` is None when
    nothing was given; `raw` is the text as written, braces included; `start` its offset in the template."""

    name: str
    parts: tuple[str, ...]
    default: str | None
    raw: str
    start: int


@lru_cache(maxsize=2048)
def parse_template(text: str) -> tuple[str | Placeholder, ...]:
    """The pieces of `text` in order: literal text (never empty) and placeholders. Joining the literal pieces and the
    `raw` texts gives `text` again."""
    pieces: list[str | Placeholder] = []
    literal_from = 0
    at = text.find(OPEN)
    while at >= 0:
        end = _closing(text, at + len(OPEN))
        if end < 0:
            break
        if at > literal_from:
            pieces.append(text[literal_from:at])
        pieces.append(_placeholder(text[at : end + len(CLOSE)], at))
        literal_from = end + len(CLOSE)
        at = text.find(OPEN, literal_from)
    if literal_from < len(text):
        pieces.append(text[literal_from:])
    return tuple(pieces)


def single_placeholder(text: str) -> Placeholder | None:
    """The placeholder that `text` consists of, or None if there is anything else in it: such a text keeps the type
    of what it names."""
    if not text.startswith(OPEN):
        return None
    pieces = parse_template(text)
    only = pieces[0] if len(pieces) == 1 else None
    return only if isinstance(only, Placeholder) else None


def _closing(text: str, start: int) -> int:
    """Offset of the `}}` that ends the placeholder whose content begins at `start`; -1 without one. The text of a
    default may contain `}}`."""
    end = text.find(CLOSE, start)
    if end < 0:
        return -1
    mark = text.find("??", start, end)
    if mark < 0:
        return end
    quote = _skip_space(text, mark + 2)
    if text[quote : quote + 1] not in ('"', "'"):
        return end
    closing = _end_of_quoted(text, quote)
    if closing < 0:
        return end
    after = _skip_space(text, closing + 1)
    return after if text.startswith(CLOSE, after) else end


def _placeholder(raw: str, start: int) -> Placeholder:
    content = raw[len(OPEN) : -len(CLOSE)]
    name, mark, default = content.partition("??")
    name = name.strip()
    parts = tuple(part.strip() for part in name.split("."))
    return Placeholder(name, parts, _unquoted(default.strip()) if mark else None, raw, start)


def _unquoted(text: str) -> str:
    """The text of a default: decoded when quoted, else as it stands."""
    if len(text) < 2 or text[0] not in "\"'" or _end_of_quoted(text, 0) != len(text) - 1:
        return text
    decoded: list[str] = []
    inner = iter(text[1:-1])
    for char in inner:
        if char == "\\":
            following = next(inner, "")
            decoded.append(_ESCAPES.get(following, "\\" + following))
        else:
            decoded.append(char)
    return "".join(decoded)


def _end_of_quoted(text: str, start: int) -> int:
    """Offset of the quote that ends the one at `start`; -1 if it stays open."""
    quote, at = text[start], start + 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == quote:
            return at
        at += 1
    return -1


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
