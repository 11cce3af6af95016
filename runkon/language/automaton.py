"""The LALR loop over the parse table: tokens in, the builder's result out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runkon.language.table import END, NAME, Table
from runkon.language.tokens import Token
from runkon.named import NamedTuple


class Stuck(NamedTuple):
    """Where the grammar stopped fitting: the index of the first token that no rule takes."""

    at: int


def run(tokens: Sequence[Token], table: Table, start: str, builder: object) -> object | Stuck:
    """The result of the builder's method for `start`, or `Stuck`. Takes time in proportion to the tokens."""
    rows, end_state = table.rows, table.ends[start]
    contextual = table.contextual
    reductions = [(r, _method(builder, r.method)) for r in table.reductions]
    state = table.starts[start]
    states: list[int] = [state]
    values: list[object] = []
    for at, token in enumerate(tokens):
        kind = token[0]
        while True:
            action = rows[state].get(kind)
            if action is None:
                if kind not in contextual:
                    return Stuck(at)
                kind = NAME
                continue
            if action >= 0:
                state = action
                states.append(state)
                values.append(token)
                break
            (origin, size, method, kept, spliced), call = reductions[-1 - action]
            if method == "" and size == 1:
                states.pop()
            else:
                taken = values[-size:]
                del states[-size:], values[-size:]
                if call is not None:
                    values.append(call(*_children(taken, size, kept, spliced)))
                elif method == "":
                    values.append(taken[kept[0]])
                else:
                    values.append(_gathered(taken, kept, spliced))
            state = rows[states[-1]][origin]
            states.append(state)
            if kind == END and state == end_state:
                return values[0]
    return Stuck(len(tokens))


def _method(builder: object, name: str | None) -> Callable[..., object] | None:
    return getattr(builder, name) if name else None


def _children(taken: list[object], size: int, kept: tuple[int, ...], spliced: frozenset[int]) -> Sequence[object]:
    if not spliced:
        return taken if len(kept) == size else [taken[n] for n in kept]
    return _gathered(taken, kept, spliced)


def _gathered(taken: list[object], kept: tuple[int, ...], spliced: frozenset[int]) -> list[object]:
    """One flat list. A list at the front is extended in place: gathering n items one by one takes n steps."""
    gathered: list[object] = []
    for n in kept:
        if n not in spliced:
            gathered.append(taken[n])
            continue
        inner = taken[n]
        assert isinstance(inner, list)
        if gathered:
            gathered.extend(inner)
        else:
            gathered = inner
    return gathered
