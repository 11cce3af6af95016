"""`runkon db`: look after the database file: is it sound, a copy of it, rows made anew, an older schema, waste."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runkon.cli.options import HELP, common_options, with_quick_flags
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.errors import EXIT_ENVIRONMENT, EXIT_OK, EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model.ids import RunID
from runkon.model.output import JsonValue
from runkon.views.times import counted

if TYPE_CHECKING:
    from runkon.store.care.checking import Problem


@click.pass_context
def _help_alone(ctx: click.Context) -> int:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return 0


class _Group(click.Group):
    """Verbs about the database, with the options every command has."""

    def __init__(self) -> None:
        super().__init__(
            "db",
            help="Look after the database file: where it is, whether it is sound, a copy of it, what nobody needs.",
            context_settings=HELP,
            invoke_without_command=True,
            callback=_help_alone,
        )
        self.params = list(common_options())

    def make_parser(self, ctx: click.Context) -> click.parser._OptionParser:
        return with_quick_flags(super().make_parser(ctx))


command = _Group()


@runkon_command("path", summary="Print where the database file is, or will be.")
@click.pass_obj
def path_command(session: Session) -> int:
    file = session.settings.db
    if session.as_json:
        session.console.data({"schema": "runkon.db/1", "path": str(file), "exists": file.exists()})
    else:
        session.console.result(str(file))
    return 0


@runkon_command(
    "check",
    summary="""Compare everything that is recorded, or one RUN, with what its events say; changes nothing.

    Exit code 5 if anything is not as it should be.""",
)
@click.argument("run", required=False)
@click.option(
    "--export", "exports", is_flag=True,
    help="also write what can be read of RUN to a file of its own, `runkon-RUN.db`",
)  # fmt: skip
@click.pass_obj
def check_command(session: Session, run: str | None, *, exports: bool) -> int:
    id = session.app.find_run(run) if run else None
    if not exports:
        return _checked(session, id)
    if id is None:
        raise UserError(
            "wrong-use",
            "`--export` writes one run, and none was named",
            next="runkon db check RUN --export",
            exit_code=EXIT_USAGE,
        )
    from runkon.cli.exporting import write_capsule  # late: where it was asked for

    code = EXIT_OK if session.as_json else _checked(session, id)
    return write_capsule(session, id) or code


def _checked(session: Session, run: RunID | None) -> int:
    found = session.app.upkeep.check(run)
    if session.as_json:
        problems: list[JsonValue] = [dict(problem._asdict()) for problem in found.problems]
        counts = {"runs": found.runs, "events": found.events, "artifacts": found.artifacts}
        session.console.data({"schema": "runkon.db/1", "ok": not problems, **counts, "problems": problems})
        return EXIT_ENVIRONMENT if problems else 0
    for problem in found.problems:
        session.console.result(_told(problem))
    looked = f"{counted(found.runs, 'run')}, {counted(found.events, 'event')}"
    if found.artifacts:
        looked += f", {counted(found.artifacts, 'large value')}"
    if found.problems:
        session.console.error(f"{looked}: {counted(len(found.problems), 'problem')}")
        return EXIT_ENVIRONMENT
    file = session.settings.db
    session.console.result(f"sound: {looked}" if file.exists() else f"there is no database yet: {visible(str(file))}")
    return 0


def _told(problem: Problem) -> str:
    """One problem on lines of its own: where, what, and what to do."""
    place = f"run {problem.run}" if problem.run else "file"
    if problem.event is not None:
        place += f" · event {problem.event}"
    if problem.path:
        place += f" · step {problem.path}"
    lines = [f"{place} · rule {problem.rule}", f"  found:    {problem.found}", f"  expected: {problem.expected}"]
    return "\n".join(visible(line) for line in [*lines, f"  = next: {problem.next}"])


@runkon_command("rebuild", summary="Make the rows of RUN anew from its events, where `db check` found them wrong.")
@click.argument("run")
@click.pass_obj
def rebuild_command(session: Session, run: str) -> int:
    done = session.app.upkeep.rebuild(session.app.find_run(run))
    if session.as_json:
        repaired: list[JsonValue] = [dict(problem._asdict()) for problem in done.problems]
        session.console.data({"schema": "runkon.db/1", "run": done.run, "repaired": repaired})
        return 0
    for problem in done.problems:
        session.console.result(visible(f"was: {problem.found}; is now: {problem.expected}"))
    if not done.problems:
        session.console.result("the rows are what the events say; nothing was changed")
    return 0


@runkon_command("backup", summary="Copy the database to FILE, also while runs go on. Never overwrites.")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def backup_command(session: Session, file: Path) -> int:
    done = session.app.upkeep.backup(Path(os.path.abspath(file)))
    if session.as_json:
        folder = None if done.folder is None else str(done.folder)
        counts = {"runs": done.runs, "artifacts": done.artifacts}
        session.console.data({"schema": "runkon.db/1", "file": str(done.file), "folder": folder, **counts})
        return 0
    session.console.result(f"copied {counted(done.runs, 'run')} to {visible(str(done.file))}")
    if done.folder is not None:
        session.console.result(f"{counted(done.artifacts, 'large value')} to {visible(str(done.folder))}")
    return 0


@runkon_command("migrate", summary="Bring a database of an older runkon up to date; every command does so by itself.")
@click.pass_obj
def migrate_command(session: Session) -> int:
    done = session.app.upkeep.migrate()
    if session.as_json:
        copy = None if done.copy is None else str(done.copy)
        session.console.data({"schema": "runkon.db/1", "before": done.before, "now": done.now, "copy": copy})
    elif done.before == done.now:
        session.console.result(f"schema {done.now}: nothing to do")
    else:
        kept = f"; the copy before is {visible(str(done.copy))}" if done.copy else ""
        session.console.result(f"schema {done.before} → {done.now}{kept}")
    return 0


@runkon_command("gc", summary="Remove what no run refers to any more and nobody has touched for a day.")
@click.pass_obj
def gc_command(session: Session) -> int:
    done = session.app.upkeep.collect()
    if session.as_json:
        session.console.data({"schema": "runkon.db/1", **done._asdict()})
        return 0
    parts = [(done.artifacts, "large value"), (done.files, "file"), (done.texts, "workflow text")]
    removed = ", ".join(counted(count, name) for count, name in parts if count)
    session.console.result(f"removed {removed}: {done.bytes // 1024} KiB" if removed else "nothing to remove")
    return 0


@runkon_command("prune", summary="Take out old runs that have ended; one that somebody advances or may resume stays.")
@click.option("--keep", type=click.IntRange(min=0), required=True, metavar="N", help="the newest N of them stay")
@click.pass_obj
def prune_command(session: Session, keep: int) -> int:
    done = session.app.upkeep.prune(keep)
    if session.as_json:
        session.console.data({"schema": "runkon.db/1", "removed": list(done.runs)})
    elif done.runs:
        session.console.result(f"took out {counted(len(done.runs), 'run')}")
        session.console.note("next: runkon db gc        (large values that nobody needs any more)")
    else:
        session.console.result("nothing to take out")
    return 0


_VERBS = (
    (path_command, "print where the database file is"),
    (check_command, "say whether what is recorded is sound"),
    (rebuild_command, "make the rows of a run anew from its events"),
    (backup_command, "copy the database, also while runs go on"),
    (migrate_command, "bring an older database up to date"),
    (gc_command, "remove what no run refers to any more"),
    (prune_command, "take out old runs that have ended"),
)
for _verb, _about in _VERBS:
    _verb.short_help = _about
    command.add_command(_verb)
