"""What an agent of the Agent Client Protocol tells and asks while it works."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from acp.schema import (
    AgentMessageChunk,
    AllowedOutcome,
    DeniedOutcome,
    PermissionOption,
    RequestPermissionResponse,
    TextContentBlock,
    ToolCallProgress,
    ToolCallStart,
    ToolCallUpdate,
    UsageUpdate,
)

from runkon_cli.talk import Talk, amount, text_of

_READS = frozenset({"read", "search", "think"})  # kinds of tools that change nothing and ask nobody outside


class AcpClient:
    """Fills a `Talk` from updates, and answers requests for permission. `on_turn` is called with each turn."""

    def __init__(self, talk: Talk, permissions: str, on_turn: Callable[[], None]) -> None:
        self._talk = talk
        self._permissions = permissions
        self._on_turn = on_turn
        self._kinds: dict[str, str] = {}
        self._titles: dict[str, str] = {}
        self.is_listening = False  # a session that is continued tells all of its past first

    async def session_update(self, session_id: str, update: object, **_: object) -> None:  # noqa: ARG002
        talk = self._talk
        if not self.is_listening or talk.is_over:
            return
        match update:
            case AgentMessageChunk(content=TextContentBlock(text=text)):
                self._speak()
                talk.add(text_of(text))
            case ToolCallStart():
                self._speak()
                self._remember(update)
                talk.tell(talk.text)
                talk.begin_message()
                talk.tool(update.kind or "a tool", update.title)
            case ToolCallProgress():
                self._remember(update)
                if update.status in ("completed", "failed"):
                    talk.is_speaking = False
            case UsageUpdate(cost=cost) if cost is not None and cost.currency.upper() == "USD":
                talk.cost_usd = amount(cost.amount)

    async def request_permission(
        self,
        session_id: str,  # noqa: ARG002 - as the library names it
        tool_call: ToolCallUpdate,
        options: Sequence[PermissionOption],
        **_: object,
    ) -> RequestPermissionResponse:
        """Allowed once where that is offered, by what the settings say; refused otherwise."""
        self._remember(tool_call)
        kind = self._kinds.get(tool_call.tool_call_id, "other")
        is_allowed = self._permissions == "allow" or (self._permissions == "allow-read" and kind in _READS)
        wanted = ("allow_once", "allow_always") if is_allowed else ("reject_once", "reject_always")
        chosen = next((one for name in wanted for one in options if one.kind == name), None)
        title = self._titles.get(tool_call.tool_call_id, kind)
        self._talk.tell(f"{'allowed' if is_allowed and chosen else 'refused'}: {title}")
        if chosen is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen.option_id))

    def _speak(self) -> None:
        """A turn lasts from the first word or tool to the result of a tool."""
        talk = self._talk
        if not talk.is_speaking:
            talk.is_speaking = True
            talk.begin_message()
            talk.turn()
            self._on_turn()

    def _remember(self, tool: ToolCallUpdate | ToolCallStart | ToolCallProgress) -> None:
        if tool.kind:
            self._kinds[tool.tool_call_id] = tool.kind
        if tool.title:
            self._titles[tool.tool_call_id] = text_of(tool.title)
