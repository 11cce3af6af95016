"""The one canonical way to write a file: same program, same comments, every time the same text.

Statements stand one to a line, two spaces deep. What was written on one line stays there while it has only options,
no comments, and fits. Blank lines are kept, one at most. A comment stays before what it preceded, or behind it.
The printing methods are generators that yield the blocks inside, so depth of nesting costs no recursion.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeAlias, cast

from runkon.language import nodes
from runkon.language.case_nodes import Case, ParsedCases
from runkon.language.condition_text import condition_text
from runkon.language.diagnostics import Diagnostic
from runkon.language.format_blocks import BlockParts, Item, block_parts
from runkon.language.format_values import declaration, entry_head, flat_entry, flat_value, long_literal
from runkon.language.program import ParseResult
from runkon.language.source import SourceFile
from runkon.language.trivia import Comment, Trivia

LINE_WIDTH = 100
INDENT = "  "

# After another declaration these would be read as part of it, unless a comma stands before them.
_DECLARATION_WORDS = frozenset(
    {"required", "default", "description", "boolean", "number", "integer", "list", "secret", "one_of"}
)

# List elements; conditions never stand alone.
_VALUES = (nodes.Text, nodes.Word, nodes.Number, nodes.DurationValue, nodes.ListValue, nodes.MapValue)

_Work: TypeAlias = Generator["_Work", None, None]


def format_source(
    source: SourceFile, *, parsed: ParseResult | None = None
) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """The canonical text of a file, with what the parser has to say about it; None if it does not parse.

    `parsed` is the result of parsing the same source, if the caller has it already. Formatting the result again
    changes nothing, and parsing it gives equal workflows."""
    if parsed is None:
        # late: a caller with a cached result never loads the grammar
        from runkon.language.parser import parse

        parsed = parse(source)
    if not parsed.ok:
        return None, parsed.diagnostics
    return _Printer(source).print_file(parsed.workflows), parsed.diagnostics


def format_cases(parsed: ParsedCases) -> str | None:
    """The canonical text of a `.wftest` file; None if it does not parse. Formatting it again changes nothing."""
    return _Printer(parsed.source).print_file(parsed.cases) if parsed.ok else None


class _Printer:
    def __init__(self, source: SourceFile) -> None:
        self._trivia = Trivia(source)
        self._length = len(source.text)
        self._lines: list[str] = []
        self._depth = 0
        self._at_start = True  # nothing stands in this block yet: no blank line before the next line
        self._just_opened = False  # the last line ends with an opening bracket

    def print_file(self, workflows: Sequence[nodes.Workflow | Case]) -> str:
        stack: list[_Work] = [self._items(workflows, self._length, self._length)]
        while stack:
            inner = next(stack[-1], None)
            if inner is None:
                stack.pop()
            else:
                stack.append(inner)
        return "".join(line + "\n" for line in self._lines)

    # ── lines ────────────────────────────────────────────────────────────────────────────────────
    def _line(self, text: str) -> None:
        self._lines.append(INDENT * self._depth + text)
        self._at_start = self._just_opened = False

    def _open(self, text: str) -> None:
        self._line(text)
        self._at_start = self._just_opened = True

    def _close(self, text: str) -> None:
        if self._just_opened:
            self._lines[-1] += text
            self._at_start = self._just_opened = False
        else:
            self._line(text)

    def _reopen(self, text: str) -> None:
        self._close(text)
        self._at_start = self._just_opened = True

    def _blank(self, offset: int) -> None:
        if not self._at_start and self._trivia.blank_before(offset):
            self._lines.append("")

    def _own_lines(self, comments: Sequence[Comment]) -> None:
        for comment in comments:
            self._blank(comment.start)
            self._line(comment.text)

    def _hoist(self, until: int) -> None:
        # Comments in the middle of what goes on one line stand before it.
        for comment in self._trivia.take(until):
            self._line(comment.text)

    def _trailing(self, after: int, until: int) -> None:
        comment = self._trivia.take_trailing(after, until)
        if comment is not None:
            self._lines[-1] += "  " + comment.text
            self._just_opened = False

    def _fits(self, text: str) -> bool:
        return len(INDENT) * self._depth + len(text) <= LINE_WIDTH

    # ── items ────────────────────────────────────────────────────────────────────────────────────
    def _items(self, items: Sequence[Item], closing: int, until: int) -> _Work:
        """Everything up to the bracket at `closing`, one item after the other, then the comments up to `until`."""
        for number, item in enumerate(items):
            following = items[number + 1] if number + 1 < len(items) else None
            if number and isinstance(item, nodes.Workflow | Case):
                self._lines.append("")
                self._at_start = True
            self._own_lines(self._trivia.take(item.span.start))
            self._blank(item.span.start)
            yield self._item(item, _separator(item, following))
            self._trailing(item.span.end, closing if following is None else following.span.start)
        self._own_lines(self._trivia.take(until))

    def _item(self, item: Item, tail: str) -> _Work:
        match item:
            case nodes.Entry():
                yield self._value(entry_head(item, self._trivia), item.value, tail)
            case nodes.InputDecl() | nodes.Channel():
                head, default, rest = declaration(item, self._trivia)
                if default is None:
                    self._hoist(item.span.end)
                    self._line(head + tail)
                else:
                    yield self._value(head, default, rest + tail)
            case nodes.IfBlock():
                yield self._if(item)
            case nodes.ForEachBlock(body=body) if body is not None:
                yield self._foreach_in(item, body)
            case nodes.DoWhileBlock():
                yield self._do_while(item)
            case _ if (parts := block_parts(item, self._trivia)) is not None:
                yield self._block(item, parts)
            case _:
                yield self._value("", cast(nodes.Value, item), tail)

    def _value(self, head: str, value: nodes.Value, tail: str) -> _Work:
        """`head`, the value and `tail`, on one line if it may, else a list or map over several."""
        start, end = value.span.start, value.span.end
        if not isinstance(value, nodes.ListValue | nodes.MapValue):
            self._hoist(end)
            self._line(head + self._scalar(value) + tail)
            return
        self._hoist(start)
        if self._trivia.on_one_line(start, end):
            text = head + flat_value(value, self._trivia) + tail
            if self._fits(text):
                self._line(text)
                return
        yield self._bracketed(head, value, tail)

    def _scalar(self, value: nodes.Value) -> str:
        if isinstance(value, nodes.Text) and value.multiline:
            return long_literal(value.span.start, value.text, self._trivia, INDENT * self._depth)
        return flat_value(value, self._trivia)

    def _bracketed(self, head: str, value: nodes.ListValue | nodes.MapValue, tail: str) -> _Work:
        items: Sequence[Item]
        if isinstance(value, nodes.ListValue):
            opening, closing, items = "[", "]", value.items
        else:
            opening, closing, items = "{", "}", value.entries
        self._open(head + opening)
        yield self._inside(items, value.span.start)
        self._close(closing + tail)

    # ── blocks ───────────────────────────────────────────────────────────────────────────────────
    def _inside(self, items: Sequence[Item], opening: int, *, until: int = 0) -> _Work:
        """What stands in the brackets whose opening one is the end of the last line; with `until`, the comments
        between the closing one and there too."""
        closing = self._trivia.closing(opening)
        if self._just_opened:
            self._trailing(opening + 1, items[0].span.start if items else closing)
        self._depth += 1
        yield self._items(items, closing, max(closing, until))
        self._depth -= 1

    def _block(self, item: Item, parts: BlockParts) -> _Work:
        """A header with its block, on one line if it has only options and may stay there."""
        header, items, braces = parts
        opening = self._trivia.brace(item.span.start, item.span.end)
        if opening is None:
            self._hoist(item.span.end)
            self._line(header)
            return
        closing = self._trivia.closing(opening)
        self._hoist(opening)
        if self._trivia.on_one_line(opening, closing):
            flat = self._flat_items(items)
            if items and flat is not None and self._fits(f"{header} {{ {flat} }}"):
                self._line(f"{header} {{ {flat} }}")
                return
        if not items and not braces and not self._trivia.has_comment(opening, closing):
            self._line(header)
            return
        self._open(header + " {")
        yield self._inside(items, opening)
        self._close("}")

    def _flat_items(self, items: Sequence[Item]) -> str | None:
        """Options or declarations on one line; None if there is anything else."""
        texts = []
        for item in items:
            if isinstance(item, nodes.InputDecl | nodes.Channel):
                head, default, rest = declaration(item, self._trivia)
                texts.append(head + (flat_value(default, self._trivia) if default else "") + rest)
            elif isinstance(item, nodes.Entry):
                texts.append(flat_entry(item, self._trivia))
            else:
                return None
        return (", " if isinstance(items[0], nodes.InputDecl | nodes.Channel) else " ").join(texts) if items else ""

    def _if(self, block: nodes.IfBlock) -> _Work:
        word = "unless" if block.negated else "if"
        after = block.span.start
        for number, arm in enumerate(block.arms):
            opening = self._brace(after, block.span.end)
            header = f"{word if number == 0 else 'if'} {condition_text(arm.condition)} {{"
            if number == 0:
                self._hoist(opening)
                self._open(header)
            else:
                self._else("} else " + header, opening)
            after = self._trivia.closing(opening)
            yield self._inside(arm.body, opening)
        if block.orelse is not None:
            opening = self._brace(after, block.span.end)
            self._else("} else {", opening)
            yield self._inside(block.orelse, opening)
        self._close("}")

    def _else(self, header: str, opening: int) -> None:
        # Comments between `}` and `else` speak about what follows: they open its block.
        comments = self._trivia.take(opening)
        self._reopen(header)
        self._depth += 1
        for comment in comments:
            self._line(comment.text)
        self._depth -= 1

    def _do_while(self, block: nodes.DoWhileBlock) -> _Work:
        opening = self._brace(block.span.start, block.span.end)
        self._hoist(opening)
        self._open("do {")
        # Comments between `}` and the end of the condition go to the end of the block.
        yield self._inside([*block.written, *block.body], opening, until=block.span.end)
        self._close("} while " + condition_text(block.condition))

    def _foreach_in(self, block: nodes.ForEachBlock, body: Sequence[nodes.Statement]) -> _Work:
        opening = self._brace(block.over.span.end, block.span.end)
        yield self._value(f"foreach {block.name} in ", block.over, " {")
        # Comments between the list and its block open the block.
        comments = self._trivia.take(opening)
        self._at_start = self._just_opened = True
        self._depth += 1
        for comment in comments:
            self._line(comment.text)
        self._depth -= 1
        yield self._inside([*block.written, *body], opening)
        self._close("}")

    def _brace(self, after: int, before: int) -> int:
        found = self._trivia.brace(after, before)
        assert found is not None, "a block that parsed has a brace"
        return found


def _separator(item: Item, following: Item | None) -> str:
    if isinstance(item, nodes.InputDecl):
        return "," if isinstance(following, nodes.InputDecl) and following.name in _DECLARATION_WORDS else ""
    return "," if isinstance(item, _VALUES) else ""
