"""Text of agents and people on its way into a shell: warned about where quoting cannot hold it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from runkon.language.checks.context import Context
from runkon.language.checks.flow import Scope, Template, sites
from runkon.language.checks.templates import is_given, placeholder_span
from runkon.language.diagnostics import Diagnostic, diagnose
from runkon.language.nodes import ScriptStep
from runkon.language.shell_text import ShellPlace, shell_places
from runkon.language.template import Placeholder, parse_template
from runkon.pattern import pattern

_FROM_STEPS = frozenset({"prior_context", "prior_contexts", "prior_output", "gate_feedback", "failure_reason"})
_TAKEN = pattern(
    r"PATH|HOME|USER|SHELL|(OLD)?PWD|IFS|ENV|LANG|LC_ALL|TERM|TMPDIR|HOSTNAME|LOGNAME|MAIL|EDITOR|PAGER|E?UID|PPID|RANDOM|"
    r"SECONDS|LINENO|OPTARG|OPTIND|PS[124]|CDPATH|(LD|DYLD)_\w+|PYTHONPATH|RUBYLIB|NODE_PATH|GH_TOKEN"
)  # variables with a meaning of their own
_SHELLS = frozenset({"sh", "bash", "zsh", "dash", "ksh"})
_READERS = {
    "awk": 'ENVIRON["{0}"]', "gawk": 'ENVIRON["{0}"]', "mawk": 'ENVIRON["{0}"]', "jq": "$ENV.{0}", "yq": "env({0})",
    "python": 'os.environ["{0}"]', "python3": 'os.environ["{0}"]', "node": "process.env.{0}", "perl": "$ENV{{{0}}}",
    "ruby": 'ENV["{0}"]',
}  # fmt: skip
_SEPARATOR = pattern(r"[;|&\n(`]+")
_SKIPPED = frozenset({"sudo", "env", "exec", "time", "nohup", "command", "then", "do", "else", "if", "while", "!"})
_SCRIPT_FLAG = pattern(r"-\w*c")


def check_tainted_shell(context: Context) -> Iterable[Diagnostic]:
    """A placeholder inside quotes of shell text, or where a command reads its words as commands, whose value comes from
    a step or a gate. In the open it is safe: there the engine quotes every value itself."""
    for site in sites(context):
        if not isinstance(site, Template) or site.script is None or "{{" not in site.text:
            continue
        pieces = [piece for piece in parse_template(site.text) if isinstance(piece, Placeholder)]
        found = shell_places(site.text)
        for piece, is_protected, place in zip(pieces, found.protected, found.places, strict=True):
            words = _words(place.before)
            is_read = _reads_commands(words)
            if (is_protected and not is_read) or not _comes_from_step(piece, site.scope, context):
                continue
            variable = _variable(piece, site.script)
            how = f"is read as a command by `{words[0]}`" if is_protected else "stands inside quotes of shell text"
            span = placeholder_span(piece, site.text, site.span, context.source)
            rewrite = f'`env = {{ {variable} = "{piece.raw}" }}`, and {_instead(place, words, variable)}'
            yield diagnose("tainted-shell", span, raw=piece.raw, how=how, help=f"pass it as a variable: {rewrite}")


def _variable(piece: Placeholder, script: ScriptStep) -> str:
    """A name for the value that no other variable of the script, and nothing of the shell, has."""
    name = "".join(char if char.isalnum() and char.isascii() else "_" for char in piece.name).upper()
    name = f"_{name}" if name[:1].isdigit() else name
    is_taken = _TAKEN.fullmatch(name) or any(entry.name == name for entry in script.env)
    return f"{name}_VALUE" if is_taken else name


def _instead(place: ShellPlace, words: list[str], variable: str) -> str:
    """What to write in place of the placeholder, so that it means the same and no value can be more than text."""
    program = words[0] if words else ""
    if _reads_commands(words) and program in _SHELLS:
        return f'put the script of `{program} -c` into single quotes, with "${variable}" in place of the value'
    if _reads_commands(words):
        return f'call the command itself, with "${variable}" as its argument, not through `{program}`'
    if program == "ssh" and place.quotes != "open":
        return f'send it on standard input: `printf %s "${variable}" | ssh …`'
    if place.quotes in ("single", "double") and program in _READERS:
        return f"read it in the program of `{program}`: `{_READERS[program].format(variable)}`"
    name = f"${{{variable}}}" if place.following.isalnum() or place.following == "_" else f"${variable}"
    match place.quotes:
        case "single":
            return f"write '\"{name}\"' in its place, which ends the single quotes and begins them again"
        case "double" | "heredoc":
            return f"write {name} in its place"
        case "quoted heredoc":
            return f"write {name} in its place, and the word after `<<` without quotes"
        case "comment":
            return "take it out of the comment"
        case _:
            return f'write "{name}" in `run`'


def _reads_commands(words: list[str]) -> bool:
    """True if the next word is commands to the program: of `eval`, or right after `sh -c`."""
    if not words:
        return False
    flags = words[1:]
    is_script = bool(flags) and all(flag.startswith("-") for flag in flags) and bool(_SCRIPT_FLAG.fullmatch(flags[-1]))
    return words[0] == "eval" or (words[0] in _SHELLS and is_script)


def _words(before: str) -> list[str]:
    """The words of the command that is being written, from its program on."""
    words = _SEPARATOR.split(before)[-1].split()
    while words and (words[0] in _SKIPPED or "=" in words[0].partition("/")[0]):
        words = words[1:]
    return [PurePosixPath(words[0]).name, *words[1:]] if words else []


def _comes_from_step(piece: Placeholder, scope: Scope, context: Context) -> bool:
    if piece.name in _FROM_STEPS:
        return True
    if is_given(piece.name, scope, context):
        return False
    if len(piece.parts) > 1:
        return bool(scope.producers(piece.parts[0]))
    return scope.exports or piece.name in scope.exported
