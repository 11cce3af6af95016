"""The variables a step sees, as a mapping that computes nothing until it is asked.

Precedence, strongest first: what the engine gives (`prior_context`, `dry_run`, …), what the step or block around it
adds (`inputs` of a step, a loop variable), what the host injects unless an input has its name, what steps exported, the
inputs of the run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from runkon.engine.results import ENGINE_NAMES, Results
from runkon.model.output import JsonValue
from runkon.named import NamedTuple


class Found(NamedTuple):
    """A looked-up value; `known` is false if nothing has that name (the value is then None)."""

    value: JsonValue
    known: bool = True


UNKNOWN = Found(None, known=False)
FIXED = frozenset({"repo_path"})  # what the host injects whatever the inputs say; for others they come first
EVERY_NAME = "*"  # stands for all of them, where somebody looked which there are


class Variables(Mapping[str, JsonValue]):
    """Variable by name; building one costs the same however long the run is. The lists behind `prior_contexts` and
    the iteration over all names are made when asked for. `reads` takes note of every name that is asked for."""

    __slots__ = ("_dry_run", "_extras", "_injected", "_inputs", "_reads", "_results", "_run_id")

    def __init__(
        self,
        *,
        run_id: str,
        dry_run: bool,
        inputs: Mapping[str, JsonValue],
        injected: Mapping[str, JsonValue],
        extras: Mapping[str, JsonValue],
        results: Results,
        reads: set[str] | None = None,
    ) -> None:
        self._reads = reads
        self._run_id = run_id
        self._dry_run = dry_run
        self._inputs = inputs
        self._injected = injected
        self._extras = extras
        self._results = results

    def __getitem__(self, name: str) -> JsonValue:
        found = self.find(name)
        if not found.known:
            raise KeyError(name)
        value = found.value
        return _copy(value) if isinstance(value, list | dict) else value  # executors get these and may change them

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name).known

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def find(self, name: str) -> Found:
        """The variable `name`, or `UNKNOWN`; like `[]` without an exception."""
        if self._reads is not None:
            self._reads.add(name)
        if name in ENGINE_NAMES:
            found = self._of_engine(name)
            if found.known:
                return found
        if name in self._extras:
            return Found(self._extras[name])
        if name in self._injected:
            is_given = name in self._inputs and name not in FIXED
            return Found(self._inputs[name] if is_given else self._injected[name])
        exported = self._results.exported(name)
        if exported is not None:
            return Found(exported)
        return Found(self._inputs[name]) if name in self._inputs else UNKNOWN

    def _of_engine(self, name: str) -> Found:
        match name:
            case "workflow_run_id":
                return Found(self._run_id)
            case "dry_run":
                return Found(self._dry_run)
            case "prior_context":
                return Found(self._results.prior_context)
            case "prior_contexts":
                return Found(self._history())
            case "prior_output":
                values = self._results.prior_values
                return UNKNOWN if values is None else Found(dict(values))
            case "gate_feedback":
                feedback = self._results.feedback
                return UNKNOWN if feedback is None else Found(feedback)
            case _:
                return UNKNOWN

    def _history(self) -> list[JsonValue]:
        return [
            {
                "step": result.key,
                "iteration": result.iteration,
                "context": result.output.context,
                "markers": sorted(result.output.markers),  # type: ignore[dict-item]  # list is invariant
            }
            for result in self._results.history()
        ]

    def names(self) -> list[str]:
        """Every name that has a value."""
        if self._reads is not None:
            self._reads.add(EVERY_NAME)
        names = ["workflow_run_id", "dry_run", "prior_context", "prior_contexts"]
        names += [name for name in ("prior_output", "gate_feedback") if self._of_engine(name).known]
        names += [*self._extras, *self._injected, *sorted(self._results.exported_names()), *self._inputs]
        return list(dict.fromkeys(names))


def _copy(value: JsonValue) -> JsonValue:
    match value:
        case list():
            return [_copy(item) for item in value]
        case dict():
            return {key: _copy(item) for key, item in value.items()}
        case _:
            return value
