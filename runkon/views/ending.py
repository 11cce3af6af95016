"""How a run ended, in two lines: what came of it and what to type next."""

from __future__ import annotations

import math
from collections.abc import Sequence

from runkon.model.failures import UNSTORABLE
from runkon.model.ids import is_in_always
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus, StepStatus
from runkon.named import NamedTuple
from runkon.views.costs import spent
from runkon.views.run_object import models_of
from runkon.views.status import BAD_STEP, BLOCKS, root_failures
from runkon.views.times import counted, elapsed

MADE_UP = "test"  # the model that asks nobody


class Ending(NamedTuple):
    """`headline` begins with the status; `next` is a command, `why` what it keeps, `run` the short id."""

    headline: str
    next: str
    why: str
    run: str


def ending(run: RunRecord, steps: Sequence[StepRecord], short: str, status: RunStatus, *, with_time: bool) -> Ending:
    """The summary of a run that stopped. `short` is the id to type."""
    parts = [str(status), *_counts(steps)]
    if run.calls:
        parts.append(counted(run.calls, "call"))
    if MADE_UP in models_of(steps):
        parts.append(f"model `{MADE_UP}`: its answers are made up")
    if run.cost_usd or not run.cost_known:
        parts.append(spent(run))
    if with_time and run.started_at is not None and run.ended_at is not None:
        parts.append(elapsed(run.ended_at - run.started_at))
    return Ending(" · ".join(parts), *_next(run, status, short, steps), short)


def _counts(steps: Sequence[StepRecord]) -> list[str]:
    """How many steps there are, and how many ended otherwise than well."""
    bad = len(root_failures(steps))
    handled = sum(1 for step in steps if step.status in BAD_STEP and step.handled)
    skipped = sum(1 for step in steps if step.status is StepStatus.SKIPPED)
    stopped = sum(1 for step in steps if step.status in (StepStatus.CANCELLED, StepStatus.INTERRUPTED))
    asked = sum(1 for step in steps if step.status is StepStatus.WAITING)
    named = (
        (bad, "failed"),
        (handled, "failed and handled"),
        (skipped, "skipped"),
        (stopped, "stopped"),
        (asked, "waiting for a decision"),
    )
    leaves = sum(1 for step in steps if step.info.kind not in BLOCKS)
    return [counted(leaves, "step"), *(f"{number} {word}" for number, word in named if number)]


def _next(run: RunRecord, status: RunStatus, short: str, steps: Sequence[StepRecord]) -> tuple[str, str]:
    if status in (RunStatus.COMPLETED, RunStatus.CANCELLED):
        return f"runkon show {short}", ""
    if run.config.get("replay") is not None:
        return _after_replay(status, short)
    if run.cancel is not None and status in (RunStatus.INTERRUPTED, RunStatus.WAITING, RunStatus.PENDING):
        return f"runkon cancel {short}", "it was asked for and not carried out; a resume does nothing else"
    if status is RunStatus.WAITING and run.status is RunStatus.RUNNING:
        return f"runkon events {short} -f", "its process stays and goes on once every question has its answer"
    if status is RunStatus.WAITING:
        return f"runkon resume {short}", "once every question has its answer"
    if status is RunStatus.FAILED and run.reason == "run_timeout":
        return f"runkon resume {short} --timeout 1h", "the time is over; one given here counts from now"
    if status is RunStatus.FAILED and run.reason == "budget":
        return _after_limit(run, short)
    if status is RunStatus.FAILED and _is_over_own_limit(run, steps):
        return f"runkon resume {short} --with-edits", "once the limit in the file of the called workflow is higher"
    if status is RunStatus.FAILED and _lies_in_the_text(run, steps):
        import shlex  # late: on the way to an error

        return f"runkon run {shlex.quote(run.file)}", "once the file is changed; a resume goes by the recorded text"
    done = (step for step in steps if step.is_settled and step.info.kind not in BLOCKS)
    kept = sum(1 for step in done if not is_in_always(step.path))
    return f"runkon resume {short}", f"keeps {counted(kept, 'finished step')}" if kept else ""


def _after_replay(status: RunStatus, short: str) -> tuple[str, str]:
    """What is left to do with a run that a record answered: it is never continued."""
    if status is RunStatus.INTERRUPTED:
        return f"runkon replay {short} --replay fill", "a replay is not continued; this calls what has no answer"
    return f"runkon show {short}", ""


def _after_limit(run: RunRecord, short: str) -> tuple[str, str]:
    """What makes room: twice the limit that the error names."""
    import re  # late: on the way to an error

    error, resume = run.error or "", f"runkon resume {short}"
    if error.startswith("unpriced-call"):
        return f"RUNKON_ALLOW_UNPRICED=true {resume}", "calls without a known price then run unbounded"
    found = re.search(r"of \$?([0-9.]+)", error)
    twice = max(1, math.ceil(float(found[1]) * 2)) if found else 1
    if "tokens" in error:
        return f"{resume} --with-edits", "once `max_tokens` in the file is higher"
    option = "--max-calls" if "is reached before" in error else "--budget"
    return f"{resume} {option} {twice}", "what is used so far counts, too"


def _is_over_own_limit(run: RunRecord, steps: Sequence[StepRecord]) -> bool:
    """True if a called workflow has used up what its own file allows it."""
    failed = [step.error for step in steps if step.error is not None and step.handled is None]
    return run.reason == "step_failed" and any(error.kind == "budget" for error in failed)


def _lies_in_the_text(run: RunRecord, steps: Sequence[StepRecord]) -> bool:
    """True if the run would fail again with the same text, whatever changes around it."""
    if run.reason in ("max_iterations", "stuck"):
        return True
    errors = [step.error for step in root_failures(steps)]
    of_values = [error is not None and error.kind == "value" for error in errors]
    if not all(of_values):
        return False
    outside = any(error is not None and error.message.startswith(UNSTORABLE) for error in errors)
    return run.reason == "invalid_value" and not outside
