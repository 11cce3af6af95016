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
    "unterminated-string": Wording(
        about="a string without its closing quote",
        message="unterminated string",
        label="the string that starts here is not closed on its line",
        help="close it with `\"`, or put text of several lines between `\"\"\"`",
    ),
    "unterminated-escape": Wording(
        about="a text that ends behind a backslash inside a string",
        message="unterminated escape: the text ends right behind a backslash",
        label="in the string that starts here",
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
        about="a statement that a later version of the language has: `graph`, `state`, `set`",
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
        message="something is missing after `{before}`",
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
        about="more than 100 syntax errors in one file",
        message="more than {limit} errors; the rest of the file was not read",
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
    # ── checks: names and references ──────────────────────────────────────────────────────────────
    "unknown-step": Wording(
        about="a condition, gate or value that reads the result of a step which does not exist at that point",
        message="no step named `{name}` comes before this {place}",
    ),
    "later-step": Wording(
        about="a condition, gate or value that reads the result of a step which runs only afterwards",
        message="`{name}` has no result yet: it runs after this {place}",
        help="move the step before this place, or test it in a `do … while`",
    ),
    "other-branch": Wording(
        about="a branch of a `parallel` or `if` that reads the result of another branch of the same block",
        message="`{name}` has no result at this {place}: it belongs to another branch of the same block",
        help="read it after the block",
    ),
    "unknown-input": Wording(
        about="a bare name in a condition, or `inputs.NAME`, that no `inputs` block declares",
        message="no input named `{name}` is declared",
        help="declare it: `inputs {{ {name} boolean }}`",
    ),
    "input-not-boolean": Wording(
        about="an input that stands alone as a test but is not declared `boolean`",
        message="input `{name}` is a {type}, so it can't be a test by itself",
        help='declare it `boolean`, or compare it: `{name} == "…"`',
    ),
    "never-true": Wording(
        about="a test that is false whatever happens, such as a marker that a gate never gives",
        message="`{text}` is never true: {reason}",
        severity=Severity.WARNING,
    ),
    "unknown-variable": Wording(
        about="a placeholder or reference that nothing gives a value",
        message="nothing gives `{name}` a value here",
        severity=Severity.WARNING,
    ),
    "duplicate-input": Wording(
        about="an input that is declared twice",
        message="input `{name}` is declared twice",
        label="this declaration counts",
        severity=Severity.WARNING,
    ),
    "duplicate-workflow": Wording(
        about="two workflows with one name in one file",
        message="there are two workflows named `{name}` in this file",
        label="also `{name}`",
        help="rename one of them",
    ),
    "ambiguous-key": Wording(
        about="two different agent files whose results would be stored under one key",
        message="the results of `{first}` and `{second}` would both be called `{key}`",
        label="also `{key}`",
        help="give one of them a name of its own: `id = OTHER-NAME`",
    ),
    "tainted-shell": Wording(
        about="text of an agent or a person that is put inside quotes of shell text, where quoting can't protect it",
        message="`{raw}` comes from a step and stands inside quotes of shell text",
        label="can't be quoted safely here",
        help='pass it as a variable: `env = {{ {variable} = "{raw}" }}`, and write "${variable}" in `run`',
        severity=Severity.WARNING,
    ),
    # ── checks: things that must be there ─────────────────────────────────────────────────────────
    "unknown-agent": Wording(
        about="a `call` of something that is neither a registered executor nor an agent file",
        message="there is no agent or executor `{name}`",
    ),
    "unknown-runtime": Wording(
        about="an agent file that nothing installed can run",
        message="nothing here can run the agent file `{name}`: no runtime is registered",
        help="install a plugin that brings a runtime, or choose another one with `executor = NAME`",
    ),
    "unknown-executor": Wording(
        about="an executor that no plugin has registered",
        message="there is no executor `{name}`",
        help="install the plugin that brings it; `runkon plugins` lists what there is",
    ),
    "unknown-provider": Wording(
        about="a `foreach` over a provider that no plugin has registered",
        message="there is no item provider `{name}`",
    ),
    "unknown-gate": Wording(
        about="a gate of a type that no plugin has registered",
        message="there is no gate of type `{name}`",
    ),
    "unknown-schema": Wording(
        about="an output schema that does not exist in the project",
        message="there is no schema `{name}`",
    ),
    "unknown-snippet": Wording(
        about="a prompt snippet that does not exist in the project",
        message="there is no prompt snippet `{name}`",
    ),
    "unknown-script": Wording(
        about="a script file that does not exist in the project",
        message="script `{name}` runs `{run}`, which does not exist in the project",
    ),
    "script-not-executable": Wording(
        about="a script file that is there but can't be started",
        message="script `{name}` can't run `{run}`: {reason}",
        help="make it executable: `chmod +x {path}`",
    ),
    # ── checks: workflows that call workflows ─────────────────────────────────────────────────────
    "unknown-workflow": Wording(
        about="a `call workflow` or `foreach` whose target can't be found",
        message="there is no workflow `{name}`",
    ),
    "broken-workflow": Wording(
        about="a `call workflow` or `foreach` whose target has errors itself",
        message="workflow `{name}` has errors: {reason}",
        help="see all of them: runkon validate {file}",
    ),
    "missing-workflow-input": Wording(
        about="a required input of a called workflow that the call does not pass",
        message="workflow `{workflow}` requires the input `{input}`, which is not passed here",
        help="pass it: `inputs = {{ {input} = … }}`",
    ),
    "workflow-cycle": Wording(
        about="workflows that call each other in a circle",
        message="circular call of workflows: {chain}",
    ),
    "workflow-too-deep": Wording(
        about="workflows that call each other more levels deep than runkon follows",
        message="workflows are nested deeper than {limit} levels: {chain}",
    ),
    "skip-without-order": Wording(
        about="a `foreach` that should skip dependent items but has no order among them",
        message="`skip_dependents` needs `ordered = true` in foreach `{name}`",
    ),
    # ── checks: what this version can't carry out ─────────────────────────────────────────────────
    "unsupported-construct": Wording(
        about="a construct that this version reads and checks but can't execute yet (reported by `run`)",
        message="`{construct}` can't be executed by this version of runkon yet",
    ),
    "unsupported-option": Wording(
        about="an option that this version reads and checks but can't honour yet (reported by `run`)",
        message="option `{option}` of `{owner}` can't be honoured by this version of runkon yet",
        help="leave it out, or use a later version",
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
