"""Comments as other languages write them: `-- …` and `/* … */`. They are left out whole, not word by word."""

from __future__ import annotations

from runkon.language.tokens import ODD, Token
from runkon.pattern import pattern

HELP = "a comment starts with `//` or `#` and goes to the end of its line"
_LINE = pattern(r"--(?=\s|\Z)[^\n]*+")  # `--flag` is no comment, it is a word without its quotes
_HIDING = ('"', "'", "//", "#")  # what may have been read as a string or a comment that goes on behind the end


def foreign_end(text: str, token: Token) -> int | None:
    """The offset behind the comment that begins with `token`; None if none does."""
    if token.kind != ODD:
        return None
    if text.startswith("/*", token.start):
        closing = text.find("*/", token.start + 2)
        return None if closing < 0 else closing + 2
    line = _LINE.match(text, token.start)
    return None if line is None else line.end()


def hides_tokens(comment: str) -> bool:
    """True if the tokens behind the comment may not be those there are without it."""
    return any(sign in comment for sign in _HIDING)
