"""`runkon fmt`: canonical layout, atomic, never touching what it can't read."""

from __future__ import annotations

import os

import pytest

UGLY = 'workflow x{script a{run="true"}} // end\n'
BROKEN = "workflow x {\n  script a { run = \n"


@pytest.fixture
def pretty(case) -> str:
    case.stdin(UGLY).run("fmt", "-").exits(0).stderr("")
    assert case.out != UGLY
    return case.out


def test_a_file_is_rewritten_once(case, pretty):
    case.file("x.wf", UGLY).run("fmt", "x.wf").exits(0).stdout("").stderr("formatted x.wf\n")
    assert (case.project / "x.wf").read_text() == pretty
    case.run("fmt", "x.wf").exits(0).stdout("").stderr("")


def test_check_changes_nothing_and_says_so_by_its_exit_code(case, pretty):
    case.file("x.wf", UGLY).file("y.wf", pretty).run("fmt", "--check").exits(1).stdout("would format x.wf\n").stderr("")
    assert (case.project / "x.wf").read_text() == UGLY
    case.run("fmt", "--check", "y.wf").exits(0).stdout("")


def test_diff_changes_nothing_and_shows_the_change(case, pretty):
    case.file("x.wf", UGLY).run("fmt", "--diff", "x.wf").exits(0)
    assert case.out.startswith("--- x.wf (as it is)\n+++ x.wf (formatted)\n@@")
    assert (case.project / "x.wf").read_text() == UGLY
    case.run("fmt", "--diff", "--check", "x.wf").exits(1)


def test_a_broken_file_stays_as_it_is_and_the_others_are_formatted(case, pretty):
    case.file("a.wf", BROKEN).file("b.wf", UGLY).run("fmt").exits(3).stdout("")
    assert (case.project / "a.wf").read_text() == BROKEN
    assert (case.project / "b.wf").read_text() == pretty
    assert case.err.startswith("error[")
    assert "a.wf:" in case.err
    case.run("fmt", "--check", "a.wf").exits(3)


def test_mode_and_links_survive(case, pretty):
    case.file("real.wf", UGLY)
    os.chmod(case.project / "real.wf", 0o640)
    os.symlink("real.wf", case.project / "link.wf")
    case.run("fmt", "link.wf").exits(0)
    assert (case.project / "link.wf").is_symlink()
    assert (case.project / "real.wf").read_text() == pretty
    assert (case.project / "real.wf").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in case.project.iterdir()) == [".runkon", "link.wf", "real.wf"]


def test_json_lists_what_changed(case, pretty):
    case.file("x.wf", UGLY).file("y.wf", pretty).run("fmt", "--json", "--check").exits(1).stderr("")
    assert case.json() == {
        "schema": "runkon.fmt/1",
        "fmt": [{"file": "x.wf", "ok": True, "changed": True}, {"file": "y.wf", "ok": True, "changed": False}],
    }


def test_standard_input_with_errors(case):
    case.stdin(BROKEN).run("fmt", "-").exits(3).stdout("")
    assert "<stdin>:" in case.err


def test_a_folder_without_write_access(case):
    case.file("deep/x.wf", UGLY)
    before = (case.project / "deep" / "x.wf").stat()
    os.chmod(case.project / "deep", 0o500)
    try:
        if os.access(case.project / "deep", os.W_OK):  # the superuser writes everywhere: the file is replaced
            case.run("fmt", "deep/x.wf").exits(0)
        else:
            case.run("fmt", "deep/x.wf").exits(5).stderr("""
                error[cannot-write]: `deep/x.wf` can't be written: permission denied
                """)
            assert (case.project / "deep" / "x.wf").stat().st_mtime_ns == before.st_mtime_ns
    finally:
        os.chmod(case.project / "deep", 0o700)
