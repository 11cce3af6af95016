"""The tree of a run, its folding, and its fit into a height."""

from __future__ import annotations

from dataclasses import replace

from runkon.model.ids import RunID, StepPath
from runkon.model.output import Output, Usage
from runkon.model.records import StepError, StepInfo, StepRecord
from runkon.model.status import StepStatus
from runkon.views.run_tree import run_tree
from runkon.views.tree_lines import TreeLine, tree_lines


def step(path: str, status: StepStatus = StepStatus.COMPLETED, kind: str = "script", **fields: object) -> StepRecord:
    key = path.rpartition("/")[2].partition("#")[0]
    times = {"started_at": 1000, "ended_at": None if status is StepStatus.RUNNING else 1400}
    return StepRecord(
        RunID("01"), StepPath(path), StepInfo(kind, key, key, path, 0, "x.wf", 7, 1), status, **(times | fields)
    )


def drawn(lines: list[TreeLine]) -> list[str]:
    return [
        "  " * line.depth
        + " ".join(filter(None, [line.sign, line.kind, line.name, line.time, line.detail, line.place]))
        for line in lines
    ]


def test_blocks_are_read_from_paths() -> None:
    steps = [
        step("plan", output=Output(markers=frozenset({"ok"}))),
        step("while[0]/fix"),
        step("while[1]/fix", StepStatus.RUNNING),
        step("checks/a"),
        step("checks/b", StepStatus.FAILED, error=StepError("exit", "broke\nmore"), attempts=2),
        step("parallel#2/c", StepStatus.SKIPPED, skip_reason="condition"),
        step("always#2/bye"),
    ]
    lines = tree_lines(run_tree(steps), now=3000, progress={"while[1]/fix": "half way"}, kinds={"checks": "parallel"})
    assert drawn(lines) == [
        "✓ script plan 0.4s ok",
        "▾ while [0] 0.4s 1 ok",
        "  ✓ script fix 0.4s",
        "▾ while [1] 2.0s 1 running",
        "  ● script fix 2.0s half way",
        "▾ parallel checks 0.4s 1 ok · 1 failed",
        "  ✓ script a 0.4s",
        "  ✗ script b 0.4s attempt 2 · broke … x.wf:7",
        "▾ parallel #2 1 skipped",
        "  ◌ script c its condition is false",
        "▾ always #2 0.4s 1 ok",
        "  ✓ script bye 0.4s",
    ]


def test_what_was_cut_off_or_waits_spends_no_more_time() -> None:
    steps = [
        step("a", StepStatus.INTERRUPTED, ended_at=None),
        step("p/b", StepStatus.WAITING, ended_at=None, attempts=1),
        step("p/c"),
    ]
    assert drawn(tree_lines(run_tree(steps), now=99_000)) == [
        "⊘ script a interrupted; a resume runs it again",
        "▾ p 0.4s 1 ok · 1 waiting",
        "  ⏸ script b waits for a decision: nobody saw how it ended",
        "  ✓ script c 0.4s",
    ]


def test_finished_branches_are_folded_and_failures_stay_open() -> None:
    steps = [step(f"good/s{n}") for n in range(10)]
    steps += [step("bad/x"), step("bad/y", StepStatus.FAILED, error=StepError("exit", "broke"))]
    lines = drawn(tree_lines(run_tree(steps), now=0, height=5))
    assert lines == [
        "▸ good 0.4s 10 ok",
        "▾ bad 0.4s 1 ok · 1 failed",
        "  ✓ script x 0.4s",
        "  ✗ script y 0.4s broke x.wf:7",
    ]


def test_what_runs_is_shown_before_what_is_over() -> None:
    steps = [*(step(f"s{n}") for n in range(100)), step("now", StepStatus.RUNNING)]
    lines = drawn(tree_lines(run_tree(steps), now=1000, height=4))
    assert lines == ["… 98 more", "✓ script s98 0.4s", "✓ script s99 0.4s", "● script now 0.0s"]


def test_too_much_that_runs_is_cut_at_the_end() -> None:
    steps = [step(f"s{n}", StepStatus.RUNNING) for n in range(100)]
    for height in (1, 2, 5):
        lines = tree_lines(run_tree(steps), now=1000, height=height)
        assert len(lines) == height
        assert lines[0].name == f"{101 - height} more"


def test_kept_steps_and_costs_are_named() -> None:
    steps = [step("a", output=Output(context="done", usage=Usage(cost_usd=0.09)))]
    assert drawn(tree_lines(run_tree(steps), now=0, is_reused=frozenset({"a"}))) == [
        "✓ script a 0.4s $0.09 · kept · done"
    ]


def test_a_step_with_steps_below_it_keeps_its_own_status() -> None:
    steps = [step("deploy", StepStatus.FAILED, kind="call", error=StepError("exit", "x")), step("deploy/on_fail")]
    lines = drawn(tree_lines(run_tree(steps), now=0))
    assert lines[0].startswith("✗ call deploy")
    assert lines[1] == "  ✓ script on_fail 0.4s"


def test_items_stand_below_their_foreach() -> None:
    steps = [
        step("f", StepStatus.FAILED, "foreach", error=StepError("exception", "1 of 2 items failed")),
        step("f[a]", kind="item"),
        step("f[a]/x"),
        step("f[b]/x", StepStatus.RUNNING),
        step("while[0]/x"),
        step("g[a]/x", StepStatus.RUNNING),
    ]
    assert drawn(tree_lines(run_tree(steps), now=3000)) == [
        "▾ foreach f 0.4s 1 ok · 1 running · 1 of 2 items failed x.wf:7",
        "  ▾ item f[a] 0.4s 1 ok",
        "    ✓ script x 0.4s",
        "  ▾ item f[b] 2.0s 1 running",
        "    ● script x 2.0s",
        "▾ while [0] 0.4s 1 ok",
        "  ✓ script x 0.4s",
        "▾ foreach g 2.0s 1 running",
        "  ▾ item g[a] 2.0s 1 running",
        "    ● script x 2.0s",
    ]


def test_of_many_items_only_those_that_run_or_failed_stand_for_themselves() -> None:
    steps = [step(f"f[{number}]/x") for number in range(5)]
    steps += [step("f[5]/x", StepStatus.FAILED, error=StepError("exit", "broke"))]
    steps += [step(f"f[{number}]/x") for number in range(6, 12)]
    steps += [step("f[12]", StepStatus.SKIPPED, "item", skip_reason="dependency")]
    assert [line.strip() for line in drawn(tree_lines(run_tree(steps), now=3000))][1:] == [
        "▸ items f[0] … f[4] 5 ok",
        "▾ item f[5] 0.4s 1 failed",
        "✗ script x 0.4s broke x.wf:7",
        "▸ items f[6] … f[12] 6 ok · 1 skipped",
    ]


def test_a_gate_waits_for_a_decision_and_nothing_was_lost() -> None:
    gate = step("ship", StepStatus.WAITING, ended_at=None)
    gate = replace(gate, info=replace(gate.info, kind="gate"))
    assert drawn(tree_lines(run_tree([gate]), now=9_000)) == ["⏸ gate ship waits for a decision"]
