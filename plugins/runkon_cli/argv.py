"""A command line as the settings write it: texts with `{{places}}`, and groups that are left out without a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from runkon.errors import Fatal
from runkon.frozen import value_class
from runkon.model.output import JsonValue
from runkon.pattern import pattern
from runkon_cli.options import Options, Table

_PLACE = pattern(r"\{\{\s*([A-Za-z_]+)\s*\}\}")
_WANTED = "a list of texts, or of lists of texts that belong together, beginning with the program"
Part: TypeAlias = str | tuple[str, ...]


@value_class(frozen=True, slots=True, kw_only=True)
class Argv:
    """The program and the parts after it."""

    binary: str
    parts: tuple[Part, ...] = ()

    @property
    def places(self) -> frozenset[str]:
        """The names of all places."""
        texts = [text for part in self.parts for text in ([part] if isinstance(part, str) else part)]
        return frozenset(name for text in texts for name in _PLACE.findall(text))

    def arguments(self, values: Mapping[str, str]) -> list[str]:
        """The arguments with `values` put in, once; empty ones are left out, and groups in which a value is empty."""
        words: list[str] = []
        for part in self.parts:
            if isinstance(part, str):
                words.append(_filled(part, values))
            elif all(values[name] for text in part for name in _PLACE.findall(text)):
                words += [_filled(text, values) for text in part]
        return [word for word in words if word]


def read_argv(value: JsonValue, options: Options, table: Table, known: Sequence[str]) -> Argv:
    """The setting `argv`, with `binary` and `args` of the same table. Raises Fatal for what is none, and for places
    that nothing stands for."""
    if not isinstance(value, list | tuple) or not value or not isinstance(value[0], str):
        raise table.wrong("argv", _WANTED)
    if not value[0] or _PLACE.search(value[0]):
        raise table.wrong("argv", _WANTED)
    parts = [_part(part, table) for part in value]
    argv = Argv(binary=options.binary or value[0], parts=(*parts[1:], *options.args))
    for name in sorted(argv.places - set(known)):
        raise Fatal(
            f"`argv` of `{table.who}` has `{{{{{name}}}}}`, which nothing stands for; known are {', '.join(known)}"
        )
    return argv


def _part(part: JsonValue, table: Table) -> Part:
    texts = part if isinstance(part, list | tuple) else [part]
    if not texts or not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise table.wrong("argv", _WANTED)
    return part if isinstance(part, str) else tuple(str(text) for text in texts)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: values[found[1]], text)
