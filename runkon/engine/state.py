"""State channels: what they hold, how an update changes it, and how branches come together.

A table can be forked for the branches of a block. A fork begins with what was there before it and notes its own
updates; `join` folds the updates of all branches in the order given, or none of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from runkon.language.channel_types import IN_WORDS, constant, fits
from runkon.language.nodes import Channel
from runkon.model.failures import StepFailure
from runkon.model.json_text import canonical, check_json
from runkon.model.output import JsonValue
from runkon.model.state import Reducer
from runkon.model.value_text import as_text
from runkon.named import NamedTuple

FindReducer: TypeAlias = Callable[[str], "Reducer | None"]
CONFLICT, REDUCER_FAILED, WRONG_TYPE = "state-conflict", "reducer-failed", "schema"
_SHOWN = 80  # characters of a value that a message shows


class Update(NamedTuple):
    """One write of one channel; `value` None clears it."""

    writer: str
    channel: str
    value: JsonValue


class State:
    """The channels of one workflow as one walk sees them. Safe while each thread writes only its own fork and nobody
    writes a table that has open forks."""

    __slots__ = ("_channels", "_find", "_once", "_values", "log")

    def __init__(self, channels: Mapping[str, Channel], find: FindReducer) -> None:
        self._channels = channels
        self._find = find
        self._values: dict[str, JsonValue] = {}
        self._once: dict[str, Update] = {}  # channels that may be written once, and who did
        self.log: list[Update] = []  # what was written here since the fork

    @staticmethod
    def of(channels: Sequence[Channel], find: FindReducer) -> State:
        """The channels of a workflow with their first values. Raises as `check`."""
        state = State({channel.name: channel for channel in channels}, find)
        state.apply(
            [
                Update("its first value", channel.name, constant(channel.initial))
                for channel in channels
                if channel.initial is not None
            ]
        )
        state.log = []
        return state

    # ── reading ───────────────────────────────────────────────────────────────────────────────────
    def __contains__(self, name: str) -> bool:
        return name in self._channels

    def get(self, name: str) -> JsonValue:
        """What a channel holds; None without a value."""
        return self._values.get(name)

    def values(self) -> dict[str, JsonValue]:
        """All channels, in the order they are declared."""
        return {name: self._values.get(name) for name in self._channels}

    # ── writing ───────────────────────────────────────────────────────────────────────────────────
    def updates_of(self, writer: str, values: Mapping[str, JsonValue]) -> list[Update]:
        """The updates that a structured output makes: each field that is called like a channel and is not null."""
        return [
            Update(writer, name, values[name]) for name in self._channels if name in values and values[name] is not None
        ]

    def check(self, updates: Iterable[Update]) -> None:
        """Raises StepFailure if the updates can't be made: kind `schema` for a wrong type, `state-conflict`,
        `reducer-failed`. Changes nothing."""
        self._folded(updates)

    def apply(self, updates: Sequence[Update]) -> None:
        """Make the updates, all or none. Raises as `check`."""
        self._values, self._once = self._folded(updates)
        self.log.extend(updates)

    def fork(self) -> State:
        """The channels as one branch sees them."""
        fork = State(self._channels, self._find)
        fork._values, fork._once = self._values, self._once
        return fork

    def join(self, branches: Sequence[Sequence[Update]]) -> None:
        """Take over the updates of branches, in this order, all or none. Raises as `check`, also where two branches
        have written different values that no reducer brings together."""
        self._refuse_conflicts(branches)
        self.apply([update for branch in branches for update in branch])

    def _refuse_conflicts(self, branches: Sequence[Sequence[Update]]) -> None:
        first: dict[str, Update] = {}
        for branch in branches:
            last = {u.channel: u for u in branch if self._channels[u.channel].reducer in ("replace", "error")}
            for name, update in last.items():
                other = first.setdefault(name, update)
                if other is update:
                    continue
                is_once = self._channels[name].reducer == "error"
                if is_once or canonical(other.value) != canonical(update.value):
                    raise StepFailure(
                        CONFLICT,
                        f"state-conflict: `{other.writer}` wrote {_shown(other.value)} to channel `{name}`, "
                        f"`{update.writer}` wrote {_shown(update.value)} at the same time",
                    )

    def _folded(self, updates: Iterable[Update]) -> tuple[dict[str, JsonValue], dict[str, Update]]:
        values, once = dict(self._values), dict(self._once)
        for update in updates:
            channel = self._channels[update.channel]
            if update.value is None:
                values.pop(update.channel, None)
                continue
            if not fits(channel.type, update.value):
                raise StepFailure(
                    WRONG_TYPE,
                    f"channel `{channel.name}` takes {IN_WORDS[channel.type]}, not {_shown(update.value)}",
                )
            if channel.reducer == "error":
                _write_once(channel.name, update, once)
            values[channel.name] = self._reduced(channel, values.get(channel.name), update.value)
        return values, once

    def _reduced(self, channel: Channel, old: JsonValue, new: JsonValue) -> JsonValue:
        try:
            reducer = _REDUCERS.get(channel.reducer)
            if reducer is not None:
                found = reducer(old, new)
            else:
                own = self._find(channel.reducer)
                if own is None:
                    raise LookupError("no plugin brings it")
                found = check_json(own(check_json(old, "old"), check_json(new, "new")), "its result")
            if found is not None and not fits(channel.type, found):
                raise ValueError(f"it made {_shown(found)}, and the channel takes {IN_WORDS[channel.type]}")
        except Exception as error:  # reducers are other people's code
            words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise StepFailure(
                REDUCER_FAILED, f"reducer `{channel.reducer}` of channel `{channel.name}` failed: {words}"
            ) from error
        return found


def _write_once(name: str, update: Update, once: dict[str, Update]) -> None:
    first = once.setdefault(name, update)
    if first is not update:
        raise StepFailure(
            CONFLICT,
            f"state-conflict: channel `{name}` is written once, and `{first.writer}` wrote {_shown(first.value)} "
            f"before `{update.writer}` wrote {_shown(update.value)}",
        )


def _shown(value: JsonValue) -> str:
    text = f'"{value}"' if isinstance(value, str) else "null" if value is None else as_text(value)
    return f"`{text}`" if len(text) <= _SHOWN else f"`{text[:_SHOWN]}…`"


# ── the reducers of the language ──────────────────────────────────────────────────────────────────
_Reduce: TypeAlias = Callable[..., JsonValue]  # (old, new) of the channel's type, old None without a value


def _append(old: list[JsonValue] | None, new: list[JsonValue]) -> JsonValue:
    return [*(old or ()), *new]


def _union(old: list[JsonValue] | None, new: list[JsonValue]) -> JsonValue:
    found = {canonical(one): one for one in old or ()}
    for one in new:
        found.setdefault(canonical(one), one)
    return list(found.values())


def _merge(old: Mapping[str, JsonValue] | None, new: Mapping[str, JsonValue]) -> JsonValue:
    return {**(old or {}), **new}


def _sum(old: float | None, new: float) -> JsonValue:
    total = new if old is None else old + new
    if isinstance(total, float) and not math.isfinite(total):
        raise OverflowError("the sum is too large for a decimal number")
    return total


def _max(old: float | None, new: float) -> JsonValue:
    return new if old is None or new > old else old


def _min(old: float | None, new: float) -> JsonValue:
    return new if old is None or new < old else old


def _replace(_old: JsonValue, new: JsonValue) -> JsonValue:
    return new


_REDUCERS: Mapping[str, _Reduce] = {
    "replace": _replace,
    "error": _replace,
    "append": _append,
    "union": _union,
    "merge": _merge,
    "sum": _sum,
    "max": _max,
    "min": _min,
}
