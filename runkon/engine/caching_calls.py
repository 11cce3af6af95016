"""`cache` on `call workflow`: the result of an earlier call, in any run, of the same workflow with the same inputs.

The request is the text of the workflow and of those it calls, the files that their steps name, who carries them out,
and the inputs with their values. It is kept with the end of a call whose steps have changed nothing and in which nobody
decided anything, so only such a call is found again. What its steps have left is not taken over: their keys are read
through the result of the call alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from runkon.digest import hex_digest
from runkon.engine.answers import Failed
from runkon.engine.asking import asked_as, portable
from runkon.engine.caching import DAMAGED, is_whole, may_answer
from runkon.engine.updates import judged
from runkon.errors import UserError
from runkon.language import lookup
from runkon.language.keys import all_statements, call_schemas, step_options
from runkon.language.nodes import AgentRef, CallStep, GateStep, ScriptStep
from runkon.language.places import names_file
from runkon.model.events import StepCompleted
from runkon.model.failures import StepFailure
from runkon.model.ids import RunID, StepPath
from runkon.model.json_text import canonical, loads
from runkon.model.output import JsonValue
from runkon.model.records import Asked, StepRecord
from runkon.model.secrets import redact_json

if TYPE_CHECKING:
    from pathlib import Path

    from runkon.engine.plan import ChildCall
    from runkon.engine.scope import Leg, Scope
    from runkon.language.program import CheckedWorkflow, Located
    from runkon.model.output import Output
    from runkon.model.ports import RunStore


def asked_of(call: ChildCall, scope: Scope, inputs: Callable[[], Mapping[str, JsonValue]]) -> Asked | None:
    """What the call asks, None in a dry run and where a value can't be had or written down: then the call says why."""
    leg, config = scope.leg, scope.leg.config
    if config.dry_run:
        return None
    try:
        given = dict(inputs())
    except StepFailure:
        return None
    whole: dict[str, JsonValue] = {
        "kind": call.kind,
        "definition": dict(_texts(call.child)),
        "files": dict(_files(call.child, leg)),
        "executors": dict(_executors(call.child, leg)),
        "chosen": dict(config.executors),
        "agents": dict(config.agents),
        "model": config.model,
        "environment": dict(config.environment),
        "identity": call.options.identity or scope.env.facts.identity,
        "inputs": given,
    }
    try:
        plain = loads(canonical(redact_json({name: one for name, one in whole.items() if one}, leg.secrets)))
    except ValueError:
        return None
    return asked_as(portable(plain, str(config.working_dir.absolute()), leg.run))


def from_cache(call: ChildCall, scope: Scope, path: StepPath, asked: Asked | None) -> tuple[Output, str] | None:
    """The output of an equal earlier call, with the run and step it is from; None if none may be used."""
    leg, config = scope.leg, scope.leg.config
    past, age = leg.past, call.options.cache
    if config.replay is not None:
        return None if leg.cached_call is None else leg.cached_call(path)
    if asked is None or past is None or not config.uses_cache:
        return None
    leg.recorder.commit()  # an equal call of this run may have ended a moment ago
    oldest = 0 if age is None or isinstance(age, bool) else leg.clock.now_ms() - age
    for step in _found(past, asked):
        if (step.ended_at or 0) < oldest:
            continue
        answer = judged(replace(step.output, usage=None), path, scope.env)
        if not isinstance(answer, Failed):
            return answer, f"{step.run}/{step.path}"
    return None


def may_be_found(leg: Leg, path: StepPath) -> bool:
    """False for a call in which a step may have changed something, or somebody has decided something."""
    leg.recorder.commit()
    inside = [step for step in leg.read_steps() if step.path.startswith(f"{path}/")]
    return all(step.effect != "write" and step.info.kind != "gate" and step.cut_offs == 0 for step in inside)


def _found(past: RunStore, asked: Asked) -> Iterator[StepRecord]:
    """Calls that asked this and completed, the newest first within each run. A run whose record is damaged answers
    nothing."""
    for run in past.runs_asked(asked.request):
        try:
            found = _found_in(past, run, asked)
        except UserError as error:
            if error.code not in DAMAGED:
                raise
        else:
            yield from found


def _found_in(past: RunStore, run: RunID, asked: Asked) -> Sequence[StepRecord]:
    if not may_answer(past.run(run)):
        return ()
    ends = {
        one.event.path: one.event.asked
        for one in past.events_of(run, {StepCompleted.kind})
        if isinstance(one.event, StepCompleted)
    }
    steps = [step for step in past.steps(run) if (kept := ends.get(step.path)) and kept.digest == asked.digest]
    return sorted(filter(is_whole, steps), key=lambda one: -(one.ended_at or 0))


# ── the definition ────────────────────────────────────────────────────────────────────────────────
def _programs(program: CheckedWorkflow, known: dict[int, CheckedWorkflow] | None = None) -> list[CheckedWorkflow]:
    """The workflow and all that it calls, each once."""
    known = {} if known is None else known
    if id(program) not in known:
        known[id(program)] = program
        for name in sorted(program.children):
            _programs(program.children[name], known)
    return list(known.values())


def _texts(program: CheckedWorkflow) -> Iterator[tuple[str, str]]:
    for one in _programs(program):
        span = one.workflow.span
        yield (
            f"{span.file}:{one.workflow.name}",
            _digest(one.source.text[span.start : span.end].encode("utf-8", "replace")),
        )


def _executors(program: CheckedWorkflow, leg: Leg) -> Iterator[tuple[str, str]]:
    """The registered ones that steps name, with their versions."""
    for one in _programs(program):
        for statement in all_statements(one.workflow):
            options = step_options(statement)
            named = [] if options is None else [options.executor, getattr(options.fallback, "text", None)]
            if isinstance(statement, CallStep):
                named.append(statement.agent.text)
            for name in named:
                executor = None if name is None else leg.executor(name)
                if executor is not None:
                    yield str(name), str(executor.version)


def _files(program: CheckedWorkflow, leg: Leg) -> Iterator[tuple[str, str]]:
    """The agents, snippets, schemas and scripts that steps name, as they are now."""
    roots = leg.config.roots or (leg.config.working_dir.absolute(),)
    for one in _programs(program):
        name = one.workflow.name
        for schema in call_schemas(one.workflow).values():
            yield _file("schema", lookup.locate("schema", roots, schema, name), schema)
        for statement in all_statements(one.workflow):
            if isinstance(statement, ScriptStep) and names_file(statement.run):
                yield _file("script", lookup.locate("script", roots, statement.run, name), statement.run)
            if isinstance(statement, GateStep):
                continue
            options = step_options(statement)
            snippets = getattr(statement, "snippets", ()) if options is None else options.snippets
            for snippet in snippets:
                yield _file("snippet", lookup.locate("snippet", roots, snippet, name), snippet)
            if options is None:
                continue
            refs = [options.fallback, options.on_fail]
            for ref in [*refs, statement.agent] if isinstance(statement, CallStep) else refs:
                if isinstance(ref, AgentRef):
                    find = partial(_locate_agent, roots, name)
                    yield _file("agent", lookup.locate_agent(ref.text, ref.form, options.plugin_dirs, find), ref.text)


def _locate_agent(roots: Sequence[Path], workflow: str, text: str) -> Located:
    return lookup.locate("agent", roots, text, workflow)


def _file(kind: str, located: Located, name: str) -> tuple[str, str]:
    try:
        content = b"" if located.path is None else located.path.read_bytes()
    except OSError:
        content = b""
    return f"{kind} {name}", _digest(content) if content else "none"


def _digest(content: bytes) -> str:
    return hex_digest(content)[:32]
