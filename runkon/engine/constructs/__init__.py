"""Which construct runs which statement. A new construct is one file here and one line in `constructs`."""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from runkon.engine.constructs.always import run_always
from runkon.engine.constructs.branch import run_branch
from runkon.engine.constructs.call import run_call
from runkon.engine.constructs.call_workflow import run_call_workflow
from runkon.engine.constructs.do import run_do
from runkon.engine.constructs.foreach import run_foreach
from runkon.engine.constructs.loop import run_do_while, run_while
from runkon.engine.constructs.parallel import run_parallel
from runkon.engine.constructs.script import run_script
from runkon.engine.constructs.set import run_set
from runkon.engine.plan import Constructs, Planned
from runkon.engine.scope import Scope
from runkon.language import nodes as n


@cache
def constructs() -> Constructs:
    """Class of statement to the function that runs it."""
    return MappingProxyType(
        {
            n.CallStep: run_call,
            n.ScriptStep: run_script,
            n.CallWorkflow: run_call_workflow,
            n.IfBlock: run_branch,
            n.WhileBlock: run_while,
            n.DoWhileBlock: run_do_while,
            n.DoBlock: run_do,
            n.ParallelBlock: run_parallel,
            n.AlwaysBlock: run_always,
            n.SetStatement: run_set,
            n.ForEachBlock: run_foreach,
            n.GateStep: run_gate,
        }
    )


def run_gate(planned: Planned, scope: Scope) -> None:
    """Open a gate, or answer it from its record."""
    from runkon.engine.constructs.gate import run_gate as run  # late: most runs have none

    run(planned, scope)
