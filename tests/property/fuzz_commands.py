"""The same promises one floor up: whatever a file holds, the commands answer, draw nothing odd, and lose nothing."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from runkon.cli.main import main
from runkon.cli.outline import outline_of
from runkon.errors import EXIT_INTERNAL
from runkon.language.columns import visible
from runkon.language.formatter import format_source
from runkon.language.source import SourceFile
from runkon.views.ascii_tree import ascii_tree
from runkon.views.dot import dot
from runkon.views.flow import flow_of
from runkon.views.mermaid import mermaid

from .fuzz_properties import Case

SHARE = 0.02  # of the inputs: each command takes as long as all other properties together
COMMANDS = (
    ("validate", "x.wf"),
    ("validate", "x.wf", "--json"),
    ("validate", "x.wf", "--syntax"),
    ("graph", "x.wf"),
    ("graph", "x.wf", "--format", "mermaid"),
    ("graph", "x.wf", "--json"),
    ("fmt", "x.wf", "--check"),
    ("run", "x.wf", "--dry-run", "-i", "x=1"),
    ("fmt", "x.wf"),
)
_ODD = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def workflows_can_be_drawn(it: Case) -> None:
    for workflow in it.parsed.workflows:
        outline = outline_of(workflow, it.source)
        flow = flow_of(outline, None)
        for lines in (ascii_tree(outline, None), mermaid(flow), dot(flow)):
            assert "\n" not in "".join(map(visible, lines))
        json.dumps(outline.as_json(None))


def commands_never_break(it: Case) -> None:
    if it.random.random() >= SHARE:
        return
    content = it.text.encode("utf-8", "surrogatepass")
    with _project(content) as file:
        for words in COMMANDS:
            code, out, err = _run(*words)
            said = f"{words}: {code}\n{out[-3000:]}\n{err[-3000:]}"
            assert code != EXIT_INTERNAL, said
            assert "Traceback" not in err, said
            assert code == 0 or out or err, said
            if "--json" in words and out:
                json.loads(out)
            odd = _ODD.search(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out + err))
            assert odd is None, f"{odd[0]!r} is printed as it is\n{said}"
        _kept_or_formatted(file.read_bytes(), content)


def _kept_or_formatted(now: bytes, before: bytes) -> None:
    """`fmt` changed nothing but the form, and nothing at all in a file with errors."""
    try:
        text = before.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        assert now == before
        return
    formatted, _ = format_source(SourceFile("x.wf", text))
    assert now.decode("utf-8").removeprefix("\ufeff") == (text if formatted is None else formatted)


@contextlib.contextmanager
def _project(content: bytes) -> Iterator[Path]:
    """A new project with one file, which is the current folder as long as it lasts."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".runkon").mkdir()
        file = Path(folder) / "x.wf"
        file.write_bytes(content)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNKON_", "XDG_"))}
        variables = mock.patch.dict(os.environ, {**kept, "HOME": folder, "NO_COLOR": "1"}, clear=True)
        with variables, contextlib.chdir(folder):
            yield file


def _run(*words: str) -> tuple[int, str, str]:
    out, err = io.BytesIO(), io.BytesIO()
    streams = [io.TextIOWrapper(buffer, encoding="utf-8", write_through=True) for buffer in (out, err)]
    with mock.patch.multiple(sys, stdout=streams[0], stderr=streams[1], stdin=io.StringIO()):
        code = main(list(words))
        for stream in streams:
            stream.flush()
    return code, out.getvalue().decode("utf-8", "replace"), err.getvalue().decode("utf-8", "replace")
