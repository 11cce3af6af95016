"""A secret is found in text however it was written down."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
import urllib.parse
from collections.abc import Callable

import pytest

from runkon.executors.capture import Redaction
from runkon.model.secret_forms import forms_of
from runkon.model.secrets import marks_of, redact, redact_json

SECRET = "s3cr\"et/v'al $ue+é\\x"
LONG = "".join(f"line {number} of a key/{number * 7919}+\n" for number in range(20))
WRITERS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "json": json.dumps,
    "json with letters": lambda text: json.dumps(text, ensure_ascii=False),
    "part of a URL": lambda text: urllib.parse.quote(text, safe=""),
    "path of a URL": urllib.parse.quote,
    "small digits": lambda text: re.sub("%..", lambda found: found[0].lower(), urllib.parse.quote(text, safe="")),
    "field of a form": lambda text: urllib.parse.urlencode({"token": text}),
    "shell": shlex.quote,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 and a line end": lambda text: base64.b64encode(f"{text}\n".encode()).decode(),
    "base64 of user and password": lambda text: base64.b64encode(f"x:{text}".encode()).decode(),
    "base64 after one byte": lambda text: base64.b64encode(f"x{text}!".encode()).decode(),
    "base64 in lines": lambda text: base64.encodebytes(text.encode()).decode(),
}
MARK = "«secret:token»"


@pytest.mark.parametrize("secret", [SECRET, LONG, "hunter", "correct horse"], ids=["signs", "long", "short", "words"])
@pytest.mark.parametrize("writer", list(WRITERS))
def test_however_it_is_written(writer: str, secret: str) -> None:
    text = redact(f"before {WRITERS[writer](secret)} after", {"token": secret})
    assert MARK in text
    assert text.startswith("before ")
    assert text.endswith(" after")
    rest = text.replace(MARK, "")
    assert not any(form in rest for form in forms_of(secret))
    assert len(rest) <= len("before  after token=") + 8


def test_as_a_shell_writes_it_down() -> None:
    said = subprocess.run(
        ["bash", "-c", 'printf %q "$1"', "bash", "a b'c$d"], capture_output=True, text=True, check=True
    )
    assert redact(said.stdout, {"token": "a b'c$d"}) == MARK


@pytest.mark.parametrize("writer", list(WRITERS))
def test_in_a_stream_cut_anywhere(writer: str) -> None:
    data = f"x {WRITERS[writer](SECRET)} y".encode()
    whole = Redaction({"token": SECRET})
    expected = whole.feed(data) + whole.rest()
    assert MARK.encode() in expected
    for at in range(1, len(data)):
        stream = Redaction({"token": SECRET})
        given = stream.feed(data[:at]) + stream.feed(data[at:]) + stream.rest()
        assert not any(form.encode() in given for form in forms_of(SECRET))
    stream = Redaction({"token": SECRET})
    given = b"".join(stream.feed(bytes([byte])) for byte in data) + stream.rest()
    assert not any(form.encode() in given for form in forms_of(SECRET))


def test_in_a_value_keys_too() -> None:
    encoded = base64.b64encode(SECRET.encode()).decode()
    assert redact_json({encoded: [SECRET, 1, {"a": encoded}]}, {"token": SECRET}) == {MARK: [MARK, 1, {"a": MARK}]}


def test_one_that_is_too_short_is_left_alone() -> None:
    assert redact("abcde YWJjZGU=", {"token": "abcde"}) == "abcde YWJjZGU="
    assert marks_of({"token": "abcde"}) == ()
