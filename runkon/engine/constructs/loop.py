"""`while` and `do … while`: a body again and again, each round under a path of its own.

A resume enters here like a fresh run: rounds that are done answer from the record, so conditions, the cap and the
stuck check see what they saw the first time.
"""

from __future__ import annotations

from collections import deque

from runkon.engine.ends import BodyFailed, Failure
from runkon.engine.interpreter import run_body
from runkon.engine.plan import Planned, order_text
from runkon.engine.scope import Scope
from runkon.failpoints import failpoint
from runkon.language import nodes as n
from runkon.model.ids import StepPath, iteration


def run_while(planned: Planned, scope: Scope) -> None:
    """The condition is tested before each round, so the body may run never."""
    node = planned.node
    assert isinstance(node, n.WhileBlock)
    stuck = _StuckCheck(planned, node, scope)
    number = 0
    while _holds(planned, node, scope, number):
        stuck.check()
        if number >= node.max_iterations:
            _at_cap(planned, node, scope)
            return
        _round(planned, scope, number)
        stuck.look()
        number += 1


def run_do_while(planned: Planned, scope: Scope) -> None:
    """The condition is tested after each round, so the body runs at least once (with a cap of at least one)."""
    node = planned.node
    assert isinstance(node, n.DoWhileBlock)
    stuck = _StuckCheck(planned, node, scope)
    for number in range(node.max_iterations):
        _round(planned, scope, number)
        stuck.look()
        if not _holds(planned, node, scope, number):
            return
        stuck.check()
    _at_cap(planned, node, scope)


def _holds(planned: Planned, node: n.WhileBlock | n.DoWhileBlock, scope: Scope, number: int) -> bool:
    scope.check()
    choice = scope.env.evaluate(node.condition)
    path = StepPath(iteration(scope.path_of(planned), number))
    scope.chose(path, planned.node.kind.replace("_", " "), choice, result=choice.result)
    failpoint("loop_tested", path)
    return choice.result


def _round(planned: Planned, scope: Scope, number: int) -> None:
    prefix = f"{iteration(scope.path_of(planned), number)}/"
    order = f"{scope.order_of(planned)}.{order_text(number)}."
    run_body(planned.bodies[0], scope.inside(prefix, order, number))


def _at_cap(planned: Planned, node: n.WhileBlock | n.DoWhileBlock, scope: Scope) -> None:
    """The condition still holds after the last round that is allowed."""
    if node.on_max_iter == "continue":
        return
    rounds = f"{node.max_iterations} round{'' if node.max_iterations == 1 else 's'}"
    _end(planned, scope, "max_iterations", f"the loop's condition still holds after {rounds}")


def _end(planned: Planned, scope: Scope, reason: str, message: str) -> None:
    """A loop that does not come to its end stops the walk, also where failed steps do not."""
    path, span = scope.path_of(planned), planned.node.span
    raise BodyFailed(Failure(path, f"`{path}` ({span.file}:{span.line}) failed: {message}", reason))


class _StuckCheck:
    """Ends a loop whose condition step gave the same markers `stuck_after` times in a row. Asked only while the
    condition holds, so a last round that settled it is no failure."""

    def __init__(self, planned: Planned, node: n.WhileBlock | n.DoWhileBlock, scope: Scope) -> None:
        self._planned = planned
        self._scope = scope
        self._limit = node.stuck_after
        self._keys = tuple(dict.fromkeys(_step_keys(node.condition)))
        self._seen: deque[tuple[frozenset[str], ...]] = deque(maxlen=node.stuck_after or 0)

    def look(self) -> None:
        """A round has ended."""
        if self._limit is not None:
            found = (self._scope.env.results.get(key) for key in self._keys)
            self._seen.append(tuple(frozenset() if one is None else one.output.markers for one in found))

    def check(self) -> None:
        if self._limit is not None and self._keys and len(self._seen) == self._limit and len(set(self._seen)) == 1:
            names = ", ".join(f"`{key}`" for key in self._keys)
            _end(self._planned, self._scope, "stuck", f"{self._limit} rounds in a row {names} gave the same markers")


def _step_keys(condition: n.Condition) -> tuple[str, ...]:
    """The steps a condition asks, in text order."""
    match condition:
        case n.Reference(parts=parts):
            return (parts[0],) if len(parts) > 1 and parts[0] not in ("inputs", "workflow", "env", "state") else ()
        case n.Compare(left=left, right=right):
            return _step_keys(left) + _step_keys(right)
        case n.Not(operand=operand):
            return _step_keys(operand)
        case n.And(operands=operands) | n.Or(operands=operands):
            return tuple(key for operand in operands for key in _step_keys(operand))
        case _:
            return ()
