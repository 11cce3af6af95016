"""Whatever calls cost, however many run at once, and wherever processes die: what is spent stays within the budget as
long as nobody costs more than was said."""

from __future__ import annotations

import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runkon.engine.config import RunConfig
from runkon.engine.runner import Runner
from runkon.model.events import AttemptStarted
from runkon.model.fold import fold
from runkon.model.ids import RunID
from runkon.model.output import Output, Usage
from runkon.model.ports import Executors, RunStore, StepRequest
from runkon.store.memory import MemoryRunStore, _Kept
from runkon.testing import check_text
from runkon.testing.virtual_clock import VirtualClock

BRANCHES, MOST = 24, 100  # cents a call may cost
CALLS = " ".join(f"call agent {{ id = s{number} retries = 1 }}" for number in range(BRANCHES))
TEXT = f"workflow w {{ parallel {{ fail_fast = false max_parallel = {BRANCHES} {CALLS} }} }}"
Bill = dict[tuple[str, int], int]


class Paid(Executors):
    """An executor of a plugin: its calls take a while, and cost, or fail and cost, what was drawn; it says what one
    costs at most, and knows what each attempt has really cost, in cents."""

    name, version, effect, metered = "agent", "1", "read", True

    def __init__(self, costs: list[int], fails: set[int]) -> None:
        self.bill: Bill = {}
        self._costs = costs
        self._fails = fails
        self._lock = threading.Lock()

    def find(self, name: str) -> Paid | None:
        return self if name == self.name else None

    def names(self) -> list[str]:
        return [self.name]

    def most_cost_usd(self, request: StepRequest) -> float:
        return MOST / 100

    def execute(self, request: StepRequest) -> Output:
        number = int(request.path.rpartition("/s")[2])
        cost = self._costs[(number + request.attempt * 7) % len(self._costs)]
        with self._lock:
            self.bill[request.path, request.attempt] = cost
        request.cancel.wait(1 + number % 5)
        usage = Usage(cost_usd=cost / 100)
        if number in self._fails:
            error = RuntimeError("no")
            error.usage = usage  # type: ignore[attr-defined]
            raise error
        return Output(usage=usage)


def killed(store: MemoryRunStore, run: RunID, count: int) -> MemoryRunStore:
    """The store as it was when the process had died after so many events."""
    envelopes = list(store.events(run))[:count]
    last, after = envelopes[-1], MemoryRunStore()
    after._runs[run] = _Kept(
        state=fold(envelopes), envelopes=envelopes, fence=last.fence, leg=last.leg, holder=None, answers=[]
    )
    return after


def really_spent(store: RunStore, run: RunID, bill: Bill) -> int:
    """What the calls have cost that were made, in cents: those whose beginning is on record."""
    begun = [one.event for one in store.events(run) if isinstance(one.event, AttemptStarted)]
    return sum(bill.get((one.path, one.number), 0) for one in begun)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    costs=st.lists(st.integers(0, MOST), min_size=1, max_size=40),
    fails=st.sets(st.integers(0, BRANCHES - 1), max_size=6),
    budget=st.integers(50, 3000),
    kills=st.lists(st.floats(0, 1), max_size=3),
)
def test_a_budget_is_never_exceeded(costs: list[int], fails: set[int], budget: int, kills: list[float]) -> None:
    program, paid, clock = check_text(TEXT), Paid(costs, fails), VirtualClock()
    store = MemoryRunStore()
    with TemporaryDirectory() as folder:
        config = RunConfig(working_dir=Path(folder), max_parallel=BRANCHES, budget_usd=budget / 100)
        run = Runner(store, paid, clock=clock).create(program, {}, config)
        for kill in [*kills, None]:
            runner = Runner(store, paid, clock=clock)
            record = clock.run(lambda runner=runner: runner.execute(run, program, config))
            assert really_spent(store, run, paid.bill) <= budget
            assert round(record.cost_usd * 100) <= budget
            if kill is not None:
                count = len(list(store.events(run)))
                store = killed(store, run, max(1, round(count * kill)))
    assert record.status in ("completed", "failed")
    if budget >= MOST * BRANCHES * 2 * (len(kills) + 1):
        assert record.reason != "budget"
