"""The runtime `test`: answers offline, from the schema alone, always the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from runkon.model.agents import AgentReply, AgentRequest, Availability
    from runkon.model.output import JsonValue, Usage
    from runkon.schemas.fields import Schema

NAME = "test"


class Generator:
    """Makes answers up. With a schema the answer fits it and is a quiet one, so that loops end; without one it is a
    fixed sentence. Costs nothing, asks nobody."""

    name = NAME
    version = "1"
    metered = False

    def run(self, request: AgentRequest) -> AgentReply:
        """The answer; it does not depend on the prompt."""
        from runkon.model.agents import AgentReply  # late: every run registers this, few use it

        request.step.cancel.raise_if_cancelled()
        if request.schema is not None:
            return AgentReply(values=made_up(request.schema), usage=free(), model=NAME)
        text = plain_answer(request.agent.name)
        return AgentReply(text=text, values={"markers": [], "context": text}, usage=free(), model=NAME)

    def offers(self, model: str) -> bool:
        return model == NAME

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:  # noqa: ARG002
        from runkon.model.agents import Availability  # late: as above

        return Availability(ready=True, detail="makes answers up from schemas, offline; `--model test`")

    def most_cost_usd(self, request: AgentRequest) -> float | None:  # noqa: ARG002  the protocol's name
        return 0.0


def free() -> Usage:
    """What an answer that nobody was asked for costs."""
    from runkon.model.output import Usage  # late: as above

    return Usage(cost_usd=0.0)


def made_up(schema: Schema) -> Mapping[str, JsonValue]:
    """An answer that the schema accepts."""
    from runkon.schemas.examples import example_value  # late: only answers that are made up need it

    return cast("Mapping[str, JsonValue]", example_value(schema))


def plain_answer(agent: str) -> str:
    """What is said where no schema tells more."""
    return f"`{agent}` was not asked: this answer is made up by the model `{NAME}`"
