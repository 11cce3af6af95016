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


class Hand(Protocol):
    """What may be done to a running program, from any thread."""

    def send(self, piece: bytes) -> None: ...
    def end_input(self) -> None: ...
    def terminate(self) -> None: ...

    def end_within(self, seconds: float, why: str) -> None:
        """It is ended if it still runs by then."""
        ...

    def stop(self, why: str) -> None:
        """End it, and give `why` as the reason unless there is one."""
        ...


class Ear:
    """Takes what a program prints, line by line, and tells a `Talk` what it means."""

    hand: Hand

    def begin(self, hand: Hand) -> None:
        """The program runs. One that speaks with it may begin now."""
        self.hand = hand

    def line(self, line: bytes) -> None:
        """A line of standard output, without its end."""

    def stop(self) -> None:
        """The step is to stop. From any thread."""
        self.hand.terminate()

    def end(self) -> None:
        """The program has ended, and every line was given."""

    def finish(self, *, is_whole: bool) -> None:
        """It ended by itself; not `is_whole` if a line was left out because of its length."""


@value_class(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one attempt is carried out. `who` is what messages call the program; `arguments` makes its arguments from
    the path of the prompt's file, which is empty without one; `prompt` goes to standard input, which with `is_dialogue`
    stays open for the ear. `needs_zero` takes no answer from a program that exits with another code. `install` and
    `login` end a message when they are missing. A stop begins with `polite` seconds for the ear to ask for the end."""

    who: str
    binary: str
    arguments: Callable[[str], list[str]]
    ear: Callable[[Talk], Ear]
    prompt: str | None = None
    prompt_file: str | None = None
    is_dialogue: bool = False
    polite: float = 0.0
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
