"""What an agent said becomes the output of its step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runkon.executors.output_block import END, START, BlockReading, read_object, read_output_block
from runkon.model.failures import StepFailure
from runkon.model.output import JsonValue, Output, as_output
from runkon.model.value_text import harmless

if TYPE_CHECKING:
    from runkon.model.agents import AgentReply, AgentRequest
    from runkon.schemas.fields import Schema

LONGEST_TEXT = 2000  # characters of an answer that the record keeps as its sentence for people


def output_of(reply: AgentReply, asked: AgentRequest) -> Output:
    """The output behind an answer. A structured one is taken as it is; else the last output block of the text counts,
    but none in a copy of the prompt, which shows one as an example. With a schema its whole object is the structured
    output, without one only `markers` and `context` are read.

    Raises StepFailure of kind `schema`, whose text tells the agent what to do better, if a schema wants a block and
    there is none; it carries what the answer has cost."""
    schema, agent = asked.schema, asked.agent.name
    if reply.values is not None:
        return _structured(reply, reply.values, schema, agent)
    text = _whole_characters(reply.text)
    if START in asked.prompt:
        text = text.replace(asked.prompt.strip(), "")
    said = sentence(text)
    if schema is None:
        found = read_output_block(text)
        output = Output() if found.output is None else found.output
        return Output(markers=output.markers, context=output.context, usage=reply.usage, text=said, model=reply.model)
    values = read_object(text)
    if not isinstance(values, Mapping):
        raise refused(_correction(values, schema, agent), reply)
    return Output(values=values, usage=reply.usage, text=said, model=reply.model)


def refused(message: str, reply: AgentReply) -> StepFailure:
    """The failure of an answer that can't be used."""
    failure = StepFailure("schema", message)
    failure.usage = reply.usage  # type: ignore[attr-defined]  # read by the engine where there is one
    return failure


def sentence(text: str) -> str:
    """What people see of an answer: its text in front of the output block, made safe to print, its beginning."""
    at = text.rfind(START)
    text = harmless(text[: min(len(text) if at < 0 else at, 4 * LONGEST_TEXT)]).strip()
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _whole_characters(text: str) -> str:
    """Bytes that were no UTF-8 may have become half characters, which nothing can store."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _structured(reply: AgentReply, values: Mapping[str, JsonValue], schema: Schema | None, agent: str) -> Output:
    text = sentence(_whole_characters(reply.text))
    if schema is not None:
        return Output(values=dict(values), usage=reply.usage, text=text, model=reply.model)
    try:
        output = as_output(values)
    except (TypeError, ValueError) as error:
        raise refused(f"the answer of `{agent}` can't be used: {error}", reply) from None
    return Output(output.markers, output.context, output.values, reply.usage, text=text, model=reply.model)


def _correction(found: BlockReading, schema: Schema, agent: str) -> str:
    """What was wrong, as the agent's next attempt reads it."""
    if found.problem is not None:
        return f"the answer of `{agent}` does not match schema `{schema.name}`: {found.problem}"
    return (
        f"the answer of `{agent}` has no output block, which schema `{schema.name}` needs: "
        f"one JSON object between a line {START} and a line {END}"
    )
