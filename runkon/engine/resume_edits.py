"""What an edit of a workflow means for a run: which steps say the same as before, which do not, which moved.

Two statements are the same if everything that can change their result is: what is called, its options, its text, and
what the blocks around hand down. Comments, formatting, places in the file, and how failures are dealt with (`retries`,
`timeout`, `on_fail`, …) are not looked at. Nothing of this is stored: both texts are at hand when it is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from runkon.engine.plan import Leaf
from runkon.engine.resume_places import Places
from runkon.language.format_values import agent_text, flat_entry
from runkon.language.nodes import AgentRef, CallStep, ScriptStep, StepOptions
from runkon.language.source import SourceFile
from runkon.language.strings import quoted
from runkon.language.trivia import Trivia
from runkon.model.plans import TextChange
from runkon.named import NamedTuple

_OF_FAILURES = (
    "retries", "backoff", "delay", "max_delay", "jitter", "retry_on", "timeout", "idle_timeout", "on_fail",
    "on_unknown",
)  # fmt: skip
_ALIKE = {name: getattr(StepOptions(), name) for name in _OF_FAILURES}


class Edits(NamedTuple):
    """How two texts of a workflow differ, by form of a path. `changed` and `removed` are steps of the old text; `moved`
    leads from a form of the old text to the one that the same step has now; `told` is all of it for people."""

    changed: Mapping[str, str]
    removed: frozenset[str]
    moved: Mapping[str, str]
    told: tuple[TextChange, ...]


def compare(before: Places, after: Places) -> Edits:
    """What is different in `after`. Steps are matched by path, and where that leads nowhere by a key that only one
    step of each text has left."""
    old, new = before.leaves, after.leaves
    moved = _moved(old, new)
    changed, told = {}, []
    for form, leaf in old.items():
        there = moved.get(form, form)
        now = new.get(there)
        if now is None:
            told.append(TextChange(form, "removed", _shown(leaf), ""))
        elif not _are_same(leaf, now):
            changed[form] = f"text changed: line {now.span.line}"
            told.append(TextChange(there, changed[form], _shown(leaf), _shown(now)))
        elif there != form:
            told.append(TextChange(there, f"moved from `{form}`"))
    arrived = set(moved.values())
    told += [
        TextChange(form, f"added: line {leaf.span.line}", "", _shown(leaf))
        for form, leaf in new.items()
        if form not in old and form not in arrived
    ]
    gone = frozenset(form for form in old if moved.get(form, form) not in new)
    return Edits(changed, gone, moved, tuple(told))


def _moved(old: Mapping[str, Leaf], new: Mapping[str, Leaf]) -> dict[str, str]:
    lost = {form: leaf for form, leaf in old.items() if form not in new and "[]" not in form}
    found = {form: leaf for form, leaf in new.items() if form not in old and "[]" not in form}
    before, after = (Counter(leaf.key for leaf in leaves.values()) for leaves in (lost, found))
    place = {leaf.key: form for form, leaf in found.items()}
    return {
        form: place[leaf.key]
        for form, leaf in lost.items()
        if before[leaf.key] == after[leaf.key] == 1 and not form.endswith("/on_fail")
    }


def _are_same(one: Leaf, other: Leaf) -> bool:
    return _identity(one) == _identity(other)


def _identity(leaf: Leaf) -> tuple[object, ...]:
    node = leaf.node
    own: tuple[object, ...] = ()
    if isinstance(node, ScriptStep):
        own = (node.run, node.env, node.stream)
    options = replace(leaf.options, id=None, output=None, snippets=(), **_ALIKE)
    return leaf.kind, leaf.name, leaf.called, leaf.schema, leaf.snippets, options, own


def _shown(leaf: Leaf) -> str:
    """The statement in canonical form, one option per line."""
    node, trivia = leaf.node, Trivia(SourceFile("", ""))
    assert isinstance(node, CallStep | ScriptStep)
    name = node.name if isinstance(node, ScriptStep) else _agent(node.agent, trivia)
    lines = [flat_entry(entry, trivia) for entry in node.written if entry.name not in _ALIKE]
    if leaf.schema is not None and leaf.options.output is None:
        lines.append(f"output = {quoted(leaf.schema)}")
    inherited = leaf.snippets[: len(leaf.snippets) - len(leaf.options.snippets)]
    if inherited:
        lines.append(f"with = [{', '.join(quoted(one) for one in inherited)}]")
    return "\n".join([f"{leaf.kind} {name}", *(f"  {line}" for line in lines)])


def _agent(agent: AgentRef, trivia: Trivia) -> str:
    return agent_text(agent, trivia)
