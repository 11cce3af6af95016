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


CATALOGUE: dict[str, Wording] = {}


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
