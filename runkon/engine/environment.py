"""What expressions of one scope see: inputs, results of steps, run facts, and the templates and values over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Literal, TypeAlias

from runkon.engine.conditions import Choice, evaluate, read
from runkon.engine.results import Results
from runkon.engine.variables import FIXED, Found, Variables
from runkon.frozen import value_class
from runkon.language.nodes import (
    And,
    Compare,
    Condition,
    Constant,
    DurationValue,
    ListLiteral,
    ListValue,
    MapValue,
    Not,
    Number,
    Or,
    Reference,
    Text,
    Value,
    Word,
)
from runkon.language.shell_text import ShellPlaces, is_plain_word, quoted, shell_places
from runkon.language.template import Placeholder, parse_template, single_placeholder
from runkon.model.failures import ValueFailure
from runkon.model.output import EMPTY, JsonValue
from runkon.model.prompts import as_data
from runkon.model.secrets import secret_name
from runkon.model.value_text import as_text

if TYPE_CHECKING:
    from runkon.engine.state import State
    from runkon.engine.trees import OwnTree
    from runkon.engine.unknown import UnknownNames
    from runkon.model.ids import StepPath

_FACTS = frozenset({"workflow_run_id", "dry_run"})
Unknown: TypeAlias = Literal["empty", "keep", "fail"]


@value_class(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is fixed for a whole run. `injected` are the host's variables; `host_environment` holds the process
    variables that conditions may read; `strict` turns every unknown placeholder into a failure; `identity` is that of
    steps that name none; `max_parallel` bounds the branches of each block; `unknown` hears of placeholders without a
    value; `tree` is the worktree that steps run in, None for the run's own. A called workflow has facts of its own."""

    run_id: str
    workflow: str
    dry_run: bool = False
    strict: bool = False
    injected: Mapping[str, JsonValue] = field(default_factory=lambda: EMPTY)
    host_environment: Mapping[str, str] = field(default_factory=dict)
    identity: str | None = None
    max_parallel: int | None = None
    unknown: UnknownNames | None = None
    tree: OwnTree | None = None


class Environment:
    """What expressions see in one scope. Everything it is made of is shared, so making one costs nothing to speak
    of. Reading is safe from several threads as long as each writes only to its own fork's `results`."""

    __slots__ = ("extras", "facts", "inputs", "place", "reads", "results", "state")

    def __init__(
        self,
        facts: RunFacts,
        inputs: Mapping[str, JsonValue] = EMPTY,
        results: Results | None = None,
        extras: Mapping[str, JsonValue] = EMPTY,
        reads: set[str] | None = None,
        state: State | None = None,
        place: StepPath | None = None,
    ) -> None:
        self.place = place
        self.reads = reads
        self.state = state
        self.facts = facts
        self.inputs = inputs
        self.results = results if results is not None else Results()
        self.extras = extras

    # ── scopes ────────────────────────────────────────────────────────────────────────────────────
    def with_inputs(self, extra: Mapping[str, JsonValue]) -> Environment:
        """The same scope with more variables, which come before inputs and exports of the same name: `inputs` of a
        step, a loop variable, `failed_step`, `workflow_status`. Results stay shared."""
        if not extra:
            return self
        extras = {**self.extras, **extra}
        return Environment(self.facts, self.inputs, self.results, extras, self.reads, self.state, self.place)

    def with_facts(self, facts: RunFacts) -> Environment:
        """The same scope, run elsewhere. Results stay shared."""
        return Environment(facts, self.inputs, self.results, self.extras, self.reads, self.state, self.place)

    def watched(self, reads: set[str]) -> Environment:
        """The same scope; every name that values, templates and variables of it ask for is added to `reads`."""
        return Environment(self.facts, self.inputs, self.results, self.extras, reads, self.state, self.place)

    def at(self, place: StepPath) -> Environment:
        """The same scope, for a step, or "" for the run: that a placeholder has no value is told only there."""
        return Environment(self.facts, self.inputs, self.results, self.extras, self.reads, self.state, place)

    def fork(self) -> Environment:
        """A scope for one branch with results and state channels of its own; `results.join` and `updates.join_state`
        take them over."""
        state = None if self.state is None else self.state.fork()
        return Environment(self.facts, self.inputs, self.results.fork(), self.extras, state=state)

    def variables(self) -> Variables:
        """All variables by name, computed when read."""
        return Variables(
            run_id=self.facts.run_id,
            dry_run=self.facts.dry_run,
            inputs=self.inputs,
            injected=self.facts.injected,
            extras=self.extras,
            results=self.results,
            reads=self.reads,
        )

    def look_up(self, name: str) -> Found:
        """What a placeholder of that name reads: a variable, or something of a step's result."""
        found = self.variables().find(name)
        return found if found.known or "." not in name else read(tuple(name.split(".")), self)

    def given(self) -> Mapping[str, JsonValue]:
        """The inputs alone, without history and exports: what a script gets in its environment."""
        fixed = {name: value for name, value in self.facts.injected.items() if name in FIXED}
        run = {"workflow_run_id": self.facts.run_id, **fixed}
        return {**self.facts.injected, **self.inputs, **run, **self.extras}

    def workflow_fact(self, name: str) -> JsonValue:
        """`workflow.name`, `.run_id`, `.status`: the run's end inside `always`, else `running`. None for others."""
        match name:
            case "name":
                return self.facts.workflow
            case "run_id":
                return self.facts.run_id
            case "status":
                return self.extras.get("workflow_status", "running")
            case _:
                return None

    def host_variable(self, name: str) -> JsonValue:
        """`env.NAME`, or None if conditions may not read it."""
        return self.facts.host_environment.get(name)

    # ── conditions ────────────────────────────────────────────────────────────────────────────────
    def evaluate(self, condition: Condition) -> Choice:
        """Decide a condition. Never raises."""
        return evaluate(condition, self)

    # ── templates ─────────────────────────────────────────────────────────────────────────────────
    def render(self, text: str, *, unknown: Unknown = "empty", shell: bool = False) -> str:
        """`text` with its placeholders filled in, in one pass. `unknown` says what happens to names nobody knows.

        With `shell` every value is one word for `sh`, whatever it holds. Raises ValueFailure (`unknown-variable`,
        and `unsafe-shell` where quoting can't protect a value that is not a plain word)."""
        pieces = parse_template(text)
        if not pieces or (len(pieces) == 1 and isinstance(pieces[0], str)):
            return text
        variables = self.variables()
        places = shell_places(text) if shell else None
        written: list[str] = []
        number = 0
        for piece in pieces:
            if isinstance(piece, str):
                written.append(piece)
                continue
            value = self._text_of(piece, variables, unknown)
            if value is not None:
                written.append(value if places is None else _shell_word(piece, value, places, number))
            number += 1
        return "".join(written)

    def render_prompt(self, text: str) -> str:
        """`text` with its placeholders filled in for an agent to read. What steps and people wrote on the way is marked
        as such where it is long. Raises ValueFailure: `unknown-variable` as `render`, `secret-in-prompt`."""
        variables = self.variables()
        written: list[str] = []
        for piece in parse_template(text):
            if isinstance(piece, str):
                written.append(piece)
                continue
            if secret_name(self._find(piece, variables).value) is not None:
                raise ValueFailure(
                    "secret-in-prompt",
                    f"`{piece.raw}` would put a secret into a prompt",
                    help="secrets go to the environment of scripts, and to what plugins call; agents never see them",
                )
            value = self._text_of(piece, variables, "empty") or ""
            written.append(value if self._is_given(piece.name) else as_data(piece.name, value))
        return "".join(written)

    def _is_given(self, name: str) -> bool:
        """True for what whoever started the run said, and for facts of the run; not for what steps or items say."""
        if name in _FACTS or name.startswith(("workflow.", "env.", "inputs.")):
            return True
        if name in self.extras:
            return False
        return name in self.facts.injected or (name in self.inputs and self.results.exported(name) is None)

    def _text_of(self, piece: Placeholder, variables: Variables, unknown: Unknown) -> str | None:
        """The text for one placeholder; None for an unknown one that vanishes."""
        found = self._find(piece, variables)
        if found.known and (found.value is not None or piece.default is None):
            return as_text(found.value)
        if piece.default is not None:
            return piece.default
        if unknown == "fail" or self.facts.strict:
            raise ValueFailure(
                "unknown-variable",
                f"nothing gives `{piece.raw}` a value here",
                help=f"write `{{{{{piece.name} ?? 'text'}}}}` to give it a default",
            )
        if self.facts.unknown is not None and self.place is not None:
            self.facts.unknown.tell(piece, self.place, is_kept=unknown == "keep")
        return piece.raw if unknown == "keep" else None

    def _find(self, piece: Placeholder, variables: Variables) -> Found:
        found = variables.find(piece.name)
        return found if found.known or len(piece.parts) == 1 else read(piece.parts, self)

    # ── values ────────────────────────────────────────────────────────────────────────────────────
    def value(self, value: Value, *, unknown: Unknown = "empty") -> JsonValue:
        """A value as JSON. A text that is exactly one placeholder, and a bare dotted reference, keep their type; a
        bare word is text, unless it is a variable of the blocks around it (a loop variable). Raises ValueFailure like
        `render`."""
        match value:
            case Text(text=text):
                return self._of_text(text, unknown)
            case Word(text=text):
                return self._of_word(text)
            case Number(text=text):
                return float(text) if "." in text else int(text)
            case DurationValue(text=text):
                return text
            case ListValue(items=items):
                return [self.value(item, unknown=unknown) for item in items]
            case MapValue(entries=entries):
                return {entry.name: self.value(entry.value, unknown=unknown) for entry in entries}
            case Reference(parts=parts):
                return self._of_word(".".join(parts))
            case Constant(value=constant):
                return constant
            case ListLiteral(items=operands):
                return [self.value(operand, unknown=unknown) for operand in operands]
            case Compare() | Not() | And() | Or():
                choice = self.evaluate(value)
                self._note(*choice.operands)
                return choice.result

    def _of_text(self, text: str, unknown: Unknown) -> JsonValue:
        only = single_placeholder(text)
        if only is None:
            return self.render(text, unknown=unknown)
        found = self._find(only, self.variables())
        if found.known and found.value is not None:
            return found.value
        if found.known and only.default is None:
            return None
        return self.render(text, unknown=unknown)

    def _of_word(self, text: str) -> JsonValue:
        if text in ("true", "false"):
            return text == "true"
        if text == "null":
            return None
        if text in self.extras:
            self._note(text)
            return self.extras[text]
        if "." not in text:
            return text
        self._note(text)
        return read(tuple(text.split(".")), self).value

    def _note(self, *names: str) -> None:
        if self.reads is not None:
            self.reads.update(names)


def _shell_word(piece: Placeholder, value: str, places: ShellPlaces, number: int) -> str:
    """The value as it may stand in shell text at the place of placeholder `number`."""
    if places.protected[number] and "\0" not in value:
        return quoted(value)
    ends_heredoc = any(value in delimiter for delimiter in places.delimiters)
    if not value or (is_plain_word(value) and not ends_heredoc):
        return value
    raise ValueFailure(
        "unsafe-shell",
        f"the value of `{piece.raw}` can't be put here safely: it stands inside quotes of the command",
        help='pass it through `env` and write "$NAME" in the command, or take the placeholder out of the quotes',
    )
