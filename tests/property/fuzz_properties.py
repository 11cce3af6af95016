"""What must hold for any text at all: each property is a function that raises if it does not."""

from __future__ import annotations

import functools
import json
import math
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from runkon.engine.environment import Environment, RunFacts
from runkon.engine.inputs import bind_inputs
from runkon.engine.results import Results, StepResult
from runkon.errors import UserError
from runkon.executors.output_block import END, START, read_output_block
from runkon.language import nodes
from runkon.language.cache import ParsedFiles
from runkon.language.check import check
from runkon.language.checks.unsupported import unsupported
from runkon.language.codec import decode, encode
from runkon.language.condition_text import condition_text
from runkon.language.diagnostics import CATALOGUE, Diagnostic
from runkon.language.formatter import format_source
from runkon.language.loader import decode as decode_bytes
from runkon.language.nodes import Condition, Entry, Text, Workflow
from runkon.language.parser import parse
from runkon.language.program import ParseResult
from runkon.language.project import SyntaxOnly
from runkon.language.render import render, render_all
from runkon.language.source import SourceFile, Span
from runkon.language.template import Placeholder, parse_template
from runkon.language.trivia import Trivia
from runkon.model.failures import ValueFailure
from runkon.model.output import JsonValue, Output
from runkon.model.status import StepStatus

NAMES = ("a.wf", "tëst \x1b[31m\n\u202e.wf")
# Codes that only the recovery reports; it says one thing about a line.
SYNTAX = frozenset(
    {
        "unexpected-character", "unexpected-token", "unterminated-string", "unterminated-escape", "no-workflow",
        "expected-workflow", "text-after-workflow", "extra-brace", "unknown-statement", "else-without-if",
        "obsolete-do", "missing-equals", "missing-value", "missing-name", "missing-brace", "quoted-name",
        "reserved-word", "unclosed-block", "unclosed-bracket",
    }
)  # fmt: skip
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_EDGE_VALUES: tuple[JsonValue, ...] = (
    None, True, False, 0, -1, 10**400, 1.5, 1e308, "", "true", "FALSE", "x", "\x00", "'", '"', "{{a}}", "\ud800",
    "a\nb", [], ["a", 1, None], {}, {"a": {"b": [1]}, "": 0}, "9" * 5000, " 3 ",
)  # fmt: skip


class Case(NamedTuple):
    """One text with what several properties look at. A property may cut itself short on an impossible combination."""

    text: str
    source: SourceFile
    parsed: ParseResult
    random: Random


Property = Callable[[Case], None]


def case(text: str, seed: int = 0) -> Case:
    random = Random(seed)
    source = SourceFile(random.choice(NAMES), text)
    return Case(text, source, parse(source), random)


def hold(test: Property, it: Case, seed: int = 0) -> None:
    """Raises if the property does not hold, whichever were tried before."""
    test(it._replace(random=Random(seed)))


# ── parsing ─────────────────────────────────────────────────────────────────────────────────────────
def diagnostics_are_sound(it: Case) -> None:
    found = it.parsed.diagnostics
    assert it.parsed.workflows or not it.parsed.ok
    assert [d.span.start for d in found] == sorted(d.span.start for d in found)
    lines = Counter(d.span.line for d in found if d.code in SYNTAX)
    assert not lines or max(lines.values()) == 1, f"several reports on one line: {lines.most_common(1)}"
    _sound(it, found)


def _sound(it: Case, found: Iterable[Diagnostic]) -> None:
    for diagnostic in found:
        assert diagnostic.code in CATALOGUE
        _place_is_sound(it, diagnostic.span)
        for span, label in diagnostic.related:
            _place_is_sound(it, span)
            assert label
        assert diagnostic.message
        assert "\n" not in diagnostic.message + diagnostic.label
        assert not diagnostic.message.endswith(".")
        assert len(diagnostic.message + diagnostic.label) < 3000


def _place_is_sound(it: Case, span: Span) -> None:
    assert span.file == it.source.path
    assert 0 <= span.start <= span.end <= len(it.text), span
    assert it.source.span(span.start, span.end) == span, "line or column does not belong to the offset"


def drawing_is_harmless(it: Case) -> None:
    for diagnostic in it.parsed.diagnostics[:200]:
        plain = render(diagnostic, it.source)
        _harmless(plain)
        assert _COLORS.sub("", render(diagnostic, it.source, color=True)) == plain
        _harmless(render(diagnostic, None))
    if 0 < len(it.parsed.diagnostics) <= 200:
        _harmless(render_all(it.parsed.diagnostics, it.source))


def _harmless(drawn: str) -> None:
    assert drawn
    drawn.encode("utf-8")
    for char in set(drawn):
        assert char == "\n" or char.isprintable() or char.isspace(), f"U+{ord(char):04X} is drawn as it is"
        assert char not in "\r\t\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029", f"U+{ord(char):04X} is drawn as it is"


def parsing_again_gives_the_same(it: Case) -> None:
    again = parse(SourceFile(it.source.path, it.text))
    assert encode((again.workflows, again.diagnostics)) == encode((it.parsed.workflows, it.parsed.diagnostics))


def the_cache_gives_the_same(it: Case) -> None:
    tree = encode((it.parsed.workflows, it.parsed.diagnostics))
    if not it.source.is_unicode:
        _files_give_the_same(it, tree)
        return
    back = decode(json.loads(json.dumps(tree)), it.source.path)
    assert back == (it.parsed.workflows, it.parsed.diagnostics)
    assert encode(back) == tree
    if it.random.random() < 0.05:
        _files_give_the_same(it, tree)


def _files_give_the_same(it: Case, tree: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            result = ParsedFiles(Path(folder)).parse(it.source)
            assert encode((result.workflows, result.diagnostics)) == tree
        for entry in Path(folder).glob("*.parsed"):
            content = bytearray(entry.read_bytes())
            content[it.random.randrange(len(content))] ^= 1 << it.random.randrange(8)
            entry.write_bytes(content)
        result = ParsedFiles(Path(folder)).parse(it.source)
        assert encode((result.workflows, result.diagnostics)) == tree


# ── formatting ──────────────────────────────────────────────────────────────────────────────────────
def formatting_keeps_everything(it: Case) -> None:
    formatted, found = format_source(it.source)
    assert found == it.parsed.diagnostics
    if formatted is None:
        assert not it.parsed.ok
        return
    again = SourceFile(it.source.path, formatted)
    parsed = parse(again)
    assert parsed.ok, [(d.code, d.message, d.span.line) for d in parsed.diagnostics]
    assert parsed.workflows == it.parsed.workflows
    assert format_source(again)[0] == formatted, "formatting twice changes something more"
    assert _comments(again) == _comments(it.source)


def _comments(source: SourceFile) -> Counter[str]:
    return Counter(comment.text for comment in Trivia(source).take(len(source.text)))


# ── trees ───────────────────────────────────────────────────────────────────────────────────────────
def checks_never_fail(it: Case) -> None:
    for workflow in it.parsed.workflows:
        result = check(it.parsed, workflow, SyntaxOnly())
        _sound(it, result.diagnostics)
        for diagnostic in result.diagnostics[:50]:
            _harmless(render(diagnostic, it.source))
        _sound(it, unsupported(workflow))
        assert result.facts.calls_max is None or result.facts.calls_max >= 0
        assert result.facts.concurrency_max is None or result.facts.concurrency_max >= 0
        if not it.parsed.ok:
            assert result.checked is None


@functools.cache
def _adapter() -> TypeAdapter[Workflow]:
    return TypeAdapter(Workflow)


def trees_survive_json(it: Case) -> None:
    if re.search("[\ud800-\udfff]", it.text + it.source.path):
        return  # half a character has no place in JSON; no file holds one
    for workflow in it.parsed.workflows:
        try:
            written = _adapter().dump_json(workflow)
            back = _adapter().validate_json(written)
        except (PydanticSerializationError, ValidationError) as error:
            if re.search("depth exceeded|recursion limit exceeded", str(error)):
                continue  # pydantic knows fewer levels than the language has
            raise
        assert back == workflow
        assert _adapter().dump_json(back) == written


# ── engine: templates, conditions, inputs ───────────────────────────────────────────────────────────
def _environment(random: Random) -> Environment:
    results = Results()
    for name in ("plan", "a", "b", "build"):
        values = {field: random.choice(_EDGE_VALUES) for field in ("n", "text", "files", "b")}
        markers = frozenset(random.sample(("ok", "failed", "has_errors", "n", "b"), 2))
        results.put(name, StepResult(name, StepStatus.COMPLETED, Output(markers, random.choice(("", "ctx")), values)))
    names = ("flag", "list", "x", "a", "y-z", "inputs", "item.id")
    inputs = {name: random.choice(_EDGE_VALUES) for name in names if random.random() < 0.6}
    return Environment(RunFacts(run_id="r", workflow="w"), inputs, results, {"file": random.choice(_EDGE_VALUES)})


def conditions_can_be_decided(it: Case) -> None:
    environment = _environment(it.random)
    for workflow in it.parsed.workflows:
        for condition in _conditions(workflow):
            choice = environment.evaluate(condition)
            assert isinstance(choice.result, bool)
            assert choice.text == condition_text(condition)
            json.dumps(dict(choice.operands))


_CONDITIONS = (nodes.Reference, nodes.Constant, nodes.ListLiteral, nodes.Compare, nodes.Not, nodes.And, nodes.Or)


def _conditions(node: object) -> Iterator[Condition]:
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, _CONDITIONS):
            yield part
        elif isinstance(part, tuple) and not isinstance(part, Span):
            waiting.extend(part)
        elif isinstance(part, Workflow):
            waiting.append(part.items)
        elif isinstance(part, Entry):
            waiting.append(part.value)
        elif part is not None:
            waiting.extend(getattr(part, name, None) for name in ("condition", "arms", "orelse", "body", "written"))


def values_can_be_computed(it: Case) -> None:
    environment = _environment(it.random)
    for workflow in it.parsed.workflows:
        for entry in workflow.outputs:
            environment.value(entry.value)
        given: Mapping[str, JsonValue] = {
            declared.name: it.random.choice(_EDGE_VALUES) for declared in workflow.inputs if it.random.random() < 0.8
        }
        with suppress(UserError):
            bound = bind_inputs(workflow.inputs, given, strict=it.random.random() < 0.5)
            assert set(given) <= set(bound) | {declared.name for declared in workflow.inputs}


def templates_can_be_rendered(it: Case) -> None:
    text = it.text
    pieces = parse_template(text)
    assert "".join(piece if isinstance(piece, str) else piece.raw for piece in pieces) == text
    at = 0
    for piece in pieces:
        if isinstance(piece, Placeholder):
            assert piece.start == at
        at += len(piece if isinstance(piece, str) else piece.raw)
    environment = _environment(it.random)
    for unknown in ("empty", "keep"):
        environment.render(text, unknown=unknown)  # type: ignore[arg-type]
    environment.value(Text(span=it.source.span(0, 0), text=text))
    for shell in (False, True):
        with suppress(ValueFailure):
            environment.render(text, unknown="fail", shell=shell)


# ── text from outside ───────────────────────────────────────────────────────────────────────────────
def output_blocks_never_fail(it: Case) -> None:
    half = len(it.text) // 2
    for text in (
        it.text,
        f"noise {START}\n{it.text}\n{END}",
        f'{START}{{"markers": ["a"], "x": {it.text}}}{END}',
        f'{START}{{"context": "{it.text}"}}',
        f'{it.text[:half]}{START}{{"x": "{it.text[half:]}",}}{END}{it.text[half:]}',
    ):
        output, problem = read_output_block(text)
        assert output is None or problem is None
        if output is not None:
            assert all(isinstance(marker, str) for marker in output.markers)
            json.dumps(dict(output.values), allow_nan=False)
            assert _finite(dict(output.values))


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def bytes_are_text_or_refused(it: Case) -> None:
    data = it.text.encode("utf-8", "surrogatepass")
    if data and it.random.random() < 0.5:
        at = it.random.randrange(len(data))
        data = data[:at] + it.random.randbytes(it.random.randint(0, 2)) + data[at + 1 :]
    with suppress(UserError):
        text = decode_bytes(data, "a.wf")
        assert text.encode("utf-8") == data.removeprefix(b"\xef\xbb\xbf")


PROPERTIES: tuple[Property, ...] = (
    diagnostics_are_sound,
    drawing_is_harmless,
    parsing_again_gives_the_same,
    the_cache_gives_the_same,
    formatting_keeps_everything,
    checks_never_fail,
    trees_survive_json,
    conditions_can_be_decided,
    values_can_be_computed,
    templates_can_be_rendered,
    output_blocks_never_fail,
    bytes_are_text_or_refused,
)
