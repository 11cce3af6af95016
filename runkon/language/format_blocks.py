"""The header and the contents of each construct that is a header with one block behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from runkon.language import case_nodes, nodes
from runkon.language.condition_text import condition_text
from runkon.language.format_values import agent_text, literal
from runkon.language.trivia import Trivia
from runkon.named import NamedTuple

Item: TypeAlias = (
    nodes.Workflow
    | nodes.Section
    | nodes.Statement
    | nodes.InputDecl
    | nodes.Channel
    | nodes.Entry
    | nodes.Value
    | case_nodes.Case
    | case_nodes.CaseBlock
)


class BlockParts(NamedTuple):
    """What stands before the brace, what stands inside, and whether an empty block keeps its braces."""

    header: str
    items: Sequence[Item]
    braces: bool = True


def block_parts(item: Item, trivia: Trivia) -> BlockParts | None:
    """The parts of `item`; None for what has another shape: values, options, `if`, `do … while`."""
    match item:
        case nodes.Workflow():
            return BlockParts(f"workflow {item.name}", item.items)
        case nodes.MetaSection():
            return BlockParts("meta", item.written)
        case nodes.InputsSection():
            return BlockParts("inputs", item.declarations)
        case nodes.OutputsSection():
            return BlockParts("outputs", item.written)
        case nodes.StateSection():
            return BlockParts("state", item.channels)
        case nodes.AlwaysSection() | nodes.AlwaysBlock():
            return BlockParts("always", item.body)
        case case_nodes.Case():
            return BlockParts(f"test {literal(item.name.span.start, item.name.text, trivia)}", item.items)
        case case_nodes.CaseBlock():
            return BlockParts(_case_head(item, trivia), item.written)
        case _:
            return _statement_parts(item, trivia)


def _case_head(item: case_nodes.CaseBlock, trivia: Trivia) -> str:
    if item.quoted is not None:
        return f"{item.word} {literal(item.quoted.span.start, item.quoted.text, trivia)}"
    return item.word if item.name is None else f"{item.word} {item.name}"


def _statement_parts(item: Item, trivia: Trivia) -> BlockParts | None:
    match item:
        case nodes.CallStep():
            return BlockParts(f"call {agent_text(item.agent, trivia)}", item.written, braces=False)
        case nodes.CallWorkflow():
            return BlockParts(f"call workflow {item.workflow}", item.written, braces=False)
        case nodes.ScriptStep():
            return BlockParts(f"script {item.name}", item.written)
        case nodes.GateStep():
            return BlockParts(f"gate {item.type}", item.written)
        case nodes.ForEachBlock(body=None):
            return BlockParts(f"foreach {item.name}", item.written)
        case nodes.SetStatement():
            return BlockParts("set", item.updates)
        case nodes.WhileBlock():
            return BlockParts(f"while {condition_text(item.condition)}", [*item.written, *item.body])
        case nodes.DoBlock():
            return BlockParts(_named("do", item.name), [*item.written, *item.body])
        case nodes.ParallelBlock():
            return BlockParts(_named("parallel", item.name), [*item.written, *item.body])
        case _:
            return None


def _named(word: str, name: str | None) -> str:
    return word if name is None else f"{word} {name}"
