"""Events as JSON payloads and back.

A payload holds what the columns of its row do not. Every step writes two of them, so the kinds of a plain step are
put together by hand; defaults are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json.encoder import encode_basestring as quote
from typing import Any

from runkon.digest import proof as proof
from runkon.digest import text_id as text_id
from runkon.model import events as ev
from runkon.model.ids import StepPath
from runkon.model.items import ListedItem
from runkon.model.json_text import dumps
from runkon.model.output import EMPTY, Output, Usage
from runkon.model.records import Asked, Seen, StepError, StepInfo

SPILL = 4 * 1024  # bytes of JSON that still stand in an event
MARK = "$artifact"  # in place of what stands elsewhere
_REQUEST = '"request":'  # what an attempt was asked is always kept elsewhere, by which equal requests are found


def is_large(payload: str) -> bool:
    """True for the text of an event from which something may have to be kept apart."""
    if len(payload) > SPILL or MARK in payload or _REQUEST in payload:
        return True
    return not payload.isascii() and len(payload.encode()) > SPILL


_NO_MARKERS: frozenset[str] = frozenset()


# ── writing ───────────────────────────────────────────────────────────────────────────────────────
def info_text(info: StepInfo) -> str:
    return (
        f'{{"kind":{quote(info.kind)},"name":{quote(info.name)},"key":{quote(info.key)},'
        f'"order":{quote(info.order)},"iteration":{info.iteration},"file":{quote(info.file)},'
        f'"line":{info.line},"column":{info.column}}}'
    )


def usage_text(usage: Usage) -> str:
    return dumps(
        {
            "cost_usd": usage.cost_usd,
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "turns": usage.turns,
        }
    )


def output_text(output: Output) -> str:
    parts = []
    if output.markers:
        parts.append(f'"markers":{dumps(sorted(output.markers))}')
    if output.context:
        parts.append(f'"context":{quote(output.context)}')
    if output.values:
        parts.append(f'"values":{dumps(dict(output.values))}')
    if output.usage is not None:
        parts.append(f'"usage":{usage_text(output.usage)}')
    if output.degraded:
        parts.append('"degraded":true')
    if output.text:
        parts.append(f'"text":{quote(output.text)}')
    if output.model is not None:
        parts.append(f'"model":{quote(output.model)}')
    return f"{{{','.join(parts)}}}"


def error_text(error: StepError) -> str:
    return f'{{"kind":{quote(error.kind)},"message":{quote(error.message)}}}'


def seen_text(seen: Seen) -> str:
    return f'{{"names":[{",".join(map(quote, seen.names))}],"digest":{quote(seen.digest)}}}'


def attempt_started(event: ev.AttemptStarted) -> str:
    text = f'{{"info":{info_text(event.info)},"executor":{quote(event.executor)}'
    if event.deadline_at is not None:
        text += f',"deadline_at":{event.deadline_at}'
    if event.why is not None:
        text += f',"why":{quote(event.why)}'
    if event.effect is not None:
        text += f',"effect":{quote(event.effect)}'
    if event.executor_version is not None:
        text += f',"executor_version":{quote(event.executor_version)}'
    if event.reserve is not None:
        text += f',"reserve":{dumps(dict(event.reserve))}'
    return text + ("}" if event.asked is None else asked_text(event.asked))


def asked_text(asked: Asked) -> str:
    """What ends an event that keeps it."""
    return f',"asked":{quote(asked.digest)},{_REQUEST}{dumps(dict(asked.request))}}}'


def attempt_cut_off(event: ev.AttemptCutOff) -> str:
    text = f'{{"certainty":{quote(event.certainty)},"cause":{quote(event.cause)}'
    if event.evidence is not None:
        text += f',"evidence":{quote(event.evidence)}'
    if event.usage is not None:
        text += f',"usage":{usage_text(event.usage)}'
    return text + "}"


def attempt_ended(event: ev.AttemptFailed | ev.AttemptTimedOut | ev.AttemptCancelled) -> str:
    text = f'{{"error":{error_text(event.error)},"elapsed_ms":{event.elapsed_ms}'
    if event.usage is not None:
        text += f',"usage":{usage_text(event.usage)}'
    if event.abandoned:
        text += ',"abandoned":true'
    return text + "}"


def step_completed(event: ev.StepCompleted) -> str:
    text = f'{{"output":{output_text(event.output)},"elapsed_ms":{event.elapsed_ms}'
    if event.info is not None:
        text += f',"info":{info_text(event.info)}'
    if event.seen is not None:
        text += f',"seen":{seen_text(event.seen)}'
    if event.cached_from is not None:
        text += f',"cached_from":{quote(event.cached_from)}'
    if event.decided_by is not None:
        text += f',"decided_by":{quote(event.decided_by)}'
    return text + ("}" if event.asked is None else asked_text(event.asked))


def step_failed(event: ev.StepFailed | ev.StepTimedOut) -> str:
    text = f'{{"error":{error_text(event.error)}'
    if event.handled is not None:
        text += f',"handled":{quote(event.handled)}'
    if isinstance(event, ev.StepFailed):
        if event.output is not None:
            text += f',"output":{output_text(event.output)}'
        if event.seen is not None:
            text += f',"seen":{seen_text(event.seen)}'
    if event.info is not None:
        text += f',"info":{info_text(event.info)}'
    return text + "}"


def step_ended(event: ev.StepSkipped | ev.StepCancelled) -> str:
    text = f'{{"reason":{quote(event.reason)}'
    if event.info is not None:
        text += f',"info":{info_text(event.info)}'
    return text + "}"


def run_created(event: ev.RunCreated, sources: Mapping[str, str]) -> str:
    """`sources` maps each file to the id of its text, which is stored apart, once."""
    payload = {
        "workflow": event.workflow,
        "sources": dict(sources),
        "inputs": dict(event.inputs),
        "config": dict(event.config),
        "dry": event.dry,
    }
    if event.forked_from is not None:
        payload["forked_from"] = event.forked_from
    return dumps(payload)


def definition_changed(event: ev.DefinitionChanged, sources: Mapping[str, str]) -> str:
    """`sources` as in `run_created`."""
    payload: dict[str, object] = {"sources": dict(sources), "changes": dict(event.changes)}
    if event.inputs is not None:
        payload["inputs"] = dict(event.inputs)
    return dumps(payload)


def gate_opened(event: ev.GateOpened) -> str:
    text = f'{{"info":{info_text(event.info)},"name":{quote(event.name)},"type":{quote(event.type)}'
    text += f',"prompt":{quote(event.prompt)},"occurrence":{event.occurrence}'
    if event.options:
        text += f',"options":{dumps(list(event.options))}'
    if event.deadline_at is not None:
        text += f',"deadline_at":{event.deadline_at}'
    if event.terms:
        text += f',"terms":{dumps(dict(event.terms))}'
    return text + "}"


def items_collected(event: ev.ItemsCollected) -> str:
    found: dict[str, object] = {"list": [list(item) for item in event.items]}
    if event.blockers:
        found["blockers"] = [list(pair) for pair in event.blockers]
    return dumps({"items": found} | ({} if event.provider is None else {"provider": event.provider}))


def fields(*names: str) -> Callable[[ev.Event], str]:
    """A writer for the rarer kinds: these fields, None left out."""

    def write(event: ev.Event) -> str:
        chosen = {}
        for name in names:
            value = getattr(event, name)
            if value is not None:
                chosen[name] = dict(value) if isinstance(value, Mapping) else value  # a tuple becomes a list
        return dumps(chosen)

    return write


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
Payload = dict[str, Any]  # what json.loads made of the text of a row
Place = dict[str, Any]  # path, epoch and number, as the class takes them


def read_info(payload: Payload) -> StepInfo | None:
    found = payload.get("info")
    return StepInfo(**found) if found is not None else None


def read_usage(payload: Payload) -> Usage | None:
    found = payload.get("usage")
    return Usage(**found) if found is not None else None


def read_output(payload: Payload) -> Output:
    get = payload.get
    markers = get("markers")
    return Output(
        frozenset(markers) if markers else _NO_MARKERS,
        get("context", ""),
        get("values", EMPTY),
        read_usage(payload),
        get("degraded", False),
        get("text", ""),
        get("model"),
    )


def read_seen(payload: Payload) -> Seen | None:
    found = payload.get("seen")
    return Seen(tuple(found["names"]), found["digest"]) if found is not None else None


def read_error(payload: Payload) -> StepError:
    return StepError(**payload["error"])


def _read_started(place: Place, payload: Payload) -> ev.Event:
    return ev.AttemptStarted(
        **place,
        info=StepInfo(**payload["info"]),
        executor=payload["executor"],
        deadline_at=payload.get("deadline_at"),
        why=payload.get("why"),
        effect=payload.get("effect"),
        executor_version=payload.get("executor_version"),
        reserve=payload.get("reserve"),
        asked=_read_asked(payload),
    )


def _read_asked(payload: Payload) -> Asked | None:
    return Asked(payload["asked"], payload["request"]) if "asked" in payload else None


def _read_cut_off(place: Place, payload: Payload) -> ev.Event:
    return ev.AttemptCutOff(
        **place,
        certainty=payload["certainty"],
        cause=payload["cause"],
        evidence=payload.get("evidence"),
        usage=read_usage(payload),
    )


def _read_attempt_ended(
    made: type[ev.AttemptFailed | ev.AttemptTimedOut | ev.AttemptCancelled],
) -> Callable[[Place, Payload], ev.Event]:
    def read(place: Place, payload: Payload) -> ev.Event:
        return made(
            **place,
            error=read_error(payload),
            usage=read_usage(payload),
            elapsed_ms=payload["elapsed_ms"],
            abandoned=payload.get("abandoned", False),
        )

    return read


def _read_completed(place: Place, payload: Payload) -> ev.Event:
    return ev.StepCompleted(
        **place,
        output=read_output(payload["output"]),
        info=read_info(payload),
        elapsed_ms=payload["elapsed_ms"],
        seen=read_seen(payload),
        cached_from=payload.get("cached_from"),
        decided_by=payload.get("decided_by"),
        asked=_read_asked(payload),
    )


def _read_failed(place: Place, payload: Payload) -> ev.Event:
    output = read_output(payload["output"]) if "output" in payload else None
    error, handled, seen = read_error(payload), payload.get("handled"), read_seen(payload)
    return ev.StepFailed(**place, error=error, info=read_info(payload), handled=handled, output=output, seen=seen)


def _read_timed_out(place: Place, payload: Payload) -> ev.Event:
    error, info = read_error(payload), read_info(payload)
    return ev.StepTimedOut(**place, error=error, info=info, handled=payload.get("handled"))


def _read_skipped(place: Place, payload: Payload) -> ev.Event:
    return ev.StepSkipped(**place, reason=payload["reason"], info=read_info(payload))


def _read_cancelled(place: Place, payload: Payload) -> ev.Event:
    return ev.StepCancelled(**place, reason=payload["reason"], info=read_info(payload))


def _read_gate_opened(place: Place, payload: Payload) -> ev.Event:
    info, options = StepInfo(**payload.pop("info")), tuple(payload.pop("options", ()))
    return ev.GateOpened(**place, info=info, options=options, **payload)


def _read_waiting(_place: Place, payload: Payload) -> ev.Event:
    return ev.RunWaiting(gates=tuple(payload["gates"]))


def _read_items(place: Place, payload: Payload) -> ev.Event:
    found = payload["items"]
    items = tuple(ListedItem(*item) for item in found["list"])
    blockers = tuple((first, then) for first, then in found.get("blockers", ()))
    return ev.ItemsCollected(**place, items=items, blockers=blockers, provider=payload.get("provider"))


def _plain(made: Callable[..., ev.Event]) -> Callable[[Place, Payload], ev.Event]:
    """A reader for kinds whose payload is their fields."""

    def read(place: Place, payload: Payload) -> ev.Event:
        return made(**place, **payload)

    return read


_READERS: dict[str, Callable[[Place, Payload], ev.Event]] = {
    ev.AttemptStarted.kind: _read_started,
    ev.AttemptFailed.kind: _read_attempt_ended(ev.AttemptFailed),
    ev.AttemptTimedOut.kind: _read_attempt_ended(ev.AttemptTimedOut),
    ev.AttemptCancelled.kind: _read_attempt_ended(ev.AttemptCancelled),
    ev.AttemptCutOff.kind: _read_cut_off,
    ev.StepCompleted.kind: _read_completed,
    ev.StepFailed.kind: _read_failed,
    ev.StepTimedOut.kind: _read_timed_out,
    ev.StepSkipped.kind: _read_skipped,
    ev.StepCancelled.kind: _read_cancelled,
    ev.GateOpened.kind: _read_gate_opened,
    ev.RunWaiting.kind: _read_waiting,
    ev.ItemsCollected.kind: _read_items,
    ev.WorktreeChanged.kind: lambda place, found: ev.WorktreeChanged(**place, files=tuple(found.pop("files")), **found),
} | {
    made.kind: _plain(made)
    for made in (
        ev.RunCreated,
        ev.RunStarted,
        ev.RunResumed,
        ev.DefinitionChanged,
        ev.RunCancelRequested,
        ev.RunCompleted,
        ev.RunFailed,
        ev.RunCancelled,
        ev.RunInterrupted,
        ev.ProcessStarted,
        ev.RetryScheduled,
        ev.StepHandled,
        ev.StepSuperseded,
        ev.GateDecided,
        ev.ChoiceMade,
        ev.StateSet,
        ev.Note,
    )
}


def read_event(kind: str, path: str | None, epoch: int | None, attempt: int | None, payload: Payload) -> ev.Event:
    """The event of a row. Raises KeyError or TypeError for a payload that is not of its kind, or an unknown kind."""
    place: Place = {}
    if path is not None:
        place["path"] = StepPath(path)
    if epoch is not None:
        place["epoch"] = epoch
    if attempt is not None:
        place["number"] = attempt
    return _READERS[kind](place, payload)
