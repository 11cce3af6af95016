"""The values of `decide` blocks: checked against the form of their gate as those of an answer are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from runkon.errors import UserError
from runkon.language.case_nodes import Case, CaseBlock
from runkon.language.diagnostics import Diagnostic, Severity
from runkon.language.gate_forms import checked_values, form_in
from runkon.language.program import CheckedWorkflow
from runkon.model.output import JsonValue
from runkon.model.value_text import as_text
from runkon.testing.cases.checking import gates_of
from runkon.testing.cases.values import json_of

OWN = frozenset({"approve", "reject", "after", "by", "reason", "select"})  # what is said about the decision itself


def values_of(block: CaseBlock) -> dict[str, JsonValue]:
    """The values that a `decide` block gives besides the decision, as they are written."""
    return {entry.name: json_of(entry.value) for entry in block.written if entry.name not in OWN}


def is_rejected(block: CaseBlock) -> bool:
    said = {entry.name: json_of(entry.value) for entry in block.written}
    return said.get("approve") is False or said.get("reject") is True


def gate_of(block: CaseBlock) -> str:
    """The key of the gate that a block decides, however it names it."""
    return str(block.name).partition("#")[0].rpartition("/")[2]


def filled_in(block: CaseBlock, program: CheckedWorkflow, roots: Sequence[Path]) -> dict[str, JsonValue]:
    """The values of a block as the gate takes them. Raises UserError where they don't fill in its form."""
    values = values_of(block)
    node = next((gate for gate in gates_of(program) if gate.key == gate_of(block)), None)
    schema = None if node is None else form_in(roots, node, program)
    if node is None or schema is None:
        return values
    texts = {name: as_text(value) for name, value in values.items()}
    found = checked_values(schema, node.key, texts, is_complete=not is_rejected(block))
    return cast("dict[str, JsonValue]", found)


def check_forms(case: Case, program: CheckedWorkflow, roots: Sequence[Path]) -> Iterator[Diagnostic]:
    """One error per block whose values are not those of the form."""
    for block in case.blocks("decide"):
        try:
            filled_in(block, program, roots)
        except UserError as error:
            help = None if error.help is None else error.help.replace("give each as --set NAME=VALUE; ", "")
            yield Diagnostic(error.code, Severity.ERROR, error.message, block.name_span, help=help)
