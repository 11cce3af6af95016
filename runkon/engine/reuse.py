"""What a step saw, and whether it would see the same again.

While a step is made ready and runs, the names it asks for are noted (`Environment.watched`). Its end keeps them with a
digest of their values; for a script the digest also covers its command, its `env` and the inputs it is given. Under
the same names a later leg computes the digest again from restored values: equal means that nothing the step looked at
has changed. The id of the run is left out, so that a fork compares like its origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runkon.digest import hex_digest
from runkon.engine.variables import EVERY_NAME
from runkon.language.nodes import ScriptStep
from runkon.model.failures import StepFailure
from runkon.model.json_text import canonical
from runkon.model.output import JsonValue
from runkon.model.records import Seen
from runkon.model.value_text import as_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from runkon.engine.environment import Environment
    from runkon.engine.open_step import OpenStep
    from runkon.engine.plan import Leaf
    from runkon.model.records import StepRecord

_RUN_ID = "workflow_run_id"
_LENGTH = 32  # hex digits of a digest that are kept


def seen_by(attempts: OpenStep) -> Seen | None:
    """What the step has seen in its last attempt; None if it looked at nothing, or never came to look."""
    reads = attempts.reads
    if reads is None or (not reads and attempts.leaf.kind == "call"):
        return None
    try:
        return _seen(attempts.leaf, attempts.scope.env, sorted(reads))
    except (StepFailure, ValueError):  # of a value that has no digest nobody can say later that it is the same
        return Seen(tuple(sorted(reads)), "")


def difference(leaf: Leaf, env: Environment, record: StepRecord) -> str | None:
    """Why a settled step would not see again what it saw, or None if it would."""
    seen = record.seen
    if seen is None:
        return None
    try:
        now = _seen(leaf, env, seen.names)
    except (StepFailure, ValueError):
        now = None
    if now is not None and now.digest == seen.digest != "":
        return None
    return changed_inputs(seen.names)


def changed_inputs(names: Collection[str]) -> str:
    """`inputs changed: {{plan.files}}`."""
    shown = [f"{{{{{name}}}}}" for name in names if name not in (EVERY_NAME, _RUN_ID)]
    if not shown:
        return "inputs changed"
    return "inputs changed: " + ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "")


def _seen(leaf: Leaf, env: Environment, names: Collection[str]) -> Seen | None:
    options = leaf.options
    inner = env
    if options.inputs:
        inner = env.with_inputs({entry.name: env.value(entry.value) for entry in options.inputs})
    values: dict[str, JsonValue] = {}
    for name in names:
        if name == EVERY_NAME:
            variables = inner.variables()
            values[name] = {one: variables[one] for one in variables.names() if one != _RUN_ID}
        elif name != _RUN_ID:
            found = inner.look_up(name)
            values[name] = [found.value] if found.known else []
    kept = tuple(names)
    if isinstance(leaf.node, ScriptStep):
        given = {name: value for name, value in inner.given().items() if name != _RUN_ID}
        if not names and not given:
            return None
        env_texts: dict[str, JsonValue] = {entry.name: as_text(inner.value(entry.value)) for entry in leaf.node.env}
        values |= {"/run": _command(leaf.node.run, inner), "/env": env_texts, "/given": given}
    return Seen(kept, hex_digest(canonical(values).encode("utf-8", "surrogatepass"))[:_LENGTH])


def _command(text: str, env: Environment) -> str:
    """The command as the shell gets it. The run's own id in it says nothing about what changed."""
    return env.render(text, shell=True).replace(env.facts.run_id, "")
