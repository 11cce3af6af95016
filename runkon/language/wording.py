"""The wording of one code, and of every code that checks report. `diagnostics.py` puts the whole catalogue together."""

from __future__ import annotations

from enum import StrEnum

from runkon.named import NamedTuple


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


class Wording(NamedTuple):
    """The text of one code. All but `about` are format strings over the keyword arguments of `diagnose`."""

    about: str  # one line for the documentation: when this code is reported
    message: str
    label: str = ""
    help: str | None = None
    severity: Severity = Severity.ERROR


CHECKS: dict[str, Wording] = {
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
    "inside-items": Wording(
        about="a result of a step in the body of a `foreach`, read outside of it",
        message="`{name}` has no result at this {place}: it runs once for each item of `{loop}`",
        help="`{loop}.items` is the list of what the items gave, `{loop}.succeeded` and `{loop}.failed` count them",
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
    "unreachable": Wording(
        about="a statement that no run comes to: behind a condition that never changes, or in an empty loop",
        message="this never runs: {reason}",
        severity=Severity.WARNING,
    ),
    "unknown-variable": Wording(
        about="a placeholder or reference that nothing gives a value",
        message="nothing gives `{name}` a value here",
        severity=Severity.WARNING,
    ),
    "unclosed-placeholder": Wording(
        about="a `{{` before the name of an input or a step, without its `}}`",
        message="`{{{{{name}` is never closed, so it stays as it is written",
        help="close it: `{{{{{name}}}}}`",
        severity=Severity.WARNING,
    ),
    "unquoted-default": Wording(
        about="a default of a placeholder that stands without quotes: it is text, never a reference",
        message="the default of `{name}` stands without quotes, so it is the text `{default}`",
        help="write `{{{{{name} ?? '{default}'}}}}` if that text is meant; a default can't be another reference",
        severity=Severity.WARNING,
    ),
    "marker-not-status": Wording(
        about="a test for a marker such as `completed` where the status of the script must be meant",
        message="`{key}.{word}` asks for a marker `{word}`, and nothing in the script's text gives one",
        help='did you mean `{key}.status == "{word}"`?',
        severity=Severity.WARNING,
    ),
    "unknown-channel": Wording(
        about="`state.NAME`, or an update in `set`, that no `state` block declares",
        message="no state channel named `{name}` is declared",
        help="declare it: `state {{ {name} text }}`",
    ),
    "duplicate-channel": Wording(
        about="a state channel that is declared twice",
        message="state channel `{name}` is declared twice",
        help="rename one of them, or leave one out",
    ),
    "reducer-type": Wording(
        about="a state channel whose type its reducer can't work on",
        message="reducer `{reducer}` can't work on `{name}`, a {type} channel",
        label="needs {expected}",
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
        about="text of an agent or a person where quoting can't protect it: in quotes of shell text, or after `eval`",
        message="`{raw}` comes from a step and {how}",
        label="can't be quoted safely here",
        severity=Severity.WARNING,
    ),
    "cache-of-writer": Wording(
        about="`cache` on a step that may change something outside, as scripts do unless they say otherwise",
        message="the answer of `{name}` can't be used again: {why}",
        help="take `cache` out, or say `effect = read` if the step changes nothing",
    ),
    "cache-of-secret": Wording(
        about="`cache` on a step that is given a secret",
        message="the answer of `{name}` can't be used again: it is given the secret `{secret}`",
        help="take `cache` out: what depends on a secret is not shared between runs",
    ),
    # ── checks: things that must be there ─────────────────────────────────────────────────────────
    "unknown-agent": Wording(
        about="a `call` of something that is neither a registered executor nor an agent file",
        message="there is no agent or executor `{name}`",
    ),
    "unknown-runtime": Wording(
        about="an agent file that nothing installed can run, or for which nothing says what runs it",
        message="{reason}",
        help="install a plugin that brings a runtime, or choose another one with `executor = NAME`",
    ),
    "broken-agent": Wording(
        about="an agent file that can't be read, has a broken front matter, or no prompt",
        message="{reason}",
    ),
    "secret-in-prompt": Wording(
        about="a placeholder that would put a secret into a prompt",
        message="{reason}",
        help="agents never see secrets: give it to a script through `env`, or to the runtime by its settings",
    ),
    "secret-in-command": Wording(
        about="a placeholder that would put a secret into the text of a command",
        message="`{raw}` would put a secret into a command",
        help="secrets reach the environment only: {instead}",
    ),
    "unknown-executor": Wording(
        about="an executor that no plugin has registered",
        message="there is no executor `{name}`",
        help="install the plugin that brings it; `runkon plugins` lists what there is",
    ),
    "unlisted-variable": Wording(
        about="a read of an environment variable that no setting lists",
        message="workflows here may not read the environment variable `{name}`",
        help="list it in `runkon.toml`: `env = [{listed}]`; its value is then kept in the record of each run",
    ),
    "unknown-provider": Wording(
        about="a `foreach` over a provider that no plugin has registered",
        message="there is no item provider `{name}`",
    ),
    "unknown-reducer": Wording(
        about="a state channel with a reducer that no plugin has registered",
        message="there is no reducer `{name}`",
    ),
    "unknown-gate": Wording(
        about="a gate of a type that no plugin has registered",
        message="there is no gate of type `{name}`",
    ),
    "unknown-schema": Wording(
        about="an output schema that does not exist in the project",
        message="there is no schema `{name}`",
    ),
    "invalid-schema": Wording(
        about="an output schema, or the form of a gate, whose file can't be used",
        message="schema `{name}` can't be used: {problem} ({place})",
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
    "no-order": Wording(
        about="a `foreach` with `ordered = true` over a list, which says nothing about what waits for what",
        message="`ordered = true` changes nothing in foreach `{name}`: a list does not say what waits for what",
        help="take it out, or let a provider give the items",
        severity=Severity.WARNING,
    ),
    "shared-tree": Wording(
        about="agents that may commit, side by side in one working tree",
        message="`{name}` and {beside} may change the same files at the same time",
        help="`isolation = worktree` and `merge = auto` give each branch a tree of its own",
        severity=Severity.WARNING,
    ),
    # ── checks: what this version can't carry out ─────────────────────────────────────────────────
    "unsupported-construct": Wording(
        about="a construct that this version reads and checks but can't execute yet (reported by `run`)",
        message="`{construct}` can't be executed by this version of runkon yet",
        help="`runkon validate`, `fmt` and `graph` know it; nothing was started",
    ),
    "unsupported-option": Wording(
        about="an option that this version reads and checks but can't honour yet (reported by `run`)",
        message="option `{option}` of `{owner}` can't be honoured by this version of runkon yet",
        help="leave it out, or use a later version",
    ),
}
