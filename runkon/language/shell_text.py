"""Where a placeholder stands in shell text: in the open, where quoting protects any value, or not.

The reading errs on the safe side: wherever shells disagree or the text is unusual, the place counts as unprotected,
and only a plain word may stand there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, TypeAlias

from runkon.language.template import parse_template
from runkon.named import NamedTuple

Quotes: TypeAlias = Literal["open", "single", "double", "heredoc", "quoted heredoc", "comment", "other"]
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]*)'|\"([^\"\n]*)\"|([A-Za-z0-9_.-]+))(?=[ \t\n;|&()<>]|\Z)")
_QUOTES: dict[str, Quotes] = {"'": "single", '"': "double"}
_BEFORE = 400  # characters of a command that are looked at
_MARK = "\ue000"  # a private character stands for a placeholder while the text is read


def is_plain_word(text: str) -> bool:
    """True if `text` means itself to a shell, quoted or not."""
    return _PLAIN_WORD.fullmatch(text) is not None


def quoted(text: str) -> str:
    """`text` as one word of shell text, in single quotes."""
    return "'" + text.replace("'", "'\\''") + "'"


class ShellPlace(NamedTuple):
    """Where a placeholder stands: in what, the text of the command before it (for quotes: before they begin), and the
    character that follows."""

    quotes: Quotes
    before: str
    following: str


class ShellPlaces(NamedTuple):
    """The placeholders of shell text, in order: whether single quotes around the value protect it there, and where
    each stands; and the words that end here-documents, which no value inside one may be part of."""

    protected: tuple[bool, ...]
    delimiters: tuple[str, ...]
    places: tuple[ShellPlace, ...]


@lru_cache(maxsize=512)
def shell_places(text: str) -> ShellPlaces:
    """Where the placeholders of shell text stand."""
    pieces = parse_template(text)
    marked = "".join(piece.replace(_MARK, "?") if isinstance(piece, str) else _MARK for piece in pieces)
    reading = _Reading(marked)
    protected = tuple(reading.protected())
    return ShellPlaces(protected, tuple(reading.delimiters), tuple(reading.places))


class _Heredoc(NamedTuple):
    """A here-document that waits for its lines. With `indented` tabs before its last line do not count."""

    delimiter: str
    indented: bool
    quoted: bool


class _Reading:
    """One pass over shell text. `stack` holds what is open: `'` `"` `(` (a `$(` or a group), `{` (a `${`), `` ` ``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.stack: list[str] = []
        self.doubtful = False  # from here on shells may disagree about what is quoted
        self.heredocs: list[_Heredoc] = []  # begun on this line
        self.delimiters: list[str] = []
        self.found: list[bool] = []
        self.places: list[ShellPlace] = []
        self.quote = 0  # where the innermost quotes begin

    def protected(self) -> list[bool]:
        while self.at < len(self.text):
            self._step(self.text[self.at])
        return self.found

    @property
    def top(self) -> str:
        return self.stack[-1] if self.stack else ""

    def _step(self, char: str) -> None:
        if char == _MARK:
            self._placeholder()
        elif self.top == "'":
            self._pop_at(char, "'")
        elif char == "\\":
            self._backslash()
        elif char == "$":
            self._dollar()
        elif char == "`":
            self._toggle("`")
        elif char == '"':
            self._toggle('"')
        elif self.top == '"':
            self.at += 1
        else:
            self._open_text(char)

    def _placeholder(self) -> None:
        before = self.text[self.at - 1] if self.at else ""
        in_open = self.top in ("", "(") and "`" not in self.stack and "{" not in self.stack
        self.found.append(in_open and not self.doubtful and before not in ("\\", "$"))
        quotes: Quotes = "open" if self.found[-1] else _QUOTES.get(self.top, "other")
        end = self.quote if quotes in ("single", "double") else self.at
        self.places.append(
            ShellPlace(quotes, self.text[max(0, end - _BEFORE) : end], self.text[self.at + 1 : self.at + 2])
        )
        self.at += 1

    def _backslash(self) -> None:
        if self.text[self.at + 1 : self.at + 2] == _MARK:
            self.at += 1
        else:
            self.at += 2

    def _dollar(self) -> None:
        following = self.text[self.at + 1 : self.at + 3]
        if following.startswith("(("):
            self.doubtful = True
            self.at += 1
        elif following[:1] == "$":
            self.at += 2  # `$$` is a number; what follows it opens nothing by it
        elif following[:1] == "(":
            self.stack.append("(")
            self.at += 2
        elif following[:1] == "{":
            self.stack.append("{")
            self.at += 2
        else:
            # `$'…'` is a quote of its own in some shells and a dollar before a quote in others
            self.doubtful = self.doubtful or (following[:1] == "'" and self.top != '"')
            self.at += 1

    def _toggle(self, quote: str) -> None:
        if self.top == quote:
            self.stack.pop()
        elif quote == "`" and "`" in self.stack:
            self.doubtful = True
        else:
            self.stack.append(quote)
            self.quote = self.at
        self.at += 1

    def _pop_at(self, char: str, end: str) -> None:
        if char == end:
            self.stack.pop()
        self.at += 1

    def _open_text(self, char: str) -> None:
        if char == "'":
            if self.top == "{" and '"' in self.stack:
                self.doubtful = True  # inside "${…}" shells differ on single quotes
            self.stack.append("'")
            self.quote = self.at
        elif char == "}" and self.top == "{":
            self.stack.pop()
        elif char == "(":
            self.doubtful = self.doubtful or self.text.startswith("((", self.at)
            self.stack.append("(")
        elif char == ")" and self.top == "(":
            self.stack.pop()
        elif char == "#" and self._begins_word():
            self._comment()
            return
        elif char == "<" and self.text.startswith("<<", self.at) and self.top != "{":
            self._heredoc_operator()
            return
        elif char == "\n" and self.heredocs:
            self._heredoc_bodies()
            return
        self.at += 1

    def _begins_word(self) -> bool:
        return self.top != "{" and (self.at == 0 or self.text[self.at - 1] in " \t\n;|&()")

    def _comment(self) -> None:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        self._unprotected(self.text[self.at : end], "comment")
        self.at = end

    def _heredoc_operator(self) -> None:
        if self.text.startswith("<<<", self.at):
            self.at += 3
            return
        match = _HEREDOC.match(self.text, self.at)
        if match is None:
            self.doubtful = True
            self.at += 2
            return
        delimiter = next(word for word in match.groups()[1:] if word is not None)
        self.heredocs.append(_Heredoc(delimiter, match[1] == "-", match[4] is None))
        self.delimiters.append(delimiter)
        self.at = match.end()

    def _heredoc_bodies(self) -> None:
        """The lines after this one up to each waiting delimiter: nothing in them is protected."""
        self.at += 1
        for delimiter, indented, is_quoted in self.heredocs:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self._unprotected(line, "quoted heredoc" if is_quoted else "heredoc")
                self.doubtful = self.doubtful or line.endswith("\\")  # the next line may belong to this one
                self.at = min(end + 1, len(self.text))
                if (line.lstrip("\t") if indented else line) == delimiter:
                    break
        self.heredocs = []

    def _unprotected(self, text: str, quotes: Quotes) -> None:
        number = text.count(_MARK)
        self.found.extend([False] * number)
        self.places.extend([ShellPlace(quotes, "", "")] * number)
