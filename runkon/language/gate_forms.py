"""Forms of gates: which values an answer has to have, and whether they are the right ones. One place for whoever gives
them: a command, a terminal, a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runkon.errors import EXIT_USAGE, UserError
from runkon.language.keys import all_statements
from runkon.language.schema_files import find_schema
from runkon.language.suggest import closest
from runkon.schemas.forms import field_lines, fill_in

if TYPE_CHECKING:
    from runkon.language.nodes import GateStep
    from runkon.language.program import CheckedWorkflow
    from runkon.schemas.fields import Schema


def form_in(roots: Sequence[Path], node: GateStep, program: CheckedWorkflow) -> Schema | None:
    """The schema of the values that go with an approval of a gate of `program`, or of a workflow it calls; None for a
    gate without a form. Raises UserError (`unknown-schema`, `invalid-schema`)."""
    return None if node.form is None else find_schema(roots, node.form, _workflow_of(program, node))


def checked_values(schema: Schema, gate: str, texts: Mapping[str, str], *, is_complete: bool) -> dict[str, object]:
    """The values of an answer from what was typed. Raises UserError `invalid-answer`, which lists the fields."""
    filled = fill_in(schema, texts, is_complete=is_complete)
    if not filled.problems:
        return dict(filled.values)
    names = [field.name for field in schema.fields]
    close = next((near for name in texts if name not in names and (near := closest(name, names))), None)
    listed = "\n".join([f"the fields of `{schema.name}`", *field_lines(schema)])
    raise UserError(
        "invalid-answer",
        f"this answer does not fill in the form of gate `{gate}`: {'; '.join(filled.problems)}",
        help=f"did you mean `{close}`?\n{listed}" if close else f"give each as --set NAME=VALUE; {listed}",
        exit_code=EXIT_USAGE,
    )


def _workflow_of(program: CheckedWorkflow, node: GateStep) -> str:
    """The name of the workflow a gate stands in."""
    waiting, seen = [program], set()
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            if any(statement == node for statement in all_statements(one.workflow)):
                return one.workflow.name
            waiting += one.children.values()
    return program.workflow.name
