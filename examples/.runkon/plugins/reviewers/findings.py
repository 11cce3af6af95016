"""What a reviewer reports, and how it reads the tree it reviews."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import NamedTuple

from runkon import Output, StepRequest

SEVERITIES = ("high", "medium", "low")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Finding(NamedTuple):
    """One remark about one line. `high` blocks the verdict, the others don't."""

    file: str
    line: int
    severity: str
    rule: str
    message: str


class Module(NamedTuple):
    """One parsed Python file; `path` is relative to the tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def is_test(self) -> bool:
        return is_test_path(self.path)

    @property
    def lines(self) -> list[str]:
        """The lines as `ast` counts them: a form feed begins no new one."""
        return self.text.split("\n")


Rule = Callable[[Module], Iterator[Finding]]


def is_test_path(path: str) -> bool:
    """True for what a test runner collects or what stands beside it."""
    *folders, name = PurePosixPath(path).parts
    stem = name.removesuffix(".py")
    return (
        bool({"test", "tests"} & {*folders, stem}) or stem.startswith("test_") or stem.endswith(("_test", "conftest"))
    )


def tree_of(request: StepRequest) -> Path:
    """The folder under review: the workflow's input `path`, seen from the project."""
    return (request.working_dir / str(request.inputs.get("path") or ".")).resolve()


def files_of(request: StepRequest) -> list[str]:
    """The files the survey found, as this step was given them."""
    files = request.inputs.get("files")
    return [file for file in files if isinstance(file, str)] if isinstance(files, list) else []


# ── reading ───────────────────────────────────────────────────────────────────────────────────────
def read_modules(root: Path, files: Sequence[str]) -> Iterator[Module | Finding]:
    """Each file parsed, or the finding that it can't be."""
    for file in files:
        try:
            raw = (root / file).read_bytes()
        except OSError as error:
            yield Finding(file, 1, "medium", "unreadable", f"can't be read: {(error.strerror or str(error)).lower()}")
        else:
            yield _parsed(file, raw)


def _parsed(file: str, raw: bytes) -> Module | Finding:
    try:
        text = _decoded(raw)
        if "\0" in text:
            return _broken(file, text[: text.index("\0")].count("\n") + 1, "it holds a NUL character")
        return Module(file, text, _tree(text, file))
    except UnicodeDecodeError as error:
        return _broken(file, raw[: error.start].count(b"\n") + 1, f"it is not {error.encoding}")
    except SyntaxError as error:
        return _broken(file, error.lineno or 1, error.msg)
    except (ValueError, RecursionError, MemoryError) as error:
        return Finding(file, 1, "medium", "unreadable", f"can't be parsed: {error or type(error).__name__}")


def _broken(file: str, line: int, why: str) -> Finding:
    version = ".".join(map(str, sys.version_info[:2]))
    return Finding(file, line, "high", "syntax", f"does not parse with Python {version}: {why}")


def _decoded(raw: bytes) -> str:
    """The text as Python reads it: its own encoding line, a byte-order mark, any kind of line end."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except SyntaxError:
        raw.decode("utf-8")  # says where, if that is what is wrong
        raise
    return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


_ONE_AT_A_TIME = Lock()  # filters of warnings belong to the whole process, and reviewers run side by side


def _tree(text: str, file: str) -> ast.Module:
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a reviewed file is not our warning
        return ast.parse(text, filename=file)


# ── what is meant ─────────────────────────────────────────────────────────────────────────────────
_NOQA = re.compile(r"#\s*noqa\b(?::\s*([A-Z]+\d+(?:[,\s]+[A-Z]+\d+)*))?", re.IGNORECASE)
_CODES = {
    "bare-except": "E722 BLE001",
    "silent-except": "BLE001 S110 S112",
    "mutable-default": "B006",
    "is-literal": "F632",
    "equals-none": "E711",
    "assert-tuple": "F631",
    "raise-notimplemented": "F901",
    "return-in-finally": "B012 SIM107",
    "eval": "S307 S102 PGH001",
    "shell": "S602 S604 S605",
    "unpickle": "S301 S302",
    "yaml-load": "S506",
    "mktemp": "S306",
    "no-verify": "S501 S323",
    "built-sql": "S608",
    "written-secret": "S105 S106 S107",
    "long-function": "PLR0915",
    "many-branches": "C901 PLR0912",
    "deep-nesting": "PLR1702",
}


def is_allowed(line: str, rule: str) -> bool:
    """True if the line itself says that this is meant: `# review: allow RULE`, `# nosec`, `# noqa` alone, or with the
    code by which other tools know the rule."""
    if f"# review: allow {rule}" in line or "# nosec" in line:
        return True
    noqa = _NOQA.search(line)
    if noqa is None:
        return False
    codes = set(re.findall(r"[A-Z]+\d+", (noqa[1] or "").upper()))
    return not codes or bool(codes & set(_CODES.get(rule, "").split()))


def apply(rules: Sequence[Rule], module: Module) -> list[Finding]:
    """What the rules find in one file and the file does not allow, each once."""
    lines = module.lines
    found = dict.fromkeys(finding for rule in rules for finding in rule(module))
    return [f for f in found if not is_allowed(lines[f.line - 1] if f.line <= len(lines) else "", f.rule)]


# ── as a step ─────────────────────────────────────────────────────────────────────────────────────
def review(request: StepRequest, rules: Sequence[Rule]) -> Output:
    """Apply the rules to every file of the step and report what they find."""
    found: list[Finding] = []
    seen = 0
    for module in read_modules(tree_of(request), files_of(request)):
        request.cancel.raise_if_cancelled()
        seen += 1
        found += [module] if isinstance(module, Finding) else apply(rules, module)
        if seen % 100 == 0:
            request.emit(f"{counted(seen, 'file')}, {counted(len(found), 'finding')}")
    return as_output(found, counted(seen, "file"))


def as_output(found: Sequence[Finding], scope: str) -> Output:
    """Findings as a step's output: markers for conditions, a sentence for people, rows for the report."""
    markers = {f"has_{finding.severity}_findings" for finding in found}
    if found:
        markers.add("has_findings")
    return Output(
        markers=frozenset(markers),
        context=f"{counted(len(found), 'finding')} in {scope}",
        values={"findings": [dict(finding._asdict()) for finding in sorted(found)]},
    )


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
