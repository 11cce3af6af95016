"""Reads what a command of the settings prints: one text, one JSON document, or one per line."""

from __future__ import annotations

from collections.abc import Mapping

from runkon.frozen import value_class
from runkon.model.output import JsonValue
from runkon_cli.ask import Ear
from runkon_cli.lines import MOST
from runkon_cli.paths import first_at, matches, sum_at
from runkon_cli.streams import STRAY, parsed
from runkon_cli.talk import Talk, amount, count, text_of


@value_class(frozen=True, slots=True, kw_only=True)
class Shape:
    """Where in the output what is; every field but `output` and `turn` is a place as `paths` reads it. A line that has
    the values of `turn` at its places is one turn."""

    output: str = "text"
    result: str | None = None
    session: str | None = None
    turns: str | None = None
    input_tokens: str | None = None
    output_tokens: str | None = None
    cost: str | None = None
    error: str | None = None
    turn: Mapping[str, JsonValue] | None = None
    progress: str | None = None


class CommandEar(Ear):
    """Tells a `Talk` what a command prints. Of JSON lines the newest value of each place counts."""

    def __init__(self, talk: Talk, shape: Shape) -> None:
        self._talk = talk
        self._shape = shape
        self._lines: list[bytes] = []
        self._size = 0
        self._problem: str | None = None
        self._has_result = False
        self._tokens = [0, 0]

    def line(self, line: bytes) -> None:
        if self._shape.output == "jsonl":
            document = parsed(line.decode("utf-8", "replace"))
            if isinstance(document, dict):
                self._take(document)
            elif line.strip():
                self._talk.stray = line[:STRAY].decode("utf-8", "replace")
            return
        self._size += len(line) + 1
        if self._size <= MOST:
            self._lines.append(line)
        else:
            self._lines.clear()
        if self._shape.output == "text":
            self._talk.tell(line[:STRAY].decode("utf-8", "replace"))

    def finish(self, *, is_whole: bool) -> None:
        talk = self._talk
        if self._size > MOST or (not is_whole and not self._has_result):
            talk.note = f"its answer is above {MOST >> 20} MiB"
            return
        if self._shape.output != "jsonl":
            self._read_whole(b"\n".join(self._lines).decode("utf-8", "replace").strip())
        if self._problem is not None:
            talk.fail(self._problem)
        elif self._has_result:
            talk.turns = talk.turns or 1
            talk.end()

    def _read_whole(self, text: str) -> None:
        document = parsed(text) if self._shape.output == "json" else None
        if isinstance(document, dict | list):
            self._take(document)
        if not self._has_result and text:
            self._has_result = True
            self._talk.begin_message()
            self._talk.add(text)

    def _take(self, document: object) -> None:
        shape, talk = self._shape, self._talk
        if shape.turn is not None and matches(document, shape.turn):
            talk.turn()
        if shape.session is not None:
            talk.session = text_of(first_at(document, shape.session)) or talk.session
        if shape.turns is not None:
            talk.turns = max(talk.turns, count(sum_at(document, shape.turns)))
        if shape.cost is not None:
            cost = amount(sum_at(document, shape.cost))
            talk.cost_usd = talk.cost_usd if cost is None else cost
        for number, place in enumerate((shape.input_tokens, shape.output_tokens)):
            found = None if place is None else sum_at(document, place)
            if found is not None:
                self._tokens[number] = count(found)
                talk.used_in_all(*self._tokens)
        if shape.progress is not None:
            talk.tell(text_of(first_at(document, shape.progress)))
        self._take_end(document)

    def _take_end(self, document: object) -> None:
        shape, talk = self._shape, self._talk
        error = None if shape.error is None else first_at(document, shape.error)
        if error:
            self._problem = text_of(error) or str(error)[:STRAY]
        found = None if shape.result is None else first_at(document, shape.result)
        if isinstance(found, str):
            talk.begin_message()
            talk.add(text_of(found))
            self._has_result = True
        elif isinstance(found, Mapping):
            talk.values = found
            self._has_result = True
