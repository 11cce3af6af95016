"""Secrets in snippets: found where the `with` stands, once for each secret."""

from __future__ import annotations

import pytest

from runkon.language.program import Located

BODY = "W{{ inputs {{ token secret name }} {} }}"


@pytest.fixture
def world(catalog, tmp_path):
    """A catalog in which the snippet `s` holds a text."""

    def make(text: str | bytes):
        path = tmp_path / "s.md"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return catalog(files={("snippet", "s"): Located(path, ("s.md",))})

    return make


@pytest.mark.parametrize(
    "step", ['call a { with = ["s"] }', 'do { with = ["s"] call a }', 'parallel { with = ["s"] call a call b }']
)
def test_a_secret_is_found_wherever_the_snippet_is_named(codes, world, step: str) -> None:
    assert codes(BODY.format(step), world("use {{token}}, {{ inputs.token }}")) == ["secret-in-prompt"]


@pytest.mark.parametrize("text", ["{{name}}", "token", "{{tokens}}", "{{token", b"\xff {{token}}"])
def test_what_asks_for_no_secret_is_fine(codes, world, text: str | bytes) -> None:
    assert codes(BODY.format('call a { with = ["s"] }'), world(text)) == []


def test_the_place_in_the_snippet_is_told(checked, world) -> None:
    (found,) = checked(BODY.format('call a { with = ["s"] }'), world("a\nb {{token ?? 'x'}} c")).diagnostics
    ((span, label),) = found.related
    assert (span.file, span.line, span.column, label) == ("s.md", 2, 3, "b {{token ?? 'x'}} c")
    assert found.message == "the prompt snippet `s` would put the secret `token` into a prompt"


def test_a_snippet_that_is_not_there_is_told_elsewhere(codes, catalog) -> None:
    assert codes(BODY.format('call a { with = ["s"] }'), catalog(everything=False, known={"executor": ("a",)})) == [
        "unknown-snippet"
    ]
