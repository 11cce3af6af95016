"""What people can do for a database: check it, make rows anew, copy it, bring it up to date, clear it of waste."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runkon.errors import EXIT_HELD, UserError
from runkon.model import holder as holders
from runkon.model.ids import RunID
from runkon.store import connections, faults
from runkon.store import statements as sql
from runkon.store.care import checking, copies, pruning, rebuilding, waste
from runkon.store.migrations import Migrated, migrate
from runkon.store.schema import VERSION
from runkon.store.sqlite import PATIENCE, SqliteRunStore
from runkon.store.writer import Writer

if TYPE_CHECKING:
    from runkon.store.care.bringing import Brought
    from runkon.store.care.capsule import Capsule

_TTL_MS = 30_000


class Upkeep:
    """Of the database file `path`. Every method may be called beside engines that write it."""

    def __init__(self, path: Path, durability: Literal["full", "normal"], *, allow_network: bool = False) -> None:
        connections.check_place(path, allow_network=allow_network)
        self.path = path
        self._durability: Literal["full", "normal"] = durability

    def check(self, run: RunID | None = None) -> checking.Report:
        """Look at everything, or at one run; see `checking.check`."""
        return checking.check(self.path, run)

    def rebuild(self, run: RunID) -> rebuilding.Rebuilt:
        """Make the rows of a run anew from its events. Raises UserError `already-active` while somebody advances it,
        `corrupt-run` if its events are damaged."""
        store = SqliteRunStore(self.path, durability=self._durability)
        writer = Writer(self.path, self._durability, PATIENCE)
        try:
            checking.refuse_damaged(self.path, run)
            lease = None if _is_held(self.path, run) else store.acquire(run, holders.this_holder(), _now(), _TTL_MS)
            if lease is None:
                raise UserError(
                    "already-active",
                    f"run `{run}` is advanced by another process right now",
                    help="nothing was changed; wait until it has ended or stop it, then try again",
                    next=f"runkon show {run}",
                    exit_code=EXIT_HELD,
                )
            try:
                return rebuilding.rebuild(writer, self.path, lease)
            finally:
                store.append(lease, (), release=True)
        finally:
            writer.close()
            store.close()

    def backup(self, target: Path) -> copies.Copied:
        """Copy everything to `target`; see `copies.backup`."""
        return copies.backup(self.path, target)

    def export(self, run: RunID, target: Path, *, keeps_paths: bool = False) -> Capsule:
        """Write one run to a file of its own; see `capsule.export`."""
        from runkon.store.care import capsule  # late: where it was asked for

        return capsule.export(self.path, run, target, keeps_paths=keeps_paths)

    def bring(self, file: Path, root: Path) -> Brought:
        """Take the run of an exported file into the database; see `bringing.bring`."""
        from runkon.store.care import bringing  # late: where it was asked for

        writer = Writer(self.path, self._durability, PATIENCE)
        try:
            return bringing.bring(writer, self.path, file, root)
        finally:
            writer.close()

    def migrate(self) -> Migrated:
        """Bring the file to this version's schema, if it is not there already. Raises UserError `store-empty` if there
        is no file, and those of `migrations.migrate`."""
        faults.check_header(self.path)
        if not self.path.exists():
            raise copies.nothing_there(self.path)
        with connections.as_it_is(self.path) as connection:
            return migrate(connection, self.path) or Migrated(VERSION, VERSION, None)

    def prune(self, keep: int) -> pruning.Pruned:
        """Take out all ended runs but the newest `keep`; see `pruning.prune`."""
        writer = Writer(self.path, self._durability, PATIENCE)
        try:
            return pruning.prune(writer, self.path, keep)
        finally:
            writer.close()

    def collect(self) -> waste.Removed:
        """Remove what nothing refers to; see `waste.collect`."""
        writer = Writer(self.path, self._durability, PATIENCE)
        try:
            return waste.collect(writer, self.path, _now())
        finally:
            writer.close()


def _is_held(path: Path, run: RunID) -> bool:
    """True if the holder is proved alive, however old its lease is: nobody waits for this."""
    with connections.reading(path) as connection:
        row = connection.execute(sql.RUN_LEASE, (run,)).fetchone() if connection else None
    return row is not None and row[4] is not None and holders.is_alive(row[4]) is True


def _now() -> int:
    return time.time_ns() // 1_000_000
