"""What a resume is going to do, as lines for people and as an object for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from runkon.model.output import JsonValue
from runkon.model.plans import ASK, FAIL, NEW, RERUN, REUSE, PlanLine, ResumePlan, TextChange
from runkon.views.lines import first_line
from runkon.views.times import ago, counted, money

SHOWN = 60  # steps up to which each has a line of its own
_LIKE = 3  # neighbours that are put together, where there are more steps than that


def plan_rows(plan: ResumePlan) -> list[tuple[str, str, str]]:
    """Decision, path and reason of every step. In a long plan, neighbours that differ in nothing are one row."""
    if len(plan.lines) <= SHOWN:
        return [_row(line) for line in plan.lines]
    rows = []
    for _, group in groupby(plan.lines, key=lambda line: (line.decision, _kind_of_reason(line), bool(line.unless))):
        alike = list(group)
        rows += [_together(alike)] if len(alike) >= _LIKE else [_row(line) for line in alike]
    return rows


def _row(line: PlanLine) -> tuple[str, str, str]:
    return line.decision, line.path, _reason(line)


def _together(lines: Sequence[PlanLine]) -> tuple[str, str, str]:
    first, last = lines[0], lines[-1]
    cost = sum(line.cost_usd or 0.0 for line in lines)
    paid = f", {money(cost)}" if cost else ""
    return (
        first.decision,
        f"{first.path} … {last.path}",
        f"{counted(len(lines), 'step')}: {_kind_of_reason(first)}{paid}",
    )


def _kind_of_reason(line: PlanLine) -> str:
    """A reason without what is special about one step."""
    return line.reason.partition(":")[0]


def _reason(line: PlanLine) -> str:
    text = first_line(line.reason)
    if line.decision == REUSE and line.age_ms is not None:
        text += f" {ago(line.age_ms)}"
    if line.unless:
        names = ", ".join(f"{{{{{name}}}}}" for name in line.unless if name != "*") or "what it reads"
        text += f"; runs again if {names} comes out differently"
    return text + (f", {money(line.cost_usd)}" if line.cost_usd else "")


def plan_summary(plan: ResumePlan) -> str:
    """`2 steps kept, 2 to run again, then what was not reached`, with the money that is kept and at risk."""
    kept, rerun, asked, failed, new = (plan.count(word) for word in (REUSE, RERUN, ASK, FAIL, NEW))
    words = [f"{counted(kept, 'step')} kept", f"{rerun} to run again"]
    if asked:
        words.append(f"{asked} to be asked about")
    if failed:
        words.append(f"{failed} to count as failed")
    if new:
        words.append(f"{new} not reached yet" if not plan.changes else f"{new} new or not reached yet")
    maybe = sum(1 for line in plan.lines if line.unless)
    if maybe:
        words.append(f"{maybe} of the kept only if what they read stays the same")
    if plan.money_kept:
        words.append(f"{money(plan.money_kept)} kept")
    if plan.money_at_risk:
        words.append(f"{money(plan.money_at_risk)} may be paid again")
    return ", ".join(words)


def change_lines(changes: Sequence[TextChange]) -> Iterator[str]:
    """Each changed step with its text before and after."""
    for change in changes:
        yield f"{change.path}: {change.reason}"
        before, after = change.before.splitlines(), change.after.splitlines()
        for line in before:
            if line not in after:
                yield f"  - {line}"
        for line in after:
            if line not in before:
                yield f"  + {line}"


def plan_object(plan: ResumePlan, run: str, status: str) -> dict[str, JsonValue]:
    """The plan as `--json` gives it: schema `runkon.resume/1`. Ages in milliseconds, money in dollars."""
    lines: list[JsonValue] = [_line_object(line) for line in plan.lines]
    changes: list[JsonValue] = [
        {"path": one.path, "reason": one.reason, "before": one.before, "after": one.after} for one in plan.changes
    ]
    return {
        "schema": "runkon.resume/1",
        "run_id": run,
        "status": status,
        "mode": plan.mode,
        "seq": plan.seq,
        "resume": lines,
        "changes": changes,
        "totals": {
            "kept": plan.count(REUSE),
            "rerun": plan.count(RERUN),
            "asked": plan.count(ASK),
            "new": plan.count(NEW),
            "usd_kept": round(plan.money_kept, 6),
            "usd_at_risk": round(plan.money_at_risk, 6),
        },
        "notes": list(plan.notes),
    }


def _line_object(line: PlanLine) -> JsonValue:
    unless: list[JsonValue] = list(line.unless)
    return {
        "path": line.path,
        "decision": line.decision,
        "reason": line.reason,
        "age_ms": line.age_ms,
        "cost_usd": line.cost_usd,
        "unless_changed": unless,
    }
