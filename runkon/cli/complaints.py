"""Errors as text: code, sentence, what to do, what to type. One form for wrong use, user errors and our own bugs."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runkon.cli.commands import COMMANDS
from runkon.errors import EXIT_INTERNAL, EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model.output import JsonValue

if TYPE_CHECKING:
    from runkon.cli.session import Session

_RED, _BOLD, _RESET = "\x1b[1;31m", "\x1b[1m", "\x1b[0m"


def user_error(error: UserError, *, color: bool) -> str:
    """`error[code]: sentence`, then help and the next command where there are any."""
    lines = [_headline(error.code, error.message, color=color)]
    lines += [f"  = {name}: {_indented(text)}" for name, text in (("help", error.help), ("next", error.next)) if text]
    return "\n".join(lines)


def error_object(error: UserError) -> dict[str, JsonValue]:
    """An error as JSON: one line on standard output, where the result would have been."""
    found: dict[str, JsonValue] = {"code": error.code, "message": error.message, "help": error.help, "next": error.next}
    return {"schema": "runkon.error/1", "error": found, "exit_code": error.exit_code}


def wrong_use(error: click.ClickException, words: Sequence[str]) -> UserError:
    """What click found wrong with the command line, in our words."""
    verb = next((word for word in words if word in COMMANDS), None)
    path = f"runkon {verb}" if verb else "runkon"
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and context.command_path.startswith(path):
        path = context.command_path  # of a verb with verbs of its own
    code, message, help = _wording(error)
    return UserError(code, message, help=help, next=f"{path} --help", exit_code=EXIT_USAGE)


def internal_error(error: Exception, words: Sequence[str], session: Session) -> int:
    """Say that this is our bug, keep the traceback in a file, and return the exit code for it."""
    import shlex  # late: on the way to an error
    import traceback

    from runkon.cli.reports import without_inputs

    sentence = without_inputs(words, _sentence(error)).text
    words, text = without_inputs(words, "".join(traceback.format_exception(error)))
    console = session.console
    kept = _keep(text, words, session)
    lines = [_headline("internal-error", f"runkon itself failed: {sentence}", color=console.err_color)]
    lines.append("  = help: this is a bug in runkon, not in your workflow; recorded steps are safe")
    if kept is not None:
        lines.append(f"  = report: open an issue of the project and attach {visible(str(kept))}")
    if os.environ.get("RUNKON_DEBUG") == "1":
        lines += ["", text.rstrip()]
    else:
        lines.append(f"  = next: RUNKON_DEBUG=1 runkon {shlex.join(words)}        (shows the traceback)")
    console.error("\n".join(lines))
    return EXIT_INTERNAL


def _headline(code: str, message: str, *, color: bool) -> str:
    if not color:
        return f"error[{code}]: {_indented(message)}"
    return f"{_RED}error[{code}]{_RESET}{_BOLD}: {_indented(message)}{_RESET}"


def _indented(text: str) -> str:
    """Further lines below the first, each made visible."""
    return "\n      ".join(visible(line) for line in text.split("\n"))


def _sentence(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _wording(error: click.ClickException) -> tuple[str, str, str | None]:
    """Code, sentence and help for each kind of wrong use."""
    match error:
        case click.NoSuchOption():
            return "unknown-option", f"there is no option `{error.option_name}`", _did_you_mean(error)
        case click.BadOptionUsage() if "not take a value" in error.message:
            return "invalid-value", f"the option `{error.option_name}` takes no value", None
        case click.BadOptionUsage():
            return "missing-value", f"the option `{error.option_name}` needs a value", None
        case click.MissingParameter():
            kind = "option" if isinstance(error.param, click.Option) else "argument"
            name = error.param.make_metavar(error.ctx) if error.param is not None and error.ctx is not None else ""
            if isinstance(error.param, click.Option):
                name = f"{max(error.param.opts, key=len)} {name}"
            return f"missing-{kind}", f"the {kind} `{_without_brackets(name)}` is missing", None
        case click.BadParameter():
            name = max(error.param.opts, key=len) if error.param is not None else "value"
            if isinstance(error.param, click.Argument):
                name = error.param.human_readable_name
            return "invalid-value", f"`{name}`: {_plain(error.message)}", None
        case _:
            return "wrong-use", _plain(error.format_message()), None


def _without_brackets(name: str) -> str:
    """`[FILES]` as `FILES`; `RUN[:GATE]` stays."""
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name


def _did_you_mean(error: click.NoSuchOption) -> str | None:
    from runkon.language.suggest import closest  # late: on the way to an error

    names = [name for param in error.ctx.command.params for name in param.opts] if error.ctx is not None else []
    close = closest(error.option_name, [name for name in names if name.startswith("--")])
    return f"did you mean `{close}`?" if close else None


def _plain(message: str) -> str:
    """Click's sentence in our form: lower case, backticks, no full stop."""
    text = message.strip().removesuffix(".").replace("'", "`").partition(". Recognized values")[0]
    text = text.replace("a valid integer range", "a whole number").replace("a valid boolean", "a switch (`1` or `0`)")
    return text[:1].lower() + text[1:]


def _keep(text: str, words: Sequence[str], session: Session) -> Path | None:
    """Write what a report needs to a file of its own; None if no place takes it."""
    import shlex  # late: on the way to an error
    import tempfile

    from runkon import __version__

    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    versions = f"runkon {__version__} · Python {sys.version.split()[0]} · {sys.platform}"
    content = f"{versions}\n$ runkon {shlex.join(words)}\n\n{text}"
    for folder in (_state_dir(session), Path(tempfile.gettempdir())):
        if folder is None or not folder.is_dir():
            continue
        path = folder / f"internal-error-{stamp}-{os.getpid()}.txt"
        try:
            path.write_text(content, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None


def _state_dir(session: Session) -> Path | None:
    try:
        return session.settings.state_dir
    except (UserError, OSError):
        return None
