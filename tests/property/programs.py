"""Programs derived from the grammar: source text for every construct, in every layout, with comments anywhere.

`programs()` gives one file that parses without errors. Its steps are calls of the agents in `AGENTS` and scripts;
every condition refers to a step that comes before, or to an input, so that the checks have nothing to say about
references. `token_lists()` gives the same before layout, for tests that choose the layout themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from hypothesis import strategies as st

Tokens = list[str]

AGENTS = ("plan", "build", "review", "fix-it", "a--b", "required", "default", "x_1")
WORDS = ("ok", "failed", "has_errors", "n", "gate", "inputs", "in", "else", "until", "and", "workflow", "if")
MAP_KEYS = ("a", "B", "default", "if", "inputs", "in", "x-y")
STRINGS = (
    '""',
    '"x"',
    '"a b"',
    '"tab\\tnew\\nline"',
    '"quote \\" and \\\\ back"',
    '"odd \\q escape"',
    '"two\nlines"',
    '"// no comment # either"',
    '"{ [ ] }"',
    '"{{plan.text}}"',
    '"ä 漢 \u2028"',
    '"""three"""',
    '"""\n    indented\n      more\n\n    less\n  """',
    '"""\n\tsay "hi" \\" \\\\\n    // text\n"""',
    '"""\n\n   \n   blank above"""',
)
NUMBERS = ("0", "007", "42", "-3", "1.50", "-0.5")
COUNTS = ("1", "2", "003", '"4"', '"+5"')
DURATIONS = ("500ms", "45s", "05m", "1h30m", "2d", "90", '"2h"')
COMMENTS = ("// note", "# note", "//", "#", "//// \t", '// "open', "# } ]", "// ends in {", "# a\rb")
GAPS = (" ", "\n", "\n\n", "\n\n\n", "\t", "  ", "\r\n", "\u00a0")


def tokens_of(seed: int, size: int = 3) -> Tokens:
    """The tokens of one file with one or two workflows; equal arguments give equal tokens. `size` bounds the number
    of statements in a body, and of options, declarations and elements in proportion."""
    random = Random(seed)
    count = random.randint(1, 2)
    return [token for number in range(count) for token in _Writer(random, size).workflow(f"w{number}")]


def token_lists() -> st.SearchStrategy[Tokens]:
    """The tokens of one file. A seed stands behind them: drawing each choice would take a hundred times longer."""
    return st.builds(tokens_of, st.integers(0, 2**32), st.integers(0, 4))


def programs(*, comments: bool = True) -> st.SearchStrategy[str]:
    """The source text of one file that parses without errors."""
    return st.builds(lay_out, token_lists(), st.lists(_gaps(comments=comments), min_size=1, max_size=30))


def lay_out(tokens: Tokens, gaps: list[str]) -> str:
    """The tokens with the gaps between them, taken in turn; the first gap stands before the first token."""
    pieces: list[str] = []
    for number, token in enumerate(tokens):
        pieces += [gaps[number % len(gaps)], token]
    return "".join([*pieces, gaps[len(tokens) % len(gaps)]])


def _gaps(*, comments: bool) -> st.SearchStrategy[str]:
    plain = st.sampled_from(GAPS)
    if not comments:
        return plain
    spoken = st.builds(
        lambda before, comment, after: f"{before}{comment}\n{after}",
        st.sampled_from(("", *GAPS)),
        st.sampled_from(COMMENTS),
        st.sampled_from(("", *GAPS)),
    )
    return st.one_of(plain, plain, plain, spoken, st.builds(lambda one, two: one + two, spoken, spoken))


class _Writer:
    """Writes one workflow; `known` are the steps that conditions may name."""

    def __init__(self, random: Random, size: int) -> None:
        self._random = random
        self._size = size
        self.known: list[str] = []
        self._names = 0

    # ── choices ──────────────────────────────────────────────────────────────────────────────────
    def pick(self, *choices: str) -> str:
        return self._random.choice(choices)

    def count(self, most: int) -> int:
        return self._random.randint(0, most)

    def flip(self) -> bool:
        return self._random.random() < 0.5

    def fresh(self, stem: str) -> str:
        self._names += 1
        return f"{stem}-{self._names}"

    # ── values and conditions ────────────────────────────────────────────────────────────────────
    def separator(self) -> Tokens:
        return [self.pick(",", ";")] if self.count(4) == 0 else []

    def value(self, depth: int = 2) -> Tokens:
        kind = self.count(6 if depth else 4)
        if kind <= 1:
            return [self.pick(*STRINGS)]
        if kind == 2:
            return [self.pick(*NUMBERS)]
        if kind == 3:
            return [self.pick(*DURATIONS)]
        if kind == 4:
            return [self.pick("word", "true", "plan.files", "inputs.flag", "a.b.c", "call")]
        return self.list(depth - 1) if kind == 5 else self.map(depth - 1)

    def list(self, depth: int) -> Tokens:
        items = [self.value(depth) + ([","] if self.flip() else []) for _ in range(self.count(3))]
        return ["[", *(token for item in items for token in item), "]"]

    def map(self, depth: int) -> Tokens:
        keys = MAP_KEYS[: self.count(3)]
        return ["{", *(t for key in keys for t in (key, "=", *self.value(depth), *self.separator())), "}"]

    def text_map(self) -> Tokens:
        keys = MAP_KEYS[: self.count(3)]
        return ["{", *(t for key in keys for t in (key, "=", self.pick(*STRINGS), *self.separator())), "}"]

    def reference(self) -> str:
        choices = ["inputs.flag", "flag", "workflow.name", "state.count", "state.said"]
        choices += [f"{self.pick(*self.known)}.{self.pick(*WORDS)}"] * 3 if self.known else []
        return self.pick(*choices)

    def condition(self, depth: int = 2) -> Tokens:
        kind = self.count(6 if depth else 1)
        if kind == 0:
            return [self.reference()]
        if kind == 1:
            operator = self.pick("==", "!=", "<", "<=", ">", ">=")
            return [self.reference(), operator, self.pick('"x"', "3", "-1.50", "true", "null", "5m", '"a\\"b"')]
        if kind == 2:
            return [self.reference(), "in", "[", '"a"', ",", "3", "]"]
        if kind == 3:
            return ["not", *self.grouped(depth)]
        if kind == 4:
            return self.grouped(depth)
        return [*self.grouped(depth), self.pick("and", "or"), *self.grouped(depth)]

    def grouped(self, depth: int) -> Tokens:
        return ["(", *self.condition(depth - 1), ")"]

    # ── options ──────────────────────────────────────────────────────────────────────────────────
    def options(self, *choices: tuple[str, Callable[[], Tokens]]) -> Tokens:
        """Some of the options, each at most once, in the order given or the reverse."""
        chosen = [choice for choice in choices if self.count(6) < self._size // 2]
        if self.flip():
            chosen.reverse()
        return [token for name, value in chosen for token in (name, "=", *value(), *self.separator())]

    def words(self, *words: str) -> Callable[[], Tokens]:
        return lambda: [self.pick(*words, *(f'"{word}"' for word in words))]

    def step_options(self) -> Tokens:
        return self.options(
            ("id", lambda: [self.fresh("key")]),
            ("if", self.if_option),
            ("inputs", lambda: self.map(1)),
            ("retries", self.words("1", "2")),
            ("backoff", self.words("fixed", "exponential")),
            ("delay", lambda: [self.pick(*DURATIONS)]),
            ("jitter", self.words("true", "false")),
            ("retry_on", lambda: ["[", "timeout", ",", '"schema"', "]"]),
            ("timeout", lambda: [self.pick(*DURATIONS)]),
            ("on_fail", lambda: [self.pick("continue", '"continue"', "fixer", '"x/fix.md"')]),
            ("effect", self.words("pure", "read", "write")),
            ("cache", self.words("true", "2h")),
            ("max_cost_usd", self.words("0.50", "2")),
        )

    def if_option(self) -> Tokens:
        return self.condition(1) if self.flip() else [f'"{self.known[0]}.ok"' if self.known else '"inputs.flag"']

    def block(self, *tokens: str) -> Tokens:
        return ["{", *tokens, "}"]

    def inputs_block(self) -> Tokens:
        return ["inputs", *self.map(1)] if self.count(3) == 0 else []

    # ── statements ───────────────────────────────────────────────────────────────────────────────
    def body(self, depth: int, least: int = 0) -> Tokens:
        count = max(least, self.count(self._size))
        return [token for _ in range(count) for token in self.statement(depth)]

    def statement(self, depth: int) -> Tokens:
        leaves = (self.call, self.call, self.script, self.call_workflow, self.gate, self.foreach, self.set)
        blocks = (self.if_block, self.while_loop, self.do, self.do_while, self.parallel, self.foreach_in, self.always)
        number = self.count(len(leaves) + (len(blocks) if depth else 0) - 1)
        return leaves[number]() if number < len(leaves) else blocks[number - len(leaves)](depth - 1)

    def call(self) -> Tokens:
        if self.count(4) == 0:
            return ["call", '"agents/deep.md"', *self.block(*self.step_options())]
        agent = self.pick(*AGENTS)
        self.known.append(agent)
        return ["call", agent, *(self.block(*self.step_options()) if self.flip() else [])]

    def script(self) -> Tokens:
        name = self.fresh("script")
        run = ["run", "=", self.pick('"echo hi"', '"""\n  set -e\n  echo hi\n"""')]
        own = self.options(("env", self.text_map), ("stream", self.words("lines", "jsonl")))
        options = self.block(*run, *own, *self.step_options())
        self.known.append(name)
        return ["script", name, *options]

    def call_workflow(self) -> Tokens:
        inputs = self.inputs_block()
        options = [] if inputs else self.step_options()
        return ["call", "workflow", "kid", *(self.block(*inputs, *options) if inputs or options else [])]

    def gate(self) -> Tokens:
        if self.known and self.count(3) == 0:
            return ["gate", "quality_gate", *self.block("source", "=", self.known[0], "threshold", "=", "085")]
        return [
            "gate",
            self.pick("human_review", "human_approval", "pr_checks"),
            *self.block(
                *self.options(
                    ("name", lambda: [self.fresh("gate")]),
                    ("prompt", lambda: [self.pick(*STRINGS)]),
                    ("timeout", lambda: [self.pick(*DURATIONS)]),
                    ("on_timeout", self.words("fail", "continue", "approve", "reject")),
                    ("options", lambda: [self.pick('["yes", no]', '{ up = "yes" }', "plan.choices")]),
                    ("approvers", lambda: ["[", '"kim"', "]"]),
                )
            ),
        ]

    def foreach(self) -> Tokens:
        required = ["over", "=", "files", "max_parallel", "=", self.pick("1", "2"), "workflow", "=", "kid"]
        rest = self.options(
            ("scope", lambda: self.map(0)),
            ("filter", lambda: self.map(0)),
            ("ordered", self.words("true", "false")),
            ("on_child_fail", self.words("halt", "continue", "skip_dependents")),
        )
        return ["foreach", self.fresh("each"), *self.block(*required, *rest, *self.inputs_block())]

    def set(self) -> Tokens:
        updates = {"said": self.pick(*STRINGS), "count": self.pick("1", "-3", "null"), "log": '["x", "{{state.said}}"]'}
        return ["set", *self.block(*(t for name in self.some(updates) for t in (name, "=", updates[name])))]

    def some(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.flip()]

    def foreach_in(self, depth: int) -> Tokens:
        options = self.options(("max_parallel", self.words("2")), ("key", lambda: ['"{{file}}"']))
        source = self.list(1) if self.flip() else [self.pick("plan.files", "inputs.list", '"files"')]
        return ["foreach", "file", "in", *source, *self.block(*options, *self.body(depth))]

    def if_block(self, depth: int) -> Tokens:
        tokens = [self.pick("if", "unless"), *self.condition(), *self.block(*self.body(depth))]
        for _ in range(self.count(2)):
            tokens += ["else", "if", *self.condition(1), *self.block(*self.body(depth))]
        return [*tokens, "else", *self.block(*self.body(depth))] if self.flip() else tokens

    def loop_options(self) -> Tokens:
        rest = self.options(("stuck_after", self.words("2", "3")), ("on_max_iter", self.words("fail", "continue")))
        return ["max_iterations", "=", self.pick(*COUNTS), *rest]

    def while_loop(self, depth: int) -> Tokens:
        condition = self.condition()
        return ["while", *condition, *self.block(*self.loop_options(), *self.body(depth))]

    def do_while(self, depth: int) -> Tokens:
        block = self.block(*self.loop_options(), *self.body(depth))
        return ["do", *block, "while", *self.condition()]

    def do(self, depth: int) -> Tokens:
        options = self.options(("output", lambda: [self.pick('"s"', "s")]), ("with", lambda: ["[", "p", "]"]))
        return ["do", *([self.fresh("do")] if self.flip() else []), *self.block(*options, *self.body(depth))]

    def parallel(self, depth: int) -> Tokens:
        options = self.options(
            ("fail_fast", self.words("true", "false")),
            ("min_success", self.words("1")),
            ("max_parallel", self.words("2")),
            ("until", lambda: self.condition(1)),
        )
        body = self.body(depth, least=1)
        return ["parallel", *([self.fresh("fan")] if self.flip() else []), *self.block(*options, *body)]

    def always(self, depth: int) -> Tokens:
        return ["always", *self.block(*self.body(depth))]

    # ── workflow ─────────────────────────────────────────────────────────────────────────────────
    def workflow(self, name: str) -> Tokens:
        tokens = ["workflow", name, "{", *self.meta(), "inputs", *self.block("flag", "boolean", *self.declarations())]
        tokens += ["state", *self.block(*self.channels()), "call", "plan"]
        self.known.append("plan")
        tokens += self.body(3)
        if self.flip():
            tokens += self.always(1)
        if self.flip():
            tokens += ["outputs", *self.map(2)]
        return [*tokens, *self.body(1), "}"]

    def channels(self) -> Tokens:
        first = ["=", self.pick("0", "7")] if self.flip() else []
        reducer = ["reduce", "=", "sum"] if self.flip() else []
        tokens = ["said", "text", *self.separator(), "count", "integer", *first, *reducer]
        return [*tokens, *self.separator(), "log", "list", "=", '["begun"]', "reduce", "=", "append"]

    def meta(self) -> Tokens:
        options = self.options(
            ("title", lambda: [self.pick(*STRINGS)]),
            ("description", lambda: [self.pick(*STRINGS)]),
            ("targets", lambda: ["[", '"worktree"', "repo", "]"]),
            ("timeout", lambda: [self.pick(*DURATIONS)]),
            ("budget_usd", self.words("2.50", "10")),
            ("strict", self.words("true", "false")),
        )
        return ["meta", *self.block(*options)] if options else []

    def declarations(self) -> Tokens:
        tokens: Tokens = []
        for name in ("list", "x", "description", "y-z", "number", "required")[: self.count(6)]:
            type_ = self.pick("", "boolean", "number", "list", "secret", "choice")
            kind = {"": [], "choice": ["one_of", "[", '"a"', ",", "b", "]"]}.get(type_, [type_])
            tokens += [",", name, *kind]
            tokens += ["required"] if self.count(3) == 0 else []
            tokens += ["default", "=", *self.value(1)] if self.count(2) == 0 else []
            tokens += ["description", "=", self.pick(*STRINGS, "word")] if self.count(2) == 0 else []
        return tokens
