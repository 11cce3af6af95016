"""Schemas by the names that workflows give them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from runkon.errors import EXIT_INVALID, UserError
from runkon.language.lookup import locate
from runkon.language.program import Located
from runkon.named import NamedTuple

if TYPE_CHECKING:
    from runkon.schemas.fields import Schema
    from runkon.schemas.problems import SchemaProblem


class Broken(NamedTuple):
    """A schema file that can't be used: why, and where (`file:line:column`, the file as people should read it)."""

    problem: SchemaProblem
    place: str


def find_schema(roots: Sequence[Path], name: str, workflow: str) -> Schema:
    """The schema that `name` means in workflow `workflow`. Raises UserError `unknown-schema`, with the places searched,
    and `invalid-schema`, with what is wrong and where."""
    located = locate("schema", roots, name, workflow)
    if located.path is None:
        searched = "\n".join(["looked for", *located.places])
        raise UserError(
            "unknown-schema", f"there is no schema `{name}`", help=located.problem or searched, exit_code=EXIT_INVALID
        )
    return load_schema(name, located)


def load_schema(name: str, located: Located) -> Schema:
    """The schema in a file that was found. Raises UserError `invalid-schema`."""
    found = _load(located)
    if isinstance(found, Broken):
        message = f"schema `{name}` can't be used: {found.problem.message} ({found.place})"
        raise UserError("invalid-schema", message, help=found.problem.help, exit_code=EXIT_INVALID)
    return found


def schema_problem(located: Located) -> Broken | None:
    """What is wrong with the schema in a file that was found, None if nothing is."""
    found = _load(located)
    return found if isinstance(found, Broken) else None


def known_schema(located: Located) -> Schema | None:
    """The schema in a file, None if there is none that can be used, or nothing is known about it."""
    if located.path is None or located.problem is not None or not located.places:
        return None
    found = _load(located)
    return None if isinstance(found, Broken) else found


def _load(located: Located) -> Schema | Broken:
    from runkon.schemas.problems import SchemaProblem  # late: only projects with schemas need it

    assert located.path is not None
    try:
        status = located.path.stat()
        return _read(located.path, status.st_mtime_ns, status.st_size, status.st_ino)
    except OSError as error:
        problem = SchemaProblem(f"it can't be read: {error.strerror or error}")
    except SchemaProblem as found:
        problem = found
    return Broken(problem, f"{located.places[-1]}:{problem.line}:{problem.column}")


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int, number: int) -> Schema:  # noqa: ARG001  # they tell a changed file
    from runkon.schemas.reading import read_schema_file  # late: see above

    return read_schema_file(path)
