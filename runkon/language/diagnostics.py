"""Findings about source text, and the only place where their wording lives.

A diagnostic is data: a stable code, a severity, one sentence, the span it points at, and what to do. `CATALOGUE`
holds one entry per code; `diagnose` fills its wording. Drawing is `render.py`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from runkon.language.source import Span


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Related(NamedTuple):
    """A second place that belongs to a finding, with its own short label: `first defined here`."""

    span: Span
    label: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `message` is lower case, names in backticks, no full stop; `label` stands behind the carets."""

    code: str
    severity: Severity
    message: str
    span: Span
    label: str = ""
    help: str | None = None
    related: tuple[Related, ...] = ()


class Wording(NamedTuple):
    """The text of one code. All but `about` are format strings over the keyword arguments of `diagnose`."""

    about: str  # one line for the documentation: when this code is reported
    message: str
    label: str = ""
    help: str | None = None
    severity: Severity = Severity.ERROR


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
    "nesting-too-deep": Wording(
        about="more than 100 blocks, lists, maps or parentheses inside each other",
        message="nested more than {limit} levels deep",
        help="move the inner part into a workflow of its own and `call workflow` it",
    ),
    "invalid-condition": Wording(
        about="text in quotes that should be a condition and is none",
        message="`{option}` needs a condition",
        label="expected {expected}",
    ),
    "invalid-declaration": Wording(
        about="a part of an `inputs` section that belongs to no declaration",
        message="unexpected part of an input declaration",
        label="expected {expected}",
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
        about="`meta`, `inputs` or `outputs` inside a block",
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
        message="`min_success` asks for {wanted}, but the block has only {branches} branches",
        label="can never be reached",
    ),
    "inactive-trigger": Wording(
        about="a trigger that is accepted but starts nothing",
        message="trigger `{trigger}` is not active: only `manual` starts a run",
        severity=Severity.WARNING,
    ),
}


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
    return Diagnostic(
        code=code,
        severity=wording.severity,
        message=wording.message.format(**names),
        span=span,
        label=wording.label.format(**names) if label is None else label,
        help=(wording.help.format(**names) if wording.help else None) if help is None else help,
        related=related,
    )
