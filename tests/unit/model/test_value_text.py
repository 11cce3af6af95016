from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runkon.model.output import JsonValue
from runkon.model.secrets import redact, reveal, secret_name, secret_reference
from runkon.model.value_text import as_text, harmless


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (-1.5, "-1.5"),
        (["é", 1], '["é", 1]'),
        ({"a": None}, '{"a": null}'),
        ({"$secret": "t"}, "«secret:t»"),
    ],
)
def test_values_as_text(value: JsonValue, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain é ✓ text", "plain é ✓ text"),
        ("a\tb\nc\r\nd", "a\tb\nc\nd"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x1b]0;never closed", ""),
        ("\x9b31mred", "red"),
        ("a\rb\x00\x07\x7f", "a\ufffdb\ufffd\ufffd\ufffd"),
        ("\u202eevil\u2066", "\ufffdevil\ufffd"),
        ("\x1b", ""),
    ],
)
def test_what_a_terminal_would_obey_is_taken_out(text: str, safe: str) -> None:
    assert harmless(text) == safe


@given(st.text(alphabet="\x1b[]();0m\x07\x9b\\a\n\r\x00PX", max_size=40) | st.text(max_size=40))
def test_no_control_character_is_left(text: str) -> None:
    assert all(char in "\t\n" or not (ord(char) < 32 or 127 <= ord(char) < 160) for char in harmless(text))


def test_a_secret_is_known_by_its_reference_only() -> None:
    assert secret_name(secret_reference("t")) == "t"
    for other in ("t", None, {}, {"$secret": 3}, {"$secret": "t", "more": 1}):
        assert secret_name(other) is None


def test_secrets_are_redacted_longest_first_and_short_ones_left_alone() -> None:
    secrets = {"short": "abc", "word": "hunter", "longer": "hunter22"}
    assert redact("hunter22 hunter abc", secrets) == "«secret:longer» «secret:word» abc"
    assert reveal("«secret:word» «secret:unknown»", secrets) == "hunter «secret:unknown»"
