"""The states of a run, a step and an attempt, and which change into which. Each member says when."""

from __future__ import annotations

from enum import StrEnum


class RunStatus(StrEnum):
    PENDING = "pending"  # the row exists, no leg has begun
    RUNNING = "running"  # an engine is advancing it
    WAITING = "waiting"  # only gates or questions are left to wait for
    CANCELLING = "cancelling"  # a cancel was seen, work is being stopped
    COMPLETED = "completed"  # the body ended well
    FAILED = "failed"  # the body ended badly
    CANCELLED = "cancelled"  # given up by the user
    INTERRUPTED = "interrupted"  # a leg stopped without an end; resumable


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"  # an attempt is open
    WAITING = "waiting"  # at a gate or a question
    BACKOFF = "backoff"  # between two attempts
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"  # its condition was false, or its block needed no more answers
    TIMED_OUT = "timed_out"  # attempts exhausted, the last one by its clock
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # cut off; the next leg decides


TERMINAL_RUN = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED})
