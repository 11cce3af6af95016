"""Requests as the engine makes them, for calling an executor without an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from runkon.engine.cancellation import INTERRUPT, Token
from runkon.engine.clock import SystemClock
from runkon.model.ids import RunID, StepPath
from runkon.model.output import EMPTY, JsonValue
from runkon.model.ports import CancelToken, StepRequest

RUN = RunID("01JTESTRVN0000000000000000")


def request_for(
    name: str = "step",
    *,
    path: str | None = None,
    attempt: int = 0,
    inputs: Mapping[str, JsonValue] = EMPTY,
    options: Mapping[str, JsonValue] = EMPTY,
    prompt: str | None = None,
    working_dir: Path | None = None,
    cancel: CancelToken | None = None,
    emit: Callable[[str], None] | None = None,
) -> StepRequest:
    """A request for the step `name`, with a token of its own. Other fields: `dataclasses.replace(request, …)`."""
    return StepRequest(
        run_id=RUN,
        workflow="test",
        path=StepPath(path or name),
        name=name,
        cancel=cancel or Token(SystemClock()),
        attempt=attempt,
        inputs=inputs,
        options=options,
        prompt=prompt,
        working_dir=working_dir or Path.cwd(),
        idempotency_key=f"{RUN}:{path or name}",
        emit=emit or _drop,
    )


def cancel(request: StepRequest) -> None:
    """Cancel the step of a request made by `request_for`, as an interrupted run would."""
    if not isinstance(request.cancel, Token):
        raise TypeError("the request has a token of somebody else: cancel it there")
    request.cancel.cancel(INTERRUPT)


def _drop(_: str) -> None:
    """Progress nobody looks at."""
