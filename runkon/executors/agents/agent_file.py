"""Reads an agent file: a prompt in Markdown, with a few settings in front of it.

---
role: actor
can_commit: true
model: opus
runtime: claude
---
Fix what the review found: {{prior_context}}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from runkon.errors import RunkonError, UserError
from runkon.language.loader import read_source
from runkon.model.agents import AgentDefinition, Role

if TYPE_CHECKING:
    from yaml import Node

_ROLES = ("actor", "reviewer")
_FENCE = "---"


class AgentProblem(RunkonError):
    """An agent file that can't be used. `line` and `column` count from 1; `excerpt` is that line of the file."""

    def __init__(
        self, message: str, line: int = 1, column: int = 1, *, excerpt: str = "", help: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.excerpt = excerpt
        self.help = help


def read_agent(path: Path) -> AgentDefinition:
    """The agent in the file at `path`, named by its stem. Raises AgentProblem, also for a file that can't be read."""
    try:
        text = read_source(path, path.name).text
    except UserError as error:
        raise _unreadable(error) from None
    text = text.replace("\r\n", "\n")
    settings: Mapping[str, object] = {}
    body = text.strip()
    if body.startswith(_FENCE):
        settings, body = _split(text)
    if not body:
        raise AgentProblem("it has no prompt", len(text.splitlines()) or 1, help="the text of the file is the prompt")
    return AgentDefinition(name=path.stem, prompt=body, path=path, **_checked(settings, text))  # type: ignore[arg-type]


def place_of(definition: AgentDefinition, text: str) -> tuple[int, int, str]:
    """Line, column and the whole line of the first `text` in the file of an agent; the file's beginning if it is not
    there any more."""
    try:
        lines = read_source(definition.path, definition.path.name).text.splitlines()
    except UserError:
        lines = []
    for number, line in enumerate(lines, 1):
        at = line.find(text)
        if at >= 0:
            return number, at + 1, line
    return 1, 1, ""


def _split(text: str) -> tuple[Mapping[str, object], str]:
    """Front matter and prompt. Without a second `---` line all of it is prompt."""
    from frontmatter.default_handlers import YAMLHandler  # late: only files with front matter pay for YAML
    from yaml import MarkedYAMLError, YAMLError

    handler = YAMLHandler()
    stripped = text.strip()
    try:
        written, body = handler.split(stripped)
    except ValueError:
        return {}, stripped
    try:
        settings = handler.load(written)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (1, 1) if mark is None else (mark.line + 1, mark.column + 1)
        problem = (error.problem or error.context or "it can't be read").strip()
        raise _at(text, line, column, f"its front matter is not valid YAML: {problem}", _yaml_help(written)) from None
    except (YAMLError, ValueError, RecursionError) as error:
        problem = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _at(text, 1, 1, f"its front matter is not valid YAML: {problem}", _yaml_help(written)) from None
    if settings is None:
        settings = {}
    if not isinstance(settings, dict):
        raise _at(text, 2, 1, "its front matter is not a map of names and values", "write `name: value`, one per line")
    return settings, body.strip()


def _checked(settings: Mapping[str, object], text: str) -> dict[str, object]:
    """The settings that mean something here; others, such as `description` and `tools`, are for other programs."""
    found: dict[str, object] = {}
    role = settings.get("role", "reviewer")
    if role not in _ROLES:
        raise _wrong(text, "role", f"`role` is {_said(role)}", "a role is `actor` or `reviewer`")
    found["role"] = cast("Role", role)
    can_commit = settings.get("can_commit", False)
    if not isinstance(can_commit, bool):
        raise _wrong(text, "can_commit", f"`can_commit` is {_said(can_commit)}", "it is `true` or `false`")
    if can_commit and role != "actor":
        raise _wrong(text, "can_commit", "a reviewer can't have `can_commit`", "write `role: actor` as well")
    found["can_commit"] = can_commit
    for name in ("model", "runtime"):
        value = settings.get(name)
        if value is None:
            continue
        if not isinstance(value, str) or not value.strip():
            raise _wrong(text, name, f"`{name}` is {_said(value)}", f"it is the name of a {name}, as text")
        found[name] = value.strip()
    return found


# ── what is wrong ─────────────────────────────────────────────────────────────────────────────────
def _unreadable(error: UserError) -> AgentProblem:
    """The file can't be read as text at all; the loader's sentence begins with the file's name, which others write."""
    if error.code == "not-utf8":
        _, _, place = error.message.partition(": ")
        line = place.rpartition("line ")[2]
        return AgentProblem(f"it is not UTF-8 text: {place}", int(line) if line.isdigit() else 1, help=error.help)
    if error.code == "file-too-large":
        return AgentProblem("it is larger than 16 MiB", help="an agent file is a prompt")
    return AgentProblem(f"it can't be read: {error.message}")


def _wrong(text: str, name: str, message: str, help: str) -> AgentProblem:
    line, column = _place_of_key(text, name)
    return _at(text, line, column, message, help, offset=0)


def _at(
    text: str, line: int, column: int, message: str, help: str | None = None, *, offset: int | None = None
) -> AgentProblem:
    """A problem at a place of the front matter; `offset` is the line of the file on which that begins."""
    lines = text.splitlines() or [""]
    if offset is None:
        offset = next((number for number, one in enumerate(lines) if one.strip()), 0)
    number = min(line + offset, len(lines))
    return AgentProblem(message, number, column, excerpt=lines[number - 1], help=help)


def _place_of_key(text: str, name: str) -> tuple[int, int]:
    """Line and column, in the file, of the value of a top-level key of the front matter."""
    import yaml  # late: on the way to an error

    start = text.find(_FENCE)
    line_of_start = text.count("\n", 0, start)
    written = text[start + len(_FENCE) :].split(f"\n{_FENCE}")[0]
    root: Node | None = yaml.compose(written, Loader=yaml.SafeLoader)
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == name:
                return line_of_start + value.start_mark.line + 1, value.start_mark.column + 1
    return line_of_start + 1, 1


def _yaml_help(written: str) -> str:
    if "\t" in written:
        return "YAML is indented with spaces, not with tabs"
    return "write one `name: value` per line, from the left edge; text with a `:` in it stands in quotes"


def _said(value: object) -> str:
    if isinstance(value, dict | list | set):  # its aliases may stand for more than anybody can print
        return "a map" if isinstance(value, dict) else "a list"
    text = value if isinstance(value, str) else str(value)
    return f"`{text if len(text) <= 40 else text[:39] + '…'}`"
