"""What a command line is made from, and what is to be run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Protocol

from runkon.frozen import value_class
from runkon.pattern import pattern
from runkon_cli.talk import Cause, Talk


@value_class(frozen=True, slots=True, kw_only=True)
class Ask:
    """What an attempt asks of a coding agent, but for its prompt. `more` are arguments from the settings."""

    model: str | None = None
    session: str | None = None
    max_turns: int | None = None
    max_cost_usd: float | None = None
    permission_mode: str | None = None
    may_write: bool = False
    plugin_dirs: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


class Ear(Protocol):
    """Takes what a program prints, line by line, and tells a `Talk` what it means."""

    def line(self, line: bytes) -> None: ...

    def finish(self, *, is_whole: bool) -> None:
        """The output is complete; not `is_whole` if a line was left out because of its length."""
        ...


@value_class(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one attempt is carried out. `who` is what messages call the program; `arguments` makes its arguments from
    the path of the prompt's file, which is empty without one; `prompt` goes to standard input. `needs_zero` takes no
    answer from a program that exits with another code. `install` and `login` end a message when they are missing."""

    who: str
    binary: str
    arguments: Callable[[str], list[str]]
    ear: Callable[[Talk], Ear]
    prompt: str | None = None
    prompt_file: str | None = None
    needs_zero: bool = False
    install: str = ""
    login: str = ""
    keys: tuple[str, ...] = ()
    exits: Mapping[int, Cause] = field(default_factory=dict)
    lost_session: Callable[[str], bool] = lambda _: False


_NAME = pattern(r"[A-Za-z0-9_][^\s\x00-\x1f\x7f]{0,199}")


def is_argument(text: str) -> bool:
    """True for a name of a model or session that no program can take for one of its options."""
    return _NAME.fullmatch(text) is not None
