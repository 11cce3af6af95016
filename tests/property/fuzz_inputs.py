"""Inputs of the fuzzer: valid programs, damaged files, and heaps of anything. Equal seeds give equal inputs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from .programs import COMMENTS, GAPS, lay_out, tokens_of

_ROOT = Path(__file__).resolve().parents[2]
_FOLDERS = ("examples", "tests/conformance")
_PIECE = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""|"(?:[^"\\]|\\.)*"|[A-Za-z_][\w-]*|[0-9]+\w*|\s+|.', re.DOTALL)

WORDS = (
    *("workflow", "w", "call", "script", "gate", "if", "unless", "else", "while", "do", "parallel", "foreach"),
    *("always", "meta", "inputs", "outputs", "in", "and", "or", "not", "until", "required", "default", "description"),
    *("boolean", "number", "list", "secret", "one_of", "graph", "state", "set", "elif", "true", "null", "a", "b", "x"),
    *("retries", "run", "output", "with", "timeout", "id", "fallback", "on_fail", "max_iterations", "over", "env"),
)
SIGNS = ("{", "}", "[", "]", "(", ")", "=", "==", "!=", "<", ">=", ".", ",", ";", "->", "&&", "|", "!", ":", "-", "@")
SIGNS += ('"', '"""', "'", "\\", '\\"', "//", "#", "{{", "}}", '{{a ?? "', "\n", "\r\n", "\t", " ", "\n\n  ")
LITERALS = ('""', '"x"', '"a\nb"', '"""\n  x\n  """', "0", "-1.5", "5m", "5x", "1.5h", "9" * 101, "9" * 90 + "d")
ODD = ("\x00", "\ud800", "\udfff", "\ufeff", "\u202e", "\u2028", "\x85", "\x1b[31m", "\x7f", "\x1c", "\r", "\u200b")
ODD += ("é", "漢", "👍", "e\u0301", "\u00a0", "\U000e0001", "\ue000", "\uffff", "\x0b", "\x0c", "\x9b")
PIECES = (*WORDS, *SIGNS, *SIGNS, *LITERALS, *ODD)

# What may stand around a heap of pieces, so that it is not all read as text outside a workflow.
AROUND = (
    ("", ""),
    ("workflow w {\n", "\n}\n"),
    ("workflow w {\n  call a {\n", "\n  }\n}\n"),
    ("workflow w {\n  inputs {\n", "\n  }\n}\n"),
    ("workflow w {\n  if a ", " {\n    call b\n  }\n}\n"),
    ('workflow w {\n  call a { output = "', '" }\n}\n'),
    ('workflow w {\n  script s { run = """', '""" }\n}\n'),
    ('workflow w {\n  call a { if = "', '" }\n}\n'),
    ("workflow w {\n  call a { with = [", "] }\n}\n"),
    ("workflow w {\n  call a {\n    inputs = {", "}\n  }\n}\n"),
    ("workflow w {\n  gate human_review {", "}\n}\n"),
    ("workflow w {\n  foreach x in ", " {\n    call b\n  }\n}\n"),
    ("workflow w {\n  do {\n    max_iterations = 3\n    call b\n  } while ", "\n}\n"),
)
# Opening and closing of what can stand inside itself.
NESTS = (
    ("do {\n", "\n}\n", "call a"),
    ("if a {\n", "\n} else {\n call b\n}\n", "call a"),
    ("if a { } else ", "", "if b { call c }"),
    ("parallel {\n call x\n", "}\n", "call a"),
    ("while a {\n max_iterations = 2\n", "}\n", "call a"),
    ("foreach x in y {\n", "}\n", "call a"),
    ("always {\n", "}\n", "call a"),
)
VALUE_NESTS = (("[", "]", "1"), ("{ a = ", " }", "1"), ("[ { a = [", "] } ]", '"x"'))
CONDITION_NESTS = (("(", ")", "a.b"), ("not ", "", "a.b"), ("not (", ")", "a"), ("(a or ", ")", "b"))
CONDITION_NESTS += (("(a and ", ")", "b == 1"), ("(", ") == a", "b"), ("a in [", "]", "(b)"), ("a == (", ")", "b"))


class Input(NamedTuple):
    """One text with the way it was made, for the report."""

    kind: str
    text: str


class Inputs:
    """An endless supply: `make(n)` is input number n of this seed. `largest` bounds the characters of an input."""

    def __init__(self, seed: int, *, largest: int = 60_000) -> None:
        self._seed = seed
        self._largest = largest
        self._files = corpus()

    def make(self, number: int) -> Input:
        random = Random(f"{self._seed}/{number}")
        kind, make = random.choices(_KINDS, _WEIGHTS)[0]
        return Input(kind, make(random, self._files)[: self._largest])


def corpus() -> list[str]:
    """The text of every example and conformance case."""
    files = sorted(file for folder in _FOLDERS for file in (_ROOT / folder).rglob("*.wf"))
    return [file.read_bytes().decode("utf-8", "surrogateescape") for file in files]


# ── programs ────────────────────────────────────────────────────────────────────────────────────────
def _program(random: Random, files: Sequence[str]) -> str:
    gaps = [_gap(random) for _ in range(random.randint(1, 12))]
    return lay_out(tokens_of(random.getrandbits(32), random.randint(0, 4)), gaps)


def _gap(random: Random) -> str:
    if random.random() < 0.7:
        return random.choice(GAPS)
    return f"{random.choice(('', *GAPS))}{random.choice(COMMENTS)}\n{random.choice(('', *GAPS))}"


def _file(random: Random, files: Sequence[str]) -> str:
    if random.random() < 0.3:
        return _program(random, files)
    return random.choice(files)


# ── damage ──────────────────────────────────────────────────────────────────────────────────────────
def _tokens_changed(random: Random, files: Sequence[str]) -> str:
    pieces = _PIECE.findall(_file(random, files)) or [""]
    for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
        at, other = random.randrange(len(pieces)), random.randrange(len(pieces))
        match random.randrange(6):
            case 0:
                pieces[at] = ""
            case 1:
                pieces[at] *= 2
            case 2:
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3:
                pieces[at] = random.choice(PIECES)
            case 4:
                pieces[at] += random.choice((" ", "")) + random.choice(PIECES) + random.choice((" ", ""))
            case _:
                count = random.randint(1, 12)
                pieces[at : at + count] = [""] * len(pieces[at : at + count])
    return "".join(pieces)


def _characters_changed(random: Random, files: Sequence[str]) -> str:
    text = _file(random, files)
    for _ in range(random.choice((1, 1, 2, 4, 16))):
        at = random.randint(0, len(text))
        gone = random.choice((0, 1, 1, 2, 10, 80))
        text = text[:at] + random.choice(("", "", random.choice(PIECES), _anything(random))) + text[at + gone :]
    return text


def _lines_changed(random: Random, files: Sequence[str]) -> str:
    lines = _file(random, files).split("\n")
    for _ in range(random.randint(1, 4)):
        at, other = random.randrange(len(lines)), random.randrange(len(lines))
        match random.randrange(5):
            case 0:
                lines[at] = ""
            case 1:
                lines.insert(at, lines[other])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = lines[at].strip() if random.random() < 0.5 else "    " + lines[at]
            case _:
                lines[at] = lines[at][: random.randint(0, len(lines[at]))]
    return random.choice(("\n", "\n", "\n", "\r\n", " ")).join(lines)


def _cut_and_joined(random: Random, files: Sequence[str]) -> str:
    first = _file(random, files)
    first = first[: random.randint(0, len(first))]
    if random.random() < 0.4:
        return first
    second = _file(random, files)
    return first + second[random.randint(0, len(second)) :]


def _unbalanced(random: Random, files: Sequence[str]) -> str:
    text = _file(random, files)
    places = [at for at, char in enumerate(text) if char in '{}[]()"']
    for at in sorted(random.sample(places, min(len(places), random.randint(1, 3))), reverse=True):
        text = text[:at] + random.choice(("", text[at] * 2, random.choice('{}[]()"'))) + text[at + 1 :]
    return text


# ── shapes ──────────────────────────────────────────────────────────────────────────────────────────
def _nested(random: Random, files: Sequence[str]) -> str:
    depth = random.choice((2, 5, 20, 60, 97, 98, 99, 100, 101, 102, 300, 3000))
    closed = random.choice((depth, depth, depth, depth - 1, 0))
    match random.randrange(3):
        case 0:
            begin, end, core = random.choice(NESTS)
            return f"workflow w {{\n{begin * depth}{core}{end * closed}\n}}\n"
        case 1:
            begin, end, core = random.choice(VALUE_NESTS)
            return f"workflow w {{\n call a {{ inputs = {{ v = {begin * depth}{core}{end * closed} }} }}\n}}\n"
        case _:
            begin, end, core = random.choice(CONDITION_NESTS)
            condition = begin * depth + core + end * closed
            if random.random() < 0.3:
                return f'workflow w {{\n call a {{ if = "{condition}" }}\n}}\n'
            return f"workflow w {{\n if {condition} {{\n call a\n }}\n}}\n"


def _repeated(random: Random, files: Sequence[str]) -> str:
    """A few pieces over and over: what takes more than linear time shows."""
    before, after = random.choice(AROUND)
    count = random.choice((3, 50, 400, 4000))
    glue = random.choice((" ", " ", "\n", ""))
    parts = [before]
    for _ in range(random.randint(1, 2)):
        unit = glue.join(random.choice(PIECES) for _ in range(random.randint(1, 6))) + glue
        if random.random() < 0.3:
            unit = _anywhere(random, random.choice(files), random.randint(5, 60)) + glue
        parts.append(unit * (count // random.randint(1, 3)))
    return "".join([*parts, after])


def _long_line(random: Random, files: Sequence[str]) -> str:
    text = _file(random, files).replace("\n", random.choice((" ", "\n", " " * 500)))
    at = random.randint(0, len(text))
    return text[:at] + random.choice(PIECES) * random.choice((200, 5000)) + text[at:]


def _anywhere(random: Random, text: str, length: int) -> str:
    at = random.randint(0, max(0, len(text) - length))
    return text[at : at + length]


# ── heaps ───────────────────────────────────────────────────────────────────────────────────────────
def _heap(random: Random, files: Sequence[str]) -> str:
    before, after = random.choice(AROUND)
    glue = random.choice((" ", " ", "", "\n"))
    return before + glue.join(random.choice(PIECES) for _ in range(random.randint(0, 30))) + after


def _noise(random: Random, files: Sequence[str]) -> str:
    data = random.randbytes(random.choice((0, 1, 5, 80, 2000)))
    encoding = random.choice(("utf-8", "latin-1", "utf-16-le", "ascii"))
    before, after = random.choice(AROUND)
    errors = "surrogateescape" if encoding in ("utf-8", "ascii") else "surrogatepass"
    try:
        return before + data.decode(encoding, errors) + after
    except UnicodeDecodeError:
        return before + data.decode("latin-1") + after


def _anything(random: Random) -> str:
    return "".join(chr(random.choice((random.randrange(128), random.randrange(0x110000)))) for _ in range(3))


_CHOICES: tuple[tuple[int, str, Callable[[Random, Sequence[str]], str]], ...] = (
    (14, "program", _program),
    (30, "tokens changed", _tokens_changed),
    (16, "characters changed", _characters_changed),
    (9, "lines changed", _lines_changed),
    (6, "cut and joined", _cut_and_joined),
    (8, "unbalanced", _unbalanced),
    (2, "nested", _nested),
    (2, "repeated", _repeated),
    (1, "long line", _long_line),
    (9, "heap", _heap),
    (3, "noise", _noise),
)
_KINDS = [(kind, make) for _, kind, make in _CHOICES]
_WEIGHTS = [weight for weight, _, _ in _CHOICES]
