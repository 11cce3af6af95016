"""What `runkon` alone and `runkon --help` print: constant text, so that help imports no command."""

from __future__ import annotations

from runkon.cli.commands import COMMANDS

FIRST_STEPS = """\
runkon runs workflows for agents, records every step, and resumes what died.

  runkon init                  make a small project here that runs at once, offline
  runkon validate              check the workflows of this project
  runkon run hello             run one of them
  runkon show @last            see what it did

All commands: runkon --help
"""

OPTIONS_HELP = """\
Options, before or after the command:
  --db PATH      the database file (default: .runkon/runkon.db of the project)
  --json         print one JSON object, or NDJSON where there are many
  --plain        plain lines, no live view
  -q, --quiet    results and errors only
  -v, --verbose  more lines
  --no-color     no colours
  --version      print the version
  -h, --help     this text, or the help of a command
"""


def overview() -> str:
    """What `runkon --help` prints."""
    lines = [f"  {name:<11}{about}" for name, about in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: runkon [OPTIONS] COMMAND [ARGS]...",
            "",
            "Workflows for agents: checked before they run, recorded, resumable.",
            "",
            "Commands:",
            *lines,
            "",
            OPTIONS_HELP.rstrip(),
            "",
            "Every option also as RUNKON_<OPTION> in the environment. Help of a command: runkon COMMAND --help",
            "",
        ]
    )


def version_line() -> str:
    from runkon import __version__  # late: nobody else on this path needs it

    return f"runkon {__version__}\n"
