"""What a run waits for, and what to type to decide it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from runkon.model.decisions import NEEDED, UNKNOWN
from runkon.model.gates import DONE, FAILED, RERUN, needed_values
from runkon.model.output import JsonValue
from runkon.model.records import GateAnswer, GateRecord, StepRecord
from runkon.views.lines import decision_text
from runkon.views.times import ago, elapsed, iso

_WHAT = {RERUN: "try it again", DONE: "it has done its work", FAILED: "count it as failed"}


def open_gates(gates: Sequence[GateRecord], steps: Sequence[StepRecord]) -> list[GateRecord]:
    """The gates without a decision, in program order."""
    orders = {step.path: step.info.order for step in steps}
    waiting = [gate for gate in gates if gate.decision is None]
    return sorted(waiting, key=lambda gate: (orders.get(gate.path, ""), gate.path))


def ask_lines(
    gate: GateRecord,
    steps: Sequence[StepRecord],
    run: str,
    now: int,
    answer: GateAnswer | None = None,
    votes: Sequence[GateAnswer] = (),
) -> Iterator[str]:
    """What is asked, since when, and one command per choice; only what was said where an `answer` was given that no leg
    has taken yet. `votes` are answers that are too few to decide. `run` is the id to type, `now` milliseconds UTC."""
    if gate.type != UNKNOWN:
        yield from _gate_lines(gate, run, now, answer, votes)
        return
    if answer is not None and answer.choice in gate.options:
        yield f"{gate.path} has its answer: {decision_text(answer.choice, answer.by, answer.reason)}"
        return
    step = next((one for one in steps if one.path == gate.path), None)
    begun = None if step is None else step.started_at
    since = "" if begun is None else f" (begun {ago(now - begun)}, {iso(begun)})"
    yield f"{gate.path} waits for a decision{since}"
    yield f"    {gate.prompt}"
    has_output = step is None or step.info.kind != "script"
    commands = [answer_command(gate, run, choice, has_output=has_output) for choice in gate.options]
    width = max(map(len, commands), default=0)
    for choice, command in zip(gate.options, commands, strict=True):
        yield f"    {command:<{width}}  {_WHAT.get(choice, choice)}"


def so_far(votes: Sequence[GateAnswer]) -> str:
    """How many of the approvals that a gate needs are there, and whose."""
    people = list(dict.fromkeys(vote.by for vote in votes))
    return f"{len(people)} of {votes[-1].form.get(NEEDED, 1)} approvals so far: {', '.join(people)}"


def _gate_lines(
    gate: GateRecord, run: str, now: int, answer: GateAnswer | None, votes: Sequence[GateAnswer]
) -> Iterator[str]:
    if answer is not None:
        yield f"{gate.path} has its answer: {decision_text(answer.choice, answer.by, answer.reason)}"
        return
    until = ""
    if gate.deadline_at is not None:
        left = gate.deadline_at - now
        until = f", for {elapsed(left)} more" if left > 0 else f"; its time was over at {iso(gate.deadline_at)}"
    yield f"{gate.path} waits for a decision{until} (since {iso(gate.opened_at)})"
    yield from (f"    {line}" for line in gate.prompt.splitlines())
    if votes:
        yield f"    {so_far(votes)}"
    where = _address(gate, run)
    values = _values(gate)
    if values:
        chosen = [
            (f"runkon answer {where} --set decision={shlex.quote(one)}{values}", "choose it") for one in gate.options
        ]
        passes = f"runkon answer {where}{values}"
    else:
        chosen = [(f"runkon approve {where} --select {shlex.quote(one)}", "choose it") for one in gate.options]
        passes = f"runkon approve {where}"
    commands = [*(chosen or [(passes, "let it pass")]), (f"runkon reject {where} -m WHY", "stop it")]
    width = max(len(command) for command, _ in commands)
    yield from (f"    {command:<{width}}  {what}" for command, what in commands)


def _values(gate: GateRecord) -> str:
    """What the command of a gate with a form says more, with a word in place of each value that is needed."""
    return "".join(f" --set {shlex.quote(f'{name}={name.upper()}')}" for name in needed_values(gate.prompt))


def _address(gate: GateRecord, run: str) -> str:
    """A gate as it is typed: by its key where that is its place too, else by its path."""
    return shlex.quote(f"{run}:{gate.path}")


def answer_command(gate: GateRecord, run: str, choice: str, *, has_output: bool) -> str:
    """The command that decides a gate, safe to paste; with `has_output` one that gives the step's output as well."""
    where = shlex.quote(f"{run}:{gate.name}")
    output = " --set output=@result.json" if choice == DONE and has_output else ""
    return f"runkon answer {where} --set decision={choice}{output}"


def gate_object(gate: GateRecord) -> dict[str, JsonValue]:
    """An open gate as `waiting` and `open_gates` hold it."""
    return {
        "gate": gate.name,
        "type": gate.type,
        "path": gate.path,
        "prompt": gate.prompt,
        "options": list[JsonValue](gate.options),
        "opened_at": iso(gate.opened_at),
        "deadline_at": iso(gate.deadline_at),
        "occurrence": gate.occurrence,
        "answer_with": _answer_with(gate),
    }


def _answer_with(gate: GateRecord) -> str:
    if gate.type == UNKNOWN:
        return f"runkon answer {shlex.quote(f'{gate.run}:{gate.name}')} --set decision=CHOICE"
    if values := _values(gate):
        choice = " --set decision=OPTION" if gate.options else ""
        return f"runkon answer {_address(gate, gate.run)}{choice}{values}"
    choice = " --select OPTION" if gate.options else ""
    return f"runkon approve {_address(gate, gate.run)}{choice}"
