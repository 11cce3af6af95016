"""What a `foreach` can go through without any plugin: files, lines of a file, numbers, recorded runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from runkon.model.items import Item, ItemRequest
from runkon.model.output import JsonValue

MOST_NUMBERS = 1_000_000


class Files:
    """`files`: the files below the working folder that match `scope = { glob = "src/**/*.py" }`, by path, in order."""

    name = "files"

    def items(self, request: ItemRequest) -> Iterator[Item]:
        """Raises ValueError for a scope without a glob, or one that leads out of the working folder."""
        pattern = _text(request.scope, "glob")
        _only(request.scope, "glob")
        if pattern.startswith(("/", "~")) or ".." in Path(pattern).parts:
            raise ValueError(f"the glob `{pattern}` leads out of the working folder")
        found = (path for path in request.working_dir.glob(pattern) if path.is_file())
        for path in sorted(one.relative_to(request.working_dir).as_posix() for one in found):
            name = Path(path)
            fields: dict[str, JsonValue] = {"path": path, "name": name.name, "stem": name.stem, "suffix": name.suffix}
            if _is_kept(fields, request):
                yield Item(path, path, fields)


class Lines:
    """`lines`: the lines of `scope = { path = "todo.txt" }` that are not blank, by number."""

    name = "lines"

    def items(self, request: ItemRequest) -> Iterator[Item]:
        """Raises ValueError for a scope without a path, and for a file that can't be read as UTF-8."""
        path = _text(request.scope, "path")
        _only(request.scope, "path")
        try:
            text = (request.working_dir / path).read_text("utf-8")
        except OSError as error:
            raise ValueError(f"`{path}` can't be read: {error.strerror}") from None
        for number, line in enumerate(text.splitlines(), 1):
            fields: dict[str, JsonValue] = {"text": line.strip(), "number": number}
            if line.strip() and _is_kept(fields, request):
                yield Item(str(number), line.strip(), fields)


class Range:
    """`range`: the whole numbers of `scope = { from = 1 to = 10 step = 1 }`, both ends included."""

    name = "range"

    def items(self, request: ItemRequest) -> Iterator[Item]:
        """Raises ValueError for ends that are no whole numbers, and for more than a million of them."""
        _only(request.scope, "from", "to", "step")
        first, last = _number(request.scope, "from", 1), _number(request.scope, "to", None)
        step = _number(request.scope, "step", 1)
        if step == 0:
            raise ValueError("`step` of `range` is 0")
        numbers = range(first, last + (1 if step > 0 else -1), step)
        if len(numbers) > MOST_NUMBERS:
            raise ValueError(f"`range` has {len(numbers)} numbers, more than {MOST_NUMBERS}")
        for number in numbers:
            yield Item(str(number), str(number), {"value": number})


class Runs:
    """`runs`: the recorded runs, oldest first, without the one that asks; `filter = { status = … workflow = … }`."""

    name = "runs"

    def items(self, request: ItemRequest) -> Iterator[Item]:
        """Raises ValueError for a scope, which runs have none of."""
        _only(request.scope)
        for run in reversed(request.runs()):
            fields: dict[str, JsonValue] = {"workflow": run.workflow, "status": str(run.status)}
            if run.id != request.run_id and _is_kept(fields, request):
                yield Item(run.id, f"{run.workflow} {run.id}", {**fields, "created_at": run.created_at})


def _only(scope: Mapping[str, JsonValue], *names: str) -> None:
    unknown = [name for name in scope if name not in names]
    if unknown:
        known = ", ".join(f"`{name}`" for name in names)
        raise ValueError(f"`scope` has no `{unknown[0]}`; it has {known or 'nothing at all'}")


def _text(scope: Mapping[str, JsonValue], name: str) -> str:
    value = scope.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"`scope` needs a text `{name}`")
    return value


def _number(scope: Mapping[str, JsonValue], name: str, default: int | None) -> int:
    value = scope.get(name, default)
    try:
        return int(str(value))
    except ValueError:
        raise ValueError(f"`scope` needs a whole number `{name}`, not `{value}`") from None


def _is_kept(fields: Mapping[str, JsonValue], request: ItemRequest) -> bool:
    for name, wanted in request.filter.items():
        if name not in fields:
            known = ", ".join(f"`{one}`" for one in fields)
            raise ValueError(f"`filter` has no `{name}`; it has {known}")
        if str(fields[name]) != str(wanted):
            return False
    return True
