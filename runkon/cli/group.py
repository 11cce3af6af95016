"""The command `runkon`: finds the module of a verb, and asks plugins only for a verb it does not have."""

from __future__ import annotations

import importlib

import click

from runkon.cli.commands import COMMANDS
from runkon.cli.options import HELP, common_options, with_quick_flags
from runkon.cli.overview import overview, version_line
from runkon.cli.session import Session
from runkon.errors import EXIT_USAGE, UserError


class RunkonGroup(click.Group):
    """Commands by name, each imported when it is called."""

    def __init__(self) -> None:
        super().__init__("runkon", context_settings=HELP)
        version = click.Option(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="the version"
        )
        self.params = [*common_options(), version]

    def make_parser(self, ctx: click.Context) -> click.parser._OptionParser:
        return with_quick_flags(super().make_parser(ctx))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's
        if cmd_name in COMMANDS:
            name = "import_" if cmd_name == "import" else cmd_name  # no module may be called so
            module = importlib.import_module(f"runkon.cli.commands.{name}")
            found: click.Command = module.command
            return found
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name == "help":
            return self._help(ctx, args[1:])
        found = self.get_command(ctx, name)
        if found is None and name[:1] not in ("-", ""):
            found = _plugin_command(ctx, name)
            if found is None:
                raise _unknown_command(name)
        if found is None:
            return super().resolve_command(ctx, args)
        return name, found, args[1:]

    def _help(self, ctx: click.Context, about: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """`runkon help run` is `runkon run --help`, and `runkon help` alone the help of all."""
        if not about or about[0] == "help":
            click.echo(self.get_help(ctx))
            ctx.exit()
        return self.resolve_command(ctx, [about[0], "--help"])

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002  # click's signature
        return overview().rstrip("\n")


def _plugin_command(ctx: click.Context, name: str) -> click.Command | None:
    """The command that a plugin registered under this verb."""
    session = ctx.find_object(Session)
    found = session.app.registry.things("command").get(name) if session is not None else None
    return found if isinstance(found, click.Command) else None


def _unknown_command(name: str) -> UserError:
    from runkon.language.suggest import closest  # late: on the way to an error

    close = closest(name, COMMANDS) or _completed(name)
    shown = name if name.isprintable() else repr(name)
    is_file = name.endswith(".wf")
    return UserError(
        "unknown-command",
        f"there is no command `{shown}`",
        help=f"did you mean `{close}`?" if close else None,
        next=f"runkon run {shown}" if is_file else "runkon --help",
        exit_code=EXIT_USAGE,
    )


def _completed(name: str) -> str | None:
    """The command of which `name` is the beginning, or that it is but for one letter: `val`, `rn`."""
    for command in COMMANDS:
        lacks_one = any(command[:at] + command[at + 1 :] == name for at in range(1, len(command)))
        if lacks_one or (len(name) > 1 and command.startswith(name)):
            return command
    return None


def _print_version(ctx: click.Context, _param: click.Parameter, value: object) -> None:
    if value:
        click.echo(version_line(), nl=False)
        ctx.exit()
