"""An explanation for people: the verdict first, then what led there, then everything that happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runkon.model.output import JsonValue
from runkon.views.explain_events import as_json
from runkon.views.lines import decision_text
from runkon.views.times import elapsed, money

_CAUSES = {"interrupt": "^C", "kill": "killed at once", "sigterm": "SIGTERM", "sighup": "the terminal was closed"}


def explain_lines(told: Mapping[str, JsonValue]) -> Iterator[str]:
    """The lines of what `explanation` gathered; texts are data, not yet made visible."""
    found: Any = told  # its shape is that of `explanation`
    yield f"{found['kind'].replace('_', ' ')} {found['path']}" if found["kind"] else found["path"]
    if found["status"]:
        yield f"status: {found['status']}" + (f" (handled: {found['handled']})" if found["handled"] else "")
    if found["source"]:
        yield "source: {file}:{line}:{column}".format(**found["source"])
    yield f"why: {found['why']}"
    if found["led_here"]:
        yield "led here by:"
        for choice in found["led_here"]:
            yield from _choice(choice)
    if found["read"]:
        yield f"read: {', '.join(found['read'])}"
    if found["attempts"]:
        yield "attempts:"
        yield from _table([_attempt(one) for one in found["attempts"]])
    for gate in found["gates"]:
        yield from _gate(gate)
    if found["history"]:
        yield "history:"
        yield from _table([(f"{one['seq']}", f"leg {one['leg']}", one["at"], one["text"]) for one in found["history"]])


def _choice(choice: Mapping[str, Any]) -> Iterator[str]:
    yield f"    `{choice['construct']} {choice['text']}` was {str(choice['result']).lower()}"
    yield from (f"        {one['name']} = {as_json(one['value'])}  {one['from']}" for one in choice["operands"])


def _attempt(one: Mapping[str, Any]) -> tuple[str, ...]:
    status = one["status"].replace("_", " ")
    cause = (
        ""
        if one["cause"] in (None, one["status"])
        else f": {_CAUSES.get(one['cause'], one['cause'].replace('_', ' '))}"
    )
    spent = elapsed(one["duration_ms"]) if one["duration_ms"] is not None else ""
    paid = money(one["cost_usd"]) if one["cost_usd"] is not None else ""
    return str(one["number"] + 1), f"leg {one['leg']}", one["executor"], status + cause, spent, paid


def _gate(gate: Mapping[str, Any]) -> Iterator[str]:
    number = f"#{gate['occurrence']}" if gate["occurrence"] > 1 else ""
    yield f"question {gate['gate']}{number}, asked {gate['opened_at']}:"
    yield from (f"    {line}" for line in gate["prompt"].splitlines())
    if (answer := gate["answer"]) is not None:
        said = decision_text(answer["decision"], answer["by"], answer["reason"])
        yield f"    answered: {said}, via {answer['via']}, {answer['at']}; the next leg takes it"
        return
    if gate["decision"] is None:
        yield "    not decided yet"
        return
    said = f": {gate['reason']}" if gate["reason"] else ""
    yield f"    {gate['decision']}, by {gate['by']} via {gate['via']}, {gate['decided_at']}{said}"


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield f"    {'  '.join(cells)}".rstrip()
