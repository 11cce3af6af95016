"""What every rule is given: one workflow, its file, the world around it, and what the others need to know of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from runkon.language.keys import all_statements, call_schemas, result_key
from runkon.language.nodes import CallStep, CallWorkflow, Entry, ForEachBlock, InputDecl, Statement, Workflow
from runkon.language.program import Catalog, LoadedWorkflow, Located, ParseResult, ResourceKind
from runkon.language.schema_files import known_schema
from runkon.language.source import SourceFile, Span

if TYPE_CHECKING:
    from runkon.schemas.fields import Schema

Family: TypeAlias = "dict[tuple[str, str, tuple[str, ...]], Context]"  # by file, name, and what else the file holds


class Context:
    """One check of one workflow. `overrides` are executors chosen for a run, by result key; `family` are the contexts
    of called workflows, shared by all checks with the same catalog and overrides."""

    def __init__(
        self,
        parsed: ParseResult,
        workflow: Workflow,
        catalog: Catalog,
        overrides: Mapping[str, str],
        family: Family | None = None,
    ) -> None:
        self.parsed = parsed
        self.workflow = workflow
        self.catalog = catalog
        self.overrides = overrides
        self.family: Family = {} if family is None else family
        self._read: dict[str, Schema | None] = {}

    @property
    def source(self) -> SourceFile:
        return self.parsed.source

    @cached_property
    def statements(self) -> tuple[Statement, ...]:
        """Every statement at every depth, body before `always`."""
        return tuple(all_statements(self.workflow))

    @cached_property
    def inputs(self) -> Mapping[str, InputDecl]:
        return {declared.name: declared for declared in self.workflow.inputs}

    @cached_property
    def producers(self) -> Mapping[str, Statement]:
        """The first statement, in text order, behind each result key."""
        found: dict[str, Statement] = {}
        for statement in self.statements:
            key = result_key(statement)
            if key is not None:
                found.setdefault(key, statement)
        return found

    @cached_property
    def behind(self) -> Mapping[str, tuple[Statement, ...]]:
        """Every statement behind each result key, in text order."""
        found: dict[str, tuple[Statement, ...]] = {}
        for statement in self.statements:
            key = result_key(statement)
            if key is not None:
                found[key] = (*found.get(key, ()), statement)
        return found

    @cached_property
    def schemas(self) -> Mapping[int, str]:
        """The schema of each call, by the identity of its statement: its own, or that of the block around it."""
        return call_schemas(self.workflow)

    @cached_property
    def calls(self) -> tuple[str, ...]:
        """The names of the workflows behind `call workflow` and `foreach`, sorted."""
        return tuple(sorted(called_workflows(self.statements)))

    @cached_property
    def children(self) -> Mapping[str, LoadedWorkflow]:
        """Every workflow that this one names, by name, each looked up once."""
        return {name: self.load(name) for name in self.calls}

    def load(self, name: str) -> LoadedWorkflow:
        for workflow in self.parsed.workflows:
            if workflow.name == name:
                return LoadedWorkflow(workflow, self.source)
        return self.catalog.workflow(name, self.source)

    def schema(self, name: str) -> Schema | None:
        """The schema of that name, read once; None if there is none that can be used, or nobody can tell."""
        if name not in self._read:
            self._read[name] = known_schema(self.locate("schema", name))
        return self._read[name]

    def locate(self, kind: ResourceKind, name: str) -> Located:
        return self.catalog.locate(kind, name, self.workflow.name, self.source)


def child_context(context: Context, loaded: LoadedWorkflow) -> Context:
    """The context of a called workflow. Its siblings in the file stay known if it is this file."""
    if loaded.workflow is None or loaded.source is None:
        raise ValueError("a child that was not loaded has no context")
    same_file = loaded.source.path == context.source.path
    parsed = context.parsed if same_file else ParseResult(loaded.source, (loaded.workflow,))
    key = (loaded.source.path, loaded.workflow.name, tuple(one.name for one in parsed.workflows))
    known = context.family.get(key)
    if known is None:
        known = Context(parsed, loaded.workflow, context.catalog, context.overrides, context.family)
        context.family[key] = known
    return known


def called_workflows(statements: Iterable[Statement]) -> set[str]:
    """The names behind `call workflow` and `foreach`."""
    named = (statement.workflow for statement in statements if isinstance(statement, (CallWorkflow, ForEachBlock)))
    return {name for name in named if name is not None}


def option_span(statement: Statement, *names: str) -> Span:
    """Where an option's value stands; the statement's own span if it was not written."""
    entry = written_option(statement, *names)
    return statement.span if entry is None else entry.value.span


def written_option(statement: Statement, *names: str) -> Entry | None:
    written: tuple[Entry, ...] = getattr(statement, "written", ())
    return next((entry for entry in written if entry.name in names), None)


def name_span(statement: Statement) -> Span:
    """The word that names a statement: the agent of a call, the name of a script; else its first character."""
    if isinstance(statement, CallStep):
        return statement.agent.span
    named: Span | None = getattr(statement, "name_span", None)
    return named or statement.span
