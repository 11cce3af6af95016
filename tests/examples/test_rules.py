"""Each rule of the reviewers finds what it should, on that line, and nothing else."""

from __future__ import annotations

import re

import pytest

from .conftest import REVIEWERS
from .planted import PLANTED, expected, written

RULE = re.compile(r'"(?:high|medium|low)", "([a-z-]+)"|severity, "([a-z-]+)"')


@pytest.fixture
def found_in(reviewers, tmp_path):
    """Reads one file of that name and content with all rules."""
    findings, report = reviewers("findings"), reviewers("report")

    def find(name: str, content: str | bytes) -> list[tuple[str, int, str, str]]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        (module,) = findings.read_modules(tmp_path, [name])
        seen = [module] if isinstance(module, findings.Finding) else findings.apply(report._RULES, module)
        return sorted((f.file, f.line, f.severity, f.rule) for f in seen)

    return find


@pytest.mark.parametrize("name", PLANTED)
def test_the_marked_lines_are_found_and_no_others(name, found_in):
    assert found_in(name, written(PLANTED[name])) == sorted(expected(name, PLANTED[name]))


def test_every_rule_has_a_planted_defect():
    named = {a or b for file in REVIEWERS.glob("*.py") for a, b in RULE.findall(file.read_text("utf-8"))}
    planted = {rule for name, text in PLANTED.items() for _, _, _, rule in expected(name, text)}
    in_history = {"private-file", "large-file", "conflict-marker"}
    assert len(named) > 20
    assert named - planted - in_history - {"medium"} == {"unreadable"}


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        pytest.param(b"# a\nx = '\xe9'\n", ("a.py", 2, "high", "syntax"), id="not-utf8"),
        pytest.param(b"# a\n# b\n# c\nx = '\xe9'\n", ("a.py", 4, "high", "syntax"), id="not-utf8-further-down"),
        pytest.param(b"# coding: klingon\n", ("a.py", 1, "high", "syntax"), id="unknown-encoding"),
        pytest.param(b"x = 1\ny = '\0'\n", ("a.py", 2, "high", "syntax"), id="nul"),
        pytest.param(b"x = " + b"(" * 500 + b")" * 500, ("a.py", 1, "high", "syntax"), id="too-nested"),
        pytest.param(b"x = " + b"-" * 5000 + b"1\n", ("a.py", 1, "medium", "unreadable"), id="too-deep"),
    ],
)
def test_a_file_python_refuses_is_one_finding(content, finding, found_in):
    assert found_in("a.py", content) == [finding]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xef\xbb\xbfx = 1\n", id="byte-order-mark"),
        pytest.param(b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", id="own-encoding"),
        pytest.param(b"x = 1\r\ny = 2\r\n", id="crlf"),
        pytest.param(b"x = '\\d'\n", id="odd-escape"),
        pytest.param(b"x = " + b" + ".join([b"'a'"] * 900) + b"\n", id="long-sum"),
    ],
)
def test_a_file_python_accepts_is_no_finding(content, found_in):
    assert found_in("a.py", content) == []


def test_lines_count_from_one_with_any_line_end(found_in):
    assert found_in("a.py", b"x = 1\r\n\r\neval(x)\r\n") == [("a.py", 3, "high", "eval")]


def test_a_file_that_is_not_there_is_said_to_be_unreadable(reviewers, tmp_path):
    (finding,) = reviewers("findings").read_modules(tmp_path, ["gone.py"])
    assert finding == ("gone.py", 1, "medium", "unreadable", "can't be read: no such file or directory")


@pytest.mark.parametrize(
    ("path", "is_test"),
    [
        ("tests/a.py", True), ("a/test/b.py", True), ("test_a.py", True), ("a/b_test.py", True),
        ("conftest.py", True), ("tests.py", True), ("latest.py", False), ("contest/a.py", False),
        ("testing/a.py", False), ("attest.py", False),
    ],
)  # fmt: skip
def test_what_counts_as_a_test_file(path, is_test, reviewers):
    assert reviewers("findings").is_test_path(path) is is_test


@pytest.mark.parametrize(
    ("name", "content", "holds"),
    [
        ("key.pem", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("key.pem", "-----BEGIN CERTIFICATE-----", False),
        ("a.p12", "x", True),
        (".env", "DEBUG=1\nexport API_KEY='abc'\n", True),
        (".env", "DEBUG=1\nAPI_KEY=\nDB_PASSWORD=$FROM_CI\n", False),
        (".netrc", "machine a login b password c", True),
        ("credentials.json", "", False),
        ("notes.md", "PRIVATE KEY-----", False),
    ],
)
def test_what_counts_as_a_file_with_secrets(name, content, holds, reviewers, tmp_path):
    (tmp_path / name).write_text(content)
    assert reviewers("proof").holds_secrets(tmp_path / name) is holds


BEGIN, MIDDLE, END = "<" * 7 + " ours\n", "=" * 7 + "\n", ">" * 7 + " theirs\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"a\n{BEGIN}b\n{MIDDLE}c\n{END}d\n{BEGIN}{MIDDLE}{END}", [2, 8]),
        (f"Title\n{MIDDLE}text\n", []),
        (f"{BEGIN}quoted, without an end\n", []),
        (f"{BEGIN}{END}", []),
        (f"  {BEGIN}  {MIDDLE}  {END}", []),
    ],
)
def test_what_counts_as_a_conflict(text, lines, reviewers, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    assert reviewers("proof").conflicts(tmp_path / "a.txt") == lines
