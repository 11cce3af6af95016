"""`runkon answer`: decide what a run waits for."""

from __future__ import annotations

import getpass
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from runkon.cli.given_inputs import given_inputs
from runkon.cli.options import VariableOption, as_pairs
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import is_held, now_ms, record_of, short_id, shown_steps
from runkon.cli.session import Session
from runkon.errors import EXIT_NOT_FOUND, EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.language.suggest import closest
from runkon.model.gates import DONE, RULINGS, about, ask_name, is_in_question, occurrence_of
from runkon.model.ids import RunID
from runkon.model.json_text import check_json, loads
from runkon.model.output import JsonValue, as_output
from runkon.model.records import GateAnswer, RunRecord, StepRecord
from runkon.model.secrets import redact, redact_json, secret_name
from runkon.model.status import StepStatus
from runkon.model.value_text import as_text
from runkon.views.times import iso

_KEYS = ("decision", "output")


@runkon_command(
    "answer",
    summary="""Decide what a run waits for, from any terminal.

    RUN is an id or a unique beginning of one, or @last; GATE, after a colon, is what it waits for, `unknown:PATH` for a
    step whose end nobody saw. With one open question GATE may be left out. The decision is `rerun` (make another
    attempt), `done` (it has done its work; `output` is its JSON, which a `call` needs) or `failed`.""",
)
@click.argument("target", metavar="RUN[:GATE]")
@click.option(
    "--set", "pairs", cls=VariableOption, multiple=True, callback=as_pairs, metavar="KEY=VALUE",
    help="decision=rerun|done|failed, output=JSON or output=@FILE",
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
    asked = [step for step in shown_steps(app, run) if is_in_question(step) and step.status is not StepStatus.CANCELLED]
    step = _step_in_question(run, asked, gate, short_id(app, run.id))
    choice, output, secrets = _decision(pairs), _output(pairs, step), _secrets(run, given)
    unknown = [one for one in _secret_names(run) if one not in secrets]
    if unknown and (message or output):
        words = " ".join(f"-i {one}=VALUE" for one in unknown)
        session.console.note(f"note: what you say is kept as it is; `{words}` beside it would take secrets out of it")
    answer = GateAnswer(
        run=run.id,
        gate=ask_name(step.path),
        choice=choice,
        by=name or _user(),
        via="cli",
        at=now_ms(),
        occurrence=occurrence_of(step, app.store.gates(run.id), app.store.gate_answers(run.id)),
        reason=redact(message, secrets),
        form={**about(step), **{key: redact_json(value, secrets) for key, value in output.items()}},
    )
    kept = app.store.answer_gate(answer)
    now = app.store.run(run.id) or run
    return _go_on(session, run.id, given) if goes_on and not is_held(now) else _say(session, kept, now)


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
    listed = ", ".join(f"`{name}`" for name in names)
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


def _secret_names(run: RunRecord) -> list[str]:
    return [name for name, value in run.inputs.items() if secret_name(value) is not None]


def _secrets(run: RunRecord, given: Mapping[str, str]) -> dict[str, str]:
    """The secrets of the run as far as they are given, by name. Raises UserError for any other input."""
    names = _secret_names(run)
    for name in given:
        if name not in names:
            raise UserError(
                "fixed-input",
                f"`{name}` is no secret of run `{run.id}`",
                help=f"its secrets are: {', '.join(f'`{one}`' for one in names)}" if names else "it has none",
                exit_code=EXIT_USAGE,
            )
    return {name: as_text(value) for name, value in given_inputs(given, None).items()}


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
    if text.startswith("@"):
        try:
            content = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = (getattr(error, "strerror", None) or str(error)).lower()
            raise _invalid(
                f"`{text[1:]}` of `output` can't be read: {why}", "name a file with the output as JSON"
            ) from error
    else:
        content = text
    try:
        found: JsonValue = loads(content)
    except ValueError as error:
        raise _invalid(f"`output` is no JSON: {error}", _SHAPE) from error
    return found


def _invalid(message: str, help: str) -> UserError:
    return UserError("invalid-answer", message, help=help, exit_code=EXIT_USAGE)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        return "somebody"


# ── what follows ──────────────────────────────────────────────────────────────────────────────────
def _say(session: Session, answer: GateAnswer, run: RunRecord) -> int:
    """Who takes the answer: the process that advances the run, or the next one that does."""
    console, listens = session.console, is_held(run)
    command = f"runkon resume {short_id(session.app, run.id)}"
    if session.as_json:
        console.data(
            {
                "schema": "runkon.answer/1",
                "answer": {
                    "run_id": run.id, "gate": answer.gate, "occurrence": answer.occurrence, "decision": answer.choice,
                    "by": answer.by, "via": answer.via, "at": iso(answer.at), "reason": answer.reason,
                },
                "listening": listens,
                "next": None if listens else command,
            }
        )  # fmt: skip
        return 0
    console.result(visible(f"{answer.gate}: {answer.choice}, by {answer.by}"))
    if listens:
        console.note("the run is being advanced; the answer counts once nothing else is left to do")
    else:
        console.note(f"next: {command}")
    return 0


def _go_on(session: Session, run: RunID, given: Mapping[str, str]) -> int:
    from runkon.cli.commands.resume import command as resume  # late: only where it is asked for

    secrets = [word for name, text in given.items() for word in ("-i", f"{name}={text}")]
    context = resume.make_context("resume", [run, *secrets], obj=session)
    with context:
        return int(resume.invoke(context))
