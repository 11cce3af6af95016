"""Finds plugins and lets them in, in this order: what is in the box, installed distributions, files of the project,
what the command line names, what a Python caller passes. A broken one is left out with a warning that names it."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType

from runkon.errors import InternalError, UserError
from runkon.frozen import value_class
from runkon.plugin import entry_points
from runkon.plugin.manager import Origin, PluginManager, PluginRecord, executors_of, has_hooks
from runkon.plugin.registry import Registry

FOLDER = Path(".runkon") / "plugins"


@value_class(frozen=True, slots=True)
class Loaded:
    """What a run can use, every plugin found, and one line per plugin that was left out."""

    registry: Registry
    plugins: tuple[PluginRecord, ...]
    warnings: tuple[str, ...]


def load_plugins(
    *,
    project: Path | None,
    beside: Path | None = None,
    extra: Sequence[str | object] = (),
    builtin: Sequence[object] = (),
    blocked: Sequence[str] = (),
) -> Loaded:
    """Load every plugin. `project` is the folder that holds `.runkon`, `beside` a project of the workflow
    file's own, if it has one; `extra` are names of modules, files, or objects
    (a module, an object with hooks, an executor); `blocked` are names of plugins to leave out.

    Raises UserError when a plugin's author must act (a misspelt hook, a thing that is no executor), when two plugins
    bring the same name, and when something of `extra` isn't there. Any other failure is a warning."""
    loading = _Loading(blocked)
    for module in builtin:
        loading.take_builtin(module)
    for point in entry_points.installed():
        loading.take(
            Origin(point.name, f"installed: {point.distribution} {point.version}".rstrip(), point.version),
            partial(_entry, point),
        )
    for root in dict.fromkeys(filter(None, (beside, project))):
        for file in _project_files(root):
            try:
                loading.take(_file_origin(file, root, project), partial(import_file, file), file=str(file))
            except UserError as error:
                if error.code.startswith("duplicate-") and beside is not None and root != beside:
                    error.help = "the plugins of both projects are loaded: the workflow file's own, and this one's"
                    error.next = f"cd {_shell_path(beside)}        (in its own project the file sees only that one's)"
                raise
    for item in extra:
        loading.take_extra(item)
    return loading.result()


class _Loading:
    """The plugins let in so far."""

    def __init__(self, blocked: Sequence[str]) -> None:
        self._blocked = frozenset(blocked)
        self._manager = PluginManager(Registry())
        self._records: list[PluginRecord] = []
        self._warnings: list[str] = []

    def result(self) -> Loaded:
        return Loaded(self._manager.registry, tuple(self._records), tuple(self._warnings))

    def take_builtin(self, module: object) -> None:
        """What is in the box must work: its failure is ours."""
        origin = Origin(str(getattr(module, "__name__", module)), "in the box")
        try:
            self._records.append(self._manager.add(module, origin))
        except UserError as error:
            raise InternalError(f"{origin} can't be loaded: {error}") from error

    def take(self, origin: Origin, load: Callable[[], object], *, file: str | None = None) -> None:
        """Let in one plugin, or note why not."""
        is_blocked = origin.name in self._blocked
        origin = Origin(self._manager.free_name(origin.name), origin.source, origin.version)
        if is_blocked or origin.name in self._blocked:
            self._records.append(PluginRecord(origin.name, origin.version, origin.source, blocked=True))
            return
        try:
            with redirect_stdout(sys.stderr):  # standard output is for results: a plugin may not mix in what it prints
                plugin = load()
            if self._manager.has(plugin):
                return
            if not has_hooks(plugin) and not executors_of(plugin):
                self._leave_out(origin, "it has neither a hook nor a function decorated with `@executor`")
                return
            with redirect_stdout(sys.stderr):
                self._records.append(self._manager.add(plugin, origin))
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything; it is named, not hidden
            self._leave_out(origin, cause_of(error, file))

    def take_extra(self, item: str | object) -> None:
        if isinstance(item, (str, os.PathLike)):
            text = os.fspath(item)
            if text.endswith(".py") or os.sep in text:
                path = Path(text)
                if not path.is_file():
                    raise _not_found(text, "there is no such file")
                self.take(Origin(path.stem, f"file {text}"), partial(import_file, path), file=str(path))
            else:
                self.take(Origin(text, f"module {text}"), partial(_import_named, text))
        elif isinstance(item, ModuleType):
            self.take(Origin(item.__name__, "given in Python"), lambda: item)
        elif has_hooks(item) and not isinstance(item, type):
            self.take(Origin(type(item).__name__, "given in Python"), lambda: item)
        else:
            name = str(getattr(item, "name", None) or getattr(item, "__name__", None) or type(item).__name__)
            self._manager.registry.register_executor(item, name, "given in Python")
            self._records.append(PluginRecord(name, "", "given in Python"))

    def _leave_out(self, origin: Origin, problem: str) -> None:
        self._records.append(PluginRecord(origin.name, origin.version, origin.source, problem=problem))
        self._warnings.append(f"{origin} is left out: {problem}")


def import_file(path: Path) -> ModuleType:
    """The module in a file, under a name of its own, so that two plugins may have files of one name."""
    import importlib.util  # late: not needed where no plugin is a file

    name = f"runkon_plugin_{path.stem}_{abs(hash(str(path.resolve()))):x}"
    inside = [str(path.parent)] if path.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=inside)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look a class's module up here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for left in [loaded for loaded in sys.modules if loaded == name or loaded.startswith(f"{name}.")]:
            del sys.modules[left]
        raise
    return module


def cause_of(error: BaseException, file: str | None = None) -> str:
    """One line: what was raised, and where in the plugin's own file."""
    first = (str(error).strip() or "no message").splitlines()[0]
    text = f"{type(error).__name__}: {first}"
    line = None
    trace = error.__traceback__
    while file is not None and trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"{text} (line {line})" if line is not None else text


def _entry(point: entry_points.EntryPoint) -> object:
    found: object = importlib.import_module(point.module)
    for part in filter(None, point.attribute.split(".")):
        found = getattr(found, part)
    return found


def _import_named(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise _not_found(name, "there is no such module") from None
        raise


def _not_found(text: str, why: str) -> UserError:
    return UserError(
        "plugin-not-found",
        f"the plugin `{text}` can't be loaded: {why}",
        help="give the name of an importable module, or the path of a `.py` file",
        next="runkon plugins",
    )


def _project_files(project: Path) -> list[Path]:
    """The plugins of a project, by name: files, and packages by their `__init__.py`. A name with `_` or `.` in front
    is not a plugin."""
    try:
        entries = sorted((project / FOLDER).iterdir())
    except OSError:
        return []
    found = [
        entry if entry.suffix == ".py" else entry / "__init__.py" for entry in entries if entry.name[0] not in "_."
    ]
    return [file for file in found if file.is_file()]


def _file_origin(file: Path, root: Path, project: Path | None) -> Origin:
    """A plugin of another project than this one is shown with the way there."""
    plugin = file.parent if file.name == "__init__.py" else file
    shown = plugin.relative_to(root) if root == project or project is None else _short_path(plugin, project)
    return Origin(plugin.stem, f"file {shown}")


def _short_path(path: Path, start: Path) -> str:
    return min(os.path.relpath(path, start), str(path), key=len)


def _shell_path(folder: Path) -> str:
    import shlex  # late: on the way to an error

    return shlex.quote(_short_path(folder, Path.cwd()))
