"""A run as the one JSON object that `run --json`, `resume --json` and `show --json` print. Fields are only added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runkon.model.output import JsonValue
from runkon.model.records import GateRecord, RunRecord, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.views.status import is_reused
from runkon.views.times import iso

SCHEMA = "runkon.run/1"


def run_object(
    run: RunRecord,
    steps: Sequence[StepRecord],
    status: RunStatus | None = None,
    gates: Sequence[GateRecord] = (),
    state: Mapping[str, JsonValue] | None = None,
) -> dict[str, JsonValue]:
    """The run with its steps, in program order. `status` is the one to show, if it is not the recorded one; `gates` are
    the open ones, in program order; `state` is what the state channels held when the last leg ended."""
    shown: list[JsonValue] = [_step_object(step, run.leg) for step in steps]
    summary = run_summary(run, status, gates)
    models: list[JsonValue] = [*models_of(steps)]
    return {"schema": SCHEMA, **summary, "models": models, "state": dict(state or {}), "steps": shown}


def models_of(steps: Sequence[StepRecord]) -> list[str]:
    """The models that have answered, by name."""
    return sorted({step.output.model for step in steps if step.output.model is not None})


def run_summary(
    run: RunRecord, status: RunStatus | None = None, gates: Sequence[GateRecord] = ()
) -> dict[str, JsonValue]:
    """The run without its steps: one entry of `runs --json`."""
    waiting: list[JsonValue] = []
    if gates:
        from runkon.views.asks import gate_object  # late: most runs wait for nothing

        waiting = [gate_object(gate) for gate in gates]
    return {
        "run_id": run.id,
        "workflow": run.workflow,
        "file": run.file,
        "status": str(status or run.status),
        "reason": run.reason,
        "inputs": dict(run.inputs),
        "outputs": dict(run.outputs or {}),
        "error": _run_error(run),
        "waiting": waiting[0] if waiting else None,
        "open_gates": waiting,
        "dry_run": run.dry,
        "leg": run.leg,
        "created_at": iso(run.created_at),
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at),
        "duration_ms": _duration(run.started_at, run.ended_at),
        "cost_usd": run.cost_usd,
        "cost_known": run.cost_known,
        "unpriced": run.unpriced,
        "calls": run.calls,
    }


def error_code(reason: str | None) -> str:
    """The slug of why a run ended badly: `step_failed` is `step-failed`."""
    return (reason or "failed").replace("_", "-")


def _run_error(run: RunRecord) -> JsonValue:
    if run.error is not None:
        return {"code": error_code(run.reason), "message": run.error}
    if run.status is RunStatus.FAILED:
        return {"code": error_code(run.reason), "message": "the run failed"}
    return None


def _step_object(step: StepRecord, leg: int) -> dict[str, JsonValue]:
    usage = step.output.usage
    return {
        "path": step.path,
        "key": step.info.key,
        "kind": step.info.kind,
        "name": step.info.name,
        "status": str(step.status),
        "iteration": step.info.iteration,
        "attempts": step.attempts,
        "reused": is_reused(step, leg),
        "handled": step.handled,
        "markers": list[JsonValue](sorted(step.output.markers)),
        "context": step.output.context,
        "output": dict(step.output.values),
        "degraded": step.output.degraded,
        "model": step.output.model,
        "skip_reason": step.skip_reason,
        "cost_usd": usage.cost_usd if usage else None,
        "error": _step_error(step),
        "source": {"file": step.info.file, "line": step.info.line, "column": step.info.column},
        "started_at": iso(step.started_at),
        "ended_at": iso(step.ended_at),
        "duration_ms": _duration(step.started_at, step.ended_at),
    }


def _step_error(step: StepRecord) -> JsonValue:
    if step.error is None:
        return None
    code = "step-timed-out" if step.status is StepStatus.TIMED_OUT else "step-failed"
    return {"code": code, "kind": step.error.kind, "message": step.error.message}


def _duration(started: int | None, ended: int | None) -> int | None:
    return None if started is None or ended is None else ended - started
