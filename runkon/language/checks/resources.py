"""Things a workflow names that must be there: agents and executors, snippets, schemas, scripts, gates, providers and
reducers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

from runkon.frozen import replace
from runkon.language import lookup
from runkon.language.channel_types import REDUCERS
from runkon.language.checks.context import Context, option_span, written_option
from runkon.language.diagnostics import Diagnostic, Related, diagnose
from runkon.language.keys import result_key, step_options
from runkon.language.nodes import (
    AgentRef,
    CallStep,
    DoBlock,
    ForEachBlock,
    GateStep,
    ListValue,
    ParallelBlock,
    ScriptStep,
    Statement,
    Value,
    Word,
)
from runkon.language.places import names_file
from runkon.language.program import AgentUse, Located, NameKind
from runkon.language.schema_files import schema_problem
from runkon.language.source import Span
from runkon.language.suggest import closest
from runkon.named import NamedTuple

KNOWN_GATES = ("human_approval", "human_review", "pr_approval", "pr_checks", "quality_gate")
KNOWN_PROVIDERS = ("files", "lines", "range", "runs")
_UNKNOWN: Mapping[NameKind, str] = {
    "executor": "unknown-executor",
    "gate": "unknown-gate",
    "provider": "unknown-provider",
    "reducer": "unknown-reducer",
}
_HOOKS: Mapping[NameKind, str] = {
    "executor": "runkon_register_executors",
    "gate": "runkon_register_gate_resolvers",
    "provider": "runkon_register_item_providers",
    "reducer": "runkon_register_reducers",
}


class Missing(NamedTuple):
    """One thing that is not there: `kind:name` for the facts, and its finding."""

    kind: str
    name: str
    finding: Diagnostic


def check_resources(context: Context) -> Iterable[Diagnostic]:
    """One error per place that names something which is not there, with the places searched; one for all agent files
    that no runtime can run, since one thing is missing."""
    idle: dict[str | None, list[Missing]] = {}
    for missing in missing_resources(context):
        if missing.kind == "runtime":
            idle.setdefault(missing.finding.help, []).append(missing)
        else:
            yield missing.finding
    for same in idle.values():
        others = dict.fromkeys(f"`{each.name}`" for each in same if each.name != same[0].name)
        first = same[0].finding
        yield replace(first, help=f"{first.help}\nthe same for {', '.join(others)}") if others else first


def missing_resources(context: Context) -> Iterator[Missing]:
    """Everything the workflow names and nobody has."""
    known = () if context.overrides else frozenset(context.catalog.names("executor"))
    for statement in context.statements:
        if isinstance(statement, CallStep) and _is_plain(statement, known):
            continue
        yield from _agents(statement, context)
        yield from _snippets_and_schemas(statement, context)
        if isinstance(statement, ScriptStep):
            yield from _script(statement, context)
        elif isinstance(statement, GateStep) and statement.type not in KNOWN_GATES:
            yield from _named("gate", statement.type, statement.name_span, KNOWN_GATES, context)
        elif isinstance(statement, ForEachBlock):
            yield from _provider(statement, context)
    for channel in context.workflow.state:
        if channel.reducer_span is not None:
            yield from _named("reducer", channel.reducer, channel.reducer_span, tuple(REDUCERS), context)


def _is_plain(call: CallStep, known: Collection[str]) -> bool:
    """True for a call that names nothing but an executor that is there: most, and every resume looks at all."""
    agent, options = call.agent, call.options
    return (
        agent.text in known
        and agent.form == "name"
        and options.executor is None
        and options.fallback is None
        and options.output is None
        and not options.snippets
        and not isinstance(options.on_fail, AgentRef)
    )


# ── who is called ─────────────────────────────────────────────────────────────────────────────────
def _agents(statement: Statement, context: Context) -> Iterator[Missing]:
    options = step_options(statement)
    if options is None:
        return
    if isinstance(statement, CallStep):
        override = context.overrides.get(result_key(statement) or "") if context.overrides else None
        chosen = override or options.executor
        if chosen is not None and not _is_runtime(chosen, context):
            span = statement.agent.span if override else option_span(statement, "executor")
            yield from _named("executor", chosen, span, (), context)
        else:
            yield from _agent(statement.agent, options.plugin_dirs, context, runtime=chosen, model=options.model)
    elif isinstance(statement, ScriptStep) and (override := context.overrides.get(result_key(statement) or "")):
        yield from _named("executor", override, statement.name_span, (), context)
    if isinstance(options.on_fail, AgentRef):
        yield from _agent(options.on_fail, options.plugin_dirs, context, ("continue",))
    if options.fallback is not None:
        yield from _agent(options.fallback, options.plugin_dirs, context, model=options.model)


def _is_runtime(name: str, context: Context) -> bool:
    """True for what runs agent files, and is no executor by itself."""
    return name in context.catalog.names("runtime") and not context.catalog.knows("executor", name)


def _agent(
    agent: AgentRef,
    plugin_dirs: Sequence[str],
    context: Context,
    words: Sequence[str] = (),
    *,
    runtime: str | None = None,
    model: str | None = None,
) -> Iterator[Missing]:
    """An executor of that name, else an agent file and a runtime to run it. `words` may stand there as well; `runtime`
    and `model` are what the step says of them."""
    if runtime is None and agent.form == "name" and context.catalog.knows("executor", agent.text):
        return
    located = locate_agent(agent, plugin_dirs, context)
    if located.path is None or located.problem is not None:
        known = (*words, *context.catalog.names("executor")) if agent.form == "name" else ()
        help = _where(agent.text, located, known, "no executor of this name is registered")
        yield Missing("agent", agent.text, diagnose("unknown-agent", agent.span, name=agent.text, help=help))
        return
    secrets = frozenset(name for name, declared in context.inputs.items() if declared.type == "secret")
    shown = located.places[-1] if located.places else str(located.path)
    for fault in context.catalog.agent_faults(AgentUse(agent.text, located.path, shown, runtime, model, secrets)):
        related = () if fault.place is None else (_related(*fault.place),)
        finding = diagnose(fault.code, agent.span, help=fault.help, related=related, reason=fault.reason)
        yield Missing("runtime" if fault.code == "unknown-runtime" else "agent", agent.text, finding)


def _related(file: str, line: int, column: int, text: str) -> Related:
    return Related(Span(file, 0, 0, line, column), text)


def locate_agent(agent: AgentRef, plugin_dirs: Sequence[str], context: Context) -> Located:
    """The file of an agent, as a run finds it."""
    return lookup.locate_agent(agent.text, agent.form, plugin_dirs, partial(context.locate, "agent"))


# ── files ─────────────────────────────────────────────────────────────────────────────────────────
def _snippets_and_schemas(statement: Statement, context: Context) -> Iterator[Missing]:
    options = step_options(statement)
    if options is not None:
        snippets, schema = options.snippets, options.output
    elif isinstance(statement, DoBlock | ParallelBlock):
        snippets, schema = statement.snippets, statement.output
    elif isinstance(statement, GateStep):
        snippets, schema = (), statement.form
    else:
        return
    for snippet in snippets:
        located = context.locate("snippet", snippet)
        if located.path is None or located.problem is not None:
            finding = diagnose(
                "unknown-snippet", _element(statement, "with", snippet), name=snippet, help=_where(snippet, located)
            )
            yield Missing("snippet", snippet, finding)
    if schema is not None:
        located = context.locate("schema", schema)
        span = option_span(statement, "form" if isinstance(statement, GateStep) else "output")
        if located.path is None or located.problem is not None:
            yield Missing("schema", schema, diagnose("unknown-schema", span, name=schema, help=_where(schema, located)))
        elif located.places and (broken := schema_problem(located)) is not None:
            problem, place = broken
            finding = diagnose(
                "invalid-schema", span, name=schema, problem=problem.message, place=place, help=problem.help
            )
            yield Missing("schema", schema, finding)


def _script(statement: ScriptStep, context: Context) -> Iterator[Missing]:
    if "{{" in statement.run or not names_file(statement.run):
        return
    located = context.locate("script", statement.run)
    if located.path is None:
        help = _where(statement.run, located)
        finding = diagnose("unknown-script", statement.run_span, name=statement.name, run=statement.run, help=help)
        yield Missing("script", statement.run, finding)
    elif located.problem is not None:
        finding = diagnose(
            "script-not-executable",
            statement.run_span,
            name=statement.name,
            run=statement.run,
            reason=located.problem,
            path=located.places[-1] if located.places else statement.run,
        )
        yield Missing("script", statement.run, finding)


# ── plugins ───────────────────────────────────────────────────────────────────────────────────────
def _provider(statement: ForEachBlock, context: Context) -> Iterator[Missing]:
    over: Value = statement.over
    if isinstance(over, Word) and "." not in over.text and over.text not in _loop_variables(context):
        yield from _named("provider", over.text, over.span, KNOWN_PROVIDERS, context)


def _loop_variables(context: Context) -> frozenset[str]:
    """The names that lists may have inside of a `foreach`: its item."""
    loops = (one.name for one in context.statements if isinstance(one, ForEachBlock))
    return frozenset(("item", *loops))


def _named(kind: NameKind, name: str, span: Span, built_in: Sequence[str], context: Context) -> Iterator[Missing]:
    if name in built_in or context.catalog.knows(kind, name):
        return
    known = list(dict.fromkeys((*built_in, *context.catalog.names(kind))))
    close = closest(name, known)
    help = f"did you mean `{close}`?" if close else _bringing(kind, known)
    yield Missing(kind, name, diagnose(_UNKNOWN[kind], span, name=name, help=help))


def _bringing(kind: NameKind, known: Sequence[str]) -> str:
    """How a name gets there, for one that is close to none."""
    listed = ", ".join(f"`{each}`" for each in known)
    there = f"there are {listed}; " if known else ""
    return f"{there}others come from plugins, by the hook `{_HOOKS[kind]}`"


def _where(name: str, located: Located, known: Iterable[str] = (), other: str | None = None) -> str:
    """What to do about a missing file: the close name, else why it is refused, else where it was looked for."""
    close = closest(name, known)
    if close is not None:
        return f"did you mean `{close}`?"
    if located.problem is not None:
        return located.problem
    searched = "\n".join(["looked for", *located.places])
    return f"{other}; {searched}" if other else searched


def _element(statement: Statement, option: str, text: str) -> Span:
    """Where one name of a list option stands."""
    entry = written_option(statement, option)
    if entry is None:
        return statement.span
    items: tuple[Value, ...] = entry.value.items if isinstance(entry.value, ListValue) else ()
    for item in items:
        if getattr(item, "text", None) == text:
            return item.span
    return entry.value.span
