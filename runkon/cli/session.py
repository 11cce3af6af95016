"""One invocation: what the common options say, and the application and console they lead to."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from runkon.cli.console import Console
from runkon.errors import UserError
from runkon.settings import Settings, load_settings

if TYPE_CHECKING:
    from runkon.app import App

_SWITCHES = frozenset({"as_json", "plain", "quiet", "verbose", "no_color"})


class Session:
    """Made once per process, filled while the command line is parsed. `words` are that line, `flags` settings by
    name."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.words = tuple(words)
        self.flags: dict[str, object] = {}
        self.answers: dict[str, object] = {}  # what `run` was told of cassettes and the cache
        self.as_json = False
        self.plain = False
        self.quiet = False
        self.verbose = False
        self.no_color = False
        self.next = ""  # the command to type after a ^C that no leg takes

    def switch(self, name: str) -> None:
        """Turn one of the common switches on."""
        if name not in _SWITCHES:
            raise KeyError(name)
        setattr(self, name, True)

    @cached_property
    def console(self) -> Console:
        given = self.flags.get("db")
        return Console(
            sys.stdout,
            sys.stderr,
            os.environ,
            is_plain=self.plain,
            is_quiet=self.quiet,
            no_color=self.no_color,
            database=None if given is None else str(given),
        )

    @cached_property
    def settings(self) -> Settings:
        try:
            here = Path.cwd()
        except FileNotFoundError as error:
            raise UserError(
                "no-folder",
                "the folder this command was started in does not exist any more",
                help="go to one that exists",
            ) from error
        return load_settings(here, os.environ, self.flags)

    @cached_property
    def app(self) -> App:
        from runkon.app import App  # late: help and wrong use need no application

        return App(self.settings, plugins=self.settings.plugins, is_alone=True)

    def close(self) -> None:
        """Close what was opened."""
        if "app" in self.__dict__:
            self.app.close()
