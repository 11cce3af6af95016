"""Secrets in the text of a command: found in `run`, not in `env`, and not where another value has the name."""

from __future__ import annotations

import pytest

BODY = "W{{ inputs {{ token secret name }} {} }}"


@pytest.mark.parametrize("text", ["x {{token}}", "x '{{ inputs.token }}'", "{{token ?? 'a'}}"])
def test_a_secret_in_a_command_is_an_error(codes, text: str) -> None:
    assert codes(BODY.format(f'script s {{ run = "{text}" }}')) == ["secret-in-command"]


@pytest.mark.parametrize(
    "step",
    [
        'script s { run = "x $RUNKON_TOKEN" }',
        'script s { run = "x $T" env = { T = "{{token}}" } }',
        'script s { run = "x {{token}}" inputs = { token = "a" } }',
        'foreach token in ["a"] { script s { run = "x {{token}}" } }',
        'script s { run = "x {{name}}" }',
    ],
)
def test_what_keeps_it_out_of_the_command_is_fine(codes, step: str) -> None:
    assert codes(BODY.format(step)) == []
