"""What is known where: the walk through a workflow that yields each place which reads something, with its scope.

A result is visible after its step. The branches of an `if` count as taken, branches of a `parallel` don't see each
other, the top-level `always` sees the whole body.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

from runkon.language.checks.answers import exported_names
from runkon.language.checks.context import Context, option_span
from runkon.language.keys import bodies, result_key, step_options, walk
from runkon.language.nodes import (
    CallWorkflow,
    Condition,
    DoWhileBlock,
    Entry,
    ForEachBlock,
    GateStep,
    IfBlock,
    ListValue,
    MapValue,
    ParallelBlock,
    ScriptStep,
    SetStatement,
    Statement,
    Text,
    Value,
    WhileBlock,
    Workflow,
)
from runkon.language.source import Span
from runkon.named import NamedTuple

Producer: TypeAlias = Literal["step", "gate", "typed_gate", "foreach", "parallel", "child"]
_EXPORTERS = frozenset({"step", "child"})


class Scope:
    """The results and variables visible at one place. Read it while its site is at hand: it grows with the walk."""

    __slots__ = ("_keys", "_parent", "exported", "exports", "opaque", "variables")

    def __init__(self, parent: Scope | None = None, variables: Iterable[str] = ()) -> None:
        self._parent = parent
        self._keys: dict[str, frozenset[Producer]] = {}
        self.variables: frozenset[str] = frozenset(variables) | (parent.variables if parent else frozenset())
        self.opaque: bool = parent is not None and parent.opaque  # a workflow nobody could read ran before
        self.exports: bool = parent is not None and parent.exports  # a step ran that may have set any variable
        self.exported: frozenset[str] = frozenset() if parent is None else parent.exported  # those that steps set

    def producers(self, key: str) -> frozenset[Producer]:
        """What may stand behind a key; empty if nothing does."""
        found: frozenset[Producer] = frozenset()
        scope: Scope | None = self
        while scope is not None:
            found |= scope._keys.get(key, frozenset())
            scope = scope._parent
        return found

    def keys(self) -> Iterator[str]:
        """Every visible key, the nearest first."""
        scope: Scope | None = self
        while scope is not None:
            yield from reversed(scope._keys)
            scope = scope._parent

    def add(self, key: str, producer: Producer, exported: frozenset[str] | None = None) -> None:
        """A result of that key; `exported` are the variables it sets, None if nobody can tell."""
        self._keys[key] = self._keys.get(key, frozenset()) | {producer}
        if producer in _EXPORTERS:
            self.exports = self.exports or exported is None
            self.exported |= exported or frozenset()

    def absorb(self, inner: Scope) -> None:
        """Take over what an inner body produced."""
        for key, producers in inner._keys.items():
            self._keys[key] = self._keys.get(key, frozenset()) | producers
        self.opaque = self.opaque or inner.opaque
        self.exports = self.exports or inner.exports
        self.exported |= inner.exported


class Test(NamedTuple):
    """A condition."""

    condition: Condition
    scope: Scope


class Template(NamedTuple):
    """A text whose placeholders are filled in; `script` is the script whose shell text it is."""

    text: str
    span: Span
    scope: Scope
    script: ScriptStep | None = None


class Passed(NamedTuple):
    """A value that is passed on: to a step, to a child, out of the workflow, or to be iterated over."""

    value: Value
    scope: Scope
    use: Literal["input", "output", "over"]


class KeyUse(NamedTuple):
    """A result named outside a condition: the source of a quality gate, the choices of a gate."""

    text: str
    span: Span
    scope: Scope
    gate: GateStep


Site: TypeAlias = Test | Template | Passed | KeyUse


def sites(context: Context) -> Iterator[Site]:
    """Every place of the workflow that reads a result, an input or a variable, in the order they are reached."""
    scope = Scope()
    yield from _body(context.workflow.body, scope, context)
    for entry in context.workflow.outputs:
        yield from _value(entry, scope, "output")
    last = Scope(scope)
    yield from _body(context.workflow.always, last, context)


def _body(body: Iterable[Statement], scope: Scope, context: Context) -> Iterator[Site]:
    for statement in body:
        yield from _statement(statement, scope, context)
        _produce(statement, scope, context)


def _statement(statement: Statement, scope: Scope, context: Context) -> Iterator[Site]:
    match statement:
        case IfBlock():
            yield from _if(statement, scope, context)
        case WhileBlock():
            yield Test(statement.condition, scope)
            yield from _inner(statement.body, scope, context, is_repeated=True)
        case DoWhileBlock():
            _add_variables(statement.body, scope, context)
            yield from _body(statement.body, scope, context)
            yield Test(statement.condition, scope)
        case ParallelBlock():
            yield from _parallel(statement, scope, context)
        case ForEachBlock():
            yield from _foreach(statement, scope, context)
        case GateStep():
            yield from _gate(statement, scope)
        case SetStatement():
            for entry in statement.updates:
                yield from _value(entry, scope, "input" if isinstance(entry.value, ListValue | MapValue) else "output")
        case _:
            yield from _step(statement, scope)
            for body in bodies(statement):
                yield from _body(body, scope, context)


def _inner(body: Iterable[Statement], scope: Scope, context: Context, *, is_repeated: bool = False) -> Iterator[Site]:
    inner = Scope(scope)
    if is_repeated:
        _add_variables(body, inner, context)
    yield from _body(body, inner, context)
    scope.absorb(inner)


def _add_variables(body: Iterable[Statement], scope: Scope, context: Context) -> None:
    """Variables that a round of a loop finds because the one before has set them."""
    for statement in walk(body):
        if result_key(statement) is not None and _producer(statement) in _EXPORTERS:
            exported = exported_names(statement, context)
            scope.exports = scope.exports or exported is None
            scope.exported |= exported or frozenset()


def _if(statement: IfBlock, scope: Scope, context: Context) -> Iterator[Site]:
    inners = []
    for arm in statement.arms:
        yield Test(arm.condition, scope)
    for body in bodies(statement):
        inner = Scope(scope)
        yield from _body(body, inner, context)
        inners.append(inner)
    for inner in inners:
        scope.absorb(inner)


def _parallel(statement: ParallelBlock, scope: Scope, context: Context) -> Iterator[Site]:
    branches = []
    for branch in statement.body:
        inner = Scope(scope)
        yield from _body((branch,), inner, context)
        branches.append(inner)
    for inner in branches:
        scope.absorb(inner)
    if statement.until is not None:
        yield Test(statement.until, scope)


def _foreach(statement: ForEachBlock, scope: Scope, context: Context) -> Iterator[Site]:
    yield Passed(statement.over, scope, "over")
    inner = Scope(scope, {"item"} if statement.body is None else {"item", statement.name})
    for entry in statement.inputs:
        yield from _value(entry, inner, "input")
    if statement.item_key is not None:
        yield Template(statement.item_key, option_span(statement, "key"), inner)
    if statement.body is not None:
        yield from _body(statement.body, inner, context)  # what its steps leave is seen by the same item alone


def _gate(statement: GateStep, scope: Scope) -> Iterator[Site]:
    if statement.prompt is not None:
        yield Template(statement.prompt, option_span(statement, "prompt"), scope)
    if statement.source is not None:
        yield KeyUse(statement.source, option_span(statement, "source"), scope, statement)
    if statement.choices_from is not None:
        yield KeyUse(statement.choices_from, option_span(statement, "options"), scope, statement)


def _step(statement: Statement, scope: Scope) -> Iterator[Site]:
    options = step_options(statement)
    if options is not None:
        if options.condition is not None:
            yield Test(options.condition, scope)
        for entry in options.inputs:
            yield from _value(entry, scope, "input")
    if isinstance(statement, ScriptStep):
        # `inputs` of a step are variables of that step: its own texts may name them
        own = Scope(scope, {entry.name for entry in statement.options.inputs})
        yield Template(statement.run, statement.run_span, own, statement)
        for entry in statement.env:
            yield from _value(entry, own, "input")


def _value(entry: Entry, scope: Scope, use: Literal["input", "output"]) -> Iterator[Site]:
    if isinstance(entry.value, Text):
        yield Template(entry.value.text, entry.value.span, scope)
    else:
        yield Passed(entry.value, scope, use)


def _produce(statement: Statement, scope: Scope, context: Context) -> None:
    """Add what a finished statement leaves behind (a block's body has been added already)."""
    if isinstance(statement, CallWorkflow):
        child = context.children[statement.workflow].workflow
        if child is None:
            scope.opaque = True
        else:
            for inherited in _child_keys(child):
                scope.add(inherited, "child")
    key = result_key(statement)
    if key is not None:
        scope.add(key, _producer(statement), exported_names(statement, context))


def _producer(statement: Statement) -> Producer:
    match statement:
        case GateStep():
            plain = statement.form is None and statement.type != "quality_gate"
            return "gate" if plain else "typed_gate"
        case ForEachBlock():
            return "foreach"
        case ParallelBlock():
            return "parallel"
        case _:
            return "step"


def _child_keys(child: Workflow) -> Iterator[str]:
    """The keys a child workflow makes readable: those of its top-level body, with the branches of a `parallel`."""
    for statement in child.body:
        branches = statement.body if isinstance(statement, ParallelBlock) else ()
        for found in (statement, *branches):
            key = result_key(found)
            if key is not None:
                yield key
