"""Failed steps of a run, each drawn at the statement it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runkon.errors import UserError
from runkon.language.render import render_runtime
from runkon.language.source import SourceFile
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import StepStatus
from runkon.views.ending import Ending
from runkon.views.lines import first_line
from runkon.views.run_object import error_code
from runkon.views.status import root_failures

MOST_SHOWN = 5
# why runs fail that the failure of a step has said already
STEP_REASONS = frozenset({"step_failed", "invalid_value", "crash_limit", "state_conflict"})


def failure_blocks(steps: Sequence[StepRecord], texts: Mapping[str, str], end: Ending, *, color: bool) -> list[str]:
    """One block of text per failed step, at most `MOST_SHOWN`; the last one names the next command."""
    failed = root_failures(steps)
    shown = failed[:MOST_SHOWN]
    sources = {file: SourceFile(file, texts[file]) for file in {step.info.file for step in shown} if file in texts}
    blocks = []
    for step in shown:
        blocks.append(_block(step, sources.get(step.info.file), end, is_last=step is shown[-1], color=color))
    if len(failed) > MOST_SHOWN:
        blocks.append(f"… {len(failed) - MOST_SHOWN} more failed steps: runkon show {end.run}")
    return blocks


def run_error(run: RunRecord) -> UserError | None:
    """The failure of the run itself, where no step of its own says it: a limit, a timeout."""
    if run.error is None:
        return None
    return UserError(error_code(run.reason), run.error)


def _block(step: StepRecord, source: SourceFile | None, end: Ending, *, is_last: bool, color: bool) -> str:
    is_timeout = step.status is StepStatus.TIMED_OUT
    message = step.error.message if step.error else "no reason was given"
    message, _, help = message.partition("\nhelp: ")
    sentence, cause, seen = _parts(message.removeprefix("timed out: ") if is_timeout else message)
    times = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    verb = "timed out" if is_timeout else "failed"
    return render_runtime(
        "step-timed-out" if is_timeout else "step-failed",
        f"`{step.info.key}` {verb}{times}: {sentence}",
        file=step.info.file,
        line=step.info.line,
        column=step.info.column,
        run=end.run,
        step=step.path,
        source=source,
        cause=cause,
        seen=seen,
        help=help or None,
        next=end.next if is_last else None,
        keeps=end.why or None,
        color=color,
    )


def _parts(message: str) -> tuple[str, str, str | None]:
    """A message as sentence, cause and what was seen: its first line, its second, and the rest (cut)."""
    lines = [line.rstrip() for line in message.strip().split("\n")]
    cause = first_line(lines[1], 100) if len(lines) > 1 else ""
    rest = [first_line(line, 160) for line in lines[2:] if line]
    more = rest[:8] + (["…"] if len(rest) > 8 else [])
    return first_line(lines[0]), cause, "\n".join(more) or None
