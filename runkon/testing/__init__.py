"""The public test kit: stand-ins for executors and time, and the suites every adapter of a port must pass."""

from __future__ import annotations

from runkon.testing.clock import FakeClock
from runkon.testing.scripted import Answer, Hold, ScriptedExecutor, answers_from_json, keys_of

__all__ = ["Answer", "FakeClock", "Hold", "ScriptedExecutor", "answers_from_json", "keys_of"]
