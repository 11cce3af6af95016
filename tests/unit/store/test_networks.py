"""Databases on network file systems: refused, or used with a warning and without shared memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.store import connections, networks
from runkon.store.care.upkeep import Upkeep
from runkon.store.sqlite import SqliteRunStore
from runkon.testing.store_story import Story

MOUNTS = """\
/dev/vda1 / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
server:/x /shared nfs4 rw 0 0
/dev/vdb1 /shared/local\\040disk xfs rw 0 0
me@host:/ /mnt/there fuse.sshfs rw 0 0
//server/share /mnt/share cifs rw 0 0
tmpfs /mnt/share/memory tmpfs rw 0 0
odd
"""


@pytest.mark.parametrize(
    ("folder", "type"),
    [
        ("/srv", "ext4"),
        ("/shared", "nfs4"),
        ("/shared/me/project", "nfs4"),
        ("/sharedness", "ext4"),
        ("/shared/local disk/x", "xfs"),
        ("/mnt/there/x", "fuse.sshfs"),
        ("/mnt/share", "cifs"),
        ("/mnt/share/memory/x", "tmpfs"),
    ],
)
def test_the_innermost_mount_counts(folder: str, type: str) -> None:
    assert networks.type_of(Path(folder), MOUNTS) == type
    assert networks.type_of(Path(folder), "") is None


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database that would be on NFS."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda1 / ext4 rw 0 0\nserver:/x {tmp_path}/net nfs4 rw 0 0\n")
    monkeypatch.setattr(networks, "MOUNTS", mounts)
    monkeypatch.setattr(connections, "_is_on_a_disk", lambda path: False)
    (tmp_path / "net").mkdir()
    return tmp_path / "net" / "project" / "runkon.db"


@pytest.mark.parametrize("kind", ["smb3", "fuse.sshfs", "fuse.rclone", "cifs", "nfs", "ceph", "fuse.glusterfs"])
def test_network_types_are_known(mounted: Path, kind: str) -> None:
    networks.MOUNTS.write_text(f"server:/x {mounted.parents[1]} {kind} rw 0 0\n")
    assert networks.network_of(mounted) == kind


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "overlay", "tmpfs", "9p", "fuse.fuse-overlayfs", "zfs"])
def test_others_pass(mounted: Path, kind: str) -> None:
    networks.MOUNTS.write_text(f"server:/x {mounted.parents[1]} {kind} rw 0 0\n")
    assert networks.network_of(mounted) is None


def test_a_network_is_refused_before_anything_is_made(mounted: Path) -> None:
    for use in (lambda: connections.check_place(mounted, allow_network=False), lambda: Upkeep(mounted, "full")):
        with pytest.raises(UserError) as caught:
            use()
        assert (caught.value.code, caught.value.exit_code) == ("store-on-network", 5)
        assert caught.value.message == (
            f"`{mounted}` is on a network file system (nfs4), where two engines can damage each other's records"
        )
        assert caught.value.help == (
            "choose a place on a disk of this machine with `--db PATH`; with `--allow-network-store` it is used all "
            "the same, slower, and from one machine at a time only"
        )
    assert not mounted.parent.exists()


def test_a_network_that_is_allowed_is_warned_of_and_used_without_shared_memory(
    mounted: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    connections.check_place(mounted, allow_network=True)
    store = SqliteRunStore(mounted)
    assert capfd.readouterr().err == (
        f"warning: `{mounted}` is on a network file system (nfs4); use it from one machine at a time only\n"
    )
    story = Story(store)
    story.begin()
    assert list(store.events(story.run)) == story.envelopes
    assert sorted(file.name for file in mounted.parent.iterdir() if "shm" in file.name or "wal" in file.name) == []
    store.close()
    connection = sqlite3.connect(mounted)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    connection.close()
