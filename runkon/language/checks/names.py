"""One name, two meanings: inputs declared twice, two workflows or two agents that answer to one name."""

from __future__ import annotations

from collections.abc import Iterable

from runkon.language.checks.context import Context
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.keys import agent_key
from runkon.language.nodes import AgentRef, CallStep, InputDecl, Workflow


def check_duplicate_inputs(context: Context) -> Iterable[Diagnostic]:
    """The later declaration of an input wins; both are shown."""
    first: dict[str, InputDecl] = {}
    for declared in context.workflow.inputs:
        earlier = first.setdefault(declared.name, declared)
        if earlier is not declared:
            related = (Related(earlier.span, "first declared here"),)
            yield diagnose("duplicate-input", declared.span, name=declared.name, related=related)


def check_duplicate_workflows(context: Context) -> Iterable[Diagnostic]:
    """Two workflows of one file under one name: `call workflow` could mean either."""
    first: dict[str, Workflow] = {}
    for workflow in context.parsed.workflows:
        earlier = first.setdefault(workflow.name, workflow)
        if earlier is not workflow and workflow is context.workflow:
            related = (Related(earlier.name_span, "first defined here"),)
            yield diagnose("duplicate-workflow", workflow.name_span, name=workflow.name, related=related)


def check_ambiguous_keys(context: Context) -> Iterable[Diagnostic]:
    """Two different agent files with one stem would answer for each other's results."""
    first: dict[str, AgentRef] = {}
    for statement in context.statements:
        if not isinstance(statement, CallStep) or statement.agent.form != "path" or statement.options.id is not None:
            continue
        key = agent_key(statement.agent)
        earlier = first.setdefault(key, statement.agent)
        if earlier.text != statement.agent.text:
            yield diagnose(
                "ambiguous-key",
                statement.agent.span,
                key=key,
                first=earlier.text,
                second=statement.agent.text,
                related=(Related(earlier.span, f"also `{key}`"),),
            )
