"""Starting a run once: whoever comes with the same key gets the run that is there, and goes on with it if nobody does.

Who made the run and who found it go the same way from there: the lease decides who advances it, the others look on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from runkon.errors import UserError
from runkon.model.holder import is_held
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink, RunStore
from runkon.model.records import RunRecord
from runkon.model.start_key import StartedBefore, check_key
from runkon.model.status import TERMINAL_RUN, RunStatus
from runkon.parts import Progress, ResumeWish, RunOptions, Surroundings

if TYPE_CHECKING:
    from runkon.engine.cancellation import RunControl
    from runkon.engine.config import RunConfig
    from runkon.engine.runner import Runner
    from runkon.language.program import CheckedWorkflow
    from runkon.model.events import Envelope
    from runkon.resuming import Prepared, Resuming

PAUSE = 0.25  # seconds between two looks at a run that somebody else advances
_PATIENCE = 2.0  # seconds in which who made a run takes it, unless it died in between


class Host(Protocol):
    """What the application gives."""

    @property
    def store(self) -> RunStore: ...
    @property
    def resuming(self) -> Resuming: ...
    def around(self, file: str) -> Surroundings: ...
    def runner(self, around: Surroundings, sinks: Sequence[EventSink], progress: Progress | None) -> Runner: ...
    def new_config(self, around: Surroundings, options: RunOptions) -> RunConfig: ...
    def record(self, run: RunID) -> RunRecord: ...


class Starting:
    """The use case, over one application."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def create(
        self, checked: CheckedWorkflow, inputs: Mapping[str, JsonValue], options: RunOptions, key: str
    ) -> tuple[RunID, bool]:
        """The run of `key`, and whether it was made now. Raises UserError `start-key-conflict` for a key of a run with
        another text or other inputs, and what any start raises."""
        host = self._host
        around = host.around(checked.source.path)
        try:
            config = host.new_config(around, options)
            return host.runner(around, (), None).create(checked, inputs, config, check_key(key)), True
        except StartedBefore as found:
            return found.run, False

    def settled(self, run: RunID) -> RunRecord:
        """The run, once whoever made it a moment ago has taken it."""
        record, end = self._host.record(run), time.monotonic() + _PATIENCE
        while record.status is RunStatus.PENDING and record.holder is None and time.monotonic() < end:
            time.sleep(_PATIENCE / 100)
            record = self._host.record(run)
        return record

    def prepare(
        self, run: RunID, checked: CheckedWorkflow, inputs: Mapping[str, JsonValue], options: RunOptions
    ) -> Prepared:
        """The next leg of the run, with the secrets among `inputs`; see `Resuming.prepare`."""
        names = {one.name for one in checked.workflow.inputs if one.type == "secret"}
        secrets = {name: value for name, value in inputs.items() if name in names}
        own = RunOptions(attends=options.attends, jobs=options.jobs, until=options.until)
        return self._host.resuming.prepare(run, own, ResumeWish(), secrets)

    def once(
        self,
        checked: CheckedWorkflow,
        inputs: Mapping[str, JsonValue],
        options: RunOptions,
        key: str,
        *,
        sinks: Sequence[EventSink] = (),
        control: RunControl | None = None,
        on_created: Callable[[RunID], None] | None = None,
        progress: Progress | None = None,
    ) -> RunRecord:
        """Start the run of `key`, or go on with it; one that has ended is returned as it is, one that another process
        advances is looked at until that is over. `on_created` hears the id of any of them."""
        run, is_new = self.create(checked, inputs, options, key)
        if on_created is not None:
            on_created(run)
        record = self._host.record(run) if is_new else self.settled(run)
        if record.status in TERMINAL_RUN:
            return record
        if not is_held(record.holder, record.lease_until):
            try:
                prepared = self.prepare(run, checked, inputs, options)
                return self._host.resuming.carry_out(prepared, sinks=sinks, control=control, progress=progress)
            except UserError as error:
                if error.code != "already-active":
                    raise
        for envelope in followed(self._host.store, run):
            for sink in sinks:
                sink.emit(envelope)
        return self._host.record(run)


def followed(store: RunStore, run: RunID) -> Iterator[Envelope]:
    """The events of a run as they are recorded, until nobody advances it."""
    seq, is_going_on = 0, True
    while is_going_on:
        record = store.run(run)
        is_going_on = record is not None and is_held(record.holder, record.lease_until)
        for envelope in store.events(run, seq):
            seq = envelope.seq
            yield envelope
        if is_going_on:
            time.sleep(PAUSE)
