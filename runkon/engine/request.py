"""What an executor is asked to do: one `StepRequest` per attempt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from runkon.errors import RunkonError
from runkon.failpoints import failpoint
from runkon.language.nodes import ScriptStep
from runkon.model.events import Note, ProcessStarted
from runkon.model.output import EMPTY, JsonValue
from runkon.model.ports import StepRequest
from runkon.model.processes import began, marks_of
from runkon.model.secrets import redact
from runkon.model.value_text import as_text

if TYPE_CHECKING:
    from runkon.engine.cancellation import Token
    from runkon.engine.environment import Environment
    from runkon.engine.open_step import OpenStep
    from runkon.engine.plan import Leaf
    from runkon.engine.scheduler import Ticket
    from runkon.engine.scope import Leg
    from runkon.model.ids import StepPath


def make_request(attempts: OpenStep, token: Token, notice: Callable[[], None] | None) -> StepRequest:
    """The request of the next attempt; `notice` hears of every sign of life. Raises StepFailure (kind `value`) if a
    value it needs can't be made."""
    leaf, leg, path = attempts.leaf, attempts.scope.leg, attempts.path
    attempts.reads = reads = set[str](attempts.described)
    options, config, env = leaf.options, leg.config, attempts.scope.env.at(path).watched(reads)
    tree = env.facts.tree
    if options.inputs:
        env = env.with_inputs({entry.name: env.value(entry.value) for entry in options.inputs})
    return StepRequest(
        run_id=leg.run,
        workflow=env.facts.workflow,
        path=path,
        name=leaf.name,
        cancel=token,
        attempt=attempts.number,
        inputs=env.variables(),
        options=_options(leaf, env, leg.grace.seconds),
        previous_error=attempts.previous,
        refused=attempts.refused,
        prompt=attempts.prompt,
        snippets=leaf.snippets,
        schema=leaf.schema,
        model=options.model or config.model,
        max_turns=options.max_turns,
        max_cost_usd=options.max_cost_usd,
        identity=options.identity or env.facts.identity,
        plugin_dirs=options.plugin_dirs,
        dry_run=config.dry_run,
        timeout=None if options.timeout is None else options.timeout / 1000,
        working_dir=config.working_dir if tree is None else tree.folder,
        roots=config.roots if tree is None else tree.roots,
        log_path=leg.log_path(path),
        idempotency_key=f"{leg.run}:{path}:{attempts.epoch}",
        secrets=leg.secrets,
        emit=_emitter(leg, path, notice),
        warn=partial(_warn, leg, path),
        marks=marks_of(leg.mark, next(leg.attempts)),
        started=partial(_started, leg, attempts.ticket),
        render=env.render_prompt,
    )


def _options(leaf: Leaf, env: Environment, grace: float) -> Mapping[str, JsonValue]:
    """What belongs to the kind of step alone; of a call how long a program that answers it may be silent."""
    if leaf.kind != "call":
        return _script_options(leaf.node, env, grace)
    idle = leaf.options.idle_timeout
    return EMPTY if idle is None else {"idle_timeout": idle / 1000}


def _script_options(node: object, env: Environment, grace: float) -> Mapping[str, JsonValue]:
    """The command with its values quoted for the shell, and the texts of its `env`. Its processes get a little less
    than the engine's own grace, so that they are killed and gathered before their step is given up."""
    assert isinstance(node, ScriptStep)
    variables = {entry.name: as_text(env.value(entry.value)) for entry in node.env}
    return {
        "run": env.render(node.run, shell=True),
        "env": dict(variables),
        "inputs": dict(env.given()),
        "kill_grace": max(grace / 2, grace - 1),
    }


def _emitter(leg: Leg, path: StepPath, notice: Callable[[], None] | None) -> Callable[[str], None]:
    progress, secrets = leg.progress, leg.secrets
    if progress is None:
        return _drop if notice is None else lambda _: notice()

    def emit(text: str) -> None:
        if notice is not None:
            notice()
        if not text:
            return
        with suppress(Exception):  # whoever watches must not fail the step
            progress(path, redact(str(text), secrets))

    return emit


def _warn(leg: Leg, path: StepPath, text: str) -> None:
    """Put it on record while somebody writes one: an executor may speak up long after its run has ended."""
    with suppress(RunkonError):
        leg.recorder.append(
            Note(level="warning", code="executor-warning", text=redact(str(text), leg.secrets), path=path)
        )


def _started(leg: Leg, ticket: Ticket | None, pid: int) -> None:
    """Put a process on record by which its group is found should this one be killed. The mark in its environment finds
    the others, also before this is durable."""
    leg.has_processes = True
    since = began(pid)
    if ticket is None or since is None:
        return
    event = ProcessStarted(path=ticket.path, number=ticket.number, pid=pid, began=since, epoch=ticket.epoch)
    with suppress(RunkonError):
        ticket.while_open(lambda: leg.recorder.append(event))
    failpoint("process_started", ticket.path, ticket.number)


def _drop(text: str) -> None:
    """Progress nobody watches."""
