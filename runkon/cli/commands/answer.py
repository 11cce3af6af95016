"""`runkon answer`: decide what a run waits for."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from runkon.app import App
from runkon.cli.answering import decide, go_on, say
from runkon.cli.deciding import Said, secret_names, secrets_of, some, user
from runkon.cli.options import VariableOption, as_pairs
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import is_held, now_ms, record_of, short_id, shown_steps
from runkon.cli.session import Session
from runkon.errors import EXIT_NOT_FOUND, EXIT_USAGE, UserError
from runkon.language.suggest import closest
from runkon.model.decisions import APPROVED, REJECTED, UNKNOWN
from runkon.model.gates import DONE, RULINGS, about, ask_name, is_in_question, occurrence_of
from runkon.model.json_text import check_json, loads
from runkon.model.output import JsonValue, as_output
from runkon.model.records import GateAnswer, RunRecord, StepRecord
from runkon.model.secrets import redact, redact_json
from runkon.model.status import StepStatus

_KEYS = ("decision", "output")


@runkon_command(
    "answer",
    summary="""Decide what a run waits for, from any terminal.

    RUN is an id or a unique beginning of one, or @last; GATE, after a colon, is what it waits for. A gate is approved
    with the values given, which have to fit its `form`, unless `decision` is `reject` or one of its options. For a step
    whose end nobody saw it is `unknown:PATH`, and the decision is `rerun` (make another attempt), `done` (it has done
    its work; `output` is its JSON, which a `call` needs) or `failed`. With one open question GATE may be left out.""",
)
@click.argument("target", metavar="RUN[:GATE]")
@click.option(
    "--set", "pairs", cls=VariableOption, multiple=True, callback=as_pairs, metavar="KEY=VALUE",
    help="a value, as JSON or text; of a lost step decision=rerun|done|failed and output=JSON or output=@FILE",
)  # fmt: skip
@click.option(
    "-i", "--input", "given", cls=VariableOption, multiple=True, callback=as_pairs, metavar="NAME=VALUE",
    help="a secret of the run, which is taken out of what you say, and given again with --resume",
)  # fmt: skip
@click.option("-m", "--message", cls=VariableOption, default="", metavar="TEXT", help="why, for the record")
@click.option("--as", "name", cls=VariableOption, metavar="NAME", help="who decides; otherwise your user name")
@click.option("--resume", "goes_on", cls=VariableOption, is_flag=True, help="continue the run at once")
@click.pass_obj
def command(
    session: Session,
    target: str,
    *,
    pairs: Mapping[str, str],
    given: Mapping[str, str],
    message: str,
    name: str | None,
    goes_on: bool,
) -> int:
    app = session.app
    text, _, gate = target.partition(":")
    run = record_of(app, text)
    if _is_about_gate(app, run, gate):
        return decide(session, target, _said(pairs, message, name, given), goes_on=goes_on)
    asked = [step for step in shown_steps(app, run) if is_in_question(step) and step.status is not StepStatus.CANCELLED]
    step = _step_in_question(run, asked, gate, short_id(app, run.id))
    choice, output, secrets = _decision(pairs), _output(pairs, step), secrets_of(run, given)
    unknown = [one for one in secret_names(run) if one not in secrets]
    if unknown and (message or output):
        words = " ".join(f"-i {one}=VALUE" for one in unknown)
        session.console.note(f"note: what you say is kept as it is; `{words}` beside it would take secrets out of it")
    answer = GateAnswer(
        run=run.id,
        gate=ask_name(step.path),
        choice=choice,
        by=name or user(),
        via="cli",
        at=now_ms(),
        occurrence=occurrence_of(step, app.store.gates(run.id), app.store.gate_answers(run.id)),
        reason=redact(message, secrets),
        form={**about(step), **{key: redact_json(value, secrets) for key, value in output.items()}},
    )
    kept = app.store.answer_gate(answer)
    now = app.store.run(run.id) or run
    return go_on(session, run.id, given) if goes_on and not is_held(now) else say(session, kept, now)


def _is_about_gate(app: App, run: RunRecord, gate: str) -> bool:
    """True unless a lost step is asked about."""
    if gate:
        return not gate.startswith(f"{UNKNOWN}:")
    waiting = [one for one in app.store.gates(run.id) if one.decision is None]
    return any(one.type != UNKNOWN for one in waiting) and not any(one.type == UNKNOWN for one in waiting)


def _said(pairs: Mapping[str, str], message: str, name: str | None, given: Mapping[str, str]) -> Said:
    """What is said about a gate: it is approved, unless the decision says otherwise; anything else is a value."""
    decision = pairs.get("decision", APPROVED)
    typed = {key: _content(text) for key, text in pairs.items() if key != "decision"}
    word = _WORDS.get(decision)
    selected = () if word else (decision,)  # an option of the gate
    return Said(word or APPROVED, message, name, selected, typed, given)


_WORDS = {"approve": APPROVED, "approved": APPROVED, "reject": REJECTED, "rejected": REJECTED}


def _content(text: str) -> str:
    """What was typed, or what the file behind an `@` holds."""
    return _read(text).removesuffix("\n") if text.startswith("@") else text


def _step_in_question(run: RunRecord, found: Sequence[StepRecord], gate: str, short: str) -> StepRecord:
    """The step that `gate` asks about, the only one if there is no `gate`. Raises UserError."""
    names = {ask_name(step.path): step for step in found}
    if gate in names:
        return names[gate]
    if not found:
        raise UserError(
            "not-waiting",
            f"run `{run.id}` is {run.status} and waits for no decision",
            next=f"runkon show {short}",
            exit_code=EXIT_NOT_FOUND,
        )
    listed = some([*names])
    if gate:
        close = closest(gate, [*names])
        raise UserError(
            "not-waiting",
            f"run `{run.id}` does not wait for `{gate}`",
            help=f"did you mean `{close}`?" if close else f"it waits for {listed}",
            next=f"runkon show {short}",
            exit_code=EXIT_NOT_FOUND,
        )
    if len(names) > 1:
        raise UserError(
            "ambiguous-gate",
            f"run `{run.id}` waits for several decisions: {listed}",
            help=f"name one of them, like {shlex.quote(f'{short}:{next(iter(names))}')}",
            exit_code=EXIT_USAGE,
        )
    return found[0]


# ── what is said ──────────────────────────────────────────────────────────────────────────────────
def _decision(pairs: Mapping[str, str]) -> str:
    unknown = [key for key in pairs if key not in _KEYS]
    if unknown:
        raise _invalid(f"nothing is called `{unknown[0]}` in this answer", "it has `decision` and `output`")
    choice = pairs.get("decision")
    if choice is None:
        raise _invalid("the answer says no decision", _CHOICES)
    if choice not in RULINGS:
        raise _invalid(f"`{choice}` is no decision", _CHOICES)
    if "output" in pairs and choice != DONE:
        raise _invalid(f"`output` goes with `decision={DONE}` only", f"leave `output` out, or decide `{DONE}`")
    return choice


_CHOICES = "give --set decision=rerun, --set decision=done or --set decision=failed"


def _output(pairs: Mapping[str, str], step: StepRecord) -> dict[str, JsonValue]:
    """The output of a step that is done, checked as one that an executor returned."""
    if pairs["decision"] != DONE:
        return {}
    text = pairs.get("output")
    if text is None:
        if step.info.kind == "script":
            return {}
        raise _invalid(
            f"`{step.info.key}` is a {step.info.kind}, so later steps may read its output, and the answer has none",
            "give it as --set output=@FILE or --set output=JSON; `{}` is an empty one",
        )
    found = _parsed(text)
    if found is not None and not isinstance(found, dict | str):
        raise _invalid("the output is neither an object nor a text", _SHAPE)
    try:
        as_output(found)
        return {"output": check_json(found, "output")}
    except (TypeError, ValueError) as error:
        raise _invalid(f"the output can't be used: {error}", _SHAPE) from error


_SHAPE = 'an object like {"markers": [], "context": "what was done", "a_field": 1}, or a text in quotes'


def _parsed(text: str) -> JsonValue:
    content = _read(text) if text.startswith("@") else text
    try:
        found: JsonValue = loads(content)
    except ValueError as error:
        raise _invalid(f"`output` is no JSON: {error}", _SHAPE) from error
    return found


def _read(text: str) -> str:
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise _invalid(
            f"`{text[1:]}` of `output` can't be read: {why}", "name a file with the output as JSON"
        ) from error


def _invalid(message: str, help: str) -> UserError:
    return UserError("invalid-answer", message, help=help, exit_code=EXIT_USAGE)
