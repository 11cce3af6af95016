"""A key under which a run is started once: who comes with the same key gets the run that is there.

The key stands in the settings of the run's first event; within one database it belongs to one run of a workflow.
"""

from __future__ import annotations

from runkon.errors import EXIT_USAGE, UserError
from runkon.model.events import RunCreated
from runkon.model.ids import RunID
from runkon.model.ports import RunStore

START_KEY = "start_key"  # the setting that holds it
IMPORTED = "imported"  # the setting of a run that happened elsewhere: when it came here
LONGEST = 200  # characters


class StartedBefore(Exception):
    """There is a run of that key, which began as this one would; `run` is its id."""

    def __init__(self, run: RunID) -> None:
        super().__init__(run)
        self.run = run


def started_before(store: RunStore, run: RunID, wanted: RunCreated) -> StartedBefore:
    """What to raise for run `run`, which has the key of `wanted`. Raises UserError as `check_same`."""
    there = next(iter(store.events(run))).event
    assert isinstance(there, RunCreated)
    check_same(run, there, wanted)
    return StartedBefore(run)


def key_of(created: RunCreated) -> str | None:
    """The key a run was started with."""
    key = created.config.get(START_KEY)
    return key if isinstance(key, str) else None


def check_key(key: str) -> str:
    """`key`, as it is. Raises UserError `wrong-use` for one that nobody could type again."""
    if not key or len(key) > LONGEST or not key.isprintable():
        raise UserError(
            "wrong-use",
            f"the key of a run has 1 to {LONGEST} characters that can be printed",
            help="take what names the work: a ticket, a date, the id of a message",
            exit_code=EXIT_USAGE,
        )
    return key


def check_same(run: RunID, there: RunCreated, wanted: RunCreated) -> None:
    """Raises UserError `start-key-conflict`, which names the difference, if run `run`, which began as `there`, is not
    what `wanted` would begin."""
    found = _difference(there, wanted)
    if found is None:
        return
    raise UserError(
        "start-key-conflict",
        f"key `{key_of(wanted)}` belongs to run `{run}`, which was started {found}",
        help="a key starts one run: give what is different a key of its own",
        next=f"runkon show {run}",
        exit_code=EXIT_USAGE,
    )


def _difference(there: RunCreated, wanted: RunCreated) -> str | None:
    """What one has and the other has not, in words; None if both would begin the same."""
    texts, others = list(there.sources.values()), list(wanted.sources.values())
    if texts != others:
        names = list(wanted.sources)
        changed = [name for at, name in enumerate(names) if texts[at : at + 1] != others[at : at + 1]]
        return f"with another text of `{changed[0]}`" if changed else "with more files"
    names = sorted({*there.inputs, *wanted.inputs})
    changed = [name for name in names if there.inputs.get(name) != wanted.inputs.get(name)]
    if changed:
        named = ", ".join(f"`{name}`" for name in changed)
        return f"with another value of {named}" if len(changed) == 1 else f"with other values of {named}"
    if there.dry != wanted.dry:
        return "with `--dry-run`" if there.dry else "without `--dry-run`"
    return None
