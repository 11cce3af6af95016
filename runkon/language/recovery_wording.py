"""What was expected and what was found, in the reader's words; terminal names never reach a message."""

from __future__ import annotations

from collections.abc import Set
from unicodedata import category

from runkon.language.tokens import Token

STATEMENT_WORDS = ("call", "script", "gate", "if", "unless", "while", "do", "parallel", "foreach", "always", "set")
SECTION_WORDS = ("meta", "inputs", "outputs", "state")
STATEMENTS = frozenset(word.upper() for word in STATEMENT_WORDS)
SECTIONS = frozenset(word.upper() for word in SECTION_WORDS)
LATER_WORDS = ("graph",)  # statements of a later version of the language
NAMES = (
    frozenset({"NAME", "AND", "OR", "NOT", "IN", "ELSE", "UNTIL", "OUTPUTS", "STATE", "INPUTS", "WORKFLOW"})
    | STATEMENTS
)
VALUES = frozenset({"STRING", "LONG_STRING", "NUMBER", "DURATION", "LSQB", "LBRACE"})

_MOST = 5
_LONGEST_SHOWN = 40
_SIGNS = (
    ("_EQUAL", "`=`"),
    ("IN", "`in`"),
    ("AND", "`and`"),
    ("OR", "`or`"),
    ("EQ", "a comparison"),
    ("LBRACE", "`{`"),
    ("RBRACE", "`}`"),
    ("RSQB", "`]`"),
    ("RPAR", "`)`"),
    ("$END", "the end of the file"),
)


def expected_words(kinds: Set[str], before: Token | None) -> str:
    """`a statement, `always`, or `}``: at most five things that may stand behind the token `before`."""
    return one_of(_expected(kinds, before))


def _expected(kinds: Set[str], before: Token | None) -> list[str]:
    after = before.kind if before else ""
    if after == "CALL":
        return ["an agent name", "a quoted path", "`workflow`"]
    words: list[str] = []
    if "CALL" in kinds and "DO" in kinds:
        words = ["a statement", "`always`"]
    elif "WORKFLOW" in kinds and "NAME" not in kinds:
        words = ["`workflow`"]
    elif "LPAR" in kinds and "STRING" in kinds:
        words = ["a condition"]
    elif "NUMBER" in kinds:
        words = ["a value"]
    elif "NAME" in kinds and "UNTIL" in kinds and "GATE" not in kinds:
        words = ["an option"]
    elif "NAME" in kinds:
        words = ["a name"]
    hidden = {"IN", "AND", "OR"} if words else set()
    if words and words[0] in ("a value", "a condition"):
        hidden |= {"LBRACE", "_EQUAL"}
    words += [sign for kind, sign in _SIGNS if kind in kinds and kind not in hidden]
    return words[:_MOST] or ["something else"]


def missing_word(before: Token) -> str:
    """What a token needs behind it, in two or three words."""
    if before.kind == "CALL":
        return "an agent name"
    if before.kind in ("IF", "UNLESS", "WHILE", "AND", "OR", "NOT", "LPAR"):
        return "a condition"
    return "a value" if before.kind in ("EQ", "NE", "LT", "LE", "GT", "GE", "IN") else "a name"


def one_of(words: list[str]) -> str:
    """`a`, `a or b`, `a, b, or c`."""
    if len(words) <= 2:
        return " or ".join(words)
    return f"{', '.join(words[:-1])}, or {words[-1]}"


def found_words(token: Token) -> str:
    """The token as people see it, shortened, control characters spelled out."""
    if token.kind == "$END":
        return "end of the file"
    return f"`{shown(token.text)}`"


def shown(text: str) -> str:
    """Text for a message: one line, at most 40 characters, nothing that moves the cursor."""
    line = text.partition("\n")[0]
    if len(line) > _LONGEST_SHOWN or line != text:
        line = line[: _LONGEST_SHOWN - 1] + "…"
    return "".join(c if _is_visible(c) else f"U+{ord(c):04X}" for c in line)


def _is_visible(character: str) -> bool:
    return category(character)[0] not in "CZ" or character == " "
