"""Every option of every construct, in one table.

The table drives which options are known, converted, required or suggested, the field each fills, and the
documentation. An option without a `field` is accepted for old files and changes nothing. Two options with the same
field are two words for one thing: giving both is giving one twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from runkon.language import option_types as types
from runkon.language.option_types import ValueType, one_of
from runkon.named import NamedTuple


class Option(NamedTuple):
    """One option: its name, what values it takes, the field it fills, one line for the documentation."""

    name: str
    type: ValueType
    field: str | None
    about: str
    required: bool = False


class Construct(NamedTuple):
    """The options of one construct. `title` is how messages name it; `hints` is help for options that people expect
    here but that belong elsewhere."""

    title: str
    options: tuple[Option, ...]
    hints: Mapping[str, str] = {}

    def find(self, name: str) -> Option | None:
        """The option of that name, None if the construct has none."""
        return next((option for option in self.options if option.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all options, in documentation order."""
        return tuple(option.name for option in self.options)


_FAIL_OR_CONTINUE = one_of("fail", "continue")
_ERROR_KINDS = types.list_of_words(
    "timeout", "transient", "schema", "exit", "any", hints={"fatal": "a fatal error is never retried"}
)

ID = Option("id", types.NAME, "id", "result key and path segment, instead of the usual one")
OUTPUT = Option("output", types.TEXT, "output", "schema the output has to match")
WITH = Option("with", types.TEXTS, "snippets", "prompt snippets put in front")
IDENTITY = Option("as", types.TEXT, "identity", "identity that acts")
ISOLATION = (
    Option("isolation", one_of("none", "worktree"), "isolation", "`worktree`: in a git worktree of its own"),
    Option("merge", one_of("none", "auto", "keep"), "merge", "what becomes of the worktree: dropped, merged or left"),
)
INPUTS = Option("inputs", types.MAP, "inputs", "extra variables; a bare reference keeps its type")

STEP = (
    ID,
    Option("if", types.CONDITION, "condition", "false skips the step"),
    INPUTS,
    Option("retries", types.U32, "retries", "attempts after the first"),
    Option("backoff", one_of("fixed", "exponential"), "backoff", "how the wait between attempts grows"),
    Option("delay", types.DURATION, "delay", "first wait between attempts"),
    Option("max_delay", types.DURATION, "max_delay", "longest wait between attempts"),
    Option("jitter", types.BOOLEAN, "jitter", "spread the waits a little at random"),
    Option("retry_on", _ERROR_KINDS, "retry_on", "kinds of error worth another attempt"),
    Option("timeout", types.DURATION, "timeout", "wall clock of one attempt"),
    Option("idle_timeout", types.DURATION, "idle_timeout", "an attempt silent for so long is ended"),
    Option("on_fail", types.ON_FAIL, "on_fail", "`continue`, or an agent told about the failure"),
    Option("fallback", types.AGENT, "fallback", "agent that gets one more attempt when all failed"),
    Option("effect", one_of("pure", "read", "write"), "effect", "what an attempt does to the world"),
    Option("on_unknown", one_of("rerun", "ask", "fail"), "on_unknown", "what follows an attempt that was cut off"),
    Option("cache", types.CACHE, "cache", "reuse an equal earlier output, at most this old"),
    IDENTITY,
    Option("max_turns", types.U32, "max_turns", "turns of one attempt"),
    Option("max_cost_usd", types.MONEY, "max_cost_usd", "cost of one attempt"),
    *ISOLATION,
)
AGENT_ONLY = (
    OUTPUT,
    WITH,
    Option("plugin_dirs", types.TEXTS, "plugin_dirs", "extra plugin folders of the agent"),
)
LOOP = (
    Option("max_iterations", types.U32, "max_iterations", "bound of the loop", required=True),
    Option("stuck_after", types.whole(2), "stuck_after", "equal results in a row that end the loop"),
    Option("on_max_iter", _FAIL_OR_CONTINUE, "on_max_iter", "what reaching the bound means"),
)
_NO_EFFECT = "accepted, without effect"
GATE_KEY = (
    Option("name", types.NAME, "key", "result key, instead of the gate type"),
    Option("id", types.NAME, "key", "another word for `name`"),
)
FOREACH = (
    Option("id", types.NAME, "key", "result key and path segment"),
    Option("max_parallel", types.U32, "max_parallel", "items at once"),
    Option("max_items", types.U32, "max_items", "bound of the number of items"),
    Option("key", types.TEXT, "item_key", "identity of an item; default its position"),
    Option("scope", types.MAP, "scope", "what the provider looks at"),
    Option("filter", types.MAP, "filter", "which items the provider keeps"),
    Option("inputs", types.MAP, "inputs", "variables of each item"),
    Option("ordered", types.BOOLEAN, "ordered", "items follow their dependencies"),
    Option("on_cycle", one_of("fail", "warn"), "on_cycle", "what a cycle of dependencies means"),
    Option(
        "on_child_fail",
        one_of("halt", "continue", "skip_dependents"),
        "on_child_fail",
        "what a failed item means for the others",
    ),
    *ISOLATION,
)

TABLE: Mapping[str, Construct] = {
    "call": Construct(
        "call",
        (
            *STEP,
            *AGENT_ONLY,
            Option("model", types.TEXT, "model", "model, instead of the agent's"),
            Option("executor", types.TEXT, "executor", "executor, instead of the agent's"),
        ),
    ),
    "call workflow": Construct("call workflow", (*STEP, *AGENT_ONLY)),
    "script": Construct(
        "script",
        (
            Option("run", types.TEXT, "run", "shell text, or one word that names a file", required=True),
            Option("env", types.TEXT_MAP, "env", "environment variables"),
            Option("stream", one_of("lines", "jsonl"), "stream", "each line of the output is a result"),
            *STEP,
        ),
    ),
    "parallel": Construct(
        "parallel",
        (
            Option("fail_fast", types.BOOLEAN, "fail_fast", "a failure that decides the block cancels the others"),
            Option("min_success", types.U32, "min_success", "branches that must succeed; default all"),
            Option("max_parallel", types.POSITIVE, "max_parallel", "branches open at once"),
            Option("until", types.CONDITION, "until", "once true, the other branches are cancelled"),
            OUTPUT,
            WITH,
            *ISOLATION,
        ),
        {
            "max_concurrency": "`max_parallel` bounds the branches open at once",
            "timeout": "a timeout belongs to the steps, or to a workflow of its own",
        },
    ),
    "do": Construct(
        "do",
        (OUTPUT, WITH),
        dict.fromkeys(("max_iterations", "stuck_after"), "loop options need `while CONDITION` after the block"),
    ),
    "do-while": Construct(
        "do … while",
        (*LOOP, Option("output", types.ANYTHING, None, _NO_EFFECT), Option("with", types.ANYTHING, None, _NO_EFFECT)),
    ),
    "while": Construct("while", LOOP),
    "gate": Construct(
        "gate",
        (
            *GATE_KEY,
            Option("prompt", types.TEXT, "prompt", "what the person who decides reads"),
            Option("min_approvals", types.U32, "min_approvals", "distinct people that must approve"),
            Option("quorum", types.U32, "min_approvals", "another word for `min_approvals`"),
            Option("mode", one_of("min_approvals", "review_decision"), "mode", "whose word counts on a pull request"),
            Option("timeout", types.GATE_DURATION, "timeout", "how long the gate waits; default 24h"),
            Option(
                "on_timeout",
                one_of("fail", "continue", "approve", "reject"),
                "on_timeout",
                "what the end of the wait means",
            ),
            Option("on_reject", _FAIL_OR_CONTINUE, "on_reject", "what a rejection means"),
            IDENTITY,
            Option("options", types.CHOICES, "choices", "the choices: a list, a map, or a step's field"),
            Option("approvers", types.TEXTS, "approvers", "who may decide"),
            Option("form", types.TEXT, "form", "schema of a typed answer"),
        ),
    ),
    "quality_gate": Construct(
        "gate",
        (
            Option("source", types.TEXT, "source", "step whose result is judged", required=True),
            Option("threshold", types.whole(0, 100), "threshold", "lowest score that passes", required=True),
            Option("on_fail", _FAIL_OR_CONTINUE, "on_fail", "what a low score means"),
            IDENTITY,
            *GATE_KEY,
            *(
                Option(name, types.ANYTHING, None, _NO_EFFECT)
                for name in ("prompt", "min_approvals", "mode", "timeout", "on_timeout")
            ),
        ),
        {"options": "nobody chooses at a quality gate: its score decides"},
    ),
    "foreach": Construct(
        "foreach",
        (
            Option("over", types.OVER, "over", "a provider, a reference or a list", required=True),
            Option("workflow", types.TEXT, "workflow", "workflow run for each item", required=True),
            *(o._replace(required=True) if o.name == "max_parallel" else o for o in FOREACH),
        ),
    ),
    "foreach-in": Construct(
        "foreach … in",
        FOREACH,
        {
            "workflow": "the body of `foreach … in` stands in its place: use `call workflow` there",
            "over": "the list stands after `in`",
        },
    ),
    "meta": Construct(
        "meta",
        (
            Option("title", types.TEXT, "title", "name shown to people"),
            Option("description", types.TEXT, "description", "what the workflow is for"),
            Option(
                "trigger", one_of("manual", "pr", "scheduled"), "trigger", "what starts it; only `manual` is active"
            ),
            Option("targets", types.TEXTS, "targets", "what it can be started for"),
            Option("group", types.TEXT, "group", "heading it is listed under"),
            Option("timeout", types.DURATION, "timeout", "wall clock of a run"),
            Option("budget_usd", types.MONEY, "budget_usd", "most a run may cost"),
            Option("max_calls", types.U64, "max_calls", "most attempts of `call` steps"),
            Option("max_tokens", types.U64, "max_tokens", "most tokens"),
            Option("max_parallel", types.POSITIVE, "max_parallel", "steps at once"),
            Option("strict", types.BOOLEAN, "strict", "an unknown variable fails the step"),
            Option(
                "version",
                types.whole(1, 1, expected="`1`, the only version of the language so far"),
                "version",
                "version of the language",
            ),
        ),
    ),
}
