"""`show RUN STEP --prompt`: what the attempts of a step were asked, as it is on record: without secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runkon.cassettes.comparing import request_lines
from runkon.cli.console import visible_lines
from runkon.cli.session import Session
from runkon.errors import EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model.events import AttemptStarted
from runkon.model.output import JsonValue
from runkon.model.records import RunRecord, StepRecord


def show_asked(session: Session, run: RunRecord, step: StepRecord | None) -> int:
    """Print it, the latest attempt last. Raises UserError `wrong-use` without a step, and for one whose attempts were
    not described."""
    if step is None:
        raise UserError("wrong-use", "`--prompt` shows what one step was asked: name the step", exit_code=EXIT_USAGE)
    begun = [envelope.event for envelope in session.app.store.events_of(run.id, {AttemptStarted.kind})]
    mine = [one for one in begun if isinstance(one, AttemptStarted) and one.path == step.path and one.asked is not None]
    if not mine:
        raise UserError(
            "nothing-asked",
            f"the record does not say what `{step.path}` was asked",
            help="calls of agents are always described; other steps with `cache`, and in runs with `--record`",
            exit_code=EXIT_USAGE,
        )
    if session.as_json:
        session.console.data({"schema": "runkon.prompt/1", "run_id": run.id, "prompt": [_as_json(one) for one in mine]})
        return 0
    for one in mine:
        for line in _lines(one):
            session.console.result(line)
    return 0


def _as_json(one: AttemptStarted) -> JsonValue:
    assert one.asked is not None
    request = dict(one.asked.request)
    return {"path": one.path, "epoch": one.epoch, "attempt": one.number, "digest": one.asked.digest, "request": request}


def _lines(one: AttemptStarted) -> Iterator[str]:
    assert one.asked is not None
    request: Mapping[str, JsonValue] = one.asked.request
    yield visible(f"{one.path} · attempt {one.number + 1} · asked {one.asked.digest[:12]}")
    rest = {name: value for name, value in request.items() if name != "prompt"}
    yield from (f"  {visible(line)}" for line in request_lines(rest))
    prompt = request.get("prompt")
    if isinstance(prompt, str):
        yield "  prompt:"
        yield from (f"    {line}" for line in visible_lines(prompt))
