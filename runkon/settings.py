"""Where a project is and how runkon behaves there: one frozen `Settings`, from flags, environment and files.

Precedence: flags, then `RUNKON_*`, then `runkon.toml` or `[tool.runkon]` in `pyproject.toml`, then the user's file,
then defaults. Without any file nothing but the standard library is imported.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from runkon.errors import EXIT_ENVIRONMENT, EXIT_USAGE, UserError
from runkon.frozen import value_class
from runkon.named import NamedTuple
from runkon.pattern import pattern

if TYPE_CHECKING:
    from pydantic import BaseModel

    from runkon.model.output import JsonValue

Durability: TypeAlias = Literal["full", "normal"]

STATE_FOLDER = ".runkon"
ROOT_MARKS = (STATE_FOLDER, ".conductor", ".git")
FILE_NAME = "runkon.toml"

_TEXTS = frozenset({"db", "model", "runtime"})
_TIMES = frozenset({"kill_grace", "always_grace", "store_patience"})
_FLAGS = frozenset({"allow_network_store", "allow_unpriced", "always_budget"})
_LISTS = frozenset({"plugins", "plugins_blocked", "env"})
_NAMES = (
    *("db", "durability", "jobs", "fail_fast", "kill_grace", "always_grace", "store_patience", "model"),
    *("plugins", "plugins_blocked", "allow_network_store", "env"),
    *("allow_unpriced", "always_budget", "runtime", "runtimes"),
)
_TABLES = frozenset({"runtimes"})  # tables of tables, which no flag or variable holds
_VARIABLES = {f"RUNKON_{name.upper()}": name for name in _NAMES if name not in _TABLES} | {"RUNKON_PLUGIN": "plugins"}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = pattern(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


@value_class(frozen=True, slots=True, kw_only=True)
class Settings:
    """What holds for every command of one invocation. Times in seconds; `jobs` is executor calls at once. `root` is
    the project's folder, `state_dir` the `.runkon` inside it, `db` the database file, `cache_dir` the user's own
    folder for what can be made again."""

    root: Path
    state_dir: Path
    cache_dir: Path
    db: Path
    durability: Durability = "full"
    allow_network_store: bool = False
    jobs: int = 16
    fail_fast: bool = True
    kill_grace: float = 5.0
    always_grace: float = 300.0
    store_patience: float = 60.0
    model: str | None = None
    runtime: str | None = None
    runtimes: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)  # what each is told, by its name
    plugins: tuple[str, ...] = ()
    plugins_blocked: tuple[str, ...] = ()
    env: tuple[str, ...] = ()  # process variables that workflows may read
    allow_unpriced: bool = False
    always_budget: bool = False
    given: frozenset[str] = frozenset()  # names of those that flags and variables gave
    files: tuple[Path, ...] = ()  # the settings files that were read


class _Source(NamedTuple):
    """Settings of one origin: how messages call it, and the folder its relative paths start from."""

    place: str
    folder: Path
    values: Mapping[str, object]
    exit_code: int = EXIT_ENVIRONMENT


def load_settings(
    cwd: Path, environ: Mapping[str, str] | None = None, flags: Mapping[str, object] | None = None
) -> Settings:
    """The settings that hold in `cwd`. Flags that are None were not given; flag and variable paths start at `cwd`;
    without `environ` the process's own holds.

    Raises UserError `unknown-setting`, `invalid-setting` or `unreadable-settings`, naming the file or variable."""
    environ = os.environ if environ is None else environ
    root = project_root(cwd)
    given = {name: value for name, value in (flags or {}).items() if value not in (None, ())}
    sources = [_Source("the command line", cwd, given, EXIT_USAGE), _environment(cwd, environ)]
    files: list[Path] = []
    for path, values in _files(cwd, root, environ):
        files.append(path)
        sources.append(_Source(_shown(path, cwd), path.parent, values))
    merged: dict[str, object] = {}
    for source in reversed(sources):
        resolved = _resolved(source)
        plugins = (*merged.get("plugins", ()), *resolved.get("plugins", ()))  # type: ignore[misc]
        runtimes: dict[str, object] = {**merged.get("runtimes", {}), **resolved.pop("runtimes", {})}  # type: ignore[dict-item]
        merged |= resolved | ({"plugins": tuple(dict.fromkeys(plugins))} if plugins else {})
        merged |= {"runtimes": runtimes} if runtimes else {}
    state_dir = root / STATE_FOLDER
    merged.setdefault("db", state_dir / "runkon.db")
    merged |= {"root": root, "state_dir": state_dir, "cache_dir": cache_folder(environ), "files": tuple(files)}
    merged["given"] = frozenset(name for source in sources[:2] for name in source.values)
    return Settings(**merged)  # type: ignore[arg-type]  # every value is validated


def project_root(cwd: Path) -> Path:
    """The nearest folder from `cwd` upwards with `.runkon`, `.conductor` or `.git`, else `cwd` itself."""
    cwd = cwd.absolute()
    for folder in (cwd, *cwd.parents):
        if any((folder / mark).exists() for mark in ROOT_MARKS):
            return folder
    return cwd


def parse_duration(text: str) -> float | None:
    """Seconds of `90`, `1.5s`, `500ms`, `1h30m`; None if the text is not a duration."""
    text = text.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def injected_names(environ: Mapping[str, str]) -> frozenset[str]:
    """The variables that a surrounding run set for its own step: they are no settings of this process."""
    return frozenset(re.split(r"[\s,:]+", environ.get("RUNKON_INJECTED", ""))) - {""}


# ── origins ───────────────────────────────────────────────────────────────────────────────────────
def _environment(cwd: Path, environ: Mapping[str, str]) -> _Source:
    injected = injected_names(environ)
    values: dict[str, object] = {}
    for variable, name in _VARIABLES.items():
        text = environ.get(variable, "")
        if text and variable not in injected:
            values[name] = [part for part in text.split(os.pathsep) if part] if name in _LISTS else text
    return _Source("the environment (`RUNKON_*`)", cwd, values)


def _files(cwd: Path, root: Path, environ: Mapping[str, str]) -> Iterator[tuple[Path, Mapping[str, object]]]:
    """The project's file (the nearest one from `cwd` up to `root`), then the user's."""
    cwd = cwd.absolute()
    for folder in (cwd, *cwd.parents):
        found = _project_file(folder)
        if found is not None:
            yield found
            break
        if folder == root:
            break
    user = user_file(environ)
    if user.is_file():
        yield user, _read_toml(user)


def _project_file(folder: Path) -> tuple[Path, Mapping[str, object]] | None:
    own = folder / FILE_NAME
    if own.exists():
        return own, _read_toml(own)
    shared = folder / "pyproject.toml"
    if shared.is_file() and b"tool.runkon" in _read_bytes(shared):
        tool = _read_toml(shared).get("tool")
        table = tool.get("runkon") if isinstance(tool, dict) else None
        if isinstance(table, dict):
            return shared, table
    return None


def user_file(environ: Mapping[str, str]) -> Path:
    """The user's own settings file, in the platform's configuration folder; it need not exist."""
    if _is_linux():
        return _xdg(environ, "XDG_CONFIG_HOME", ".config") / FILE_NAME
    from platformdirs import user_config_path  # late: off Linux only

    return user_config_path("runkon", appauthor=False) / FILE_NAME


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where parsed files are kept for the next time: the platform's cache folder of the user."""
    if _is_linux():
        return _xdg(environ, "XDG_CACHE_HOME", ".cache")
    from platformdirs import user_cache_path  # late: off Linux only

    return user_cache_path("runkon", appauthor=False)


def _is_linux() -> bool:
    return sys.platform.startswith("linux")


def _xdg(environ: Mapping[str, str], variable: str, default: str) -> Path:
    """What platformdirs answers on Linux, without its import."""
    base = environ.get(variable, "").strip()
    return Path(base or Path(environ.get("HOME") or Path.home()) / default) / "runkon"


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            "unreadable-settings", f"the settings file `{path}` can't be read: {error.strerror or error}"
        ) from error


def _read_toml(path: Path) -> dict[str, object]:
    import tomllib  # late: only where a file exists

    try:
        return tomllib.loads(_read_bytes(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError("unreadable-settings", f"the settings file `{path}` is not valid TOML: {error}") from error


def _shown(path: Path, cwd: Path) -> str:
    relative = os.path.relpath(path, cwd)
    return f"`{path if relative.startswith('..') else relative}`"


# ── validation ────────────────────────────────────────────────────────────────────────────────────
def _resolved(source: _Source) -> dict[str, object]:
    """The values of one origin, checked, with paths made absolute."""
    for name in source.values:
        if name not in _NAMES:
            raise _unknown(name, source)
    is_plain = all(_is_plainly_right(name, value) for name, value in source.values.items())
    checked = dict(source.values) if is_plain else _validated(source)
    if "db" in checked:
        checked["db"] = _database(str(checked["db"]), source)
    if "plugins" in checked:
        checked["plugins"] = tuple(_plugin(name, source.folder) for name in cast("Sequence[str]", checked["plugins"]))
    return checked


def _is_plainly_right(name: str, value: object) -> bool:
    """True for what needs no closer look: the common flags and variables, on the fast path."""
    if name in _TEXTS:
        return isinstance(value, Path) or (isinstance(value, str) and bool(value))
    if name == "jobs":
        return type(value) is int and 1 <= value <= 1000
    if name == "durability":
        return value in ("full", "normal")
    if name in _FLAGS:
        return type(value) is bool
    if name in _TABLES:
        return isinstance(value, Mapping) and all(isinstance(table, Mapping) for table in value.values())
    return name in _LISTS and isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _validated(source: _Source) -> dict[str, object]:
    from pydantic import ValidationError  # late: only where a file, or a setting that is not plain text, is given

    values = {name: _seconds(value) if name in _TIMES else value for name, value in source.values.items()}
    try:
        model = _written_model().model_validate({k: str(v) if isinstance(v, Path) else v for k, v in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        reason = first["msg"][:1].lower() + first["msg"][1:]
        raise UserError(
            "invalid-setting",
            f"`{name}` in {source.place} is {_quoted(source.values[name])}: {reason}",
            help=_ACCEPTED[name],
            exit_code=source.exit_code,
        ) from error
    return model.model_dump(exclude_unset=True)


_ACCEPTED = {
    "db": "the path of a database file",
    "durability": "`full` (every commit survives a power cut) or `normal`",
    "allow_network_store": "`true` (a database on a network file system is used all the same) or `false`",
    "jobs": "a whole number from 1 to 1000",
    "fail_fast": "`true` (a failed branch stops its siblings) or `false`",
    "kill_grace": "a time of 0 or more: `5s`, `500ms`, or a number of seconds",
    "always_grace": "a time of 0 or more: `5m`, `90s`, or a number of seconds",
    "store_patience": "a time of 0 or more: `60s`, `2m`, or a number of seconds",
    "model": "the name of a model",
    "runtime": "the name of a runtime",
    "runtimes": "a table for each runtime, as in `[runtimes.claude]`",
    "plugins": "a list of module names and paths of Python files",
    "plugins_blocked": "a list of plugin names",
    "env": "a list of names of environment variables",
    "allow_unpriced": "`true` (calls without a known price run under a budget, too) or `false`",
    "always_budget": "`true` (no limit holds in `always` blocks) or `false`",
}


def _written_model() -> type[BaseModel]:
    from pydantic import BaseModel, ConfigDict, Field  # late: see `_validated`

    class Written(BaseModel):
        model_config = ConfigDict(extra="forbid")
        db: str = Field(default="", min_length=1)
        durability: Literal["full", "normal"] = "full"
        allow_network_store: bool = False
        jobs: int = Field(default=16, ge=1, le=1000)
        fail_fast: bool = True
        kill_grace: float = Field(default=5.0, ge=0, allow_inf_nan=False)
        always_grace: float = Field(default=300.0, ge=0, allow_inf_nan=False)
        store_patience: float = Field(default=60.0, ge=0, allow_inf_nan=False)
        model: str = Field(default="", min_length=1)
        runtime: str = Field(default="", min_length=1)
        runtimes: dict[str, dict[str, object]] = {}
        plugins: tuple[str, ...] = ()
        plugins_blocked: tuple[str, ...] = ()
        env: tuple[str, ...] = ()
        allow_unpriced: bool = False
        always_budget: bool = False

    return Written


def _seconds(value: object) -> object:
    """A duration text as seconds; anything else, and text that is no duration, is left for the validation."""
    seconds = parse_duration(value) if isinstance(value, str) else None
    return value if seconds is None else seconds


def _database(text: str, source: _Source) -> Path:
    if "://" in text:
        scheme = text.partition("://")[0]
        raise UserError(
            "unknown-store",
            f"no store for `{scheme}://` databases is installed",
            help="give the path of an SQLite file",
            exit_code=source.exit_code,
        )
    return source.folder.absolute() / Path(text).expanduser()


def _plugin(name: str, folder: Path) -> str:
    """A plugin file, made independent of where the process stands; a module name stays as it is."""
    return str(folder.absolute() / Path(name).expanduser()) if name.endswith(".py") else name


def _unknown(name: str, source: _Source) -> UserError:
    from difflib import get_close_matches  # late: on the way to an error

    close = get_close_matches(name, _NAMES, n=1)
    return UserError(
        "unknown-setting",
        f"{source.place} has an unknown setting `{name}`",
        help=f"did you mean `{close[0]}`?" if close else f"the settings are: {', '.join(sorted(_NAMES))}",
        exit_code=source.exit_code,
    )


def _quoted(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
