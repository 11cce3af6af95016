"""Every way a command can end becomes text and an exit code here; nothing else turns exceptions into messages."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from runkon.cli.complaints import error_object, internal_error, user_error, wrong_use
from runkon.cli.group import RunkonGroup
from runkon.cli.session import Session
from runkon.errors import EXIT_HELD, EXIT_INTERRUPTED, EXIT_USAGE, LeaseLost, UserError


def invoke(words: Sequence[str]) -> int:
    """Parse the words, run the command, and return its exit code."""
    session = Session(words)
    try:
        if "RUNKON_FAILPOINTS" in os.environ:
            from runkon.testing.failpoints import arm_from_environment  # late: only in tests

            arm_from_environment()
        return _run(list(words), session)
    except UserError as error:
        return _refused(error, words, session)
    except LeaseLost as error:
        lost = UserError("lease-lost", str(error) or "another process has taken over this run", exit_code=EXIT_HELD)
        return _refused(lost, words, session)
    except (KeyboardInterrupt, click.Abort):
        session.console.error("interrupted" + (f"; next: {session.next}" if session.next else ""))
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except UnicodeEncodeError as error:
        return _undecoded(error, words, session)
    except Exception as error:  # noqa: BLE001  # our own bug: never a bare traceback
        return internal_error(error, words, session)
    finally:
        session.close()


def _refused(error: UserError, words: Sequence[str], session: Session) -> int:
    """Say an error to people, and to a program that asked for JSON, which may not have been understood yet."""
    session.console.error(user_error(error, color=session.console.err_color))
    if session.as_json or "--json" in words:
        session.console.data(error_object(error), indent=None)
    return error.exit_code


def _undecoded(error: UnicodeEncodeError, words: Sequence[str], session: Session) -> int:
    """Words that were no text in this locale can't be recorded or printed; everything else is our own bug."""
    found = next((word for word in words if any("\ud800" <= char <= "\udfff" for char in word)), None)
    if found is None:
        return internal_error(error, words, session)
    refused = UserError(
        "not-utf8",
        f"`{os.fsencode(found).decode('utf-8', 'backslashreplace')}` is no text in this locale",
        help="take a UTF-8 locale, or rename the file if it is the file's name",
        next="LC_ALL=C.UTF-8 runkon …",
        exit_code=EXIT_USAGE,
    )
    return _refused(refused, words, session)


def _run(words: list[str], session: Session) -> int:
    try:
        with RunkonGroup().make_context("runkon", words, obj=session) as context:
            code = context.command.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        session.no_color = session.no_color or "--no-color" in words
        raise wrong_use(error, words) from error
    sys.stdout.flush()
    return int(code or os.EX_OK)
