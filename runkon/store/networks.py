"""Is a database file on a disk of this machine? Locks and shared memory do not hold across a network.

Told by the type of the mount, where the system lists its mounts (`/proc/mounts`); elsewhere every file passes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from runkon.errors import EXIT_ENVIRONMENT, UserError

MOUNTS = Path("/proc/mounts")
_TYPES = frozenset({"nfs", "nfs4", "cifs", "ncpfs", "afs", "coda", "ceph", "lustre", "beegfs", "orangefs", "webdav"})
_PROGRAMS = ("smb", "sshfs", "glusterfs", "davfs", "s3fs", "goofys", "gcsfuse", "rclone", "curlftpfs", "ceph")


def network_of(path: Path) -> str | None:
    """The type of the network file system that `path` is, or would be, on; None for a disk of this machine."""
    folder = path.absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        found = type_of(folder.resolve(), MOUNTS.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
    is_network = found is not None and (found in _TYPES or found.removeprefix("fuse.").startswith(_PROGRAMS))
    return found if is_network else None


def type_of(folder: Path, mounts: str) -> str | None:
    """The type of the mount that `folder` is in, by a list as `/proc/mounts` has it; of two at one place the later."""
    best, longest = None, -1
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3:
            continue
        point = words[1].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
        if len(point) >= longest and folder.is_relative_to(point):
            best, longest = words[2], len(point)
    return best


def check_network(path: Path, *, allowed: bool) -> bool:
    """True if `path` is on a network file system and that is allowed, which stderr is told. Raises UserError
    `store-on-network` if it is not."""
    found = network_of(path)
    if found is None:
        return False
    if not allowed:
        raise UserError(
            "store-on-network",
            f"`{path}` is on a network file system ({found}), where two engines can damage each other's records",
            help="choose a place on a disk of this machine with `--db PATH`; with `--allow-network-store` it is used "
            "all the same, slower, and from one machine at a time only",
            exit_code=EXIT_ENVIRONMENT,
        )
    print(
        f"warning: `{path}` is on a network file system ({found}); use it from one machine at a time only",
        file=sys.stderr,
    )
    return True
