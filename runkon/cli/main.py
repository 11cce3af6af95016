"""The door of the command line. What needs no parsing is answered here, before click is imported."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import time
from collections.abc import Sequence

from runkon.cli.overview import FIRST_STEPS, overview, version_line
from runkon.cli.streams import keep_standard_streams, undelivered, unwritten
from runkon.errors import EXIT_ENVIRONMENT, EXIT_INTERRUPTED

_OBJECTS_PER_COLLECTION = 300_000
_PATIENCE = 5.0  # seconds threads of plugins get when everything else has ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Without `arguments` this is the program itself, which then ends here
    as soon as nothing is left to wait for. Never raises, but for what the interpreter itself raises."""
    gc.set_threshold(_OBJECTS_PER_COLLECTION)  # a start makes many objects and drops none: looking costs a tenth of it
    try:
        if arguments is None:
            keep_standard_streams()
        code = _answer(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()
        code = _delivered(code)
    except BrokenPipeError:  # the streams of a caller, who hears of it by the code
        code = EXIT_ENVIRONMENT
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    if arguments is None:
        _end(code)
    return code


def _delivered(code: int) -> int:
    """The exit code of a command that did what it should, but whose result went nowhere."""
    error = undelivered(sys.stdout)
    if error is None or code != 0:
        return code
    from runkon.cli.complaints import user_error  # late: on the way to an error

    sys.stderr.write(user_error(unwritten("standard output", error), color=False) + "\n")
    return EXIT_ENVIRONMENT


def _end(code: int) -> None:
    """End the process without taking every module apart, which costs a seventh of a short run. What was registered for
    the exit is done first; with a thread of somebody else still at work, the interpreter ends as it always does, but
    not later than after `_PATIENCE`: an executor may have left one that never ends."""
    threading = sys.modules.get("threading")
    if threading is not None:
        others = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
        if others:
            threading.Thread(target=_leave_late, args=(code, others), daemon=True).start()
            return
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except KeyboardInterrupt:
        code = code or EXIT_INTERRUPTED
    os._exit(code)


def _leave_late(code: int, others: list[str]) -> None:
    time.sleep(_PATIENCE)
    sys.stderr.write(f"note: left without waiting for {', '.join(others)}, threads of a plugin\n")
    sys.stdout.flush()
    os._exit(code)


def _answer(words: list[str]) -> int:
    if not words:
        sys.stdout.write(FIRST_STEPS)
        return 0
    if words in (["--help"], ["-h"]):
        sys.stdout.write(overview())
        return 0
    if words == ["--version"]:
        sys.stdout.write(version_line())
        return 0
    from runkon.cli.boundary import invoke  # late: click costs as much as three interpreters

    return invoke(words)
