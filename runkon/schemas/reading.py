"""Reads a schema file: YAML with `fields` and, optionally, `markers`.

fields:
  approved: boolean
  summary?: {type: string, desc: "one sentence"}
  findings:
    type: array
    items: {severity: "enum(low, high)", file: string}
markers:
  has_findings: findings.length > 0
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from runkon.schemas.fields import FieldShape, FieldType, Schema, SchemaField
from runkon.schemas.problems import SchemaProblem
from runkon.schemas.yaml_tree import Entry, Node, at, read_yaml

MAX_BYTES = 256 * 1024
_MOST_WORK = 50_000  # of reading fields: aliases let a short file stand for a huge one
_TYPES: tuple[FieldType, ...] = ("string", "number", "boolean", "array", "object")
_MEANT = {
    **dict.fromkeys(("str", "text", "date", "datetime", "url", "uri"), "string"),
    **dict.fromkeys(("int", "integer", "float", "double", "decimal"), "number"),
    "bool": "boolean",
    **dict.fromkeys(("list", "arr"), "array"),
    **dict.fromkeys(("map", "dict", "mapping"), "object"),
}
_ANYTHING = FieldShape(type="object")


def read_schema_file(path: Path) -> Schema:
    """The schema in a file, named by its stem. Raises SchemaProblem, also for a file that can't be read."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SchemaProblem(f"it can't be read: {error.strerror or error}") from error
    _check_size(len(content))
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        line, column = at(before, len(before))
        raise SchemaProblem("it is not UTF-8 text", line=line, column=column) from None
    return read_schema(path.stem, text)


def read_schema(name: str, text: str) -> Schema:
    """The schema `text` says. Raises SchemaProblem with the place of what is wrong."""
    _check_size(len(text.encode("utf-8", "surrogatepass")))
    tree = read_yaml(text)
    if tree is None:
        raise SchemaProblem("it is empty", help=_SHAPE_HELP)
    top = {entry.key: entry for entry in _entries(tree, "a schema", help=_SHAPE_HELP)}
    if "fields" not in top:
        raise tree.problem("it has no `fields`", help=_SHAPE_HELP)
    fields = _Reading().fields(top["fields"].value, "`fields`", "")
    digest = sha256(text.encode()).hexdigest()
    return Schema(name=name, fields=fields, markers=_markers(top.get("markers")), digest=digest)


_SHAPE_HELP = "it is a map with `fields`, as in `fields: {approved: boolean, summary?: string}`"


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise SchemaProblem(f"it is larger than {MAX_BYTES // 1024} KiB, which is the most a schema may have")


def _markers(entry: Entry | None) -> Mapping[str, str] | None:
    if entry is None or entry.value.is_null:
        return None
    rules = {}
    for rule in _entries(entry.value, "`markers`", help="each entry is a name and a rule: `big: findings.length > 9`"):
        if rule.value.kind != "scalar" or rule.value.is_null:
            raise rule.value.problem(f"the rule of marker `{rule.key}` is {rule.value.described}, not text")
        rules[rule.key] = rule.value.text
    return rules


def _entries(node: Node, what: str, *, help: str | None = None) -> tuple[Entry, ...]:
    if node.kind != "map":
        raise node.problem(f"{what} is {node.described}, not a map", help=help)
    return node.entries


@dataclass
class _Reading:
    """Reads nested fields, and counts what it reads."""

    work: int = field(default=0)

    def fields(self, node: Node, what: str, inside: str) -> tuple[SchemaField, ...]:
        found: dict[str, tuple[Node, SchemaField]] = {}
        for entry in _entries(node, what):
            made = self._field(entry, inside)
            if made.name in found:
                first = found[made.name][0]
                raise entry.name.problem(f"field `{made.name}` stands twice, also in line {first.line}")
            found[made.name] = entry.name, made
        return tuple(made for _, made in sorted(found.values(), key=lambda pair: pair[0].text))

    def _field(self, entry: Entry, inside: str) -> SchemaField:
        name = entry.key.removesuffix("?").strip()
        if not name:
            raise entry.name.problem("a field without a name")
        full, node = f"{inside}{name}", entry.value
        self._spend(node)
        required = not entry.key.endswith("?")
        if node.kind == "scalar":
            return SchemaField(name=name, shape=self._plain(node, f"field `{full}`"), is_required=required)
        options = {option.key: option.value for option in _entries(node, f"field `{full}`", help=_FIELD_HELP)}
        return SchemaField(
            name=name,
            shape=self._shape(options, full),
            is_required=required,
            description=_text(options.get("desc"), f"`desc` of field `{full}`"),
            examples=tuple(self._examples(options.get("examples"), full)),
        )

    def _shape(self, options: Mapping[str, Node], full: str) -> FieldShape:
        if "type" not in options:
            return self._object(options, full)
        written = options["type"]
        if written.kind != "scalar":
            raise written.problem(f"`type` of field `{full}` is {written.described}, not the name of a type")
        shape = self._plain(written, f"field `{full}`")
        if shape.type == "object":
            return self._object(options, full)
        if shape.type != "array" or "items" not in options:
            return shape
        items = options["items"]
        if items.kind == "map":
            element = FieldShape(type="object", fields=self.fields(items, "`items`", f"{full}[]."))
        elif items.kind == "scalar":
            element = self._plain(items, f"`items` of field `{full}`")
        else:
            raise items.problem(f"`items` of field `{full}` is {items.described}, not a type or a map of fields")
        if items.kind == "scalar" and element.type in ("array", "object"):
            help = "a list of objects names their fields: `items: {file: string, line: number}`"
            raise items.problem(f"`items` of field `{full}` can't be `{element.type}`", help=help)
        return FieldShape(type="array", item=element)

    def _object(self, options: Mapping[str, Node], full: str) -> FieldShape:
        nested = options.get("fields")
        if nested is None or nested.is_null:
            return _ANYTHING
        return FieldShape(type="object", fields=self.fields(nested, f"`fields` of field `{full}`", f"{full}."))

    def _plain(self, node: Node, what: str) -> FieldShape:
        self._spend(node)
        if node.is_null:
            raise node.problem(f"{what} has no type", help=_TYPE_HELP)
        text = node.text.strip()
        if text.startswith("enum(") and text.endswith(")"):
            variants = dict.fromkeys(part.strip() for part in text[len("enum(") : -1].split(","))
            named = tuple(variant for variant in variants if variant)
            if not named:
                raise node.problem(f"{what} is an `enum` without variants", help="name them: `enum(low, high)`")
            return FieldShape(type="enum", variants=named)
        for known in _TYPES:
            if text == known:
                return FieldShape(type=known)
        raise node.problem(f"{what} has the unknown type `{_cut(text)}`", help=_type_help(text))

    def _examples(self, node: Node | None, full: str) -> Iterator[str]:
        if node is None or node.is_null:
            return
        if node.kind != "list":
            raise node.problem(f"`examples` of field `{full}` is {node.described}, not a list of texts")
        for item in node.items:
            self._spend(item)
            yield _text(item, f"an example of field `{full}`")

    def _spend(self, node: Node) -> None:
        self.work += 1 + len(node.text) // 100
        if self.work > _MOST_WORK:
            raise node.problem("it has too many fields: its aliases stand for more than can be read")


_FIELD_HELP = 'a field is a type, as `string`, or a map, as `{type: string, desc: "…"}`'
_TYPE_HELP = f"the types are {', '.join(_TYPES)} and enum(a, b)"


def _type_help(text: str) -> str:
    if text.startswith("enum("):
        return 'inside `{ }` YAML ends a text at a comma: put the type in quotes, as `"enum(low, high)"`'
    if text == "enum":
        return "name the variants: `enum(low, high)`"
    close = difflib.get_close_matches(text.lower(), _TYPES, n=1)
    meant = _MEANT.get(text.lower()) or (close[0] if close else None)
    return f"did you mean `{meant}`? {_TYPE_HELP}" if meant else _TYPE_HELP


def _text(node: Node | None, what: str) -> str:
    if node is None or node.is_null:
        return ""
    if node.kind != "scalar":
        raise node.problem(f"{what} is {node.described}, not text")
    return node.text


def _cut(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
