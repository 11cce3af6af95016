"""What a step saw, and whether it would see the same again.

While a step is made ready and runs, the names it asks for are noted (`Environment.watched`). Its end keeps them with a
digest of their values; for a script the digest also covers its command, its `env`, the inputs it is given, and, apart
from these, the file that its command names. Under
the same names a later leg computes the digest again from restored values: equal means that nothing the step looked at
has changed. The id of the run is left out, so that a fork compares like its origin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runkon.digest import hex_digest
from runkon.engine.variables import EVERY_NAME
from runkon.language.nodes import ScriptStep
from runkon.language.places import first_file, names_file, script_places
from runkon.model.failures import StepFailure
from runkon.model.json_text import canonical
from runkon.model.output import JsonValue
from runkon.model.records import Seen
from runkon.model.value_text import as_text

if TYPE_CHECKING:
    from collections.abc import Collection

    from runkon.engine.config import RunConfig
    from runkon.engine.environment import Environment
    from runkon.engine.open_step import OpenStep
    from runkon.engine.plan import Leaf
    from runkon.engine.scope import Scope
    from runkon.model.records import StepRecord

_RUN_ID = "workflow_run_id"
_AND_FILE = "."  # stands between the digest of the values and that of the file
_LENGTH = 32  # hex digits of a digest that are kept


def seen_by(attempts: OpenStep) -> Seen | None:
    """What the step has seen in its last attempt; None if it looked at nothing, or never came to look."""
    reads = attempts.reads
    if reads is None or (not reads and attempts.leaf.kind == "call"):
        return None
    scope = attempts.scope
    try:
        return _seen(attempts.leaf, scope.env, sorted(reads), scope.leg.config)
    except (StepFailure, ValueError):  # of a value that has no digest nobody can say later that it is the same
        return Seen(tuple(sorted(reads)), "")


def difference(leaf: Leaf, scope: Scope, record: StepRecord) -> str | None:
    """Why a settled step would not see again what it saw, or None if it would. The file of a script counts where the
    run goes on with an edited workflow."""
    seen = record.seen
    if seen is None:
        return None
    try:
        now = _seen(leaf, scope.env, seen.names, scope.leg.config)
    except (StepFailure, ValueError):
        now = None
    before, _, file = seen.digest.partition(_AND_FILE)
    values, _, file_now = ("", "", "") if now is None else now.digest.partition(_AND_FILE)
    if not before or values != before:
        return changed_inputs(seen.names)
    return "its file changed" if scope.leg.takes_edits and file_now != file else None


def sees_the_same(leaf: Leaf, scope: Scope, seen: Seen | None) -> bool:
    """True if the step would read now, in the same state of its files, what `seen` says; None says nothing was read."""
    if seen is None:
        return True
    try:
        now = _seen(leaf, scope.env, seen.names, scope.leg.config)
    except (StepFailure, ValueError):
        return False
    return now is not None and bool(seen.digest) and now.digest == seen.digest


def changed_inputs(names: Collection[str]) -> str:
    """`inputs changed: {{plan.files}}`."""
    shown = [f"{{{{{name}}}}}" for name in names if name not in (EVERY_NAME, _RUN_ID)]
    if not shown:
        return "inputs changed"
    return "inputs changed: " + ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "")


def _seen(leaf: Leaf, env: Environment, names: Collection[str], config: RunConfig) -> Seen | None:
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
    file = ""
    if isinstance(leaf.node, ScriptStep):
        command = inner.render(leaf.node.run, shell=True)
        file = _file_digest(command, config)
        given = {name: value for name, value in inner.given().items() if name != _RUN_ID}
        if not names and not given and not file:
            return None
        env_texts: dict[str, JsonValue] = {entry.name: as_text(inner.value(entry.value)) for entry in leaf.node.env}
        values |= {"/run": command.replace(env.facts.run_id, ""), "/env": env_texts, "/given": given}
    digest = hex_digest(canonical(values).encode("utf-8", "surrogatepass"))[:_LENGTH]
    return Seen(tuple(names), digest + (_AND_FILE + file if file else ""))


def _file_digest(command: str, config: RunConfig) -> str:
    """Of the script file that a command names; empty if it names none."""
    if not names_file(command):
        return ""
    located = first_file(script_places(config.roots or [config.working_dir.absolute()], command))
    try:
        return "none" if located.path is None else hex_digest(located.path.read_bytes())[:_LENGTH]
    except OSError:
        return "none"
