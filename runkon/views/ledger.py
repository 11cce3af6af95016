"""The ledger of a run: one entry per call, with what was set aside and what it came to, read off the events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runkon.frozen import replace, value_class
from runkon.model import events as ev
from runkon.model.ids import StepPath
from runkon.model.output import JsonValue, Usage
from runkon.views.times import money

KINDS = frozenset(
    (
        *("attempt_started", "attempt_failed", "attempt_timed_out", "attempt_cancelled", "attempt_cut_off"),
        *("step_completed", "step_failed", "step_timed_out", "step_skipped", "step_cancelled"),
    )
)


@value_class(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call. `number` is the event that began it; amounts in dollars, None where there is none. `source` says who
    knows: `provider`, `free` (it costs nothing), `user`, `unknown`, `open` while it runs; what is unknown counts with
    what was set aside."""

    number: int
    path: StepPath
    attempt: int
    executor: str
    metered: bool
    reserved_usd: float | None = None
    spent_usd: float | None = None
    source: str = "open"

    def as_json(self) -> dict[str, JsonValue]:
        return {
            "entry": self.number,
            "path": self.path,
            "attempt": self.attempt,
            "executor": self.executor,
            "reserved_usd": self.reserved_usd,
            "spent_usd": self.spent_usd,
            "source": self.source,
        }


def entries_of(envelopes: Iterable[ev.Envelope], said: Mapping[int, float]) -> list[Entry]:
    """The calls among events of the kinds `KINDS`, as they began; `said` is what people said they cost, by entry."""
    found: dict[int, Entry] = {}
    begun: dict[StepPath, int] = {}
    for envelope in envelopes:
        event = envelope.event
        if isinstance(event, ev.AttemptStarted):
            if event.info.kind == "call":
                begun[event.path] = envelope.seq
                found[envelope.seq] = _begun(envelope.seq, event)
            continue
        path = getattr(event, "path", None)
        number = begun.pop(path, None) if path is not None else None
        if number is not None:
            usage = event.output.usage if isinstance(event, ev.StepCompleted) else getattr(event, "usage", None)
            found[number] = _settled(found[number], usage, said.get(number))
    return list(found.values())


def _begun(number: int, event: ev.AttemptStarted) -> Entry:
    reserve = event.reserve or {}
    cost = reserve.get("cost_usd")
    return Entry(
        number=number,
        path=event.path,
        attempt=event.number,
        executor=event.executor,
        metered=reserve.get("metered") is True,
        reserved_usd=float(cost) if isinstance(cost, int | float) else None,
    )


def _settled(entry: Entry, usage: Usage | None, said: float | None) -> Entry:
    if usage is not None and usage.cost_usd is not None:
        return replace(entry, spent_usd=usage.cost_usd, source="provider")
    if usage is None and not entry.metered:
        return replace(entry, spent_usd=0.0, source="free")
    return replace(entry, spent_usd=said, source="unknown" if said is None else "user")


def ledger_rows(entries: Iterable[Entry]) -> list[list[str]]:
    """The table that people see."""
    rows = [["entry", "step", "attempt", "executor", "set aside", "spent", "source"]]
    for one in entries:
        aside = "" if one.reserved_usd is None else money(one.reserved_usd)
        spent = ("" if one.source == "open" else "?") if one.spent_usd is None else money(one.spent_usd)
        rows.append([str(one.number), one.path, str(one.attempt + 1), one.executor, aside, spent, one.source])
    return rows


def total(entries: Iterable[Entry]) -> str:
    """`$0.41`, or `≥ $0.41 (2 unpriced)`."""
    known, unknown = 0.0, 0
    for one in entries:
        known += one.spent_usd or 0.0
        unknown += one.source == "unknown"
    return f"≥ {money(known)} ({unknown} unpriced)" if unknown else money(known)
