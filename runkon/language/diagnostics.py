"""Findings about source text, and the only place where their wording lives.

A diagnostic is data: a stable code, a severity, one sentence, the span it points at, and what to do. `CATALOGUE`
holds one entry per code; `diagnose` fills its wording. Drawing is `render.py`'s business.
"""

from __future__ import annotations

from runkon.frozen import value_class
from runkon.language.source import Span
from runkon.language.wording import CHECKS, Severity, Wording
from runkon.named import NamedTuple

__all__ = ["CATALOGUE", "Diagnostic", "Related", "Severity", "Wording", "diagnose"]

_LONGEST_NAME = 300  # characters of the text that a sentence repeats


class Related(NamedTuple):
    """A second place that belongs to a finding, with its own short label: `first defined here`."""

    span: Span
    label: str


@value_class(frozen=True, slots=True)
class Diagnostic:
    """One finding. `message` is lower case, names in backticks, no full stop; `label` stands behind the carets."""

    code: str
    severity: Severity
    message: str
    span: Span
    label: str = ""
    help: str | None = None
    related: tuple[Related, ...] = ()


CATALOGUE: dict[str, Wording] = {
    # ── syntax ────────────────────────────────────────────────────────────────────────────────────
    "unexpected-character": Wording(
        about="a character that means nothing outside strings and comments",
        message="unexpected character {found}",
    ),
    "unexpected-token": Wording(
        about="a word or sign in a place where it does not fit",
        message="unexpected {found}",
        label="expected {expected}",
    ),
    "unterminated-string": Wording(
        about="a string without its closing quote",
        message="unterminated string",
        label="the string that starts here is not closed on its line",
        help='close it with `"`, or put text of several lines between `"""`',
    ),
    "unterminated-escape": Wording(
        about="a text that ends behind a backslash inside a string",
        message="unterminated escape: the text ends right behind a backslash",
        label="in the string that starts here",
    ),
    "unescaped-default": Wording(
        about="a default in double quotes inside a string in double quotes",
        message="the quote in front of `{default}` ends the string",
        label="write `'{text}'`",
        help="inside a string the default of a placeholder stands in single quotes: `{{{{{name} ?? '{text}'}}}}`",
    ),
    "no-workflow": Wording(
        about="a file with nothing but white space and comments",
        message="the file holds no workflow",
        label="expected `workflow`",
        help="start with `workflow name {{ … }}`",
    ),
    "expected-workflow": Wording(
        about="a file that starts with something else than a workflow",
        message="unexpected {found} at the start of the file",
        label="expected `workflow`",
        help="a file starts with `workflow name {{ … }}`",
    ),
    "text-after-workflow": Wording(
        about="anything but another workflow behind the closing brace of a workflow",
        message="unexpected {found} after the end of the workflow",
        label="expected another `workflow` or the end of the file",
    ),
    "extra-brace": Wording(
        about="a closing brace that no block is waiting for",
        message="this `}}` closes nothing, or the workflow too early",
        label="one brace too many",
    ),
    "unknown-statement": Wording(
        about="a word at the place of a statement that begins none",
        message="unknown statement `{word}`",
        label="expected {expected}",
    ),
    "not-available": Wording(
        about="a statement that a later version of the language has: `graph`",
        message="the statement `{word}` is not available in this version",
        label="not available yet",
    ),
    "else-without-if": Wording(
        about="an `else` that does not follow the block of an `if`, `unless` or `else if`",
        message="this `else` follows no `if`",
        help="`else` stands directly behind the `}}` of its `if`",
    ),
    "obsolete-do": Wording(
        about="the old form of `do` with its condition in front",
        message="`do` takes no condition in front of its block",
        label="expected `{{`",
        help="write `do {{ … }} while step.marker`",
    ),
    "missing-equals": Wording(
        about="an option without the `=` between name and value",
        message="missing `=` after `{option}`",
        label="expected `=`",
    ),
    "missing-value": Wording(
        about="an option without a value",
        message="`{option}` has no value",
        label="expected a value",
    ),
    "missing-name": Wording(
        about="a keyword or an operator without the name or condition it needs",
        message="{missing} is missing after `{before}`",
        label="expected {expected}",
    ),
    "missing-brace": Wording(
        about="a block without its opening brace",
        message="missing `{{` after `{head}`",
        label="expected `{{`",
    ),
    "quoted-name": Wording(
        about="a name in quotes",
        message="the name after `{before}` stands without quotes",
        label="expected a name",
    ),
    "reserved-word": Wording(
        about="a keyword in the place of a name",
        message="`{word}` is a keyword and cannot be a name here",
        label="expected a name",
    ),
    "unclosed-block": Wording(
        about="a block without its closing brace",
        message="the block of `{head}` is never closed",
        label="opened here",
        help="add the missing `}}`",
    ),
    "unclosed-bracket": Wording(
        about="a list or a pair of parentheses that is not closed",
        message="missing `{closing}`",
        label="opened here",
    ),
    "too-many-errors": Wording(
        about="so many syntax errors in one file that reading on makes no sense",
        message="too many errors; the rest of the file was not read",
    ),
    "nesting-too-deep": Wording(
        about="more than 100 blocks, lists, maps or parentheses inside each other",
        message="nested more than {limit} levels deep",
        help="join nested conditions with `and`, and leave out groups and parentheses that change nothing",
    ),
    "invalid-condition": Wording(
        about="text in quotes that should be a condition and is none",
        message="`{found}` is not a condition",
        label="does not fit here",
        help='a condition is a reference or a comparison: `step.marker`, `step.field == "text"`',
    ),
    "invalid-declaration": Wording(
        about="a part of an `inputs` or `state` section that belongs to no declaration",
        message="unexpected part of a declaration",
        label="expected {expected}",
    ),
    "type-as-input": Wording(
        about="an input that is called like a type, right behind the name of another one",
        message="`{word}` is no type, so this declares an input named `{word}`",
        severity=Severity.WARNING,
    ),
    "option-after-statement": Wording(
        about="an option behind the first statement of its block",
        message="option `{option}` comes after a statement",
        label="options stand before the statements of a block",
    ),
    "option-out-of-place": Wording(
        about="an option where only sections and statements may stand",
        message="option `{option}` stands directly in the `{owner}`",
        label="expected a statement or a section",
        help="options of the whole workflow stand in `meta {{ … }}`",
    ),
    "misplaced-section": Wording(
        about="`meta`, `inputs`, `outputs` or `state` inside a block",
        message="`{section}` stands inside a block",
        label="expected a statement",
        help="put `{section} {{ … }}` directly into the workflow",
    ),
    "loose-while": Wording(
        about="a `while` without a block that follows no `do`",
        message="this `while` has no block and follows no `do`",
        help="write `while condition {{ … }}`, or `do {{ … }} while condition`",
    ),
    "foreach-without-list": Wording(
        about="a `foreach` with statements but without `in`",
        message="`foreach {name}` has statements but no list to go through",
        help="write `foreach {name} in LIST {{ … }}`, or name a `workflow` and leave the statements out",
    ),
    # ── options ───────────────────────────────────────────────────────────────────────────────────
    "unknown-option": Wording(
        about="an option that the statement does not have",
        message="unknown option `{option}` for `{owner}`",
    ),
    "duplicate-option": Wording(
        about="an option given twice, also under another of its names",
        message="option `{option}` of `{owner}` is given twice",
        label="given again here",
    ),
    "duplicate-key": Wording(
        about="a key that stands twice in one map",
        message="key `{key}` is given twice",
        label="given again here",
    ),
    "missing-option": Wording(
        about="an option that the statement cannot do without",
        message="`{owner}` needs the option `{option}`",
        label="`{option}` is missing",
        help="add `{option} = …` ({about})",
    ),
    "invalid-value": Wording(
        about="a value that the option, the input or the place does not take",
        message="invalid `{option}`: expected {expected}",
    ),
    "conflicting-options": Wording(
        about="two options that exclude each other",
        message="cannot specify both `{option}` and `{other}`",
        label="leave out one of them",
    ),
    "path-traversal": Wording(
        about="an agent path that climbs out of the project with `..`",
        message="parent-directory traversal in the agent path `{found}`",
        label="`..` is not allowed here",
    ),
    "empty-parallel": Wording(
        about="a parallel block without a single branch",
        message="`parallel` must contain at least one branch",
        help="put at least one statement after the options",
    ),
    "min-success-unreachable": Wording(
        about="a parallel block that asks for more successes than it has branches",
        message="`min_success` asks for {wanted}, but the block has only {branches}",
        label="can never be reached",
    ),
    "inactive-trigger": Wording(
        about="a trigger that is accepted but starts nothing",
        message="trigger `{trigger}` is not active: only `manual` starts a run",
        severity=Severity.WARNING,
    ),
    **CHECKS,
}


# Errors about options and their values: the tree around them is what the author wrote.
OPTION_CODES = frozenset(
    {
        "unknown-option", "duplicate-option", "duplicate-key", "missing-option", "invalid-value",
        "conflicting-options", "path-traversal", "empty-parallel", "min-success-unreachable",
    }
)  # fmt: skip


def diagnose(
    code: str,
    span: Span,
    *,
    label: str | None = None,
    help: str | None = None,
    related: tuple[Related, ...] = (),
    **names: object,
) -> Diagnostic:
    """The diagnostic `code` at `span`, worded by the catalogue; `label` and `help` given here take precedence.

    Raises KeyError for a code the catalogue does not have, or a name its wording needs and the call lacks."""
    wording = CATALOGUE[code]
    short = {key: _short(name) if isinstance(name, str) else name for key, name in names.items()}
    return Diagnostic(
        code=code,
        severity=wording.severity,
        message=wording.message.format(**short),
        span=span,
        label=wording.label.format(**short) if label is None else _short(label),
        help=(wording.help.format(**short) if wording.help else None) if help is None else help,
        related=related,
    )


def _short(text: str) -> str:
    """Text of a file, fit for a sentence: one line, and an end."""
    if len(text) <= _LONGEST_NAME and "\n" not in text:
        return text
    return text.partition("\n")[0][: _LONGEST_NAME - 1] + "…"
