"""The memory store keeps the store contract."""

from __future__ import annotations

from pathlib import Path

from runkon.store.memory import MemoryRunStore
from runkon.testing.store_suite import StoreContract


class TestMemoryStore(StoreContract):
    def make(self, folder: Path) -> MemoryRunStore:
        return MemoryRunStore()
