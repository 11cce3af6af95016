"""The Python API: run a workflow, start one in the background, load one once and run it often."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from runkon.app import App, RunOptions
from runkon.engine.cancellation import RunControl
from runkon.errors import EXIT_INVALID, UserError
from runkon.frozen import value_class
from runkon.language.diagnostics import Diagnostic
from runkon.language.program import CheckedWorkflow
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.model.ports import EventSink
from runkon.model.records import RunRecord, StepRecord
from runkon.model.status import RunStatus
from runkon.settings import load_settings


class InvalidWorkflow(UserError):
    """The file has errors; `diagnostics` holds them all, sorted by position."""

    def __init__(self, path: Path, diagnostics: Sequence[Diagnostic]) -> None:
        first = diagnostics[0]
        super().__init__(
            "invalid-workflow",
            f"{path}:{first.span.line}:{first.span.column}: {first.message}",
            next=f"runkon validate {path}",
            exit_code=EXIT_INVALID,
        )
        self.diagnostics = tuple(diagnostics)


@value_class(frozen=True, slots=True)
class Loaded:
    """A workflow that was read and checked once; `run` and `start` take it in place of a path."""

    app: App
    checked: CheckedWorkflow


@value_class(frozen=True, slots=True)
class RunResult:
    """How a run ended. `outputs` is what the workflow's `outputs` block says, empty unless it completed."""

    run_id: RunID
    status: RunStatus
    outputs: Mapping[str, JsonValue]
    error: str | None
    steps: tuple[StepRecord, ...]

    @property
    def ok(self) -> bool:
        return self.status is RunStatus.COMPLETED


def load(
    path: str | Path,
    *,
    plugins: Sequence[str | object] = (),
    settings: Mapping[str, object] | None = None,
) -> Loaded:
    """Read and check a workflow file or the workflow of that name. `plugins` are modules, files, executors or hook
    objects; `settings` are those of the settings file, by name. Raises UserError: `InvalidWorkflow` with all findings,
    `unsupported-construct` for what this version can't run, and whatever keeps the file from being read."""
    from runkon.language.checks.unsupported import unsupported  # late: only runs need it

    known = load_settings(Path.cwd(), None, settings)
    app = App(known, plugins=(*known.plugins, *plugins))
    file = app.find_workflow(str(path))
    found = app.check_file(file)
    checked = found.results[0].checked if found.results else None
    if not found.ok or checked is None:
        raise InvalidWorkflow(file, [d for d in found.diagnostics if d.severity == "error"])
    refused = unsupported(checked.workflow, checked.children)
    if refused:
        raise InvalidWorkflow(file, refused)
    return Loaded(app, checked)


def run(
    workflow: str | Path | Loaded,
    inputs: Mapping[str, JsonValue] | None = None,
    *,
    plugins: Sequence[str | object] = (),
    settings: Mapping[str, object] | None = None,
    options: RunOptions | None = None,
    sinks: Sequence[EventSink] = (),
    control: RunControl | None = None,
    key: str | None = None,
) -> RunResult:
    """Run a workflow to its end and return how it ended; a failed run is a result, not an exception. Under a `key` a
    workflow is run once: a run that has ended is returned as it is, one that was cut off is gone on with, one that
    another process advances is waited for. Raises UserError when it can't begin, and `start-key-conflict` for a key of
    a run with another text or other inputs."""
    loaded = _loaded(workflow, plugins, settings, options)
    record = _started(loaded, inputs or {}, options or RunOptions(), key)(sinks=sinks, control=control)
    return _result(loaded.app, record)


class RunHandle:
    """A run that goes on in a thread of this process."""

    def __init__(
        self,
        loaded: Loaded,
        inputs: Mapping[str, JsonValue],
        options: RunOptions,
        sinks: Sequence[EventSink],
        key: str | None = None,
    ) -> None:
        self._app = loaded.app
        self._control = RunControl()
        self._created = threading.Event()
        self._run_id: RunID | None = None
        self._result: RunResult | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._execute, args=(_started(loaded, inputs, options, key), sinks), name="runkon-run", daemon=True
        )
        self._thread.start()
        self._created.wait()
        if self._run_id is None and self._error is not None:
            raise self._error

    @property
    def run_id(self) -> RunID:
        assert self._run_id is not None  # the constructor returned, so the run exists
        return self._run_id

    @property
    def is_done(self) -> bool:
        """True once the run has ended or stopped."""
        return not self._thread.is_alive()

    def result(self, timeout: float | None = None) -> RunResult:
        """Wait (at most `timeout` seconds) and return how the run ended. Raises TimeoutError, the run goes on then;
        and UserError when the engine itself had to stop."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"run {self.run_id} has not ended within {timeout} s")
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def cancel(self, reason: str = "") -> None:
        """End the run: it becomes `cancelled` once its work has stopped and its `always` block has run."""
        self._control.cancel("api", reason)

    def interrupt(self) -> None:
        """Pause the run: it becomes `interrupted` and can be resumed."""
        self._control.interrupt()

    def _execute(self, started: Callable[..., RunRecord], sinks: Sequence[EventSink]) -> None:
        try:
            record = started(sinks=sinks, control=self._control, on_created=self._on_created)
            self._result = _result(self._app, record)
        except BaseException as error:  # noqa: BLE001  handed to whoever waits for the result
            self._error = error
        finally:
            self._created.set()

    def _on_created(self, run: RunID) -> None:
        self._run_id = run
        self._created.set()


def start(
    workflow: str | Path | Loaded,
    inputs: Mapping[str, JsonValue] | None = None,
    *,
    plugins: Sequence[str | object] = (),
    settings: Mapping[str, object] | None = None,
    options: RunOptions | None = None,
    sinks: Sequence[EventSink] = (),
    key: str | None = None,
) -> RunHandle:
    """Start a run and return once it is durable; it goes on in a thread of this process. `key` is as for `run`. Raises
    UserError when it can't begin."""
    loaded = _loaded(workflow, plugins, settings, options)
    return RunHandle(loaded, inputs or {}, options or RunOptions(), sinks, key)


def _loaded(
    workflow: str | Path | Loaded,
    plugins: Sequence[str | object],
    settings: Mapping[str, object] | None,
    options: RunOptions | None,
) -> Loaded:
    """The workflow, checked with the runtime and the model that the options name."""
    if isinstance(workflow, Loaded):
        return workflow
    named = {} if options is None else {"runtime": options.runtime, "model": options.model}
    return load(workflow, plugins=plugins, settings={**(settings or {}), **{k: v for k, v in named.items() if v}})


def _started(
    loaded: Loaded, inputs: Mapping[str, JsonValue], options: RunOptions, key: str | None
) -> Callable[..., RunRecord]:
    """What starts the run, once it is told who looks on."""
    if key is None:
        return partial(loaded.app.start, loaded.checked, inputs, options)
    return partial(loaded.app.starting.once, loaded.checked, inputs, options, key)


def _result(app: App, record: RunRecord) -> RunResult:
    return RunResult(record.id, record.status, record.outputs or {}, record.error, tuple(app.store.steps(record.id)))
