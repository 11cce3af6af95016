"""`runkon show`: a run as a tree, one of its steps in full, or its source with the results in the margin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from runkon.cli.complaints import user_error
from runkon.cli.console import json_text, visible_lines
from runkon.cli.failures import failure_blocks, run_error
from runkon.cli.leg import output_lines
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import (
    ask_lines_of,
    now_ms,
    open_gates_of,
    record_of,
    short_id,
    shown_steps,
    state_left,
    status_of,
    step_named,
    true_status,
)
from runkon.cli.savings import with_savings
from runkon.cli.session import Session
from runkon.cli.tree_text import tree_text
from runkon.errors import EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus
from runkon.views.ending import MADE_UP, ending
from runkon.views.lines import skip_text
from runkon.views.margin import margin_lines
from runkon.views.run_object import run_object
from runkon.views.status import root_failures
from runkon.views.times import elapsed, iso, money


@runkon_command(
    "show",
    summary="""Show a run with all its steps, or one STEP in full.

    RUN is an id or a unique beginning of one, @last, or @last-failed. STEP is a key or a path.""",
)
@click.argument("run")
@click.argument("step", required=False)
@click.option("--source", cls=VariableOption, is_flag=True, help="the workflow's text with results in the margin")
@click.option("--prompt", cls=VariableOption, is_flag=True, help="what each attempt of the STEP was asked")
@click.pass_obj
def command(session: Session, run: str, step: str | None, *, source: bool, prompt: bool) -> int:
    record = record_of(session.app, run)
    steps = shown_steps(session.app, record)
    if prompt:
        from runkon.cli.asked import show_asked  # late: where it was asked for

        return show_asked(session, record, None if step is None else step_named(record, steps, step))
    if step is not None:
        if source:
            raise UserError("wrong-use", "`--source` shows a whole run, not one step", exit_code=EXIT_USAGE)
        _show_step(session, record, step_named(record, steps, step))
    elif session.as_json:
        gates = open_gates_of(session.app, record, steps)
        state = state_left(session.app, record.id)
        session.console.data(run_object(record, steps, status_of(record, steps), gates, state))
    elif source:
        _show_source(session, record, steps)
    else:
        _show_run(session, record, steps)
    return 0


def _show_run(session: Session, run: RunRecord, steps: Sequence[StepRecord]) -> None:
    console, status = session.console, status_of(run, steps)
    short = short_id(session.app, run.id)
    end = with_savings(session.app, run, steps, ending(run, steps, short, status, with_time=True))
    console.result(console.paint_out("bold", visible(f"{run.workflow} · {run.file} · run {run.id}")))
    console.result(console.paint_out(_STYLE.get(status, "info"), end.headline))
    for name, value in _facts(run):
        console.result(f"{name}: {visible(value)}")
    for line in tree_text(console, steps, leg=run.leg, now=now_ms()):
        console.result(line)
    if run.outputs:
        console.result("")
        for line in output_lines(run.outputs):
            console.result(line)
    state = state_left(session.app, run.id)
    for line in output_lines({f"state.{name}": value for name, value in state.items()}):
        console.result(line)
    if status is RunStatus.FAILED:
        texts = session.app.store.sources(run.id)
        for block in failure_blocks(steps, texts, end, color=console.out_color):
            console.result(f"\n{block}")
        error = None if root_failures(steps) else run_error(run)
        if error is not None:
            console.result("\n" + user_error(error, color=console.out_color))
    elif status in (RunStatus.INTERRUPTED, RunStatus.PENDING, RunStatus.WAITING):
        asked = ask_lines_of(session.app, run, steps)
        for line in ["", *asked] if asked else []:
            console.result(line)
        is_open = any(line.startswith(" ") for line in asked)  # an answered question has no commands below it
        why = f"        ({end.why})" if is_open and end.why else ""
        console.result(f"\nnext: {end.next}{why}")


_STYLE = {
    RunStatus.COMPLETED: "good",
    RunStatus.FAILED: "bad",
    RunStatus.INTERRUPTED: "warning",
    RunStatus.WAITING: "warning",
}


def _facts(run: RunRecord) -> Iterator[tuple[str, str]]:
    yield "started", iso(run.started_at) or "not yet"
    if run.dry:
        yield "mode", "dry run"
    if isinstance(replay := run.config.get("replay"), dict):
        yield "mode", f"replay of {replay.get('of')}" + (" (filled)" if replay.get("mode") == "fill" else "")
    if run.leg > 1:
        yield "legs", str(run.leg)
    if run.status is RunStatus.CANCELLED and run.cancel is not None:
        yield "cancelled by", run.cancel.by + (f": {run.cancel.reason}" if run.cancel.reason else "")
    for name, value in run.inputs.items():
        text = value if isinstance(value, str) and "\n" not in value else json_text(value)
        yield f"input {name}", text if len(text) <= 200 else f"{text[:199]}…"


def _show_source(session: Session, run: RunRecord, steps: Sequence[StepRecord]) -> None:
    texts = session.app.store.sources(run.id)
    for file, text in texts.items():
        if len(texts) > 1:
            session.console.result(f"── {visible(file)}")
        for line in margin_lines(text, file, steps):
            session.console.result(visible(line).rstrip())


# ── one step ──────────────────────────────────────────────────────────────────────────────────────
def _show_step(session: Session, run: RunRecord, step: StepRecord) -> None:
    if session.as_json:
        whole = run_object(run, [step], true_status(run))
        session.console.data({"schema": "runkon.show/1", "show": whole["steps"]})
        return
    for line in _step_lines(step):
        session.console.result(line)


def _step_lines(step: StepRecord) -> Iterator[str]:
    info, output = step.info, step.output
    yield visible(f"{info.kind.replace('_', ' ')} {step.path}")
    yield f"status: {step.status}" + (f" (handled: {step.handled})" if step.handled else "")
    yield visible(f"source: {info.file}:{info.line}:{info.column}")
    if info.name != info.key:
        yield visible(f"name: {info.name}")
    yield f"attempts: {step.attempts}" + (f", {step.cut_offs} cut off" if step.cut_offs else "")
    if step.started_at is not None and step.ended_at is not None:
        yield f"time: {elapsed(step.ended_at - step.started_at)}"
    if output.usage is not None and output.usage.cost_usd is not None:
        yield f"cost: {money(output.usage.cost_usd)}"
    if step.skip_reason:
        yield visible(f"reason: {skip_text(step.skip_reason)}")
    if output.markers:
        yield visible(f"markers: {', '.join(sorted(output.markers))}")
    if output.model is not None:
        yield visible(f"model: {output.model}") + (" (its answers are made up)" if output.model == MADE_UP else "")
    if output.degraded:
        yield "degraded: a fallback answered"
    if step.damage:
        then = "asks before it runs the step again" if step.effect == "write" else "runs the step again"
        yield visible(f"damaged: {step.damage}; a resume {then}")
    blocks = (("context", output.context), ("note", output.text), ("error", step.error.message if step.error else ""))
    for name, text in blocks:
        if text:
            yield f"{name}:"
            yield from (f"    {line}" for line in visible_lines(text))
    if output.values:
        yield "output:"
        yield from (f"    {line}" for line in json_text(dict(output.values), indent=2).split("\n"))
