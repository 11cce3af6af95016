"""Where a `foreach` gets its list from: providers by name, and the lists that earlier legs have collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runkon.model.ids import StepPath
from runkon.model.items import ItemsCollected
from runkon.model.ports import RunStore
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus


class ItemSources:
    """Those of one leg of `run`. `is_anew`: everything runs again; `is_from`: a part that the records tell."""

    def __init__(
        self, store: RunStore, run: RunRecord, providers: Mapping[str, object], *, is_anew: bool, is_from: bool
    ) -> None:
        self.providers = providers
        self._store = store
        self._run = run
        self._is_anew = is_anew
        self._is_from = is_from
        self._lists: dict[StepPath, ItemsCollected] | None = None
        self._answers: Mapping[StepPath, ItemsCollected] = getattr(providers, "lists", {})  # of a replay

    def runs(self) -> Sequence[RunRecord]:
        """The recorded runs, newest first."""
        return self._store.runs()

    def recorded(
        self, path: StepPath, steps: Mapping[StepPath, StepRecord], *, is_kept: bool = False
    ) -> ItemsCollected | None:
        """The list of an earlier leg, once: who comes to the same place again in one leg collects anew, unless it
        `is_kept`. None too where the resume was asked to run all of the items again, as `steps` tell."""
        if path in self._answers:
            return self._answers[path]
        if self._lists is None:
            self._lists = self._read()
        found = self._lists.get(path) if is_kept else self._lists.pop(path, None)
        if found is None or self._is_anew:
            return None
        return None if self._is_from and not _is_partly_kept(path, steps) else found

    def _read(self) -> dict[StepPath, ItemsCollected]:
        run, found = self._run, {}
        origin = run.forked_from if self.is_fork else run.id
        if origin is None:
            return {}
        for envelope in self._store.events_of(origin, {ItemsCollected.kind}):
            if isinstance(envelope.event, ItemsCollected):
                found[envelope.event.path] = envelope.event
        return found

    @property
    def is_fork(self) -> bool:
        """True where lists come from another run, if any, so that this one has to keep them too."""
        return self._run.status is RunStatus.PENDING


def _is_partly_kept(path: StepPath, steps: Mapping[StepPath, StepRecord]) -> bool:
    """True if the resume keeps anything inside: the list it was made with is kept, too."""
    prefix = f"{path}["
    return any(one.startswith(prefix) and record.is_settled for one, record in steps.items())
