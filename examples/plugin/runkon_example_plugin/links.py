"""Finds relative links of Markdown files whose target isn't there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from runkon import Fatal, Output, StepRequest, executor

_LINK = re.compile(r"\[[^\]\n]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_FENCE = re.compile(r"^\s*(```|~~~)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|#", re.IGNORECASE)


class DeadLink(NamedTuple):
    """A link whose target isn't there; `line` counts from 1."""

    file: str
    line: int
    target: str


@executor("check-links", version="1", effect="read")
def check_links(request: StepRequest) -> Output:
    """Look at every Markdown file below the input `folder` (default: where the run works).

    Gives the marker `has_dead_links`, `dead` (file, line, target of each) and the number of files looked at."""
    folder = request.working_dir / str(request.inputs.get("folder") or ".")
    if not folder.is_dir():
        raise Fatal(f"there is no folder `{folder}`")
    files = sorted(file for file in folder.rglob("*.md") if not _is_hidden(file.relative_to(folder)))
    dead: list[DeadLink] = []
    for file in files:
        request.cancel.raise_if_cancelled()
        request.emit(f"looking at {file.relative_to(folder)}")
        dead += dead_links(file, folder)
    return Output(
        markers=frozenset({"has_dead_links"} if dead else ()),
        context="\n".join(f"{link.file}:{link.line}: no `{link.target}`" for link in dead) or "no dead link",
        values={"dead": [dict(link._asdict()) for link in dead], "files": len(files)},
    )


def dead_links(file: Path, folder: Path) -> Iterator[DeadLink]:
    """The links of one file that lead nowhere. Links in code, to other hosts and within the page are not looked at."""
    in_code = False
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if _FENCE.match(line):
            in_code = not in_code
        for match in () if in_code else _LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            target = match[1]
            if not _ELSEWHERE.match(target) and not _exists(file, folder, target):
                yield DeadLink(str(file.relative_to(folder)), number, target)


def _exists(file: Path, folder: Path, target: str) -> bool:
    path = unquote(target.split("#", 1)[0].split("?", 1)[0])
    return (folder / path.lstrip("/") if path.startswith("/") else file.parent / path).exists()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
