"""The public test kit: stand-ins for executors and time, and the suites every adapter of a port must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runkon.testing.clock import FakeClock
from runkon.testing.executor_suite import CancellableContract, ExecutorContract
from runkon.testing.failpoints import Armed, arm
from runkon.testing.requests import cancel, request_for
from runkon.testing.running import TextRun, check_text, resume_run, run_text
from runkon.testing.scripted import Answer, Hold, ScriptedExecutor, answers_from_json, keys_of

if TYPE_CHECKING:
    from runkon.testing.runtime_suite import CancellableRuntimeContract, FailingRuntimeContract, RuntimeContract
    from runkon.testing.store_suite import DurableStoreContract, StoreContract

__all__ = [
    "Answer",
    "Armed",
    "CancellableContract",
    "CancellableRuntimeContract",
    "DurableStoreContract",
    "ExecutorContract",
    "FailingRuntimeContract",
    "FakeClock",
    "Hold",
    "RuntimeContract",
    "ScriptedExecutor",
    "StoreContract",
    "TextRun",
    "answers_from_json",
    "arm",
    "cancel",
    "check_text",
    "keys_of",
    "request_for",
    "resume_run",
    "run_text",
]


def __getattr__(name: str) -> object:
    if name in ("StoreContract", "DurableStoreContract"):
        from runkon.testing import store_suite  # late: imports pytest, which users need not have

        return getattr(store_suite, name)
    if name in ("RuntimeContract", "CancellableRuntimeContract", "FailingRuntimeContract"):
        from runkon.testing import runtime_suite  # late: only tests of runtimes need it

        return getattr(runtime_suite, name)
    raise AttributeError(f"module `runkon.testing` has no attribute `{name}`")
