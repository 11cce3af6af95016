"""`runkon graph`: draw a workflow, with the state of a run laid over it if asked."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

import click

from runkon.cli.findings import show_findings
from runkon.cli.options import VariableOption
from runkon.cli.options import command as runkon_command
from runkon.cli.outline import file_outline, program_outline
from runkon.cli.session import Session
from runkon.errors import EXIT_ENVIRONMENT, EXIT_INVALID, EXIT_USAGE, UserError
from runkon.language.columns import visible
from runkon.model.ids import RunID
from runkon.views.outline import Outline, Overlay, overlay_of

FORMATS = ("ascii", "mermaid", "dot", "json", "svg")


@runkon_command(
    "graph",
    summary="""Draw a workflow as a tree, a Mermaid or Graphviz graph, a picture, or JSON.

    FILE is a file or a name. With --run it may be left out: the text that the run was started with is drawn.""",
)
@click.argument("file", required=False)
@click.option("--format", "form", cls=VariableOption, type=click.Choice(FORMATS), default="ascii", help="what to print")
@click.option("--run", "run", cls=VariableOption, metavar="RUN", help="lay status and time of a run over it")
@click.pass_obj
def command(session: Session, file: str | None, form: str, run: str | None) -> int:
    if file is None and run is None:
        raise UserError(
            "missing-argument",
            "the argument `FILE` is missing",
            next="runkon graph --help",
            exit_code=EXIT_USAGE,
        )
    found = session.app.find_run(run) if run is not None else None
    outline = _outline(session, file, found)
    if outline is None:
        return EXIT_INVALID
    overlay = overlay_of(session.app.store.steps(found)) if found is not None else None
    _print(session, outline, overlay, "json" if session.as_json else form)
    return 0


def _outline(session: Session, file: str | None, run: RunID | None) -> Outline | None:
    """The outline of the file, or of the text a run was started with; None after its errors were shown."""
    if file is None and run is not None:
        checked = session.app.stored_program(run)
        return program_outline(checked)
    check = session.app.check_file(session.app.find_workflow(file or ""), syntax_only=True)
    if not check.parsed.ok or not check.parsed.workflows:
        show_findings(session.console, check.diagnostics, check.source)
        return None
    return file_outline(check.parsed.workflows[0], check.source, session.app.called)


def _print(session: Session, outline: Outline, overlay: Mapping[str, Overlay] | None, form: str) -> None:
    console = session.console
    if form == "json":
        console.data({"schema": "runkon.graph/1", "graph": [outline.as_json(overlay)]})
        return
    if form == "ascii":
        from runkon.views.ascii_tree import ascii_tree  # late: one drawing per call

        for line in ascii_tree(outline, overlay):
            console.result(visible(line))
        return
    from runkon.views.flow import flow_of  # late: one drawing per call

    flow = flow_of(outline, overlay)
    if form == "mermaid":
        from runkon.views.mermaid import mermaid  # late: one drawing per call

        lines = list(mermaid(flow))
    else:
        from runkon.views.dot import dot  # late: one drawing per call

        lines = list(dot(flow))
    text = "\n".join(visible(line) for line in lines)
    console.result(_svg(text) if form == "svg" else text)


def _svg(text: str) -> str:
    """The picture Graphviz makes of a graph text."""
    try:
        done = subprocess.run(["dot", "-Tsvg"], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError(
            "graphviz-missing",
            "pictures need the program `dot` of Graphviz, which is not installed",
            help="install Graphviz, or take `--format mermaid`",
            exit_code=EXIT_ENVIRONMENT,
        ) from None
    if done.returncode != 0:
        raise UserError("graphviz-failed", f"`dot` failed: {done.stderr.strip() or 'without a word'}")
    return done.stdout.rstrip("\n")
