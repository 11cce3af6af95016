"""What a resume is going to do with a run: one line per step, and the sums. Made by the engine, shown by views."""

from __future__ import annotations

from runkon.model.ids import StepPath
from runkon.named import NamedTuple

REUSE = "reuse"  # answered from its record
RERUN = "rerun"
ASK = "ask"  # somebody has to say first how its last attempt ended
FAIL = "fail"  # counts as failed, because nobody saw how its last attempt ended and `on_unknown` says so
NEW = "new"  # has no record yet; whether it runs is decided on the way
DROP = "drop"  # is not in the workflow any more


class PlanLine(NamedTuple):
    """One step. `decision` is one of the words above. `age_ms` is how long its record is old; `cost_usd` what its
    record has cost, None if unknown. `unless` names what the step read of steps that run again: should that come out
    differently, it runs again too."""

    path: StepPath
    decision: str
    reason: str
    age_ms: int | None = None
    cost_usd: float | None = None
    unless: tuple[str, ...] = ()


class TextChange(NamedTuple):
    """What an edit did to one step: `reason` in a few words, and its text before and after (empty where there is
    none)."""

    path: str
    reason: str
    before: str = ""
    after: str = ""


class ResumePlan(NamedTuple):
    """All lines in program order; `seq` is the run's last event they were made from. `notes` are warnings."""

    mode: str
    seq: int
    lines: tuple[PlanLine, ...]
    changes: tuple[TextChange, ...] = ()
    notes: tuple[str, ...] = ()

    def count(self, decision: str) -> int:
        return sum(1 for line in self.lines if line.decision == decision)

    @property
    def money_kept(self) -> float:
        """Dollars that steps have cost which are not run again, whatever comes out."""
        return sum(line.cost_usd or 0.0 for line in self.lines if line.decision == REUSE and not line.unless)

    @property
    def money_at_risk(self) -> float:
        """Dollars that steps have cost which run again, or may."""
        at_risk = (RERUN, ASK)
        return sum(line.cost_usd or 0.0 for line in self.lines if line.decision in at_risk or line.unless)
