"""The workflows that are killed: each at most twelve leaves, with executors that answer by the path they are called at.

What an executor says depends on the path, on what it was given to read and on how many failures of the path are on
record, never on how often it was called: so a resumed run has to end like one that nobody killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from runkon.model.output import JsonValue

Failures = Callable[[str], int]  # path to the number of its failed attempts on record
SECRET = "hunter2-and-more"


@dataclass(frozen=True)
class Play:
    """One workflow to kill. `markers` are those a path answers with; `fails` says how many times a path fails first
    (-1: always); `writers` are agents whose effect is `write`; `anew` are paths that may be called again after a kill
    although their end is on record, because a failure nobody took is tried again and retries are granted afresh. With
    `logs` every answer has a field `log`, a list of its path."""

    name: str
    text: str
    markers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    fails: Mapping[str, int] = field(default_factory=dict)
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    writers: frozenset[str] = frozenset()
    anew: frozenset[str] = frozenset()
    large: frozenset[str] = frozenset()
    scripts: bool = False
    logs: bool = False


def _marks(**paths: str) -> dict[str, frozenset[str]]:
    return {path: frozenset(markers.split()) for path, markers in paths.items()}


def _rounds(name: str, loop: str, count: int, marker: str) -> dict[str, frozenset[str]]:
    """`marker` before the loop and in all but the last of `count` rounds, beside one that changes every round."""
    rounds = {f"{loop}[{index}]/{name}": frozenset({f"m{index}", marker}) for index in range(count - 1)}
    return {name: frozenset({marker}), f"{loop}[{count - 1}]/{name}": frozenset({"last"}), **rounds}


CHAIN = Play("chain", "workflow w { call a call b call a call c outputs { x = c.context y = a.context } }")

BRANCH = Play(
    "branch",
    """workflow w {
  call a
  if a.deep { call b if b.deeper { call c } else { call never } } else { call never }
  if a.shallow { call never } else { call d }
  outputs { x = d.context }
}""",
    markers={"a": frozenset({"deep"}), **_marks(b="deeper")},
)

WHILE = Play(
    "while",
    """workflow w {
  call c
  while c.more { max_iterations = 9 call c if c.m1 { call d } }
  call e
  outputs { x = e.context }
}""",
    markers=_rounds("c", "while", 4, "more"),
)

DO_WHILE = Play(
    "do-while",
    """workflow w {
  call a { on_fail = continue }
  do { max_iterations = 9 stuck_after = 3 on_max_iter = continue call c call d } while c.more
}""",
    markers={f"do[{index}]/c": frozenset({"more"}) for index in range(9)},
    fails={"a": -1},
)

PARALLEL = Play(
    "parallel",
    """workflow w {
  call a
  parallel checks { fail_fast = false min_success = 2 call b call c call d call e }
  if c.status == "failed" { call f }
  call g
  outputs { x = checks.succeeded y = g.context }
}""",
    fails={"checks/c": -1},
    anew=frozenset({"checks/c"}),
)

NESTED = Play(
    "nested",
    """workflow w {
  call c
  while c.more {
    max_iterations = 5
    parallel outer {
      call a
      do two { call b call c }
      parallel inner { fail_fast = false min_success = 1 call d call e }
    }
  }
  outputs { x = outer.context y = c.context }
}""",
    markers={"c": frozenset({"more"}), "while[0]/outer/two/c": frozenset({"more"})},
    fails={"while[0]/outer/inner/d": -1},
    anew=frozenset({"while[0]/outer/inner/d"}),
)

RETRY = Play(
    "retry",
    """workflow w {
  call a { retries = 3 delay = 2ms jitter = false }
  call b { retries = 1 delay = 1ms fallback = c }
  call d { retries = 2 on_fail = continue }
  parallel p { call e { retries = 2 delay = 1ms } call f }
  outputs { x = b.context y = a.context }
}""",
    fails={"a": 2, "b": -1, "d": -1, "p/e": 1},
    anew=frozenset({"b", "d"}),
)

ALWAYS = Play(
    "always",
    """workflow w {
  call a
  call b
  always {
    call report
    if report.again { call tell { on_fail = continue } }
    while report.again { max_iterations = 3 call report }
  }
}""",
    markers={"report": frozenset({"again"}), "while[0]/report": frozenset({"again"})},
    fails={"b": -1, "tell": -1},
    anew=frozenset({"b"}),
)

ASK = Play(
    "ask",
    """workflow w {
  call a
  call deploy
  parallel p { call deploy call b }
  call c
  outputs { x = deploy.context y = c.context }
}""",
    writers=frozenset({"deploy"}),
)

GATES = Play(
    "gate",
    """workflow w {
  call a
  gate human_review { prompt = "Ship {{a.context}}?" on_reject = continue }
  if human_review.approved { call b { inputs = { said = "{{gate_feedback}}" } } } else { call never }
  parallel p { gate human_approval { name = second } call c }
  gate pr_checks { timeout = 0 on_timeout = continue }
  if pr_checks.timed_out { call d } else { call never }
  outputs { x = b.context y = human_review.decision z = second.by }
}""",
)

UNTIL = Play(
    "until",
    """workflow w {
  parallel p { max_parallel = 1 until = b.found call a do two { call b call c } call d call e }
  if d.status == "skipped" { call f }
  parallel q { max_parallel = 1 until = g.never call g call h }
  outputs { x = p.skipped y = f.context }
}""",
    markers={"p/two/b": frozenset({"found"})},
)

STOPPED = Play(
    "stopped",
    """workflow w {
  parallel p {
    max_parallel = 1
    until = b.found
    call workflow kid
    foreach t in [1, 2] { call i }
    do { call a call b { if = a.more } call c }
    foreach u in [3, 4] { call never }
    call workflow other
    gate human_review { }
  }
  if u.status == "skipped" and t.status == "completed" { call f }
  if other.status == "skipped" and human_review.status == "skipped" { call g } else { call never }
  outputs { x = p.skipped y = g.context z = c.context k = kid.v }
}
workflow kid { outputs { v = k.context } call k always { call z } }
workflow other { call never }
""",
    markers=_marks(**{"p/b": "found", "p/a": "more"}),
)

LIMITS = Play(
    "limits",
    """workflow w {
  meta { budget_usd = 50 max_calls = 900 max_tokens = 1000 }
  call a { max_cost_usd = 0.40 }
  parallel p { call b { max_cost_usd = 0.40 } call c { retries = 1 } call d }
  call e { retries = 2 }
  call workflow kid { max_cost_usd = 9 }
  outputs { x = e.context y = kid.v }
  always { call z }
}
workflow kid { meta { max_calls = 900 budget_usd = 20 } outputs { v = g.context } call f call g { max_cost_usd = 0.2 } }
""",
    fails={"p/c": 1, "e": 2},
)

SECRETS = Play(
    "secret",
    """workflow w {
  inputs { token secret required name default = "joe" }
  call a
  call b { inputs { key = "{{token}}" } }
  call c
  outputs { x = "{{name}} {{token}}" y = c.context }
}""",
    secrets={"token": SECRET},
)

LARGE = Play(
    "large",
    """workflow w {
  call a
  parallel p { call big call b }
  call c
  outputs { x = c.context y = p.succeeded }
}""",
    large=frozenset({"big"}),
)

SCRIPTS = Play(
    "scripts",
    """workflow w {
  inputs { folder required }
  script daemon {
    run = "echo daemon >>{{folder}}/calls; setsid sleep 300 >/dev/null 2>&1 & sleep 300 >/dev/null 2>&1 & echo hi"
  }
  parallel p {
    script nap { effect = read
      run = \"\"\"
        echo p/nap >>{{folder}}/calls
        setsid sleep 300 >/dev/null 2>&1 &
        sleep 300 >/dev/null 2>&1 &
        touch {{folder}}/touched
        while [ ! -e {{folder}}/release ]; do sleep 0.01; done
        echo rested
      \"\"\"
    }
    call watch
  }
  script reads { effect = read run = "echo reads >>{{folder}}/calls; echo read" }
  call c
  outputs { x = nap.context y = c.context }
}""",
    scripts=True,
)

MIXED = Play(
    "mixed",
    """workflow w {
  call plan
  do { max_iterations = 4
    parallel work {
      fail_fast = false
      call build { retries = 1 on_fail = continue }
      do part { call test if test.bad { call fix } }
      call deploy
    }
    call review
  } while review.again
  if plan.big { call big } else { call never }
  always { call report if report.more { call tell } }
  outputs { x = review.context y = work.context }
}""",
    markers={
        "plan": frozenset({"big"}),
        "do[0]/review": frozenset({"again"}),
        "do[0]/work/part/test": frozenset({"bad"}),
        "report": frozenset({"more"}),
    },
    fails={"do[0]/work/build": -1, "do[1]/work/build": 1},
    writers=frozenset({"deploy"}),
    large=frozenset({"big"}),
    anew=frozenset({"do[0]/work/build"}),
)

CHILDREN = Play(
    "children",
    """workflow w {
  call a
  call workflow one { inputs { said = "{{a.context}}" } }
  parallel p { call workflow two { on_fail = continue } call d }
  if two.status == "failed" { call e }
  outputs { x = one.told y = b.context }
}
workflow one {
  inputs { said required }
  outputs { told = b.context }
  call b
  call workflow deep
  if c.more { call f }
  always { call t }
}
workflow deep { call c parallel { call g call h } always { call u } }
workflow two { call i call j }
""",
    markers={"one/deep/c": frozenset({"more"})},
    fails={"p/two/j": -1},
    anew=frozenset({"p/two/j"}),
)

ITEMS = Play(
    "items",
    """workflow w {
  call a
  foreach t in ["x", "y/z", "w"] {
    key = "{{t}}"
    max_parallel = 2
    call b { inputs = { name = "{{t}}" } }
    if b.more { foreach u in [1, 2] { call c call d { on_fail = continue } } }
  }
  foreach k { over = [7, 8] workflow = one max_parallel = 1 inputs = { said = "{{item}} {{a.context}}" } }
  parallel p { fail_fast = false min_success = 1 foreach v in [1, 2] { call g } call h }
  call z
  outputs { x = t.items y = t.context z = z.context }
}
workflow one { inputs { said required } call e always { call f } }
""",
    markers={"t[x]/b": frozenset({"more"}), "t[w]/b": frozenset({"more"})},
    fails={"t[w]/u[0]/d": -1, "p/v[0]/g": -1},
    anew=frozenset({"t[w]/u[0]/d", "p/v[0]/g"}),
)

STATE = Play(
    "state",
    """workflow w {
  state { log list = ["begun"] reduce = append rounds integer = 0 reduce = sum last text seen list reduce = union }
  call a
  parallel p {
    fail_fast = false
    min_success = 2
    call b
    do { call c set { last = "{{c.context}}" rounds = 1 } call d }
    call e
  }
  while state.rounds < 3 {
    max_iterations = 4
    parallel { call f do { call g set { seen = ["{{state.rounds}}", "x"] } } }
    set { rounds = 1 log = ["{{state.seen}}"] }
  }
  foreach t in [1, 2] { call h set { rounds = 10 } }
  if state.rounds == 23 { call i { inputs = { told = state.log } } }
  outputs { log = state.log rounds = state.rounds last = state.last seen = state.seen }
  always { call z { inputs = { told = "{{state.last}} {{state.rounds}}" } } }
}""",
    fails={"p/e": -1},
    anew=frozenset({"p/e"}),
    logs=True,
)

PLAYS = {
    play.name: play
    for play in (
        CHAIN,
        BRANCH,
        WHILE,
        DO_WHILE,
        PARALLEL,
        NESTED,
        RETRY,
        ALWAYS,
        ASK,
        GATES,
        SECRETS,
        UNTIL,
        STOPPED,
        LIMITS,
        LARGE,
        SCRIPTS,
        MIXED,
        CHILDREN,
        ITEMS,
        STATE,
    )
}
