"""Finds the entry points of the group `runkon` without `importlib.metadata`, whose import alone costs more than all
the rest of a start. Reads what installers write: `entry_points.txt` in the `*.dist-info` and `*.egg-info` folders of
`sys.path`, editable installs included."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence

from runkon.named import NamedTuple
from runkon.pattern import pattern

GROUP = "runkon"
_VALUE = pattern(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\]\s*)?")


class EntryPoint(NamedTuple):
    """`name = module:attribute` of one installed distribution; `attribute` is empty when the module is the plugin."""

    name: str
    module: str
    attribute: str
    distribution: str
    version: str


def installed(path: Sequence[str] | None = None) -> list[EntryPoint]:
    """The entry points of every distribution on `path` (default: `sys.path`). Of two distributions of one name the
    first on the path counts, as Python imports them."""
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for folder in sys.path if path is None else path:
        for metadata in _metadata_folders(folder or "."):
            distribution, version = _identity(metadata)
            normal = re.sub(r"[-_.]+", "-", distribution).lower()
            if normal in seen:
                continue
            seen.add(normal)
            text = _read(os.path.join(metadata, "entry_points.txt"))
            if f"[{GROUP}]" in text:
                found.extend(_parse(text, distribution, version or _version(metadata)))
    return found


def _metadata_folders(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:  # not there, a zip file, not readable: nothing to find
        return []
    return [os.path.join(folder, name) for name in sorted(names) if name.endswith((".dist-info", ".egg-info"))]


def _identity(metadata: str) -> tuple[str, str]:
    """Name and version out of `name-1.0.dist-info`, `name-1.0-py3.11.egg-info` or `name.egg-info`."""
    stem = os.path.basename(metadata).rsplit(".", 1)[0]
    name, _, rest = stem.partition("-")
    return name, rest.split("-", 1)[0]


def _version(metadata: str) -> str:
    for name in ("METADATA", "PKG-INFO"):
        match = re.search(r"(?m)^Version:\s*(\S+)", _read(os.path.join(metadata, name)))
        if match:
            return match[1]
    return ""


def _read(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _parse(text: str, distribution: str, version: str) -> Iterator[EntryPoint]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == GROUP and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            match = _VALUE.fullmatch(value.strip())
            if match:
                yield EntryPoint(name.strip(), match[1], match[2] or "", distribution, version)
