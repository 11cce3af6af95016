"""The SQLite store keeps the store contract, in both durabilities."""

from __future__ import annotations

from pathlib import Path

from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_suite import DurableStoreContract


class TestSqliteStore(DurableStoreContract):
    def make(self, folder: Path) -> SqliteRunStore:
        return SqliteRunStore(folder / "runs.db", durability="normal")


class TestSqliteStoreWithFullDurability(DurableStoreContract):
    def make(self, folder: Path) -> SqliteRunStore:
        return SqliteRunStore(folder / "runs.db", durability="full")
