"""Providers that refuse, break off, flood, say nothing: each has one clear failure, and is asked once."""

from __future__ import annotations

import threading
from queue import Queue

import pytest

pytest.importorskip("pydantic_ai", reason="the extra is missing: pip install 'runkon[agents]'")

from runkon.errors import Cancelled, Fatal, Transient
from runkon.model.failures import StepFailure
from runkon.testing.requests import cancel

from .conftest import MIB, PATIENCE, Talk

BOTH = pytest.mark.parametrize("stream", [True, False])
PRICED = {"prices": {"model": [1, 2]}}


def refusing(status: int, code: str, **headers: str):
    return lambda talk: talk.error(status, code, f"it said {code}", **headers)


def streamed(*pieces: bytes):
    def behave(talk: Talk) -> None:
        talk.head(kind="text/event-stream")
        talk.piece(content="half an ans")
        for piece in pieces:
            talk.raw(piece)

    return behave


@BOTH
@pytest.mark.parametrize(
    ("status", "code", "kind", "words"),
    [
        (401, "invalid_api_key", Fatal, "refused the key"),
        (403, "forbidden", Fatal, "refused the key"),
        (402, "payment", Fatal, "no quota or credit left"),
        (429, "insufficient_quota", Fatal, "no quota or credit left"),
        (404, "model_not_found", Fatal, "has no model `model`"),
        (429, "rate_limit_exceeded", Transient, "could not answer"),
        (408, "timeout", Transient, "could not answer"),
        (500, "server_error", Transient, "could not answer"),
        (502, "bad_gateway", Transient, "could not answer"),
        (503, "unavailable", Transient, "could not answer"),
        (529, "overloaded_error", Transient, "could not answer"),
        (400, "bad_request", StepFailure, "refused the request"),
        (422, "bad_request", StepFailure, "refused the request"),
    ],
)
def test_a_refusal_is_told_apart_costs_nothing_and_is_not_repeated(
    ask, provider, stream, status, code, kind, words
) -> None:
    provider.behaviours["model"] = refusing(status, code)
    with pytest.raises(kind) as raised:
        ask(settings={"stream": stream, **PRICED})
    assert isinstance(raised.value, kind)
    assert words in str(raised.value)
    assert f"it said {code}" in str(raised.value)
    assert raised.value.usage.cost_usd == 0.0
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("header", "wait"), [({"Retry_After": "7"}, 7.0), ({"retry_after_ms": "1500"}, 1.5), ({}, None)]
)
def test_the_wait_that_a_provider_asks_for_is_passed_on(ask, provider, header, wait) -> None:
    provider.behaviours["model"] = refusing(429, "rate_limit_exceeded", **header)
    with pytest.raises(Transient) as raised:
        ask()
    assert raised.value.retry_after == wait


@pytest.mark.parametrize(
    "behave",
    [
        streamed(),
        streamed(b"data: {{{ no json\n\n"),
        streamed(b'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"}}]}\n\n'),
        streamed(b"\x00\x01\x02 garbage\n\n"),
        streamed(b'data: {"error": {"message": "overloaded", "type": "server_error", "code": 500}}\n\n'),
        lambda talk: (streamed()(talk), talk.reset()),
        lambda talk: talk.reset(),
        lambda talk: talk.head(),
        lambda talk: (talk.head(), talk.raw(b"{{{ no json")),
        lambda talk: (talk.head(kind="text/html"), talk.raw(b"<html>hi</html>")),
        lambda talk: (talk.head(), talk.raw(b"\xff\xfe\xfd")),
        lambda talk: (talk.head(Content_Length="1000"), talk.raw(b'{"id": "x"')),
        lambda talk: talk.json({"error": {"message": "it broke"}}),
        lambda talk: talk.json([]),
        lambda talk: talk.json(None),
    ],
)
@BOTH
def test_what_cannot_be_read_may_be_better_next_time_and_its_cost_is_unknown(ask, provider, behave, stream) -> None:
    provider.behaviours["model"] = behave
    with pytest.raises(Transient) as raised:
        ask(settings={"stream": stream, **PRICED})
    assert "`openai:model`" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.usage.cost_usd is None
    assert len(provider.requests) == 1


@BOTH
def test_silence_ends_after_a_while(ask, provider, stream) -> None:
    provider.behaviours["model"] = lambda talk: talk.wait_until_left()
    with pytest.raises(Transient, match="did not answer in time"):
        ask(settings={"stream": stream, "idle_timeout": 0.2})
    assert provider.left.get(timeout=PATIENCE)


def test_silence_in_the_middle_ends_too(ask, provider) -> None:
    provider.behaviours["model"] = lambda talk: (streamed()(talk), talk.wait_until_left())
    with pytest.raises(Transient):
        ask(settings={"idle_timeout": 0.2})
    assert provider.left.get(timeout=PATIENCE)


def test_an_answer_that_drips_ends_with_its_longest_time(ask, provider) -> None:
    def drip(talk: Talk) -> None:
        talk.head(kind="text/event-stream")
        try:
            while True:
                talk.piece(content="x")
        except OSError:
            provider.left.put(True)

    provider.behaviours["model"] = drip
    with pytest.raises(StepFailure, match=r"took longer than 0\.5 s") as raised:
        ask(settings={"timeout": 0.5})
    assert raised.value.kind == "timeout"
    assert provider.left.get(timeout=PATIENCE)


@BOTH
def test_an_answer_above_all_bounds_is_refused(ask, provider, stream) -> None:
    def flood(talk: Talk) -> None:
        if stream:
            talk.head(kind="text/event-stream")
            piece = "x" * MIB
            for _ in range(50):
                talk.piece(content=piece)
        else:
            talk.say("x" * (50 * MIB))

    provider.behaviours["model"] = flood
    with pytest.raises(StepFailure, match="above 16 MiB"):
        ask(settings={"stream": stream})


@BOTH
def test_a_response_that_never_ends_is_not_read_on(ask, provider, stream) -> None:
    def flood(talk: Talk) -> None:
        talk.head(kind="text/event-stream" if stream else "application/json")
        try:
            while True:
                talk.raw(b": " + b"x" * 80_000 + b"\n\n" if stream else b" " * 80_000)
        except OSError:
            provider.left.put(True)

    provider.behaviours["model"] = flood
    with pytest.raises(StepFailure, match="above 64 MiB"):
        ask(settings={"stream": stream})
    assert provider.left.get(timeout=PATIENCE)


def test_a_packed_answer_is_not_unpacked(ask, provider) -> None:
    provider.behaviours["model"] = lambda talk: (talk.head(Content_Encoding="gzip"), talk.raw(b"\x1f\x8b"))
    with pytest.raises(StepFailure, match="packed"):
        ask()
    assert provider.requests[0][0]["accept-encoding"] == "identity"


@pytest.mark.parametrize(("reason", "words"), [("length", "cut off"), ("content_filter", "filter")])
def test_an_answer_that_is_not_whole_is_none(ask, provider, reason, words) -> None:
    provider.behaviours["model"] = lambda talk: talk.say("cut of", reason=reason)
    with pytest.raises(StepFailure, match=words) as raised:
        ask(settings=PRICED)
    assert raised.value.usage.cost_usd == pytest.approx(0.00014)


@BOTH
def test_an_empty_answer_is_none(ask, provider, stream) -> None:
    provider.behaviours["model"] = lambda talk: talk.say("")
    with pytest.raises(StepFailure):
        ask(settings={"stream": stream})
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "behave",
    [
        lambda talk: talk.wait_until_left(),
        lambda talk: (streamed()(talk), talk.wait_until_left()),
        lambda talk: (talk.head(), talk.raw(b'{"id": '), talk.wait_until_left()),
    ],
)
def test_a_stop_closes_the_connection(ask, provider, behave) -> None:
    begun = threading.Event()

    def begin(talk: Talk) -> None:
        begun.set()
        try:
            behave(talk)
        except OSError:  # it left before all was said
            provider.left.put(True)

    provider.behaviours["model"] = begin
    request = ask.request(settings=PRICED)
    outcomes: Queue[BaseException | object] = Queue()

    def call() -> None:
        try:
            outcomes.put(ask.runtime.run(request))
        except Exception as error:  # noqa: BLE001 - looked at below
            outcomes.put(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert begun.wait(PATIENCE)
    cancel(request.step)
    found = outcomes.get(timeout=PATIENCE)
    caller.join()
    assert isinstance(found, Cancelled)
    assert found.usage.cost_usd is None
    assert provider.left.get(timeout=PATIENCE)


def test_a_kill_ends_everything(ask, provider) -> None:
    begun = threading.Event()
    provider.behaviours["model"] = lambda talk: (begun.set(), talk.wait_until_left())
    outcomes: Queue[object] = Queue()

    def call() -> None:
        with pytest.raises(Cancelled):
            ask()
        outcomes.put("stopped")

    caller = threading.Thread(target=call)
    caller.start()
    assert begun.wait(PATIENCE)
    ask.runtime.kill()
    assert outcomes.get(timeout=PATIENCE) == "stopped"
    caller.join()
    assert provider.left.get(timeout=PATIENCE)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/v1", "http://nowhere.invalid/v1"])
def test_an_endpoint_that_is_not_there(ask, address) -> None:
    with pytest.raises(Transient, match=r"can.t be reached at .*is its server running") as raised:
        ask(settings={"base_url": address})
    assert raised.value.usage.cost_usd == 0.0


def test_an_unknown_model_stops_nobody_else(ask, provider) -> None:
    provider.behaviours["gone"] = refusing(404, "model_not_found")
    before = ask.runtime.supplier("openai:gone")
    with pytest.raises(Fatal):
        ask(model="openai:gone")
    assert (before, ask.runtime.supplier("openai:gone")) == ("openai", "openai:gone")
    assert ask.runtime.supplier("openai:model") == "openai"
