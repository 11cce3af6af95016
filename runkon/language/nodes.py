"""The whole syntax tree on one page. Nodes are frozen, slotted, and compare without their spans.

Every block keeps two views of its options: typed fields, which checks and engine read, and `written`, the entries as
they stand in the file, which the formatter prints and diagnostics point at; of a tree from the cache they are made
when somebody asks. Durations are whole milliseconds.
`kind` names the construct and is the tag of the JSON form.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, Union

from runkon.frozen import Late
from runkon.frozen import frozen as node
from runkon.language.source import Span

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


class _ByKind:
    """Tells pydantic to choose the member of a union by its `kind`: trying each takes time exponential in depth."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        # late: only where a tree becomes JSON or comes from it
        from pydantic import Discriminator

        return Discriminator("kind").__get_pydantic_core_schema__(source, handler)


# A span never takes part in equality or repr: two texts that say the same are the same program.


# ── values ────────────────────────────────────────────────────────────────────────────────────────
@node
class Text:
    """A quoted string, decoded; `multiline` if it was written with three quotes. May hold `{{templates}}`."""

    span: Span = field(compare=False, repr=False)
    text: str
    multiline: bool = field(default=False, compare=False)
    kind: Literal["text"] = "text"


@node
class Word:
    """A bare word or dotted reference as a value: `continue`, `true`, `scan.files`."""

    span: Span = field(compare=False, repr=False)
    text: str
    kind: Literal["word"] = "word"


@node
class Number:
    """A number; `text` is canonical (`007` is `7`, `-1.50` is `-1.5`)."""

    span: Span = field(compare=False, repr=False)
    text: str
    kind: Literal["number"] = "number"


@node
class DurationValue:
    """A duration as a bare value: `1h30m`."""

    span: Span = field(compare=False, repr=False)
    text: str
    milliseconds: int
    kind: Literal["duration"] = "duration"


@node
class ListValue:
    span: Span = field(compare=False, repr=False)
    items: tuple[Value, ...]
    kind: Literal["list"] = "list"


@node
class MapValue:
    span: Span = field(compare=False, repr=False)
    entries: tuple[Entry, ...]
    kind: Literal["map"] = "map"


@node
class Entry:
    """`name = value`: an option, a map entry, an output, an input passed on. A condition stands as a value only
    behind `if` and `until`."""

    span: Span = field(compare=False, repr=False)
    name: str
    name_span: Span = field(compare=False, repr=False)
    value: Value
    kind: Literal["entry"] = "entry"


# ── conditions ────────────────────────────────────────────────────────────────────────────────────
@node
class Reference:
    """`plan.ok`, `inputs.x`, `x`: the parts between the dots, at least one."""

    span: Span = field(compare=False, repr=False)
    parts: tuple[str, ...]
    kind: Literal["reference"] = "reference"


@node
class Constant:
    """A constant operand. A duration stands for its seconds. `text` is how it is written canonically."""

    span: Span = field(compare=False, repr=False)
    value: str | int | float | bool | None
    text: str
    kind: Literal["literal"] = "literal"


@node
class ListLiteral:
    span: Span = field(compare=False, repr=False)
    items: tuple[Operand, ...]
    kind: Literal["list_literal"] = "list_literal"


@node
class Compare:
    span: Span = field(compare=False, repr=False)
    left: Operand
    op: Literal["==", "!=", "<", "<=", ">", ">=", "in"]
    right: Operand
    kind: Literal["compare"] = "compare"


@node
class Not:
    span: Span = field(compare=False, repr=False)
    operand: Condition
    kind: Literal["not"] = "not"


@node
class And:
    """At least two operands, none of them an `And`."""

    span: Span = field(compare=False, repr=False)
    operands: tuple[Condition, ...]
    kind: Literal["and"] = "and"


@node
class Or:
    """At least two operands, none of them an `Or`."""

    span: Span = field(compare=False, repr=False)
    operands: tuple[Condition, ...]
    kind: Literal["or"] = "or"


Condition: TypeAlias = Annotated[
    Union["Reference", "Constant", "ListLiteral", "Compare", "Not", "And", "Or"], _ByKind()
]
Operand: TypeAlias = Condition  # parentheses make any condition an operand
Value: TypeAlias = Annotated[
    Union["Text", "Word", "Number", "DurationValue", "ListValue", "MapValue", Condition], _ByKind()
]


# ── options ───────────────────────────────────────────────────────────────────────────────────────
@node
class AgentRef:
    """Who is called: by `name`, or by `path` (quoted). `text` is as written."""

    span: Span = field(compare=False, repr=False)
    form: Literal["name", "path"]
    text: str
    kind: Literal["agent_ref"] = "agent_ref"


OnFail: TypeAlias = AgentRef | Literal["continue"] | None


@node
class StepOptions:
    """What every step accepts (`extensions.md` 4.3). Times in milliseconds; None where nothing was written."""

    id: str | None = None
    condition: Condition | None = None
    inputs: tuple[Entry, ...] = ()
    retries: int = 0
    backoff: Literal["fixed", "exponential"] | None = None
    delay: int | None = None
    max_delay: int | None = None
    jitter: bool | None = None
    retry_on: tuple[str, ...] = ("any",)
    timeout: int | None = None
    idle_timeout: int | None = None
    on_fail: OnFail = None
    fallback: AgentRef | None = None
    effect: Literal["pure", "read", "write"] | None = None
    on_unknown: Literal["rerun", "ask", "fail"] | None = None
    cache: bool | int | None = None  # an int is the age in milliseconds up to which an output is reused
    output: str | None = None
    snippets: tuple[str, ...] = ()  # `with`
    identity: str | None = None  # `as`
    model: str | None = None
    executor: str | None = None
    max_turns: int | None = None
    max_cost_usd: float | None = None
    plugin_dirs: tuple[str, ...] = ()
    isolation: Literal["none", "worktree"] | None = None
    merge: Literal["none", "auto", "keep"] | None = None


NO_OPTIONS = StepOptions()


# ── statements ────────────────────────────────────────────────────────────────────────────────────
@node
class CallStep:
    span: Span = field(compare=False, repr=False)
    agent: AgentRef
    options: StepOptions = NO_OPTIONS
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["call"] = "call"


@node
class ScriptStep:
    """`run` is shell text, or one word that names a file; `env` holds templates. `stream` is for graphs."""

    span: Span = field(compare=False, repr=False)
    name: str
    name_span: Span = field(compare=False, repr=False)
    run: str
    run_span: Span = field(compare=False, repr=False)
    env: tuple[Entry, ...] = ()
    stream: Literal["lines", "jsonl"] | None = None
    options: StepOptions = NO_OPTIONS
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["script"] = "script"


@node
class CallWorkflow:
    span: Span = field(compare=False, repr=False)
    workflow: str
    name_span: Span = field(compare=False, repr=False)
    options: StepOptions = NO_OPTIONS
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["call_workflow"] = "call_workflow"


@node
class IfArm:
    """One `if c { … }` or `else if c { … }`."""

    span: Span = field(compare=False, repr=False)
    condition: Condition
    body: tuple[Statement, ...]


@node
class IfBlock:
    """`if`/`unless` with its `else if` arms; `orelse` is None without `else`. `unless` negates the first arm only."""

    span: Span = field(compare=False, repr=False)
    negated: bool = False
    arms: tuple[IfArm, ...]
    orelse: tuple[Statement, ...] | None = None
    kind: Literal["if"] = "if"


@node
class WhileBlock:
    """`while c { … }`: the condition is tested before each iteration."""

    span: Span = field(compare=False, repr=False)
    condition: Condition
    max_iterations: int
    stuck_after: int | None = None
    on_max_iter: Literal["fail", "continue"] = "fail"
    body: tuple[Statement, ...]
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["while"] = "while"


@node
class DoWhileBlock:
    """`do { … } while c`: the condition is tested after each iteration."""

    span: Span = field(compare=False, repr=False)
    condition: Condition
    max_iterations: int
    stuck_after: int | None = None
    on_max_iter: Literal["fail", "continue"] = "fail"
    body: tuple[Statement, ...]
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["do_while"] = "do_while"


@node
class DoBlock:
    """A sequential group; `output` and `snippets` are inherited by the calls inside."""

    span: Span = field(compare=False, repr=False)
    name: str | None = None
    output: str | None = None
    snippets: tuple[str, ...] = ()
    body: tuple[Statement, ...]
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["do"] = "do"


@node
class ParallelBlock:
    span: Span = field(compare=False, repr=False)
    name: str | None = None
    fail_fast: bool = True
    min_success: int | None = None
    max_parallel: int | None = None
    until: Condition | None = None
    output: str | None = None
    snippets: tuple[str, ...] = ()
    isolation: Literal["none", "worktree"] | None = None
    merge: Literal["none", "auto", "keep"] | None = None
    body: tuple[Statement, ...]
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["parallel"] = "parallel"


@node
class AlwaysBlock:
    """A nested `always`: a body walk that starts with a clean failure flag."""

    span: Span = field(compare=False, repr=False)
    body: tuple[Statement, ...]
    kind: Literal["always"] = "always"


@node
class GateStep:
    """`type` is the word after `gate`; `key` the result key. `choices` are the static options as (key, label);
    `choices_from` is a step reference instead. The three quality fields belong to `quality_gate` only."""

    span: Span = field(compare=False, repr=False)
    type: str
    name_span: Span = field(compare=False, repr=False)
    key: str
    prompt: str | None = None
    min_approvals: int = 1
    mode: Literal["min_approvals", "review_decision"] = "min_approvals"
    timeout: int = 86_400_000
    on_timeout: Literal["fail", "continue", "approve", "reject"] = "fail"
    on_reject: Literal["fail", "continue"] = "fail"
    identity: str | None = None
    choices: tuple[tuple[str, str], ...] | None = None
    choices_from: str | None = None
    approvers: tuple[str, ...] = ()
    form: str | None = None
    source: str | None = None
    threshold: int | None = None
    on_fail: Literal["fail", "continue"] = "fail"
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["gate"] = "gate"


@node
class ForEachBlock:
    """Two forms: `foreach NAME { over … workflow … }` has `workflow` and no body; `foreach VAR in LIST { … }` has a
    body. `over` is a provider word, a reference or an array."""

    span: Span = field(compare=False, repr=False)
    name: str
    name_span: Span = field(compare=False, repr=False)
    key: str
    over: Value
    workflow: str | None = None
    body: tuple[Statement, ...] | None = None
    max_parallel: int = 1
    item_key: str | None = None
    max_items: int | None = None
    scope: tuple[Entry, ...] | None = None
    filter: tuple[Entry, ...] = ()
    inputs: tuple[Entry, ...] = ()
    ordered: bool = False
    on_cycle: Literal["fail", "warn"] = "fail"
    on_child_fail: Literal["halt", "continue", "skip_dependents"] = "continue"
    isolation: Literal["none", "worktree"] | None = None
    merge: Literal["none", "auto", "keep"] | None = None
    written: Late[tuple[Entry, ...]] = ()
    kind: Literal["foreach"] = "foreach"


@node
class SetStatement:
    """`set { k = value }`: updates of state channels, in the order written."""

    span: Span = field(compare=False, repr=False)
    updates: tuple[Entry, ...]
    kind: Literal["set"] = "set"


Statement: TypeAlias = Annotated[
    Union[
        "CallStep",
        "ScriptStep",
        "CallWorkflow",
        "IfBlock",
        "WhileBlock",
        "DoWhileBlock",
        "DoBlock",
        "ParallelBlock",
        "AlwaysBlock",
        "GateStep",
        "ForEachBlock",
        "SetStatement",
    ],
    _ByKind(),
]


# ── sections and the workflow ─────────────────────────────────────────────────────────────────────
@node
class Meta:
    """All `meta` blocks together; a later key replaces an earlier one. `timeout` in milliseconds."""

    title: str | None = None
    description: str = ""
    trigger: Literal["manual", "pr", "scheduled"] = "manual"
    targets: tuple[str, ...] = ()
    group: str | None = None
    timeout: int | None = None
    budget_usd: float | None = None
    max_calls: int | None = None
    max_tokens: int | None = None
    max_parallel: int | None = None
    strict: bool = False
    version: int = 1


@node
class InputDecl:
    """One declared input. `required` is the effective value: true without a default unless boolean."""

    span: Span = field(compare=False, repr=False)
    name: str
    type: Literal["string", "boolean", "number", "integer", "list", "secret", "one_of"] = "string"
    choices: tuple[str, ...] = ()
    required: bool = True
    default: Value | None = None
    description: str | None = None
    required_written: bool = field(default=False, compare=False)


@node
class MetaSection:
    span: Span = field(compare=False, repr=False)
    written: tuple[Entry, ...]
    kind: Literal["meta"] = "meta"


@node
class InputsSection:
    span: Span = field(compare=False, repr=False)
    declarations: tuple[InputDecl, ...]
    kind: Literal["inputs"] = "inputs"


@node
class OutputsSection:
    span: Span = field(compare=False, repr=False)
    written: tuple[Entry, ...]
    kind: Literal["outputs"] = "outputs"


@node
class Channel:
    """One state channel. `initial` is its first update; `reducer` says how a later one and the value become one."""

    span: Span = field(compare=False, repr=False)
    name: str
    type: Literal["text", "number", "integer", "boolean", "list", "map"] = "text"
    initial: Value | None = None
    reducer: str = "replace"
    reducer_span: Span | None = field(default=None, compare=False, repr=False)


@node
class StateSection:
    span: Span = field(compare=False, repr=False)
    channels: tuple[Channel, ...]
    kind: Literal["state"] = "state"


@node
class AlwaysSection:
    span: Span = field(compare=False, repr=False)
    body: tuple[Statement, ...]
    kind: Literal["always_section"] = "always_section"


Section: TypeAlias = MetaSection | InputsSection | OutputsSection | StateSection | AlwaysSection


@node
class Workflow:
    """One workflow. `items` is everything between the braces in source order (what the formatter prints); the other
    fields are the same, gathered: all metas, inputs, outputs, channels, body statements, the bodies of all `always`."""

    span: Span = field(compare=False, repr=False)
    name: str
    name_span: Span = field(compare=False, repr=False)
    items: tuple[Section | Statement, ...] = ()
    meta: Meta = Meta()
    inputs: tuple[InputDecl, ...] = ()
    outputs: tuple[Entry, ...] = ()
    body: tuple[Statement, ...] = ()
    always: tuple[Statement, ...] = ()
    state: tuple[Channel, ...] = ()
