"""`run --detach`: the run goes on in a process of its own, without a terminal.

The command starts itself once more, in a session of its own, and waits until that process says that the leg has begun:
one line through a pipe, its run's id, sent once the first event of the leg is durable. Until then what the new process
says goes to two unnamed files, which are shown here; from then on into a file beside the logs of the run's steps.
"""

from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from runkon.cli.run_state import record_of, short_id, true_status
from runkon.cli.session import Session
from runkon.errors import EXIT_OK, UserError
from runkon.language.columns import visible
from runkon.model.events import Envelope, RunResumed, RunStarted
from runkon.model.ids import RunID
from runkon.model.ports import EventSink

PATIENCE = 10.0  # seconds until the leg must have begun
STOP_PATIENCE = 5.0  # seconds a process that did not begin gets to stop, before it is killed
CHANNEL = "RUNKON_DETACHED"  # the number of the pipe's end, for the new process
_OF_A_STEP = "RUNKON_OWNERS"  # marks processes that end with a run: the detached one goes on
SAID = "detached.txt"  # in the folder of the run's logs; steps have names that end in `.log`


# ── in the process that was asked ─────────────────────────────────────────────────────────────────
def start_detached(session: Session, *, reads_input: bool) -> int:
    """Start this command again as a process of its own and return once its run has begun; a start that fails is
    shown as if it had happened here, with its exit code. With `reads_input` it is given our standard input.

    Raises UserError `detach-failed` when the run has not begun within `PATIENCE`; the process is stopped then."""
    hearing, telling = os.pipe()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                _again(session.words),
                stdin=None if reads_input else subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(telling),
                pass_fds=(telling,),
                start_new_session=True,
            )
        finally:
            os.close(telling)
        try:
            run = _heard(hearing, PATIENCE)
        except BaseException as error:
            _stop(process)
            _show(session, out, err)
            if isinstance(error, TimeoutError):
                raise _too_late() from error
            raise
        finally:
            os.close(hearing)
        code = process.wait() if run is None else None
        _show(session, out, err)
    if run is None:  # it did not begin, or there was nothing left to do for its key
        return 128 - code if code and code < 0 else code or EXIT_OK
    return _report(session, run)


def _again(words: tuple[str, ...]) -> list[str]:
    """This command line for a new process, which looks for modules where this one does."""
    here = sys.path[0] in ("", str(Path.cwd())) if sys.path else False
    return [sys.executable, *([] if here else ["-P"]), "-m", "runkon", *words]


def _environment(telling: int) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != _OF_A_STEP} | {CHANNEL: str(telling)}


def _heard(hearing: int, seconds: float) -> RunID | None:
    """The id of the run that has begun; None if the process ended without one. Raises TimeoutError."""
    end, text = time.monotonic() + seconds, b""
    poll = select.poll()
    poll.register(hearing, select.POLLIN)
    while not text.endswith(b"\n"):
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            raise TimeoutError
        piece = os.read(hearing, 100)
        if not piece:
            return None
        text += piece
    return RunID(text.decode().strip())


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that is not wanted any more; what it has begun it may still write down."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(STOP_PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _too_late() -> UserError:
    return UserError(
        "detach-failed",
        f"the run did not begin within {PATIENCE:.0f} seconds and was stopped",
        help="start it without `--detach` to see what it waits for; one that is listed by `runkon runs` can be resumed",
        next="runkon runs",
    )


def _show(session: Session, out: BinaryIO, err: BinaryIO) -> None:
    """What the new process has said so far, as if this one had. Both share the files' position: it is left alone."""
    for file, stream in ((err, session.console.error), (out, session.console.result)):
        text = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode("utf-8", "replace")
        if text:
            stream(text.removesuffix("\n"))


def _report(session: Session, run: RunID) -> int:
    """The id on standard output; how to follow and to end the run beside it."""
    console = session.console
    if session.as_json:
        from runkon.views.run_object import run_object  # late: where it was asked for

        record = record_of(session.app, run)
        console.data(run_object(record, session.app.store.steps(run), true_status(record)))
    else:
        console.result(run)
    short = short_id(session.app, run)
    console.note(f"goes on without this terminal, and says what it does in {visible(str(_said(session, run)))}")
    console.note(f"follow: runkon events -f {short} · end: runkon cancel {short}")
    return EXIT_OK


def _said(session: Session, run: RunID) -> Path:
    return session.settings.state_dir / "logs" / run / SAID


# ── in the new process ────────────────────────────────────────────────────────────────────────────
def as_detached(session: Session) -> Begun | None:
    """What the new process adds to the sinks of its run; None in every other process. From here on a terminal that
    is closed is no reason to stop."""
    number = os.environ.pop(CHANNEL, "")
    if not number.isdecimal() or not _is_pipe(int(number)):
        return None
    os.set_inheritable(int(number), False)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return Begun(session, int(number))


def let_input_go() -> None:
    """Standard input was read and belongs to somebody's terminal or pipe: keep it no longer."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _is_pipe(number: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(number).st_mode)
    except OSError:
        return False


class Begun(EventSink):
    """Tells the process that waits, once, that the leg has begun: the event is durable when it comes here. Then what
    this process says goes where the logs of the run are."""

    def __init__(self, session: Session, telling: int) -> None:
        self._session = session
        self._telling: int | None = telling

    def emit(self, envelope: Envelope) -> None:
        if self._telling is None or not isinstance(envelope.event, RunStarted | RunResumed):
            return
        telling, self._telling = self._telling, None
        self._leave_terminal(envelope.run)
        with suppress(OSError):  # whoever waited has gone: the run goes on all the same
            os.write(telling, f"{envelope.run}\n".encode())
        os.close(telling)

    def _leave_terminal(self, run: RunID) -> None:
        said = _said(self._session, run)
        try:
            said.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            self._session.console.error(f"warning: {visible(str(said))} can't be written: {error.strerror}")
            file = os.open(os.devnull, os.O_WRONLY)
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.close(file)
