"""`runkon reject`: keep a run from passing a gate."""

from __future__ import annotations

from collections.abc import Mapping

import click

from runkon.cli.answering import decide
from runkon.cli.deciding import Said
from runkon.cli.options import VariableOption, as_pairs
from runkon.cli.options import command as runkon_command
from runkon.cli.session import Session
from runkon.model.decisions import REJECTED


@runkon_command(
    "reject",
    summary="""Keep a run from passing a gate, from any terminal.

    RUN is an id or a unique beginning of one, or @last. GATE is a result key or a path; with one open gate it may be
    left out. It need not be open yet: `GATE#2` is its second opening, `GATE#*` every one. The first decision stands.

    Exit codes: 0 kept, 2 wrong use, 6 no such gate, or it is decided; with --resume those of `resume`.""",
)
@click.argument("target", metavar="RUN[:GATE]")
@click.option(
    "-m", "--message", cls=VariableOption, default="", metavar="TEXT", help="why, for the record and the next step"
)
@click.option("--as", "name", cls=VariableOption, metavar="NAME", help="who decides; otherwise your user name")
@click.option(
    "-i", "--input", "given", cls=VariableOption, multiple=True, callback=as_pairs, metavar="NAME=VALUE",
    help="a secret of the run, which is taken out of what you say, and given again with --resume",
)  # fmt: skip
@click.option("--resume", "goes_on", cls=VariableOption, is_flag=True, help="continue the run at once")
@click.pass_obj
def command(
    session: Session,
    target: str,
    *,
    message: str,
    name: str | None,
    given: Mapping[str, str],
    goes_on: bool,
) -> int:
    return decide(session, target, Said(REJECTED, message, name, given=given), goes_on=goes_on)
