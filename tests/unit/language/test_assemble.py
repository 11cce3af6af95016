from __future__ import annotations

import pytest

from runkon.language import nodes
from runkon.language.parser import parse
from runkon.language.source import SourceFile

from .statements import bad, good, read

DAY = 86_400_000
YEARS_100 = 100 * 365 * DAY


def options(text: str) -> nodes.StepOptions:
    node = good(f"call a {{ {text} }}")
    assert isinstance(node, nodes.CallStep)
    return node.options


# ── step options ──────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("id = other", "id", "other"),
        ('id = "other-name"', "id", "other-name"),
        ("retries = 2", "retries", 2),
        ('retries = "+3"', "retries", 3),
        ("retries = 007", "retries", 7),
        ("retries = 4294967295", "retries", 4294967295),
        ("backoff = fixed", "backoff", "fixed"),
        ("delay = 500ms", "delay", 500),
        ("max_delay = 2", "max_delay", 2000),
        ("jitter = false", "jitter", False),
        ('jitter = "true"', "jitter", True),
        ("retry_on = timeout", "retry_on", ("timeout",)),
        ('retry_on = [timeout, "exit"]', "retry_on", ("timeout", "exit")),
        ("timeout = 1h30m", "timeout", 5_400_000),
        ('timeout = "1h30m"', "timeout", 5_400_000),
        ("timeout = 2d", "timeout", 2 * DAY),
        ("idle_timeout = 45s", "idle_timeout", 45_000),
        ("on_fail = continue", "on_fail", "continue"),
        ('on_fail = "continue"', "on_fail", "continue"),
        ("effect = pure", "effect", "pure"),
        ("on_unknown = ask", "on_unknown", "ask"),
        ("cache = true", "cache", True),
        ("cache = false", "cache", False),
        ("cache = 2h", "cache", 7_200_000),
        ('cache = "90"', "cache", 90_000),
        ("output = s", "output", "s"),
        ("with = s", "snippets", ("s",)),
        ('with = ["s", t]', "snippets", ("s", "t")),
        ("with = []", "snippets", ()),
        ("as = dev", "identity", "dev"),
        ('plugin_dirs = ["/p"]', "plugin_dirs", ("/p",)),
        ('model = "a:b"', "model", "a:b"),
        ("executor = lint", "executor", "lint"),
        ("max_turns = 40", "max_turns", 40),
        ("max_cost_usd = 0.50", "max_cost_usd", 0.5),
        ('max_cost_usd = "2"', "max_cost_usd", 2.0),
        ("isolation = worktree", "isolation", "worktree"),
        ("merge = keep", "merge", "keep"),
    ],
)
def test_step_option_is_converted(text: str, field: str, value: object) -> None:
    found = getattr(options(text), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "retries = x",
        'retries = " 5"',
        'retries = "5 "',
        'retries = ""',
        'retries = "+"',
        'retries = "1_000"',
        'retries = "٣"',
        "retries = -1",
        "retries = 1.5",
        "retries = 4294967296",
        "retries = [1]",
        "retries = 5m",
        f'retries = "{"9" * 5000}"',
        "jitter = yes",
        "jitter = 1",
        'jitter = "True"',
        "timeout = soon",
        'timeout = ""',
        'timeout = "1.5h"',
        'timeout = "2H"',
        'timeout = "2 h"',
        'timeout = " 5m "',
        'timeout = "30m1h"',
        'timeout = "h"',
        "timeout = -5",
        "timeout = 1.5",
        'timeout = "18446744073709551616"',
        'timeout = "99999999999999999999999h"',
        "backoff = linear",
        "retry_on = [timeout, never]",
        "retry_on = fatal",
        'id = "a/b"',
        'id = ""',
        'id = "{{x}}"',
        "max_cost_usd = -1",
        "max_cost_usd = free",
        f'max_cost_usd = "{"9" * 400}"',
        "cache = maybe",
        "on_fail = [a]",
        'fallback = ""',
        "with = { a = b }",
        "model = [a]",
        "inputs = x",
    ],
)
def test_unfit_step_option_is_an_invalid_value(text: str) -> None:
    name = text.split(" ")[0]
    found = bad(f"call a {{ {text} }}")
    assert [code for code, _ in found] == ["invalid-value"]
    assert found[0][1].startswith(f"invalid `{name}`: expected ")


def test_a_fatal_error_cannot_be_retried_and_the_help_says_so() -> None:
    _, found = read("call a { retry_on = [fatal] }")
    assert found[0].help == "a fatal error is never retried"


def test_the_place_of_a_bad_list_element_is_the_element() -> None:
    text = "workflow w { call a { retry_on = [timeout, never] } }"
    found = parse(SourceFile("t.wf", text)).diagnostics
    assert text[found[0].span.start : found[0].span.end] == "never"


def test_a_misspelt_word_gets_a_suggestion() -> None:
    _, found = read("call a { on_unknown = reruns }")
    assert found[0].help == "did you mean `rerun`?"


def test_a_duration_beyond_every_clock_means_for_ever() -> None:
    assert options('timeout = "18446744073709551615"').timeout == YEARS_100
    assert options("timeout = 999999999d").timeout == YEARS_100


@pytest.mark.parametrize(
    ("written", "form", "text"),
    [
        ("on_fail = fix", "name", "fix"),
        ('on_fail = "fix"', "name", "fix"),
        ('on_fail = "x/fix.md"', "path", "x/fix.md"),
        ("on_fail = a.b", "name", "a.b"),
        ("on_fail = 3", "name", "3"),
        ('on_fail = "a..b/c.md"', "path", "a..b/c.md"),
        ('on_fail = "..x/y.md"', "path", "..x/y.md"),
        ('on_fail = ".."', "name", ".."),
    ],
)
def test_on_fail_names_an_agent_or_a_path(written: str, form: str, text: str) -> None:
    agent = options(written).on_fail
    assert isinstance(agent, nodes.AgentRef)
    assert (agent.form, agent.text) == (form, text)


@pytest.mark.parametrize(
    "statement",
    [
        'call "../../x"',
        'call "x/../y.md"',
        'call a { on_fail = "../fix.md" }',
        'script s { run = "x" fallback = "a/../b" }',
    ],
)
def test_a_path_that_climbs_out_is_refused(statement: str) -> None:
    found = bad(statement)
    assert [code for code, _ in found] == ["path-traversal"]
    assert "traversal" in found[0][1]


def test_a_quoted_agent_is_always_a_path() -> None:
    node = good('call "diag"')
    assert isinstance(node, nodes.CallStep)
    assert (node.agent.form, node.agent.text) == ("path", "diag")


def test_a_bad_option_leaves_the_default_in_its_place() -> None:
    node, _ = read("call a { retries = x timeout = 5m }")
    assert isinstance(node, nodes.CallStep)
    assert (node.options.retries, node.options.timeout) == (0, 300_000)


def test_written_options_stay_in_their_order() -> None:
    node = good("call a { timeout = 5m retries = 1 }")
    assert isinstance(node, nodes.CallStep)
    assert [entry.name for entry in node.written] == ["timeout", "retries"]


# ── script, call workflow ─────────────────────────────────────────────────────────────────────────
def test_script_has_fields_of_its_own_beside_the_step_options() -> None:
    node = good('script s { run = a.sh env = { A = "1" B = two } timeout = "120" retries = "2" stream = jsonl }')
    assert isinstance(node, nodes.ScriptStep)
    assert (node.run, node.stream) == ("a.sh", "jsonl")
    assert [entry.name for entry in node.env] == ["A", "B"]
    assert (node.options.timeout, node.options.retries) == (120_000, 2)


@pytest.mark.parametrize(
    ("text", "name"),
    [('env = "A=1"', "env"), ("env = { A = [x] }", "env"), ("stream = bytes", "stream"), ("run = { }", "run")],
)
def test_unfit_script_option(text: str, name: str) -> None:
    run = "" if name == "run" else 'run = "x"'
    found = bad(f"script s {{ {run} {text} }}")
    assert [code for code, _ in found] == ["invalid-value"]
    assert f"invalid `{name}`" in found[0][1]


def test_a_script_without_run_still_makes_a_node() -> None:
    node, found = read("script s { timeout = 3 }")
    assert isinstance(node, nodes.ScriptStep)
    assert [d.code for d in found] == ["missing-option"]
    assert (node.run, node.options.timeout) == ("", 3_000)


def test_call_workflow_takes_step_options() -> None:
    node = good('call workflow kid { inputs { env = "prod" n = 3 } retries = 1 as = bot if = x.y }')
    assert isinstance(node, nodes.CallWorkflow)
    assert [entry.name for entry in node.options.inputs] == ["env", "n"]
    assert (node.options.retries, node.options.identity) == (1, "bot")
    assert node.options.condition is not None
