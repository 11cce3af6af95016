"""Deciding a gate from any process: which gate is meant, whether this person may, and what the store is told."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from runkon.cli.given_inputs import given_inputs
from runkon.cli.run_state import now_ms, short_id
from runkon.errors import EXIT_NOT_FOUND, EXIT_USAGE, UserError
from runkon.language.keys import all_statements
from runkon.language.nodes import GateStep
from runkon.language.suggest import closest
from runkon.model.decisions import APPROVED, NEEDED, SELECTED, UNKNOWN, VALUES
from runkon.model.gates import ANY, WITHDRAWN
from runkon.model.json_text import loads
from runkon.model.output import JsonValue
from runkon.model.records import GateAnswer, GateRecord, RunRecord
from runkon.model.secrets import redact, redact_json, secret_name
from runkon.model.status import RunStatus
from runkon.model.value_text import as_text
from runkon.named import NamedTuple
from runkon.views.times import iso

if TYPE_CHECKING:
    from runkon.app import App
    from runkon.language.program import CheckedWorkflow

_MOST = 8  # names in one message


class Meant(NamedTuple):
    """The gate that somebody decides. `record` is None while it is not open, `occurrence` 0 for every opening."""

    node: GateStep
    occurrence: int
    record: GateRecord | None


class Said(NamedTuple):
    """What somebody says about it. `typed` are values by name, as texts."""

    choice: str
    message: str = ""
    by: str | None = None
    selected: tuple[str, ...] = ()
    typed: Mapping[str, str] = {}
    given: Mapping[str, str] = {}
    via: str = "cli"


def keep(app: App, run: RunRecord, meant: Meant, said: Said) -> GateAnswer:
    """Check what is said and put it into the store. Raises UserError."""
    node, by = meant.node, said.by or user()
    if node.approvers and by not in node.approvers:
        listed = ", ".join(f"`{name}`" for name in node.approvers)
        raise UserError(
            "not-an-approver",
            f"`{by}` may not decide gate `{node.key}`",
            help=f"it is for {listed}; `--as NAME` says who you are",
            exit_code=EXIT_USAGE,
        )
    _check_options(meant, said.selected)
    secrets = secrets_of(run, said.given)
    form: dict[str, JsonValue] = {}
    if said.selected:
        form[SELECTED] = list(said.selected)
    values = {key: _as_it_is(text) for key, text in said.typed.items()}
    if node.form is not None:
        values = _filled_in(app, run, node, said)
    if values:
        form[VALUES] = {key: redact_json(value, secrets) for key, value in values.items()}
    if said.choice == APPROVED and node.mode != "review_decision" and node.min_approvals > 1:
        form[NEEDED] = node.min_approvals
    reason = redact(said.message, secrets)
    return app.store.answer_gate(
        GateAnswer(run.id, node.key, said.choice, by, said.via, now_ms(), meant.occurrence, reason, form)
    )


def _as_it_is(text: str) -> JsonValue:
    """A value as JSON if it is JSON, else as the text it is."""
    try:
        found: JsonValue = loads(text)
    except ValueError:
        return text
    return found


def _filled_in(app: App, run: RunRecord, node: GateStep, said: Said) -> dict[str, JsonValue]:
    """The values of the form; a rejection needs none. Raises UserError."""
    from runkon.cli.forms import checked_values, form_of  # late: few gates have a form

    schema = form_of(app, run, node)
    assert schema is not None
    found = checked_values(schema, node.key, said.typed, is_complete=said.choice == APPROVED)
    return cast("dict[str, JsonValue]", found)


def _check_options(meant: Meant, selected: Sequence[str]) -> None:
    """Refuse what is no option. Those a step gives are known once the gate is open."""
    if not selected or (meant.record is None and meant.node.choices_from is not None):
        return
    node = meant.node
    options = [key for key, _ in node.choices or ()] if meant.record is None else list(meant.record.options)
    if not options:
        raise UserError(
            "unknown-choice",
            f"gate `{node.key}` has no options to select from",
            help="approve or reject it without `--select`",
            exit_code=EXIT_USAGE,
        )
    for one in selected:
        if one not in options:
            close = closest(one, options)
            listed = ", ".join(f"`{option}`" for option in options)
            raise UserError(
                "unknown-choice",
                f"gate `{node.key}` has no option `{one}`",
                help=f"did you mean `{close}`?" if close else f"its options are {listed}",
                exit_code=EXIT_USAGE,
            )


# ── which gate ────────────────────────────────────────────────────────────────────────────────────
def meant_by(app: App, run: RunRecord, text: str) -> Meant:
    """The gate that `text` names: a key or a path, with `#2` for one opening or `#*` for all; empty for the only one
    that is open. Raises UserError."""
    known = [gate for gate in app.store.gates(run.id) if gate.type != UNKNOWN]
    waiting = [gate for gate in known if gate.decision is None]
    nodes = {node.key: node for node in gates_of(app.stored_program(run.id))}
    name, number = _parted(text, known)
    if number is not None:
        found = next((gate for gate in known if (gate.name, gate.occurrence) == (name, number)), None)
        return _checked(app, run, Meant(_node(run, name, nodes, app), number, found))
    matching = [gate for gate in waiting if not text or text in (gate.name, gate.path)]
    if len(matching) > 1:
        raise _ambiguous(app, run, matching)
    if matching:
        return _checked(app, run, Meant(nodes[matching[0].name], matching[0].occurrence, matching[0]))
    decided = [gate for gate in known if text and text in (gate.name, gate.path) and gate.decision != WITHDRAWN]
    if decided:
        return Meant(nodes[decided[-1].name], decided[-1].occurrence, decided[-1])  # the store says who was first
    if not text:
        raise _not_waiting(app, run, f"run `{run.id}` is {run.status} and waits for no gate")
    last = max((gate.occurrence for gate in known if gate.name == text), default=0)
    return _checked(app, run, Meant(_node(run, text, nodes, app), last + 1, None))


def gates_of(program: CheckedWorkflow) -> Iterator[GateStep]:
    """Every gate that somebody can decide, of the workflow and of those it calls."""
    seen: set[int] = set()
    waiting = [program]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        for statement in all_statements(one.workflow):
            if isinstance(statement, GateStep) and statement.type != "quality_gate":
                yield statement
        waiting += one.children.values()


def _parted(text: str, known: Sequence[GateRecord]) -> tuple[str, int | None]:
    """A name and an occurrence; a text that is the path of a gate, like `review#2`, is that path."""
    name, mark, number = text.rpartition("#")
    if not mark or any(gate.path == text for gate in known):
        return text, None
    if number == "*":
        return name, ANY
    return (name, int(number)) if number.isdecimal() and int(number) > 0 else (text, None)


def _node(run: RunRecord, name: str, nodes: Mapping[str, GateStep], app: App) -> GateStep:
    if name in nodes:
        return nodes[name]
    close = closest(name, [*nodes])
    listed = ", ".join(f"`{one}`" for one in nodes)
    raise _not_waiting(
        app, run, f"run `{run.id}` has no gate `{name}`",
        f"did you mean `{close}`?" if close else f"its gates are {listed}" if nodes else "its workflow has no gate",
    )  # fmt: skip


def _checked(app: App, run: RunRecord, meant: Meant) -> Meant:
    """Refuse what can't count any more."""
    due = None if meant.record is None or meant.record.decision is not None else meant.record.deadline_at
    if due is not None and due < now_ms():
        raise UserError(
            "gate-expired",
            f"gate `{meant.node.key}` was open until {iso(due)}, and nobody decided it",
            help=f"what follows is `on_timeout = {meant.node.on_timeout}`",
            next=f"runkon resume {short_id(app, run.id)}",
            exit_code=EXIT_NOT_FOUND,
        )
    is_decided = meant.record is not None and meant.record.decision is not None
    if run.status in (RunStatus.COMPLETED, RunStatus.CANCELLED) and not is_decided:
        raise _not_waiting(app, run, f"run `{run.id}` is {run.status} and waits for no gate")
    return meant


def _not_waiting(app: App, run: RunRecord, message: str, help: str | None = None) -> UserError:
    next_step = f"runkon show {short_id(app, run.id)}"
    return UserError("not-waiting", message, help=help, next=next_step, exit_code=EXIT_NOT_FOUND)


def _ambiguous(app: App, run: RunRecord, found: Sequence[GateRecord]) -> UserError:
    found = sorted(found, key=lambda gate: gate.path)  # branches open theirs in any order
    return UserError(
        "ambiguous-gate",
        f"run `{run.id}` waits at several gates: {some([gate.path for gate in found])}",
        help=f"name one of them, like {shlex.quote(f'{short_id(app, run.id)}:{found[0].path}')}",
        exit_code=EXIT_USAGE,
    )


def some(names: Sequence[str]) -> str:
    """The first few of `names`, and how many there are besides: a `foreach` may wait at thousands of gates."""
    left = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST]) + left


# ── who says it ───────────────────────────────────────────────────────────────────────────────────
def user() -> str:
    """The name of whoever decides, unless another is given."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return "somebody"


def secret_names(run: RunRecord) -> list[str]:
    """The inputs of the run that are secret."""
    return [name for name, value in run.inputs.items() if secret_name(value) is not None]


def secrets_of(run: RunRecord, given: Mapping[str, str]) -> dict[str, str]:
    """The secrets of the run as far as they are given, by name. Raises UserError for any other input."""
    names = secret_names(run)
    for name in given:
        if name not in names:
            raise UserError(
                "fixed-input",
                f"`{name}` is no secret of run `{run.id}`",
                help=f"its secrets are: {', '.join(f'`{one}`' for one in names)}" if names else "it has none",
                exit_code=EXIT_USAGE,
            )
    return {name: as_text(value) for name, value in given_inputs(given, None).items()}
