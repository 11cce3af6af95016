"""Places where a test can make the program die, fail or wait: named, and silent unless armed.

A test arms them with `runkon.testing.arm`, or from outside with `RUNKON_FAILPOINTS` and `RUNKON_TESTING=1`. Unarmed,
a place costs one comparison.
"""

from __future__ import annotations

from collections.abc import Callable

Reaction = Callable[[str, "str | None", "int | None"], None]

POINTS = frozenset(
    word
    for line in """
    after_create before_lease after_lease before_begin after_begin before_end after_end before_release
    before_start after_start before_dispatch in_attempt after_return before_finish after_finish before_retry after_retry
    in_backoff
    before_batch after_begin_immediate after_fence after_insert before_commit after_commit before_sinks
    before_blob blob_half blob_written before_rename after_rename rescue_half
    before_open after_open before_decide after_decide before_apply
    branch_started branch_done before_join after_join loop_tested always_entered always_left child_entered child_left
    planned after_takeover after_supersede during_replay process_started
    worktree_before_add worktree_after_add worktree_made merge_begun merge_planned merge_files_begun merge_files_written
    merge_index_written merge_committed merge_done merge_recorded worktree_before_drop worktree_after_drop
    """.splitlines()
    for word in line.split()
)


class _Armed:
    """What every place of this process does when it is passed; None: nothing."""

    __slots__ = ("reaction",)

    def __init__(self) -> None:
        self.reaction: Reaction | None = None


_ARMED = _Armed()


def failpoint(name: str, path: str | None = None, attempt: int | None = None) -> None:
    """Do what a test has armed for `name`, one of `POINTS`; nothing otherwise. `path` is that of the step concerned,
    `attempt` the number of its attempt; at `after_lease` it is the leg's."""
    if _ARMED.reaction is not None:
        _ARMED.reaction(name, path, attempt)


def is_armed() -> bool:
    """True while a test has armed any place: for a place that has to look up what it is about."""
    return _ARMED.reaction is not None


def react(reaction: Reaction | None) -> None:
    """From now on every place calls `reaction(name, path, attempt)`; None disarms all."""
    _ARMED.reaction = reaction
