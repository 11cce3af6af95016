"""YAML as a tree that knows the line of everything, and stays small.

Scalars are the text that stands there: `yes`, `1.0` and `2024-01-01` are no other type. Aliases are shared nodes; a
reader that follows them must count its steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from runkon.pattern import pattern
from runkon.schemas.problems import SchemaProblem

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST = 200
_UNPRINTABLE = pattern("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_NULL = ("", "~", "null", "Null", "NULL")

Kind: TypeAlias = Literal["scalar", "list", "map"]
_Event: TypeAlias = Any  # of PyYAML, which is imported late


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a map: where its key stands, and its value."""

    name: Node
    value: Node

    @property
    def key(self) -> str:
        return self.name.text


@dataclass(slots=True)
class Node:
    """A text, a list or a map, and the place where it begins, from 1."""

    kind: Kind
    line: int
    column: int
    text: str = ""
    is_plain: bool = False
    items: list[Node] = field(default_factory=list)
    keys: dict[str, Node] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(Entry(key, value) for key, value in zip(self.keys.values(), self.items, strict=True))

    @property
    def is_null(self) -> bool:
        return self.is_plain and self.text in _NULL

    @property
    def described(self) -> str:
        return {"scalar": "empty" if self.is_null else "a text", "list": "a list", "map": "a map"}[self.kind]

    def problem(self, message: str, *, help: str | None = None) -> SchemaProblem:
        return SchemaProblem(message, self.line, self.column, help=help)


def read_yaml(text: str) -> Node | None:
    """The tree of a text, None if it holds nothing. Raises SchemaProblem for what is not YAML, for duplicate keys,
    tags, more than one document, and nesting beyond reason."""
    import yaml  # late: only projects with schemas need it

    text = text.removeprefix("\ufeff")
    if odd := _UNPRINTABLE.search(text):
        line, column = at(text, odd.start())
        raise SchemaProblem(f"the character U+{ord(odd[0]):04X} can't stand in YAML", line, column)
    try:
        return _Composer(_quick(text)).document()
    except yaml.YAMLError:
        pass  # the messages of the other parser do not depend on what is installed
    try:
        return _Composer(yaml.parse(text, Loader=yaml.SafeLoader)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SchemaProblem(f"it is not YAML: {_said(error)}", line, column, help=_help(text, line)) from None


def at(text: str, offset: int) -> tuple[int, int]:
    """Line and column of a character, both from 1."""
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _quick(text: str) -> Iterator[_Event]:
    import yaml  # late: see above

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.parse(text, Loader=loader)


def _said(error: Any) -> str:
    """The parser's own words without its line numbers, which would stand there twice."""
    said = error.problem or error.context or "it ends too early"
    return " ".join(str(said).split())


def _help(text: str, line: int) -> str | None:
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return "YAML is indented with spaces, never with tabs"
    return None


class _Composer:
    """Puts the events of a parser together, level by level and without recursion."""

    def __init__(self, events: Iterator[_Event]) -> None:
        self._events = events
        self._anchors: dict[str, Node] = {}
        self._open: list[Node] = []
        self._pending: list[Node | None] = []  # by open node: the key that waits for its value
        self._root: Node | None = None

    def document(self) -> Node | None:
        takers: dict[str, Callable[[_Event], None]] = {
            "DocumentStartEvent": self._document,
            "AliasEvent": self._alias,
            "ScalarEvent": self._scalar,
            "SequenceStartEvent": lambda event: self._begin(event, "list"),
            "MappingStartEvent": lambda event: self._begin(event, "map"),
            "SequenceEndEvent": self._end,
            "MappingEndEvent": self._end,
        }
        for event in self._events:
            if take := takers.get(type(event).__name__):
                take(event)
        root = self._root
        return None if root is None or root.is_null else root

    def _document(self, event: _Event) -> None:
        if self._root is not None:
            raise _node(event, "scalar").problem("it holds more than one document: a schema is one file")

    def _alias(self, event: _Event) -> None:
        node = self._anchors.get(event.anchor)
        if node is None:
            raise _node(event, "scalar").problem(f"there is no anchor `&{event.anchor}` before this alias")
        if any(node is outer for outer in self._open):
            raise _node(event, "scalar").problem(f"`*{event.anchor}` stands inside what it stands for")
        if self._is_key():
            place = _node(event, "scalar")
            place.text = node.text
            node = place
        self._put(node)

    def _scalar(self, event: _Event) -> None:
        node = _node(event, "scalar")
        node.text = event.value
        node.is_plain = not event.style and event.tag is None
        self._anchor(event, node)
        self._put(node)

    def _begin(self, event: _Event, kind: Kind) -> None:
        node = _node(event, kind)
        if self._is_key():
            raise node.problem(f"a key is {node.described}, not text", help="a text with braces needs quotes")
        if len(self._open) >= _DEEPEST:
            raise node.problem(f"it is nested more than {_DEEPEST} deep")
        self._anchor(event, node)
        self._put(node)
        self._open.append(node)
        self._pending.append(None)

    def _end(self, _: _Event) -> None:
        self._open.pop()
        self._pending.pop()

    def _anchor(self, event: _Event, node: Node) -> None:
        if event.tag not in _TAGS:
            raise node.problem(f"the tag `{event.tag}` means nothing in a schema")
        if event.anchor:
            self._anchors[event.anchor] = node

    def _is_key(self) -> bool:
        return bool(self._open) and self._open[-1].kind == "map" and self._pending[-1] is None

    def _put(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        holder = self._open[-1]
        if not self._is_key():
            holder.items.append(node)
            self._pending[-1] = None
            return
        if node.text == "<<" and node.is_plain:
            raise node.problem("`<<` is not understood here", help="write the fields out, or refer to each by an alias")
        if node.is_null:
            raise node.problem("a key is empty")
        first = holder.keys.get(node.text)
        if first is not None:
            raise node.problem(f"`{node.text}` stands twice, also in line {first.line}")
        holder.keys[node.text] = node
        self._pending[-1] = node


def _node(event: _Event, kind: Kind) -> Node:
    mark = event.start_mark
    return Node(kind, mark.line + 1, mark.column + 1)
