"""The parse table: what Lark computes from the grammar, in the shape the parser's loop reads.

Lark does the LALR analysis and keeps its meaning here: `?rule` stands aside for a single child, `_rule` and repetitions
are spliced into their parent, terminals with a leading `_` are dropped. Only the loop is ours: it takes a quarter of
the time, decides about contextual words exactly, and its stack can be copied when a mistake is repaired.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runkon.language.entries import read_entry, write_entry
from runkon.language.grammar_files import case_grammar_text, grammar_text
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from lark import Lark
    from lark.grammar import Rule
    from lark.lexer import TerminalDef

STARTS = ("start", "lone_condition")
CASE_STARTS = ("cases", "lone_condition")
END = "$END"
NAME = "NAME"

# Words that no position takes as a plain name by accident: `call gate` is a forgotten agent, not an agent `gate`.
RESERVED = frozenset(
    {"WORKFLOW", "META", "INPUTS", "CALL", "IF", "UNLESS", "WHILE", "DO", "PARALLEL", "GATE", "ALWAYS", "SCRIPT"}
) | {"FOREACH"}


class Reduction(NamedTuple):
    """What happens when a rule is complete: `size` values leave the stack, the result goes on as `origin`.

    `method` is the builder's method, empty for a rule that passes its only child on, None for one that gathers a list.
    `kept` are the positions of the values that count; those in `spliced` are lists to be unfolded."""

    origin: str
    size: int
    method: str | None
    kept: tuple[int, ...]
    spliced: frozenset[int]


class Table(NamedTuple):
    """`rows[state][symbol]` is the next state (0 or more: shift) or `-1 - n`: complete rule `reductions[n]`."""

    rows: tuple[Mapping[str, int], ...]
    reductions: tuple[Reduction, ...]
    starts: Mapping[str, int]
    ends: Mapping[str, int]
    skipped: str  # pattern of white space and comments
    tokens: tuple[tuple[str, str], ...]  # (terminal, pattern), first match wins
    words: Mapping[str, str]  # keyword → terminal
    contextual: frozenset[str]  # terminals of words that are names where no rule expects them


@functools.cache
def parse_table() -> Table:
    """The table of the whole language; built once per process, in about 50 ms."""
    return _built(grammar_text(), STARTS)


@functools.cache
def case_table() -> Table:
    """The same for `.wftest` files."""
    return _built(case_grammar_text(), CASE_STARTS)


def _built(grammar: str, starts: tuple[str, ...]) -> Table:
    # late: a table that comes from its file needs no lark
    from lark import Lark

    made = Lark(grammar, parser="lalr", lexer="basic", start=list(starts), maybe_placeholders=False)
    return _table(made, starts)


@functools.cache
def kept_table(file: Path) -> Table:
    """The table as it stands in `file`; where it does not, it is built and written there. The name of the file has to
    say which grammar it belongs to."""
    content = read_entry(file)
    if content is not None:
        return _from_json(content)
    table = parse_table()
    write_entry(file, _to_json(table))
    return table


def _to_json(table: Table) -> bytes:
    reductions = [(r.origin, r.size, r.method, r.kept, sorted(r.spliced)) for r in table.reductions]
    plain = table._replace(reductions=tuple(reductions), contextual=sorted(table.contextual))  # type: ignore[arg-type]
    return json.dumps(plain, separators=(",", ":")).encode("ascii")


def _from_json(content: bytes) -> Table:
    table = Table(*json.loads(content))
    return table._replace(
        rows=tuple(table.rows),
        reductions=tuple(
            Reduction(origin, size, method, tuple(kept), frozenset(spliced))
            for origin, size, method, kept, spliced in table.reductions
        ),
        tokens=tuple((name, pattern) for name, pattern in table.tokens),
        contextual=frozenset(table.contextual),
    )


def _table(lark: Lark, starts: tuple[str, ...]) -> Table:
    from lark.parsers.lalr_analysis import Shift

    cursors = [lark.parse_interactive("", start=start).parser_state.parse_conf for start in starts]
    states = cursors[0].states
    numbers = {state: number for number, state in enumerate(states)}
    rules: dict[Rule, int] = {}
    rows = []
    for state in states:
        row: dict[str, int] = {}
        for symbol, (action, target) in states[state].items():
            row[symbol] = numbers[target] if action is Shift else -1 - rules.setdefault(target, len(rules))
        rows.append(row)
    words = {t.pattern.value: t.name for t in lark.terminals if _is_word(t)}
    ignored = [t for t in lark.terminals if t.name in lark.ignore_tokens]
    shaped = [t for t in lark.terminals if not _is_word(t) and t not in ignored]
    shaped.sort(key=lambda t: (-t.priority, -len(t.pattern.value), t.name))
    return Table(
        rows=tuple(rows),
        reductions=tuple(_reduction(rule) for rule in rules),
        starts={start: numbers[c.start_state] for start, c in zip(starts, cursors, strict=True)},
        ends={start: numbers[c.end_state] for start, c in zip(starts, cursors, strict=True)},
        skipped="|".join(t.pattern.to_regexp() for t in ignored),
        tokens=tuple((t.name, t.pattern.to_regexp()) for t in shaped),
        words=words,
        contextual=frozenset(words.values()) - RESERVED,
    )


def _is_word(terminal: TerminalDef) -> bool:
    return terminal.pattern.type == "str" and terminal.pattern.value.isalpha()


def _reduction(rule: Rule) -> Reduction:
    symbols = rule.expansion
    every = rule.options.keep_all_tokens
    kept = tuple(n for n, s in enumerate(symbols) if every or not (s.is_term and s.name.startswith("_")))
    spliced = frozenset(n for n in kept if not symbols[n].is_term and symbols[n].name.startswith("_"))
    origin = str(rule.origin.name)
    method: str | None = rule.alias or origin
    if origin.startswith("_"):
        method = None
    elif rule.options.expand1 and not rule.alias and len(kept) == 1 and not spliced:
        method = ""
    return Reduction(origin, len(symbols), method, kept, spliced)
