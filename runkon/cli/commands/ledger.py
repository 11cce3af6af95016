"""`runkon ledger`: what each call of a run has cost, and where nobody knows, what somebody says it has."""

from __future__ import annotations

import click

from runkon.cli.console import columns
from runkon.cli.deciding import user
from runkon.cli.options import VariableOption, as_money
from runkon.cli.options import command as runkon_command
from runkon.cli.run_state import now_ms, record_of, short_id
from runkon.cli.session import Session
from runkon.errors import EXIT_USAGE, UserError
from runkon.model.costs import cost_said, costs_said
from runkon.model.output import JsonValue
from runkon.views.ledger import KINDS, Entry, entries_of, ledger_rows, total


@runkon_command(
    "ledger",
    summary="""List the calls of RUN: what was set aside for each, what it came to, and who knows that.

    An amount that nobody knows counts with what was set aside. `runkon ledger set RUN ENTRY --cost USD` says what it
    was, once; the next leg of the run counts with that.""",
)
@click.argument("words", nargs=-1, required=True, metavar="[set] RUN [ENTRY]")
@click.option("--cost", cls=VariableOption, callback=as_money, metavar="USD", help="what the call has cost")
@click.option("--as", "by", cls=VariableOption, metavar="NAME", help="who says so")
@click.option("-m", "--message", cls=VariableOption, default="", help="how it is known")
@click.pass_obj
def command(session: Session, words: tuple[str, ...], *, cost: float | None, by: str | None, message: str) -> int:
    is_set = words[0] == "set"
    if len(words) != (3 if is_set else 1) or is_set == (cost is None):
        raise UserError(
            "wrong-use",
            "`ledger` takes a run, `ledger set` a run, an entry and `--cost`",
            help="runkon ledger RUN, or: runkon ledger set RUN ENTRY --cost 0.12",
            exit_code=EXIT_USAGE,
        )
    app = session.app
    run = record_of(app, words[1] if is_set else words[0])
    short = short_id(app, run.id)
    told = app.store.events_of(run.id, KINDS)
    if is_set and cost is not None:
        entry = _entry(entries_of(told, costs_said(app.store.gate_answers(run.id))), words[2], short)
        app.store.answer_gate(cost_said(run.id, entry.number, cost, by or user(), now_ms(), message))
        session.console.note(f"entry {entry.number}, `{entry.path}`: counts from the next leg of the run")
    entries = entries_of(told, costs_said(app.store.gate_answers(run.id)))
    if session.as_json:
        listed: list[JsonValue] = [one.as_json() for one in entries]
        session.console.data({"schema": "runkon.ledger/1", "run_id": run.id, "ledger": listed})
        return 0
    for line in columns(ledger_rows(entries)) if entries else ():
        session.console.result(line)
    session.console.result(f"spent: {total(entries)}")
    if any(one.source == "unknown" for one in entries):
        session.console.note(f"next: runkon ledger set {short} ENTRY --cost USD, for a cost that you know")
    return 0


def _entry(entries: list[Entry], text: str, short: str) -> Entry:
    """The entry of that number, whose amount nobody knows. Raises UserError."""
    found = next((one for one in entries if str(one.number) == text), None)
    if found is not None and found.source == "unknown":
        return found
    why = f"there is no entry `{text}`" if found is None else f"the cost of entry {text} is known: {found.source}"
    unknown = ", ".join(str(one.number) for one in entries if one.source == "unknown")
    help = f"entries whose cost is not known: {unknown}" if unknown else "every entry of this run has its cost"
    raise UserError("no-such-entry", why, help=help, next=f"runkon ledger {short}", exit_code=EXIT_USAGE)
