"""Matched rules → the typed tree, one method per grammar rule; no parse tree is built in between.

Headers and bodies are put together here, options are understood by `assemble.py`. A block arrives as a mixed run of
options and statements; it leaves as written options and a body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from runkon.language import assemble
from runkon.language.builder_conditions import ConditionRules
from runkon.language.builder_values import Report
from runkon.language.channels import group_channels
from runkon.language.declaration_parts import InputValue, Part, Separator
from runkon.language.declarations import group_declarations
from runkon.language.diagnostics import diagnose
from runkon.language.nodes import (
    AgentRef,
    AlwaysBlock,
    AlwaysSection,
    CallStep,
    CallWorkflow,
    Condition,
    Constant,
    Entry,
    ForEachBlock,
    GateStep,
    IfArm,
    IfBlock,
    InputsSection,
    MapValue,
    MetaSection,
    OutputsSection,
    ParallelBlock,
    ScriptStep,
    Section,
    SetStatement,
    Statement,
    StateSection,
    Value,
    WhileBlock,
    Word,
    Workflow,
)
from runkon.language.option_reader import repeated_entries
from runkon.language.source import Span
from runkon.language.tokens import Token
from runkon.named import NamedTuple

_SECTIONS = (MetaSection, InputsSection, OutputsSection, StateSection, AlwaysSection)


class Block(NamedTuple):
    """`{ … }` with its options and statements told apart; `end` is the offset behind the closing brace."""

    written: tuple[Entry, ...]
    body: tuple[Statement, ...]
    end: int


class Options(NamedTuple):
    written: tuple[Entry, ...]
    end: int


class OpenDo(NamedTuple):
    """A `do` whose fate is open: the next item may be the `while` that makes it a loop."""

    word: Token
    name: str | None
    block: Block


class LooseWhile(NamedTuple):
    """`while c` without a block."""

    word: Token
    condition: Condition


class Misplaced(NamedTuple):
    """A section inside a block; reported, then dropped."""


Item: TypeAlias = Statement | Section | Entry | OpenDo | LooseWhile | Misplaced
QuotedCondition: TypeAlias = Callable[[Span], Condition | None]


class Builder(ConditionRules):
    """Builds the workflows of one file. `quoted_condition` parses the string that stands at a span where
    a condition is due, and reports what is wrong with it."""

    def __init__(self, file: str, report: Report, quoted_condition: QuotedCondition) -> None:
        super().__init__(file, report)
        self._quoted_condition = quoted_condition

    # ── file and workflow ───────────────────────────────────────────────────────────────────────
    def start(self, *workflows: Workflow) -> tuple[Workflow, ...]:
        return workflows

    def workflow(self, word: Token, name: Token, _opening: Token, *parts: Item | Token) -> Workflow:
        *run, closing = parts
        assert isinstance(closing, Token)
        items: list[Section | Statement] = []
        for item in self._settled(run):
            if isinstance(item, Entry):
                self._report(diagnose("option-out-of-place", item.name_span, option=item.name, owner="workflow"))
            elif isinstance(item, AlwaysBlock):
                items.append(AlwaysSection(span=item.span, body=item.body))
            else:
                items.append(item)
        metas = [item for item in items if isinstance(item, MetaSection)]
        return Workflow(
            span=self._between(word, closing.end),
            name=name.text,
            name_span=self._at(name),
            items=tuple(items),
            meta=assemble.meta(metas, self._report),
            inputs=tuple([d for item in items if isinstance(item, InputsSection) for d in item.declarations]),
            outputs=tuple([e for item in items if isinstance(item, OutputsSection) for e in item.written]),
            body=tuple([item for item in items if not isinstance(item, _SECTIONS)]),
            always=tuple([s for item in items if isinstance(item, AlwaysSection) for s in item.body]),
            state=tuple([c for item in items if isinstance(item, StateSection) for c in item.channels]),
        )

    def meta(self, word: Token, options: Options) -> MetaSection:
        return MetaSection(span=self._between(word, options.end), written=options.written)

    def inputs(self, word: Token, _opening: Token, *parts: Part) -> InputsSection:
        *run, closing = parts
        assert isinstance(closing, Token)
        declarations = group_declarations(tuple(run), self._file, self._report)
        return InputsSection(span=self._between(word, closing.end), declarations=declarations)

    def input_value(self, value: Value) -> InputValue:
        return InputValue(value)

    def separator(self, token: Token) -> Separator:
        return Separator(token)

    def outputs(self, word: Token, entries: MapValue) -> OutputsSection:
        for repeated in repeated_entries(entries.entries):
            self._report(repeated)
        return OutputsSection(span=self._between(word, entries.span.end), written=entries.entries)

    def state(self, word: Token, channels: StateSection) -> StateSection:
        return StateSection(span=self._between(word, channels.span.end), channels=channels.channels)

    def channels(self, opening: Token, *parts: Part) -> StateSection:
        *run, closing = parts
        assert isinstance(closing, Token)
        channels = group_channels(tuple(run), self._file, self._report)
        return StateSection(span=self._between(opening, closing.end), channels=channels)

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────
    def block(self, _opening: Token, *parts: Item | Token) -> Block:
        *run, closing = parts
        assert isinstance(closing, Token)
        written: list[Entry] = []
        body: list[Statement] = []
        for item in self._settled(run):
            if isinstance(item, Entry):
                if body:
                    self._report(diagnose("option-after-statement", item.name_span, option=item.name))
                written.append(item)
            elif not isinstance(item, _SECTIONS):
                body.append(item)
        return Block(tuple(written), tuple(body), closing.end)

    def _settled(self, run: Sequence[Item | Token]) -> list[Entry | Statement | Section]:
        """The items with every `do` joined to the `while` behind it, and what is out of place left out."""
        settled: list[Entry | Statement | Section] = []
        last = len(run) - 1
        joined = False
        for at, item in enumerate(run):
            if isinstance(item, OpenDo):
                follower = run[at + 1] if at < last else None
                joined = isinstance(follower, LooseWhile)
                settled.append(self._do(item, follower if isinstance(follower, LooseWhile) else None))
            elif isinstance(item, LooseWhile):
                if not joined:
                    self._report(diagnose("loose-while", self._at(item.word)))
                joined = False
            elif not isinstance(item, Misplaced | Token):
                settled.append(item)
        return settled

    def options(self, _opening: Token, *parts: Entry | Token) -> Options:
        *written, closing = parts
        assert isinstance(closing, Token)
        return Options(tuple(written), closing.end)  # type: ignore[arg-type]

    def condition_option(self, key: Token, value: Condition) -> Entry:
        span = self._between(key, value.span.end)
        condition = value
        if isinstance(value, Constant) and isinstance(value.value, str):
            condition = self._quoted_condition(value.span) or value
            if condition is value:
                return Entry(span=span, name=key.text, name_span=self._at(key), value=value)
        return Entry(span=span, name=key.text, name_span=self._at(key), value=self._as_test(condition))

    def inputs_block(self, key: Token, entries: MapValue) -> Entry:
        span = self._between(key, entries.span.end)
        return Entry(span=span, name=key.text, name_span=self._at(key), value=entries)

    def misplaced(self, word: Token, _contents: Options | MapValue | StateSection) -> Misplaced:
        self._report(diagnose("misplaced-section", self._at(word), section=word.text))
        return Misplaced()

    # ── steps ───────────────────────────────────────────────────────────────────────────────────
    def call(self, word: Token, agent: AgentRef, options: Options | None = None) -> CallStep:
        written, end = options or ((), agent.span.end)
        return assemble.call(self._between(word, end), agent, written, self._report)

    def call_workflow(self, word: Token, _workflow: Token, name: Token, options: Options | None = None) -> CallWorkflow:
        written, end = options or ((), name.end)
        return assemble.call_workflow(self._between(word, end), name.text, self._at(name), written, self._report)

    def script(self, word: Token, name: Token, options: Options) -> ScriptStep:
        span = self._between(word, options.end)
        return assemble.script(span, name.text, self._at(name), options.written, self._report)

    def gate(self, word: Token, name: Token, options: Options) -> GateStep:
        span = self._between(word, options.end)
        return assemble.gate(span, name.text, self._at(name), options.written, self._report)

    def foreach(self, word: Token, name: Token, block: Block) -> ForEachBlock:
        span = self._between(word, block.end)
        if block.body:
            self._report(diagnose("foreach-without-list", self._at(name), name=name.text))
            nothing = Word(span=self._at(name), text="")
            return assemble.foreach(span, name.text, nothing.span, nothing, block.body, block.written, self._report)
        return assemble.foreach(span, name.text, self._at(name), None, None, block.written, self._report)

    def foreach_in(self, word: Token, name: Token, _in: Token, source: Value, block: Block) -> ForEachBlock:
        span = self._between(word, block.end)
        return assemble.foreach(span, name.text, self._at(name), source, block.body, block.written, self._report)

    # ── blocks of statements ────────────────────────────────────────────────────────────────────
    def parallel(self, word: Token, *parts: Token | Block) -> ParallelBlock:
        name, block = _name_and_block(parts)
        return assemble.parallel(self._between(word, block.end), name, block.body, block.written, self._report)

    def if_statement(self, word: Token, condition: Condition, block: Block, *tail: IfArm | Block) -> IfBlock:
        assemble.no_options(word.text, block.written, self._report)
        arms = [IfArm(span=self._between(word, block.end), condition=self._as_test(condition), body=block.body)]
        orelse: tuple[Statement, ...] | None = None
        end = block.end
        for part in tail:
            if isinstance(part, IfArm):
                arms.append(part)
                end = part.span.end
            else:
                orelse, end = part.body, part.end
        return IfBlock(span=self._between(word, end), negated=word.text == "unless", arms=tuple(arms), orelse=orelse)

    unless_statement = if_statement

    def else_if(self, word: Token, _if: Token, condition: Condition, block: Block) -> IfArm:
        assemble.no_options("else if", block.written, self._report)
        return IfArm(span=self._between(word, block.end), condition=self._as_test(condition), body=block.body)

    def else_block(self, _word: Token, block: Block) -> Block:
        assemble.no_options("else", block.written, self._report)
        return block

    def while_statement(self, word: Token, condition: Condition, block: Block | None = None) -> WhileBlock | LooseWhile:
        condition = self._as_test(condition)
        if block is None:
            return LooseWhile(word, condition)
        span = self._between(word, block.end)
        return assemble.while_loop(span, condition, block.body, block.written, self._report)

    def do_statement(self, word: Token, *parts: Token | Block) -> OpenDo:
        name, block = _name_and_block(parts)
        return OpenDo(word, name, block)

    def _do(self, do: OpenDo, loop: LooseWhile | None) -> Statement:
        condition = loop.condition if loop else None
        end = do.block.end if condition is None else condition.span.end
        span = self._between(do.word, end)
        return assemble.do_block(span, do.name, condition, do.block.body, do.block.written, self._report)

    def always_statement(self, word: Token, block: Block) -> AlwaysBlock:
        assemble.no_options("always", block.written, self._report)
        return AlwaysBlock(span=self._between(word, block.end), body=block.body)

    def set_statement(self, word: Token, updates: MapValue) -> SetStatement:
        for repeated in repeated_entries(updates.entries):
            self._report(repeated)
        return SetStatement(span=self._between(word, updates.span.end), updates=updates.entries)


def _name_and_block(parts: tuple[Token | Block, ...]) -> tuple[str | None, Block]:
    name = parts[0].text if isinstance(parts[0], Token) else None
    block = parts[-1]
    assert isinstance(block, Block)
    return name, block
