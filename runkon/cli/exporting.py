"""What is said of a run that was written to a file of its own."""

from __future__ import annotations

from pathlib import Path

from runkon.cli.session import Session
from runkon.errors import EXIT_ENVIRONMENT, EXIT_OK
from runkon.language.columns import visible
from runkon.model.ids import RunID
from runkon.views.times import counted


def write_capsule(session: Session, run: RunID, file: Path | None = None, *, keeps_paths: bool = False) -> int:
    """Write the run to `file`, `runkon-RUN.db` here if None. The exit code says whether all of it is in there."""
    target = Path.cwd() / f"runkon-{run}.db" if file is None else file
    done = session.app.upkeep.export(run, target, keeps_paths=keeps_paths)
    console = session.console
    if session.as_json:
        console.data(
            {
                "schema": "runkon.export/1",
                "run": run,
                "file": str(done.file),
                "sha256": done.sha256,
                "events": done.events,
                "lost": done.lost,
            }
        )
    else:
        console.result(f"wrote {counted(done.events, 'event')} to {visible(str(done.file))}")
        console.result(f"sha256 {done.sha256}")
        if done.lost is not None:
            console.error(f"it ends before what can't be used: {visible(done.lost)}")
        console.note(f"next: runkon show {run} --db {visible(str(done.file))}")
    return EXIT_OK if done.lost is None else EXIT_ENVIRONMENT
