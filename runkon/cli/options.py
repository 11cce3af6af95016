"""Options as runkon has them: each also a variable, the common ones before and after the command."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from re import fullmatch
from typing import ParamSpec

import click

from runkon.cli.session import Session
from runkon.settings import injected_names, parse_duration

P = ParamSpec("P")
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class VariableOption(click.Option):
    """An option that `RUNKON_<OPTION>` gives too, unless a surrounding run injected that variable."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:  # noqa: ARG002  # click's signature
        name = f"RUNKON_{max(self.opts, key=len).lstrip('-').replace('-', '_').upper()}"
        return None if name in injected_names(os.environ) else os.environ.get(name) or None


class SettingOption(click.Option):
    """An option that is a setting: the settings read its variable, so that files and variables are judged alike."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:  # noqa: ARG002  # click's signature
        return None


def as_money(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """An amount in dollars, `2`, `0.50` or `$2`. A callback for options."""
    if value is None:
        return None
    text = value.strip().removeprefix("$")
    if not fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        raise click.BadParameter(f"`{value}` is not an amount of dollars like `2` or `0.50`")
    return float(text)


def as_seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """`90s`, `1h30m`, or a number of seconds; more than nothing. A callback for options."""
    if value is None:
        return None
    seconds = parse_duration(value)
    if not seconds:
        raise click.BadParameter(f"`{value}` is not a time like `90s` or `1h30m`")
    return seconds


def as_pairs(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Repeated `key=value` as a mapping; the last one wins. A callback for options."""
    found: dict[str, str] = {}
    for text in value:
        key, sign, rest = text.partition("=")
        if not sign or not key:
            raise click.BadParameter(f"`{text}` is not of the form `key=value`")
        found[key] = rest
    return found


class RunkonCommand(click.Command):
    """A command with the common options."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # click's own arguments, passed on
        self.params.extend(common_options())

    def make_parser(self, ctx: click.Context) -> click.parser._OptionParser:
        return with_quick_flags(super().make_parser(ctx))


def command(name: str, *, summary: str) -> Callable[[Callable[P, int]], RunkonCommand]:
    """Make a function that returns an exit code a command of that name."""

    def make(function: Callable[P, int]) -> RunkonCommand:
        return click.command(name, cls=RunkonCommand, help=summary, context_settings=HELP)(function)

    return make


def with_quick_flags(parser: click.parser._OptionParser) -> click.parser._OptionParser:
    """`parser` with its short flags among the long ones, where click looks first. What is not there it takes for a
    mistake at first and gathers suggestions, which costs a fortieth of a short run."""
    long, short = getattr(parser, "_long_opt", {}), getattr(parser, "_short_opt", {})
    long.update({flag: option for flag, option in short.items() if not option.takes_value})
    return parser


def common_options() -> Sequence[click.Option]:
    """The options that every command takes; they end in the `Session`, not in the command's arguments."""
    return (
        SettingOption(["--db"], metavar="PATH", help="the database file", expose_value=False, callback=_into_session),
        SettingOption(["--allow-network-store"], is_flag=True, hidden=True, expose_value=False, callback=_into_session),
        _switch("--json", "as_json", about="print JSON"),
        _switch("--plain", about="plain lines, no live view"),
        _switch("-q", "--quiet", about="results and errors only"),
        _switch("-v", "--verbose", about="more lines"),
        _switch("--no-color", about="no colours"),
    )


def setting(name: str, metavar: str, about: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """An option that is a setting and nothing else: the command gets it with its session's settings."""
    return click.option(
        name, cls=SettingOption, metavar=metavar, expose_value=False, callback=_into_session, help=about
    )


def _switch(*names: str, about: str) -> VariableOption:
    return VariableOption(names, is_flag=True, help=about, expose_value=False, callback=_into_session)


def _into_session(ctx: click.Context, param: click.Parameter, value: object) -> None:
    """A value given on either side of the command counts; a default never hides one."""
    session = ctx.find_object(Session)
    if session is None or value in (None, False) or param.name is None:
        return
    if isinstance(param, SettingOption):
        session.flags[param.name] = value
    else:
        session.switch(param.name)
