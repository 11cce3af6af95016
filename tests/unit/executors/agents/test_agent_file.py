"""Agent files: what they say, and what is wrong with them, where."""

from __future__ import annotations

from pathlib import Path

import pytest

from runkon.executors.agents.agent_file import AgentProblem, place_of, read_agent


def read(tmp_path: Path, content: bytes | str):
    path = tmp_path / "plan.v2.md"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_agent(path)


def problem(tmp_path: Path, content: bytes | str) -> AgentProblem:
    with pytest.raises(AgentProblem) as raised:
        read(tmp_path, content)
    return raised.value


def test_without_front_matter_all_is_prompt(tmp_path) -> None:
    found = read(tmp_path, "\n  Review it.\n\nWell.\n\n")
    assert (found.name, found.prompt) == ("plan.v2", "Review it.\n\nWell.")
    assert (found.role, found.can_commit, found.model, found.runtime) == ("reviewer", False, None, None)


def test_what_the_front_matter_says(tmp_path) -> None:
    text = "---\nname: x\nrole: actor\ncan_commit: true\nmodel: opus\nruntime: claude\ntools: [a, b]\n---\n\nFix it.\n"
    found = read(tmp_path, text)
    assert (found.role, found.can_commit, found.model, found.runtime) == ("actor", True, "opus", "claude")
    assert found.prompt == "Fix it."


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("---\n---\nhi", "hi"),
        ("\n\n---\nrole: actor\n---\nhi", "hi"),
        ("---\r\nrole: actor\r\n---\r\nhi\r\nyou", "hi\nyou"),
        ("\ufeff---\nrole: actor\n---\nhi", "hi"),
        ("---\nrole: actor\n---\na\n---\nb", "a\n---\nb"),
        ("---\nrole: actor\nnever closed", "---\nrole: actor\nnever closed"),
        ("a rule:\n---\nb", "a rule:\n---\nb"),
    ],
)
def test_where_the_front_matter_ends(tmp_path, text: str, prompt: str) -> None:
    assert read(tmp_path, text).prompt == prompt


@pytest.mark.parametrize(
    ("content", "said", "place"),
    [
        ("---\nrole: boss\n---\nhi", "`role` is `boss`", (2, 7)),
        ("---\nrole: [actor]\n---\nhi", "`role` is a list", (2, 7)),
        ("---\nx: 1\ncan_commit: true\n---\nhi", "a reviewer can't have `can_commit`", (3, 13)),
        ("---\nrole: actor\ncan_commit: maybe\n---\nhi", "`can_commit` is `maybe`", (3, 13)),
        ("---\nmodel: 3\n---\nhi", "`model` is `3`", (2, 8)),
        ("---\nruntime: ''\n---\nhi", "`runtime` is ``", (2, 10)),
        ("---\na: b: c\n---\nhi", "mapping values are not allowed", (2, 5)),
        ("---\nrole: [a\n---\nhi", "expected ',' or ']'", (3, 1)),
        ("---\njust text\n---\nhi", "not a map of names and values", (2, 1)),
        ("---\nx: !!python/object:os.system a\n---\nhi", "could not determine a constructor", (2, 4)),
        ("---\nrole: actor\n---\n\n", "it has no prompt", (4, 1)),
        ("", "it has no prompt", (1, 1)),
        (b"one\ntwo \xff", "it is not UTF-8 text: byte 0xff at offset 8", (2, 1)),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path, content: bytes | str, said: str, place) -> None:
    found = problem(tmp_path, content)
    assert said in found.message
    assert (found.line, found.column) == place


def test_the_line_that_is_wrong_is_shown(tmp_path) -> None:
    found = problem(tmp_path, "\n---\nmodel: opus\nrole: boss\n---\nhi")
    assert (found.excerpt, found.line, found.help) == ("role: boss", 4, "a role is `actor` or `reviewer`")


def test_yaml_that_never_ends_is_told(tmp_path) -> None:
    assert "not valid YAML" in problem(tmp_path, "---\nx: " + "[" * 5000 + "\n---\nhi").message


def test_a_folder_and_a_missing_file_are_told(tmp_path) -> None:
    for path in (tmp_path, tmp_path / "none.md"):
        with pytest.raises(AgentProblem, match="it can't be read"):
            read_agent(path)


def test_a_pipe_is_not_waited_for(tmp_path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.md")
    with pytest.raises(AgentProblem, match="not a regular file"):
        read_agent(tmp_path / "pipe.md")


def test_where_a_text_stands_in_the_file(tmp_path) -> None:
    found = read(tmp_path, "---\nrole: actor\n---\nUse\n  {{token}} here\n")
    assert place_of(found, "{{token}}") == (5, 3, "  {{token}} here")
    found.path.unlink()
    assert place_of(found, "{{token}}") == (1, 1, "")


def test_a_setting_that_stands_for_more_than_can_be_printed(tmp_path: Path) -> None:
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))
    file = tmp_path / "a.md"
    file.write_text(f"---\nl0: &l0 [x]\n{levels}\nrole: *l11\n---\nDo it\n")
    with pytest.raises(AgentProblem) as caught:
        read_agent(file)
    assert caught.value.message == "`role` is a list"
