"""One conversation in the Agent Client Protocol, on a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from threading import BoundedSemaphore, Event, Thread
from typing import Any

from acp import PROTOCOL_VERSION, RequestError, text_block
from acp.client.connection import ClientSideConnection
from acp.schema import (
    ClientCapabilities,
    Implementation,
    InitializeResponse,
    PromptResponse,
    SessionNotification,
)
from pydantic import ValidationError

from runkon.frozen import value_class
from runkon_cli.acp_client import AcpClient
from runkon_cli.ask import Ear, Hand
from runkon_cli.streams import STRAY, parsed
from runkon_cli.talk import Cause, Talk, text_of

SETTLE = 5.0  # seconds that the program may go on after its answer
POLITE = 1.0
_WAITING = 1000  # messages on their way to the loop
_AUTHENTICATION = -32000  # the code of a refusal for want of credentials
_ENDS: Mapping[str, tuple[str, Cause | None]] = {
    "max_tokens": ("its answer was cut off: it had taken the most tokens a turn may have", None),
    "max_turn_requests": ("it had taken all its turns", "turns"),
    "refusal": ("it refused to go on", None),
    "cancelled": ("it says that it was cancelled", None),
}


@value_class(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of the agent. `model` and `mode` are set in the session, if given."""

    prompt: str
    folder: str
    permissions: str
    most_turns: int
    session: str | None = None
    model: str | None = None
    mode: str | None = None


class Unable(Exception):
    """The agent can't do what is asked of it."""


class AcpEar(Ear):
    """Speaks with the program. Lines go to the loop's thread, which fills the `Talk` and ends the program."""

    def __init__(self, talk: Talk, wish: Wish) -> None:
        self._talk = talk
        self._wish = wish
        self._client = AcpClient(talk, wish.permissions, self._count)
        self._slots = BoundedSemaphore(_WAITING)
        self._is_ready = Event()
        self._has_ended = Event()
        self._is_stopping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: asyncio.Queue[dict[str, Any] | None]
        self._asking: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._session_id = ""
        self._connection: ClientSideConnection | None = None
        self._thread = Thread(target=self._run, name="acp", daemon=True)

    # ── from the thread that reads the program ────────────────────────────────────────────────────
    def begin(self, hand: Hand) -> None:
        super().begin(hand)
        self._thread.start()
        self._is_ready.wait()

    def line(self, line: bytes) -> None:
        message = sound(parsed(line.decode("utf-8", "replace")))
        if message is None:
            if line.strip():
                self._talk.stray = line[:STRAY].decode("utf-8", "replace")
            return
        while not self._slots.acquire(timeout=0.1):
            if self._has_ended.is_set():
                return
        self._post(message)

    def stop(self) -> None:
        self._is_stopping = True
        if self._has_ended.is_set() or not self._call(self._ask_to_end):
            self.hand.terminate()
        else:
            self.hand.end_within(POLITE, "cancelled")

    def end(self) -> None:
        self._post(None)
        self._thread.join()

    def _post(self, message: dict[str, Any] | None) -> None:
        self._call(lambda: self._inbox.put_nowait(message))

    def _call(self, action: Any) -> bool:
        """Do it on the loop; false if that has ended."""
        if self._loop is None:
            return False
        try:
            self._loop.call_soon_threadsafe(action)
        except RuntimeError:  # closed
            return False
        return True

    # ── on the loop's thread ──────────────────────────────────────────────────────────────────────
    def _run(self) -> None:
        try:
            asyncio.run(self._speak())
        except OSError as error:  # no loop: the system has no file descriptors left
            self._talk.fail(f"the conversation could not begin: {(error.strerror or str(error)).lower()}", "transient")
        finally:
            self._has_ended.set()
            self._is_ready.set()
            if self._is_stopping:
                self.hand.terminate()
            else:
                self.hand.end_input()
                self.hand.end_within(SETTLE, "settled")

    async def _speak(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox = asyncio.Queue()
        self._is_ready.set()
        connection = ClientSideConnection(self._client, self)  # type: ignore[arg-type]  # has what is asked of it
        try:
            await self._converse(connection)
        except RequestError as error:
            self._refused(error)
        except Unable as error:
            self._talk.fail(str(error), "fatal")
        except ValidationError as error:
            self._talk.fail(f"its answer is none of the protocol: {error.errors()[0]['msg']}")
        except ConnectionError:
            pass  # the program has ended; how, is told by its exit code
        except Exception as error:  # noqa: BLE001 - whatever the library makes of what the agent says
            self._talk.fail(f"the conversation broke off: {error}")
        finally:
            with suppress(Exception):
                await connection.close()

    async def _converse(self, connection: ClientSideConnection) -> None:
        talk, wish = self._talk, self._wish
        about = await connection.initialize(
            protocol_version=PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(),
            client_info=Implementation(name="runkon", version="1"),
        )
        if about.protocol_version != PROTOCOL_VERSION:
            raise Unable(f"it speaks version {about.protocol_version} of the protocol, not {PROTOCOL_VERSION}")
        session = await self._session(connection, about)
        talk.session = session
        if wish.mode is not None:
            await connection.set_session_mode(session_id=session, mode_id=wish.mode)
        self._client.is_listening = True
        self._connection, self._session_id = connection, session
        self._asking = asyncio.create_task(self._ask(connection, session))
        if self._is_stopping:
            self._ask_to_end()
        await self._asking

    async def _session(self, connection: ClientSideConnection, about: InitializeResponse) -> str:
        wish, can = self._wish, about.agent_capabilities
        if wish.session is not None and can is not None and can.load_session:
            try:
                await connection.load_session(cwd=wish.folder, session_id=wish.session, mcp_servers=[])
            except RequestError:
                self._talk.tell("its session is gone: a new one is begun")
            else:
                return wish.session
        made = await connection.new_session(cwd=wish.folder, mcp_servers=[])
        if wish.model is not None:
            await self._choose_model(connection, made.session_id, made.config_options or [])
        return made.session_id

    async def _choose_model(self, connection: ClientSideConnection, session: str, offered: Any) -> None:
        model = self._wish.model
        for option in offered:
            if model is not None and getattr(option, "category", None) == "model":
                await connection.set_config_option(config_id=option.id, session_id=session, value=model)
                return
        raise Unable(
            f"it does not let its model be chosen: put `{{{{model}}}}` into `argv`, or ask for none (`{model}`)"
        )

    async def _ask(self, connection: ClientSideConnection, session: str) -> None:
        response = await connection.prompt(session_id=session, prompt=[text_block(self._wish.prompt)])
        self._answered(response)

    def _answered(self, response: PromptResponse) -> None:
        talk, usage = self._talk, response.usage
        if usage is not None:
            talk.used_in_all(usage.input_tokens, usage.output_tokens)
        if response.stop_reason == "cancelled" and self._is_stopping:
            return
        talk.tell(talk.text)
        problem = _ENDS.get(response.stop_reason)
        if problem is not None:
            talk.fail(*problem)
        elif talk.text.strip():
            talk.end()
        else:
            talk.fail("it ended its turn and said nothing")

    def _refused(self, error: RequestError) -> None:
        about = error.data if isinstance(error.data, Mapping) else {"details": error.data}
        more = text_of(about.get("details")) or text_of(about.get("message"))
        text = f"{error}: {more}" if more else str(error)
        self._talk.fail(text, "fatal" if error.code == _AUTHENTICATION else None)

    def _ask_to_end(self) -> None:
        if self._connection is None:
            self.hand.terminate()  # it has not begun yet
        elif self._asking is not None and not self._asking.done():
            self._ending = asyncio.create_task(self._connection.cancel(session_id=self._session_id))

    def _count(self) -> None:
        if self._talk.turns >= self._wish.most_turns:
            self.hand.stop("turns")

    # ── the transport of the connection ───────────────────────────────────────────────────────────
    async def send(self, message: dict[str, Any]) -> None:
        self.hand.send(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        message = await self._inbox.get()
        if message is not None:
            self._slots.release()
            await asyncio.sleep(0)  # a flood must leave time for what it brings
        return message

    async def close(self) -> None:
        """Nothing to close: the program is ended by who started it."""


def sound(message: object) -> dict[str, Any] | None:
    """A message of the protocol that can be understood; None for anything else, which an agent may say at any time."""
    if not isinstance(message, dict):
        return None
    params, key = message.get("params"), message.get("id")
    if isinstance(params, dict):
        params.pop("_meta", None)  # would stand in for arguments of ours
    if "method" in message:
        if "id" in message:
            return message if isinstance(message["method"], str) and isinstance(key, int | str) else None
        return message if message["method"] == "session/update" and _is_update(params) else None
    if not isinstance(key, int):
        return None
    error = message.get("error")
    if "error" in message and not (isinstance(error, dict) and isinstance(error.get("code"), int)):
        return {**message, "error": {"code": -32603, "message": str(error)[:STRAY]}}
    return message


def _is_update(params: object) -> bool:
    try:
        SessionNotification.model_validate(params)
    except (ValidationError, RecursionError):
        return False
    return True
