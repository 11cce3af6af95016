"""The small parts: lines, places in JSON, causes of failures, variables, times."""

from __future__ import annotations

import pytest

from runkon.errors import Fatal, Transient
from runkon_cli.environment import environment_of, secrets_in
from runkon_cli.failures import cause_of, failure_of
from runkon_cli.lines import Lines
from runkon_cli.options import Options, described, read_options
from runkon_cli.paths import first_at, matches, sum_at, values_at


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_they_arrive(size):
    text = b"one\n\ntwo\nthree"
    lines = Lines()
    found = [line for at in range(0, len(text), size) for line in lines.feed(text[at : at + size])]
    assert found + lines.rest() == [b"one", b"", b"two", b"three"]
    assert lines.rest() == []


def test_a_line_that_is_too_long_is_left_out_and_the_next_is_not():
    lines = Lines(5)
    assert lines.feed(b"12345\n123456\n12\n") == [b"12345", b"12"]
    assert lines.feed(b"1234") + lines.feed(b"56789") + lines.feed(b"\nend") == []
    assert (lines.rest(), lines.left_out) == ([b"end"], 2)


DOCUMENT = {"a": {"b": [{"n": 1}, {"n": 2.5}, {"n": "x"}], "t": "text"}, "n": 3, "f": True, "none": None}


def test_places_in_a_document():
    assert list(values_at(DOCUMENT, "a.b.*.n")) == [1, 2.5, "x"]
    assert first_at(DOCUMENT, "a.b.1.n") == 2.5
    assert first_at(DOCUMENT, "a.b.9.n") is None
    assert first_at(DOCUMENT, "a.t.length") is None
    assert first_at(DOCUMENT, "*.t") == "text"
    assert [sum_at(DOCUMENT, place) for place in ("a.b.*.n", "a.b.*", "n", "f", "a", "none", "no")] == [
        3.5, 3.5, 3, None, None, None, None,
    ]  # fmt: skip
    assert matches(DOCUMENT, {"n": 3, "a.t": "text"})
    assert not matches(DOCUMENT, {"n": 3, "a.t": "other"})


CAUSES = {
    "fatal": [
        "Invalid API key · Please run /login", "401 Unauthorized", "unexpected status 401 Unauthorized", "HTTP 403",
        "You exceeded your current quota: insufficient_quota", "Claude AI usage limit reached|1750000000",
        "Your credit balance is too low", "OAuth token has expired", "billing_error",
        "The model `x` does not exist or you do not have access to it", "rate limit; please run /login",
    ],
    "transient": [
        "429 Too Many Requests", "API Error: 529 overloaded_error", "Error: connect ECONNREFUSED 127.0.0.1:443",
        "Rate limit reached for requests", "RESOURCE_EXHAUSTED", "socket hang up", "status: 503", "request timed out",
        "stream disconnected before completion",
    ],
    None: [
        "", "it broke", "tests in billing.py failed", "model User not found", "line 401 of unauthorized_test.py",
        "429 lines changed", "AssertionError: 503 != 200",
        "401 Unauthorized" + "\n" + "then a lot of other words\n" * 100,
    ],
}  # fmt: skip


@pytest.mark.parametrize(("said", "cause"), [(said, cause) for cause, texts in CAUSES.items() for said in texts])
def test_what_the_words_of_an_error_mean(said, cause):
    assert cause_of(said) == cause


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("rate limit, retry after 30 seconds", 30),
        ("rate limit, try again in 1.5s", 1.5),
        ("rate limit; try again in 250ms", 0.25),
        ("rate limit: try again in 5 minutes", 300),
        ("rate limit, retry-after: 7", 7),
        ("rate limit; try again in 99h", 3600),
        ("rate limit", None),
    ],
)
def test_how_long_to_wait(said, seconds):
    failure = failure_of("it failed", said, None)
    assert isinstance(failure, Transient)
    assert failure.retry_after == seconds


def test_the_environment_is_a_list_of_names():
    parent = {"PATH": "/bin", "LC_ALL": "C", "HOME": "/h", "AWS_KEY": "k", "OTHER": "o", "RUNKON_OWNERS": "old"}
    marks = {"RUNKON_OWNERS": "new"}
    assert environment_of(parent, (), {}, marks) == {"PATH": "/bin", "LC_ALL": "C", "HOME": "/h", **marks}
    allowed = environment_of(parent, ("AWS_*", "OTHER", "MISSING"), {"OTHER": "mine"}, marks)
    assert (allowed["AWS_KEY"], allowed["OTHER"], "MISSING" in allowed) == ("k", "mine", False)


def test_which_variables_are_secrets():
    long = "0123456789ab"
    given = {"A_KEY": long, "a_token": long, "B_KEY": "short", "PATH": long, "KEYS": long}
    assert secrets_in(given) == {"A_KEY": long, "a_token": long}


@pytest.mark.parametrize(("written", "seconds"), [("10m", 600), ("1.5s", 1.5), (30, 30), ("1h30m", 5400)])
def test_times_of_the_settings(written, seconds):
    assert read_options({"idle_timeout": written}, "x").idle_timeout == seconds


@pytest.mark.parametrize("written", ["", "soon", True, -1, 0, float("inf"), float("nan"), []])
def test_times_that_are_none(written):
    with pytest.raises(Fatal, match="`idle_timeout` of `x` is not a time such as `10m`"):
        read_options({"idle_timeout": written}, "x")


def test_nothing_said_is_the_usual():
    assert read_options({}, "x") == Options()
    assert (Options().idle_timeout, Options().max_turns, Options().timeout) == (600.0, 100, None)


def test_keys_in_a_command_line_are_not_described():
    words = ["/opt/agent", "--api-key", "abc123", "--token=abc", "-H", "Authorization: Bearer abc", "X_API_KEY=abc"]
    more = ["--model", "m", "--max-tokens", "5", ["--password", "abc"], f"sk-{'a1' * 12}", "{{prompt}}"]
    found = described({"argv": [*words, *more], "args": ["--secret", "abc", "--verbose"], "env": {"A": "abc"}})
    assert found == {
        "argv": [
            *("agent", "--api-key", "…", "--token=…", "-H", "Authorization: …", "X_API_KEY=…"),
            *("--model", "m", "--max-tokens", "5", ["--password", "…"], "…", "{{prompt}}"),
        ],
        "args": ["--secret", "…", "--verbose"],
    }
