"""The executor of `script` steps: shell text or a file, run in a process group of its own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from runkon.digest import hex_digest
from runkon.errors import Cancelled
from runkon.language.places import escapes, first_file, names_file, not_executable, script_places
from runkon.model.failures import StepFailure
from runkon.model.output import JsonValue, Output
from runkon.model.ports import StepRequest
from runkon.model.secrets import reveal, secret_name
from runkon.model.value_text import as_text, harmless
from runkon.pattern import pattern

if TYPE_CHECKING:
    from runkon.executors.capture import Capture, OutputStreams
    from runkon.executors.process import ChildProcess

SHELL = "/bin/sh"
CONTEXT = 2000  # most characters of a context that stdout becomes when there is no output block; `…` ends a cut one
STDERR = 2000  # characters of stderr in the error of a failed script
PREFIXES = ("RUNKON_", "CONDUCTOR_")
INJECTED = "RUNKON_INJECTED"
PROTECTED = frozenset(
    {
        "LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "PATH", "PYTHONPATH",
        "RUBYLIB", "NODE_PATH", "GH_TOKEN",
    }
)  # fmt: skip
_HISTORY = frozenset({"prior_context", "prior_contexts", "prior_output", "prior_output_file"})
_SAFE_NAME = pattern(r"[A-Za-z0-9_]+")
_MAX_VARIABLE = 120_000  # bytes: one environment text above 128 KiB makes the system refuse the process


class ScriptExecutor:
    """Runs the `run` text of a script step.

    Exit code 0 completes the step: markers, context and fields come from the output block on stdout, else the context
    is what was printed, without line ends behind it and, if it is long, cut to end with `…`. Any other end raises
    StepFailure of kind `exit`. When `request.cancel` is cancelled the group gets SIGTERM, after `kill_grace` SIGKILL,
    and `Cancelled` is raised; nothing of the group is left then.
    `request.options`: `run`, `env` (names to texts), `inputs` (those for the environment, default: all variables but
    the history), `kill_grace` (seconds, default 5)."""

    name = "script"
    version = "1"
    effect = "write"
    metered = False

    def __init__(self) -> None:
        self._running: set[ChildProcess] = set()
        self._lock = Lock()

    def execute(self, request: StepRequest) -> Output:
        """One attempt. A dry run does nothing."""
        if request.dry_run:
            return Output(text="not run: this is a dry run")
        request.cancel.raise_if_cancelled()
        from runkon.executors.capture import LogFile, OutputStreams  # late: only runs with scripts pay for it

        streams = OutputStreams(LogFile(request.log_path, request.warn), request.emit, request.secrets)
        child = self._start(request)
        request.started(child.pid)
        stop_listening = request.cancel.on_cancel(child.terminate)
        try:
            code = child.run(streams.receive, kill_grace=_kill_grace(request))
        finally:
            stop_listening()
            with self._lock:
                self._running.discard(child)
            streams.finish()
        if child.was_stopped:
            raise Cancelled(f"`{request.name}` was stopped")
        if code != 0:
            raise StepFailure("exit", _exit_text(request.name, code, streams))
        return _output(streams)

    def describe(self, request: StepRequest) -> Mapping[str, JsonValue]:
        """What the answer depends on: the command, its `env`, the inputs, the file it names. The environment of the
        process is not in it."""
        options = request.options
        run, inputs = options.get("run"), options.get("inputs")
        given = {name: inputs[name] for name in inputs if name not in _HISTORY} if isinstance(inputs, Mapping) else None
        found: dict[str, JsonValue] = {"command": run, "env": options.get("env") or None, "inputs": given or None}
        if isinstance(run, str) and names_file(run):
            located = first_file(script_places(request.roots or [request.working_dir.absolute()], run))
            if located.path is not None:
                found["file"] = hex_digest(located.path.read_bytes())
        return found

    def kill(self) -> None:
        """End every running script now, without grace. Safe from any thread."""
        with self._lock:
            running = list(self._running)
        for child in running:
            child.kill()

    def _start(self, request: StepRequest) -> ChildProcess:
        from runkon.executors.process import ChildProcess  # late: only runs with scripts pay for subprocess
        from runkon.model.processes import last_owner

        arguments = _arguments(request)
        variables = _environment(request)
        owner = last_owner(request.marks)
        try:
            try:
                child = ChildProcess(arguments, folder=request.working_dir, environment=variables, owner=owner)
            except OSError as error:
                if error.errno != errno.ENOEXEC:
                    raise
                # a script file without `#!` line is shell text
                arguments = [SHELL, *arguments]
                child = ChildProcess(arguments, folder=request.working_dir, environment=variables, owner=owner)
        except (OSError, ValueError) as error:
            raise StepFailure("exit" if isinstance(error, OSError) else "value", _spawn_text(request, error)) from None
        with self._lock:
            self._running.add(child)
        return child


# ── what is run ───────────────────────────────────────────────────────────────────────────────────
def _arguments(request: StepRequest) -> Sequence[str]:
    run = request.options.get("run")
    if not isinstance(run, str):
        raise StepFailure("value", f"script `{request.name}` has nothing to run")
    return [str(_file(run, request))] if names_file(run) else [SHELL, "-c", run]


def _file(run: str, request: StepRequest) -> Path:
    """The file that a single word names: below the project root or in a folder for scripts, never outside."""
    problem = escapes(run)
    if problem is None:
        located = first_file(script_places(request.roots or [request.working_dir.absolute()], run))
        if located.path is None:
            problem = located.problem or f"it is not there; looked at {', '.join(located.places)}"
        else:
            problem = located.problem or not_executable(located.path)
            if problem is None:
                return located.path
    raise StepFailure("exit", f"script `{request.name}` can't run `{run}`: {problem}")


def _kill_grace(request: StepRequest) -> float:
    grace = request.options.get("kill_grace", 5.0)
    return float(grace) if isinstance(grace, int | float) else 5.0


# ── its environment ───────────────────────────────────────────────────────────────────────────────
def _environment(request: StepRequest) -> dict[str, str]:
    """The process's own environment, the inputs under both prefixes, the `env` of the step, and on top the marks by
    which its processes are found."""
    environment = dict(os.environ)
    injected = dict.fromkeys(environment.get(INJECTED, "").split())
    for name, value in _inputs(request):
        for prefix in PREFIXES:
            environment[prefix + name.upper()] = value
        injected[PREFIXES[0] + name.upper()] = None
    environment[INJECTED] = " ".join(injected)
    own = request.options.get("env")
    for name, template in own.items() if isinstance(own, Mapping) else ():
        if not name or "=" in name or "\0" in name or name in PROTECTED:
            request.emit(f"`{name}` of `env` is left out: a script may not set it")
            continue
        environment[name] = _storable(reveal(as_text(template), request.secrets))
    environment.update(request.marks)
    return environment


def _inputs(request: StepRequest) -> Iterator[tuple[str, str]]:
    given = request.options.get("inputs")
    inputs = given if isinstance(given, Mapping) else request.inputs
    for name in inputs:
        if name in _HISTORY or not _SAFE_NAME.fullmatch(name):
            continue
        value = inputs[name]
        secret = secret_name(value)
        text = as_text(value) if secret is None else request.secrets.get(secret, "")
        if "\0" in text or len(text) > _MAX_VARIABLE or len(text.encode("utf-8", "replace")) > _MAX_VARIABLE:
            request.emit(f"input `{name}` is left out of the environment: it is too big, or holds a NUL")
            continue
        yield name, _storable(text)


def _storable(text: str) -> str:
    """Text the system accepts: half characters become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


# ── how it ended ──────────────────────────────────────────────────────────────────────────────────
def _output(streams: OutputStreams) -> Output:
    from runkon.executors.output_block import read_output_block  # late: as above

    reading = read_output_block(streams.stdout.end())
    if reading.output is not None:
        return reading.output
    return Output(context=_context(streams.stdout), text=reading.problem or "")


def _context(stdout: Capture) -> str:
    """What was printed, without the line ends behind it, as `$(…)` of the shell gives it; cut where it is long."""
    text = stdout.beginning()
    if stdout.is_whole:
        text = text.rstrip("\n")
        if len(text) <= CONTEXT:
            return text
    return text[: CONTEXT - 1] + "…"


def _exit_text(name: str, code: int, streams: OutputStreams) -> str:
    """One paragraph: how it ended, and the last of what it said about it."""
    said = _tail(streams.stderr.end()) or _tail(streams.stdout.end())
    how = f"script `{name}` {_how(code)}"
    return f"{how}: {said}" if said else f"{how} and said nothing"


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}"
    import signal  # late: only for a process that was killed

    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def _tail(text: str) -> str:
    text = harmless(text).strip()
    if len(text) <= STDERR:
        return text
    cut = text[-STDERR:]
    _, line_end, lines = cut.partition("\n")
    return "…" + (lines if line_end and lines else cut)


def _spawn_text(request: StepRequest, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        why = "its command or environment holds a NUL character"
    elif error.errno == errno.E2BIG:
        why = "its command and environment are too big for the system; pass big values through a file"
    elif not request.working_dir.is_dir():
        why = f"the folder `{request.working_dir}` is not there"
    else:
        why = (error.strerror or str(error)).lower()
    return f"script `{request.name}` could not be started: {why}"
