"""The arithmetic of the benchmarks; nothing here takes a time."""

import json

import pytest

from benchmarks import __main__ as command
from benchmarks import programs
from benchmarks.measure import Result, Workload, measure
from runkon.language.parser import parse
from runkon.language.source import SourceFile


def workload(times, *, required=2.0, goal=1.0, log=None):
    given = iter(times)

    def taken(folder):
        assert folder.is_dir()
        assert not any(folder.iterdir())
        (folder / "left.txt").write_text("for nobody else")
        if log is not None:
            log.append("workload")
        return next(given)

    def one(folder):
        if log is not None:
            log.append("yardstick")
        return 2.0

    return Workload("naps", "I", required, goal, taken, one)


def test_the_median_of_the_rounds_counts():
    (result,) = measure([workload([2.0, 100.0, 4.0])], 3, lambda line: None)
    assert result.ratios == (1.0, 50.0, 2.0)
    assert result.ratio == 2.0
    assert result.ok
    assert not result.reached_goal


def test_which_goes_first_alternates():
    log = []
    measure([workload([1.0] * 3, log=log)], 3, lambda line: None)
    assert log == ["yardstick", "workload", "workload", "yardstick", "yardstick", "workload"]


@pytest.mark.parametrize(("ratio", "verdict"), [(0.9, "goal"), (1.5, "ok"), (2.1, "MISSED")])
def test_the_table_says_what_was_reached(ratio, verdict):
    line = command.table([Result(workload([]), (ratio,))]).splitlines()[1]
    assert line.startswith("naps")
    assert line.endswith(verdict)


@pytest.mark.parametrize(("took", "code"), [(3.9, 0), (4.1, 1)])
def test_a_missed_requirement_is_exit_code_one(monkeypatch, tmp_path, capsys, took, code):
    monkeypatch.setattr(command, "WORKLOADS", (workload([took]),))
    assert command.main(["--rounds", "1", "--only", "NAP", "--json", str(tmp_path / "out.json")]) == code
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["schema"] == "runkon.bench/1"
    assert written["results"][0]["ok"] is (code == 0)
    assert "naps" in capsys.readouterr().out


def test_a_name_nothing_has_is_wrong_use(capsys):
    assert command.main(["--only", "no such workload"]) == 2
    assert "no such workload" in capsys.readouterr().err


def test_every_workload_has_a_name_of_its_own_and_a_goal_below_the_requirement():
    names = [one.name for one in command.WORKLOADS]
    assert len(set(names)) == len(names)
    assert all(one.goal < one.required for one in command.WORKLOADS)


@pytest.mark.parametrize("text", [programs.chain(3), programs.branches(3, workers=2), programs.reviews(3)])
def test_the_measured_programs_are_programs(text):
    assert parse(SourceFile("p.wf", text)).diagnostics == ()
