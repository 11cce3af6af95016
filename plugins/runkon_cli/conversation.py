"""One attempt of a coding agent: its program is started, listened to, ended, and what it said becomes an answer."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from runkon.errors import Cancelled, Fatal, RunkonError
from runkon.executors.capture import LogFile
from runkon.executors.process import ChildProcess
from runkon.model.agents import AgentReply, AgentRequest
from runkon.model.failures import StepFailure
from runkon.model.ports import StepRequest
from runkon.model.processes import last_owner
from runkon.model.secrets import redact
from runkon_cli import program
from runkon_cli.ask import Hand, Plan, is_argument
from runkon_cli.environment import environment_of, secrets_in
from runkon_cli.failures import failure_of, shown
from runkon_cli.lines import MOST
from runkon_cli.options import Options
from runkon_cli.running import Running
from runkon_cli.streams import Streams
from runkon_cli.talk import Cause, Talk

KILL_GRACE = 4.0  # seconds; the engine gives a step up one second later
SIGN = 0.5  # seconds between two signs of life
SETTLE = 5.0  # seconds that a program may go on after its answer, to put its session away


class LostSession(StepFailure):
    """The conversation that was to be continued is not there any more."""


class Conversation:
    """One program, from its start to its end. `run` gives the answer; `talk` has what is known of it meanwhile."""

    def __init__(self, request: AgentRequest, options: Options, plan: Plan, running: Running) -> None:
        self._step: StepRequest = request.step
        self._options = options
        self._plan = plan
        self._running = running
        allowed = (*plan.keys, *options.env_allow)
        self._environment = environment_of(os.environ, allowed, options.env, self._step.marks)
        self._secrets: Mapping[str, str] = {**secrets_in(self._environment), **self._step.secrets}
        self.talk = Talk(self._emit)
        self._ear = plan.ear(self.talk)
        self._most_turns = self._step.max_turns or options.max_turns
        self._stopped_for: str | None = None
        self._shown = time.monotonic()
        idle = self._step.options.get("idle_timeout")
        self._idle = float(idle) if isinstance(idle, int | float) else options.idle_timeout

    def run(self) -> AgentReply:
        """The answer. Raises as `AgentRuntime.run` says; an exception carries `usage` and `session`."""
        try:
            code, streams = self._execute()
            return self._reply(code, streams)
        except RunkonError as error:
            if getattr(error, "usage", None) is None:
                error.usage = self.talk.usage  # type: ignore[attr-defined]  # a failed attempt costs too
            error.session = self.talk.session  # type: ignore[attr-defined]  # a retry may go on there
            raise

    # ── while it runs ─────────────────────────────────────────────────────────────────────────────
    def _execute(self) -> tuple[int, Streams]:
        step = self._step
        step.cancel.raise_if_cancelled()
        streams = Streams(LogFile(step.log_path, step.warn), self._secrets, self._hear)
        with _prompt_file(self._plan.prompt_file, step) as file:
            child = self._start(file)
            with self._running.holding(child):
                try:
                    step.started(child.pid)
                    self._ear.begin(_Hand(child, self))
                except BaseException:
                    child.kill()
                    child.run(lambda *_: None, kill_grace=0.0)
                    raise
                stop_listening = step.cancel.on_cancel(self._ear.stop)
                try:
                    code = self._attend(child, streams)
                finally:
                    stop_listening()
                    streams.finish()
                    self._ear.end()
        if child.was_stopped and self._stopped_for is None:
            self._stopped_for = child.ran_out or "cancelled"
        if self._stopped_for is None:
            self._ear.finish(is_whole=not streams.lines.left_out)
        return code, streams

    def _start(self, file: str) -> ChildProcess:
        plan, step = self._plan, self._step
        install = self._options.install or plan.install
        folders = [*step.roots, step.working_dir]
        path = program.need(plan.binary, plan.who, self._environment, folders, install)
        try:
            return ChildProcess(
                [path, *plan.arguments(file)],
                folder=step.working_dir,
                environment=self._environment,
                owner=last_owner(step.marks),
                has_input=plan.prompt is not None or plan.is_dialogue,
            )
        except (OSError, ValueError) as error:
            raise program.refusal(plan.who, error, step.working_dir) from None

    def _attend(self, child: ChildProcess, streams: Streams) -> int:
        options, is_settling = self._options, False
        if options.timeout is not None:
            child.end_within(options.timeout, "timeout")
        if self._plan.prompt is not None:
            child.send(self._plan.prompt.encode("utf-8", "replace"))
            child.end_input()

        def receive(stream: str, piece: bytes) -> None:
            nonlocal is_settling
            if self._stopped_for == "flood":
                return
            streams.receive(stream, piece)
            self._show_life()
            if self._stopped_for is None and streams.total > options.max_output_mb << 20:
                self._stopped_for = "flood"
            if self._stopped_for is not None:
                child.terminate()
            elif self.talk.is_over and not is_settling and not self._plan.is_dialogue:
                is_settling = True
                child.end_within(SETTLE, "settled")

        return child.run(receive, kill_grace=self._grace(), silence=self._idle, leaves_nothing=True)

    def _hear(self, line: bytes) -> None:
        """After the answer, or the last turn, only what it cost is of interest."""
        if not self.talk.is_over:
            self._ear.line(line)
            if self.talk.turns >= self._most_turns and not self.talk.is_over and self._stopped_for is None:
                self._stopped_for = "turns"

    def _emit(self, line: str) -> None:
        self._shown = time.monotonic()
        self._step.emit(redact(line, self._secrets))

    def _show_life(self) -> None:
        """What is printed is a sign of life, also where there is nothing to show of it."""
        if time.monotonic() - self._shown > SIGN:
            self._emit("")

    def _grace(self) -> float:
        grace = self._step.options.get("kill_grace", KILL_GRACE)
        return max(0.0, (grace if isinstance(grace, int | float) else KILL_GRACE) - self._plan.polite)

    def stop_for(self, why: str) -> None:
        """Note why it is ended, unless it is known."""
        self._stopped_for = self._stopped_for or why

    # ── what came of it ───────────────────────────────────────────────────────────────────────────
    def _reply(self, code: int, streams: Streams) -> AgentReply:
        talk, plan = self.talk, self._plan
        stopped = self._stopped_for
        if stopped in ("turns", "flood") or not talk.is_over:
            self._raise_if_stopped(stopped)
        if not talk.is_over or (plan.needs_zero and code != 0):
            raise self._nothing(code, streams)
        if talk.problem is not None:
            raise self._refused(talk.problem, talk.cause)
        return AgentReply(
            text=redact(talk.text, self._secrets),
            values=talk.values,
            usage=talk.usage,
            session=talk.session,
            model=talk.model,
        )

    def _raise_if_stopped(self, stopped: str | None) -> None:
        who, options = self._plan.who, self._options
        match stopped:
            case "turns":
                raise StepFailure("exit", f"`{who}` was ended at its turn {self._most_turns}, the most it may take")
            case "flood":
                raise StepFailure("exit", f"`{who}` was ended: it printed more than {options.max_output_mb} MiB")
            case "silence":
                raise StepFailure("idle", f"`{who}` was ended: it said nothing for {self._idle:g} s")
            case "timeout":
                raise StepFailure("timeout", f"`{who}` was ended: it took longer than {options.timeout:g} s")
            case "cancelled":
                raise Cancelled(f"`{who}` was stopped")

    def _nothing(self, code: int, streams: Streams) -> RunkonError:
        """It ended without an answer, or with a code that makes none of it."""
        talk, plan = self.talk, self._plan
        said = shown(talk.problem or talk.note or streams.errors.end() or talk.stray or "")
        if streams.lines.left_out and talk.problem is None:
            said = talk.note or f"its answer is above {MOST >> 20} MiB"
        cause = plan.exits.get(code) or talk.cause
        if cause == "turns":
            return StepFailure("exit", f"`{plan.who}` ended itself: it had taken all its turns")
        if plan.lost_session(said) and not talk.turns:
            return LostSession("exit", f"`{plan.who}` has no such session any more: {said}")
        how = f"`{plan.who}` {_how(code)}"
        if code == 0:
            how += " without an answer"
        return failure_of(f"{how}: {said}" if said else f"{how} and said nothing", said, cause, plan.login)

    def _refused(self, problem: str, cause: Cause | None) -> RunkonError:
        """It ended with an answer that is an error."""
        plan = self._plan
        said = shown(redact(problem, self._secrets))
        if cause == "turns":
            return StepFailure("exit", f"`{plan.who}` ended itself: it had taken all its turns")
        if plan.lost_session(said) and not self.talk.turns:
            return LostSession("exit", f"`{plan.who}` has no such session any more: {said}")
        return failure_of(f"`{plan.who}` failed: {said}", said, cause, plan.login)


class _Hand(Hand):
    """The running program of a conversation."""

    def __init__(self, child: ChildProcess, conversation: Conversation) -> None:
        self._child = child
        self._conversation = conversation

    def send(self, piece: bytes) -> None:
        self._child.send(piece)

    def end_input(self) -> None:
        self._child.end_input()

    def terminate(self) -> None:
        self._child.terminate()

    def end_within(self, seconds: float, why: str) -> None:
        self._child.end_within(seconds, why)

    def stop(self, why: str) -> None:
        self._conversation.stop_for(why)
        self._child.terminate()


@contextmanager
def _prompt_file(prompt: str | None, step: StepRequest) -> Iterator[str]:
    """A file with the prompt that only this user can read, gone afterwards; empty text without a prompt."""
    if prompt is None:
        yield ""
        return
    folder = None if step.log_path is None else step.log_path.parent
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="prompt-", suffix=".txt", dir=folder)
    except OSError as error:
        raise StepFailure("exit", f"the file for the prompt can't be made: {error.strerror or error}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(prompt.encode("utf-8", "replace"))
        yield name
    except OSError as error:
        raise StepFailure("exit", f"the file for the prompt can't be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            Path(name).unlink()


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with code {code}" if code else "ended"
    import signal  # late: only for a process that was killed

    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def check_model(who: str, model: str | None, options: Options, *, is_strict: bool) -> None:
    """Raises Fatal for a name that could be taken for an option, or that the settings do not list."""
    if model is None:
        return
    if not is_argument(model):
        raise Fatal(f"`{model[:80]}` is no name of a model")
    if is_strict and options.models and model not in options.models:
        raise Fatal(f"`{who}` has no model `{model}`; its setting `models` lists {', '.join(options.models)}")
