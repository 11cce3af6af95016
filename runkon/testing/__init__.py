"""The public test kit: stand-ins for executors and time, and the suites every adapter of a port must pass."""

from __future__ import annotations

from runkon.testing.clock import FakeClock
from runkon.testing.executor_suite import CancellableContract, ExecutorContract
from runkon.testing.requests import cancel, request_for
from runkon.testing.running import TextRun, check_text, resume_run, run_text
from runkon.testing.scripted import Answer, Hold, ScriptedExecutor, answers_from_json, keys_of

__all__ = [
    "Answer",
    "CancellableContract",
    "ExecutorContract",
    "FakeClock",
    "Hold",
    "ScriptedExecutor",
    "TextRun",
    "answers_from_json",
    "cancel",
    "check_text",
    "keys_of",
    "request_for",
    "resume_run",
    "run_text",
]
