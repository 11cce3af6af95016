"""The parser's stack without values: it can be probed, cut back and copied, which is what repairing needs."""

from __future__ import annotations

from collections.abc import Sequence

from runkon.language.table import END, NAME, Table
from runkon.language.tokens import Token
from runkon.named import NamedTuple

OPENING = {"LBRACE": "RBRACE", "LSQB": "RSQB", "LPAR": "RPAR"}


class Saved(NamedTuple):
    """A state of the stack to come back to."""

    states: list[int]
    shifted: list[Token | None]
    begins: list[int]
    kept: int


class Stack:
    """States of the automaton with, for each, the token shifted (None for a completed rule) and where in `kept` its
    first token stands. `kept` are all tokens taken so far: always the beginning of a text that parses."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._states = [table.starts["start"]]
        self.shifted: list[Token | None] = []
        self._begins: list[int] = []
        self.kept: list[Token] = []
        self.probes = 0  # how many tokens were looked at; lets tests count the work

    def take(self, token: Token) -> bool:
        """Shift the token with all that it completes. False, and nothing changed, if it does not fit."""
        if self.fits((token.kind,)) == 0:
            return False
        rows, kind = self._table.rows, token.kind
        while True:
            if kind == END and self._states[-1] == self._table.ends["start"]:
                self.kept.append(token)
                return True
            action = rows[self._states[-1]].get(kind)
            if action is None:
                kind = NAME
            elif action >= 0:
                self._states.append(action)
                self.shifted.append(token)
                self._begins.append(len(self.kept))
                self.kept.append(token)
                return True
            else:
                self._reduce(-1 - action)

    def _reduce(self, number: int) -> None:
        rule = self._table.reductions[number]
        begin = self._begins[-rule.size]
        del self._states[-rule.size :], self.shifted[-rule.size :], self._begins[-rule.size :]
        self._states.append(self._table.rows[self._states[-1]][rule.origin])
        self.shifted.append(None)
        self._begins.append(begin)

    def fits(self, kinds: Sequence[str], *, without: int = 0) -> int:
        """How many of these kinds of token would be taken one after the other, if the top `without` were gone."""
        table, base = self._table, len(self._states) - without
        above: list[int] = []
        for count, wanted in enumerate(kinds):
            self.probes += 1
            kind = wanted
            while True:
                state = above[-1] if above else self._states[base - 1]
                if kind == END and state == table.ends["start"]:
                    return count + 1
                action = table.rows[state].get(kind)
                if action is None:
                    if kind not in table.contextual:
                        return count
                    kind = NAME
                elif action >= 0:
                    above.append(action)
                    break
                else:
                    rule = table.reductions[-1 - action]
                    if rule.size > len(above):
                        base -= rule.size - len(above)
                        above.clear()
                    else:
                        del above[len(above) - rule.size :]
                    state = above[-1] if above else self._states[base - 1]
                    above.append(table.rows[state][rule.origin])
        return len(kinds)

    def accepts(self, kind: str, *, without: int = 0) -> bool:
        return self.fits((kind,), without=without) == 1

    def expected(self, *, without: int = 0) -> set[str]:
        """The terminals that fit here as what they are; a contextual word that would be a name does not count."""
        row = self._table.rows[self._states[-1 - without]]
        kinds = [kind for kind in row if kind.isupper() or kind.startswith(("_", "$"))]
        return {kind for kind in kinds if self.accepts(kind, without=without)}

    def before(self, *, without: int = 0) -> Token | None:
        """The last token, if the top `without` entries were gone."""
        end = self._begins[-without] if without else len(self.kept)
        return self.kept[end - 1] if end else None

    def drop(self, count: int = 1) -> None:
        """Take back the top `count` entries, and the tokens they stand for."""
        if count:
            del self.kept[self._begins[-count] :]
            del self._states[-count:], self.shifted[-count:], self._begins[-count:]

    def entries_since(self, kept: int) -> int | None:
        """How many entries hold exactly the tokens from number `kept` on; None if one of them began earlier."""
        count = 0
        while count < len(self._begins) and self._begins[-1 - count] >= kept:
            count += 1
        return count if count == 0 or self._begins[-count] == kept else None

    def save(self) -> Saved:
        return Saved(self._states.copy(), self.shifted.copy(), self._begins.copy(), len(self.kept))

    def restore(self, saved: Saved) -> None:
        """Back to an earlier state; tokens before it must not have been dropped since."""
        self._states, self.shifted, self._begins = saved.states.copy(), saved.shifted.copy(), saved.begins.copy()
        del self.kept[saved.kept :]

    @property
    def depth(self) -> int:
        return len(self.shifted)

    def open_brackets(self) -> list[int]:
        """Positions on the stack of the brackets that wait to be closed, outermost first."""
        found = [n for n, token in enumerate(self.shifted) if token is not None and token.kind in OPENING]
        closed = self.shifted[-1] if self.shifted else None
        if closed is None or closed.kind not in OPENING.values():
            return found
        return found[:-1]  # its closing bracket is on top, the rule completes with the next token

    def drop_whole(self) -> None:
        """Take back the top entry; if it closes a bracket, all of the bracket, or it would be open again."""
        closed = self.shifted[-1] if self.shifted else None
        if closed is None or closed.kind not in OPENING.values():
            self.drop()
            return
        opened = [n for n, token in enumerate(self.shifted) if token is not None and token.kind in OPENING]
        self.drop(len(self.shifted) - opened[-1])

    def since(self, bracket: int) -> list[Token]:
        """The tokens from a bracket on."""
        return self.kept[self._begins[bracket] :]

    def head(self, bracket: int) -> Token:
        """The word that a bracket belongs to: the keyword of its statement, or the key in front of `=`."""
        opening = self.shifted[bracket]
        assert opening is not None
        at = bracket - 1
        while at >= 0:
            token = self.shifted[at]
            if token is not None and token.kind == "_EQUAL":
                return self.kept[self._begins[at] - 1]
            if token is not None and token.kind in OPENING:
                break
            if token is not None and token.kind in _HEADS:
                return token
            at -= 1
        return opening


_HEADS = frozenset(
    {"WORKFLOW", "META", "INPUTS", "OUTPUTS", "CALL", "SCRIPT", "GATE", "FOREACH", "PARALLEL", "IF", "UNLESS", "ELSE"}
) | {"WHILE", "DO", "ALWAYS"}
