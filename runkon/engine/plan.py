"""A workflow made ready to run: what can be known about each statement before the first step is computed once.

The plan fixes the step paths. A segment is a leaf's key, a named block's name, or the keyword of a nameless
`parallel` or loop. `if`, `unless`, `else`, a nested `always` and a plain nameless `do` add none: equal segments are
counted through them, in text order, as `#2`, `#3`. Order texts sort steps in program order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from runkon.errors import EXIT_INVALID, UserError
from runkon.language import nodes as n
from runkon.language.keys import agent_key, result_key
from runkon.model.ids import StepPath, occurrence
from runkon.model.records import StepInfo
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.language.program import CheckedWorkflow

Run: TypeAlias = Callable[..., None]  # (planned statement, scope); which class of statement is the construct's own
Constructs: TypeAlias = Mapping[type, Run]
Children: TypeAlias = "Mapping[str, CheckedWorkflow]"

MADE = ("on_fail", "fallback")  # steps the engine adds below a call
ALWAYS = "always/"  # what is below it in a called workflow is its always block
LAST = "~."  # in an order text: after everything beside it
_PLACES: Mapping[type, str] = {n.IfBlock: "if", n.SetStatement: "set"}
_RECORDED: Mapping[type, str] = {n.GateStep: "gate", n.ForEachBlock: "foreach", n.ParallelBlock: "parallel"}
CHOICE_KEYWORDS = {n.IfBlock: "if", n.WhileBlock: "while", n.DoWhileBlock: "do"}


class Planned:
    """A statement with its place. `path` is its whole path where that is fixed, else None (inside loops); `kind` is
    that of its record, empty if it has none."""

    __slots__ = (
        "bodies",
        "key",
        "kind",
        "line",
        "name",
        "node",
        "order",
        "path",
        "run",
        "segment",
        "static_order",
    )

    def __init__(self, node: n.Statement, run: Run, segment: str, place: _Place) -> None:
        self.node = node
        self.run = run
        self.segment = segment
        self.name = segment
        self.key = segment
        self.order = place.next_order()
        self.path: StepPath | None = None if place.prefix is None else StepPath(place.prefix + segment)
        self.static_order = None if place.order is None else place.order + self.order
        self.bodies: tuple[tuple[Planned, ...], ...] = ()
        is_nameless = isinstance(node, n.ParallelBlock) and node.name is None
        self.kind: str = "" if is_nameless else _RECORDED.get(type(node), "")

    @property
    def info(self) -> StepInfo | None:
        """What records say about it, if it is a step whose place is fixed."""
        return None

    def info_at(self, order: str, iteration: int) -> StepInfo:
        """What records say about it when it runs at `order` in that iteration of the innermost loop."""
        span = self.node.span
        return StepInfo(self.kind, self.name, self.key, order, iteration, span.file, span.line, span.column)


class Step(Planned):
    """A statement that is attempted: what is the same in all its attempts."""

    __slots__ = ("_info", "options", "schema", "snippets", "span")

    def __init__(
        self, node: n.CallStep | n.ScriptStep | n.CallWorkflow, run: Run, named: _Named, place: _Place
    ) -> None:
        super().__init__(node, run, place.segment(named.key), place)
        options = node.options
        self.kind = node.kind
        self.name = named.name
        self.key = named.key
        self.options = options
        self.schema = options.output or (place.schema if node.kind == "call" else None)
        self.snippets = place.snippets + options.snippets
        self.span = node.span
        self._info: StepInfo | None = None

    @property
    def info(self) -> StepInfo | None:
        if self._info is None and self.static_order is not None:
            self._info = self.info_at(self.static_order, 0)  # once asked: a resume answers most steps without
        return self._info


class Leaf(Step):
    """A step that is done by an executor; `called` is the one asked for when nothing overrides it."""

    __slots__ = ("called",)

    def __init__(self, node: n.CallStep | n.ScriptStep, run: Run, named: _Named, place: _Place) -> None:
        super().__init__(node, run, named, place)
        self.called = named.called


class ChildBodies(NamedTuple):
    """The statements of a called workflow: its body and its always block."""

    body: tuple[Planned, ...]
    always: tuple[Planned, ...]


class ChildCall(Step):
    """A call of the workflow `child`. What is inside is planned when somebody comes to it, so that files that call
    each other again and again cost only what is reached."""

    __slots__ = ("_constructs", "_inside", "child")

    def __init__(self, node: n.CallWorkflow, run: Run, named: _Named, place: _Place) -> None:
        super().__init__(node, run, named, place)
        self.child = place.children[node.workflow]
        self._constructs = place.constructs
        self._inside: ChildBodies | None = None

    @property
    def inside(self) -> ChildBodies:
        """The child's statements, placed below this one."""
        if self._inside is None:
            path, order = self.path, self.static_order
            is_static = path is not None and order is not None
            self._inside = plan_child(
                self.child, self._constructs, f"{path}/" if is_static else None, f"{order}." if is_static else None
            )
        return self._inside


class ForEachPlace(Planned):
    """A `foreach`; `child` is the workflow that is run for each item, None where it has statements of its own."""

    __slots__ = ("_constructs", "_inside", "child")

    def __init__(self, node: n.ForEachBlock, run: Run, place: _Place) -> None:
        super().__init__(node, run, place.segment(node.key), place)
        self.name = self.key = node.key
        self.child = None if node.workflow is None else place.children[node.workflow]
        self._constructs = place.constructs
        self._inside: ChildBodies | None = None
        if node.body is not None:
            self.bodies = (_body(node.body, place.inside(self, static=False)),)

    @property
    def inside(self) -> ChildBodies | None:
        """The statements of `child`, whose places are known only when an item runs."""
        if self._inside is None and self.child is not None:
            self._inside = plan_child(self.child, self._constructs)
        return self._inside


class _Named(NamedTuple):
    name: str
    key: str
    called: str


class _Place:
    """Where statements are being planned: one body, through the blocks that add no segment."""

    def __init__(
        self,
        constructs: Constructs,
        prefix: str | None,
        order: str | None,
        schema: str | None = None,
        snippets: tuple[str, ...] = (),
        children: Children = MappingProxyType({}),
    ) -> None:
        self.constructs = constructs
        self.children = children
        self.prefix = prefix
        self.order = order
        self.schema = schema
        self.snippets = snippets
        self._counts: dict[str, int] = {}
        self._choices: dict[str, int] = {}
        self._next = 0

    def segment(self, text: str) -> str:
        return self._count(self._counts, text)

    def choice(self, keyword: str) -> str:
        """A name for the place of a decision; it is no segment of any step."""
        return self._count(self._choices, keyword)

    def next_order(self) -> str:
        self._next += 1
        return order_text(self._next)

    def inside(self, planned: Planned, *, static: bool = True) -> _Place:
        """The body of a block that adds its segment; not `static` where each round has another path."""
        fixed = static and planned.path is not None and planned.static_order is not None
        prefix = f"{planned.path}/" if fixed else None
        order = f"{planned.static_order}." if fixed else None
        return _Place(self.constructs, prefix, order, self.schema, self.snippets, self.children)

    def with_defaults(self, node: n.DoBlock | n.ParallelBlock) -> _Place:
        """Inner `output` wins; inner snippets stand before those of the blocks around. A `parallel` begins anew."""
        is_group = node.kind == "do"
        self.schema = node.output or (self.schema if is_group else None)
        self.snippets = node.snippets + (self.snippets if is_group else ())
        return self

    @staticmethod
    def _count(counts: dict[str, int], text: str) -> str:
        number = counts.get(text, 0) + 1
        counts[text] = number
        return occurrence(text, number)


def order_text(number: int) -> str:
    """A number as text that sorts like the number."""
    digits = str(number)
    return chr(96 + len(digits)) + digits


def plan_body(
    body: tuple[n.Statement, ...], constructs: Constructs, children: Children = MappingProxyType({})
) -> tuple[Planned, ...]:
    """The statements of a workflow, placed from its root; `children` are the workflows it calls. Raises UserError
    `unsupported-statement`."""
    return _body(body, _Place(constructs, "", "", children=children))


def plan_always(
    body: tuple[n.Statement, ...], constructs: Constructs, children: Children = MappingProxyType({})
) -> tuple[Planned, ...]:
    """The statements of the top-level always block; its path begins with the leg, known only then."""
    return _body(body, _Place(constructs, None, None, children=children))


def plan_child(
    child: CheckedWorkflow, constructs: Constructs, prefix: str | None = None, order: str | None = None
) -> ChildBodies:
    """The statements of a called workflow below `prefix`, None where that is known only when it runs. Its always block
    comes after its body in program order."""
    workflow, children = child.workflow, child.children
    place = _Place(constructs, prefix, order, children=children)
    for taken in (*MADE, ALWAYS[:-1]):
        place.segment(taken)
    body = _body(workflow.body, place)
    if prefix is None or order is None:
        after = _Place(constructs, None, None, children=children)
    else:
        after = _Place(constructs, f"{prefix}{ALWAYS}", f"{order}{LAST}", children=children)
    return ChildBodies(body, _body(workflow.always, after))


def agent_leaf(ref: n.AgentRef, host: Step, run: Run, segment: str = "on_fail") -> Leaf:
    """The agent of `on_fail` inside `host`, with the defaults of the blocks around and the folders of its own."""
    dirs = host.options.plugin_dirs
    node = n.CallStep(span=ref.span, agent=ref, options=n.StepOptions(plugin_dirs=dirs) if dirs else n.NO_OPTIONS)
    place = _Place({}, None, None)
    leaf = Leaf(node, run, _named(node), place)
    leaf.segment = segment
    if isinstance(host, ChildCall):
        leaf.order = f"~{LAST}{leaf.order}"  # behind everything inside
    leaf.path = None if host.path is None else StepPath(f"{host.path}/{segment}")
    if host.static_order is not None:
        leaf.static_order = f"{host.static_order}.{leaf.order}"
    leaf.schema = host.schema if host.options.output is None else None
    leaf.snippets = host.snippets[: len(host.snippets) - len(host.options.snippets)]
    return leaf


class Names(NamedTuple):
    """What a run can be told about: result keys of steps (agents told about failures too), names of blocks, and the
    paths of both, with `[]` for a round of a loop. `below` are keys of steps of called workflows."""

    steps: set[str]
    blocks: set[str]
    paths: set[str]
    below: set[str]


def names_of(body: Sequence[Planned]) -> Names:
    """The names of everything in `body`."""
    names = Names(set(), set(), set(), set())
    _gather(body, "", names)
    return names


def _gather(body: Sequence[Planned], prefix: str, names: Names) -> None:
    for planned in body:
        node, path = planned.node, prefix + planned.segment
        is_named = isinstance(node, n.DoBlock | n.ParallelBlock) and node.name is not None
        if isinstance(planned, Step):
            names.steps.add(planned.key)
            names.paths.add(path)
            if isinstance(planned.options.on_fail, n.AgentRef):
                names.steps.add(agent_key(planned.options.on_fail))
                names.paths.add(f"{path}/on_fail")
        elif isinstance(node, n.GateStep):
            names.steps.add(planned.key)
            names.paths.add(path)
        elif is_named or isinstance(node, n.ForEachBlock):
            names.blocks.add(planned.key)
            names.paths.add(path)
        if isinstance(planned, ChildCall):
            _gather_child(planned.inside, path, names)
        if isinstance(planned, ForEachPlace) and planned.inside is not None:
            _gather_child(planned.inside, f"{path}[]", names)
        if isinstance(node, n.WhileBlock | n.DoWhileBlock | n.ForEachBlock):
            inside = f"{path}[]/"
        else:
            inside = f"{path}/" if is_named or isinstance(node, n.ParallelBlock) else prefix
        for inner in planned.bodies:
            _gather(inner, inside, names)


def _gather_child(inside: ChildBodies, path: str, names: Names) -> None:
    inner = Names(set(), set(), names.paths, names.below)
    _gather(inside.body, f"{path}/", inner)
    _gather(inside.always, f"{path}/{ALWAYS}", inner)
    names.below.update(inner.steps)


# ── planning ──────────────────────────────────────────────────────────────────────────────────────
def _body(body: tuple[n.Statement, ...], place: _Place) -> tuple[Planned, ...]:
    return tuple(_statement(statement, place) for statement in body)


def _statement(node: n.Statement, place: _Place) -> Planned:
    run = place.constructs.get(type(node))
    if run is None:
        raise UserError(
            "unsupported-statement",
            f"this version of runkon can't run `{node.kind.replace('_', ' ')}` ({node.span.file}:{node.span.line})",
            exit_code=EXIT_INVALID,
        )
    match node:
        case n.CallStep() | n.ScriptStep():
            return Leaf(node, run, _named(node), place)
        case n.CallWorkflow():
            return ChildCall(node, run, _named(node), place)
        case n.GateStep():
            planned = Planned(node, run, place.segment(node.key), place)
            planned.name, planned.key = node.type, node.key
            return planned
        case n.ForEachBlock():
            return ForEachPlace(node, run, place)
        case n.ParallelBlock():
            return _block(node, node.name or "parallel", run, place)
        case n.DoBlock(name=str(name)):
            return _block(node, name, run, place)
        case n.WhileBlock() | n.DoWhileBlock():
            planned = Planned(node, run, place.segment(CHOICE_KEYWORDS[type(node)]), place)
            planned.bodies = (_body(node.body, place.inside(planned, static=False)),)
            return planned
        case _:
            return _transparent(node, run, place)


def _block(node: n.ParallelBlock | n.DoBlock, name: str, run: Run, place: _Place) -> Planned:
    planned = Planned(node, run, place.segment(name), place)
    planned.name = planned.key = name
    planned.bodies = (_body(node.body, place.inside(planned).with_defaults(node)),)
    return planned


def _transparent(node: n.Statement, run: Run, place: _Place) -> Planned:
    """A block that adds no segment: its bodies are placed in the body around it."""
    planned = Planned(node, run, place.choice(_PLACES.get(type(node), "do")), place)
    match node:
        case n.IfBlock():
            bodies = [_body(arm.body, place) for arm in node.arms]
            planned.bodies = tuple(bodies) if node.orelse is None else (*bodies, _body(node.orelse, place))
        case n.DoBlock():
            outer = place.schema, place.snippets
            planned.bodies = (_body(node.body, place.with_defaults(node)),)
            place.schema, place.snippets = outer
        case n.AlwaysBlock():
            planned.bodies = (_body(node.body, place),)
    return planned


def _named(node: n.CallStep | n.ScriptStep | n.CallWorkflow) -> _Named:
    key = result_key(node)
    assert key is not None  # steps have one
    if isinstance(node, n.ScriptStep):
        return _Named(node.name, key, "script")
    if isinstance(node, n.CallWorkflow):
        return _Named(node.workflow, key, "")
    return _Named(node.agent.text, key, node.agent.text)
