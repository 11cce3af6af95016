"""Values of steps where a shell would take them for more than text; what is advised instead really works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runkon.language.diagnostics import Diagnostic

NASTY = 'it\'s "$(touch owned)" `touch owned`; touch owned\n\\ $HOME'


def flow(command: str, env: str = "") -> str:
    return f"W{{ call a script s {{ run = {json.dumps(command, ensure_ascii=False)} {env} }} }}"


@pytest.mark.parametrize(
    ("command", "advice"),
    [
        (
            "echo '{{a.context}}'",
            "write '\"$A_CONTEXT\"' in its place, which ends the single quotes and begins them again",
        ),
        (
            "echo '{{a.context}}x'",
            "write '\"${A_CONTEXT}\"' in its place, which ends the single quotes and begins them",
        ),
        ('echo "by {{a.context}}."', "write $A_CONTEXT in its place"),
        ('echo "by {{a.context}}_x"', "write ${A_CONTEXT} in its place"),
        ("cat <<EOF\n{{a.context}}\nEOF", "write $A_CONTEXT in its place"),
        ("cat <<'EOF'\n{{a.context}}\nEOF", "write $A_CONTEXT in its place, and the word after `<<` without quotes"),
        ("true # {{a.context}}", "take it out of the comment"),
        ("jq '.a == \"{{a.context}}\"' f", "read it in the program of `jq`: `$ENV.A_CONTEXT`"),
        ("x | awk '$1 == \"{{a.context}}\"'", 'read it in the program of `awk`: `ENVIRON["A_CONTEXT"]`'),
        ("V=1 /usr/bin/python3 -c \"print('{{a.context}}')\"", 'of `python3`: `os.environ["A_CONTEXT"]`'),
        (
            "bash -c 'echo {{a.context}}'",
            'put the script of `bash -c` into single quotes, with "$A_CONTEXT" in place of',
        ),
        ('sh -ec "echo {{a.context}}"', 'put the script of `sh -c` into single quotes, with "$A_CONTEXT" in place of'),
        ("ssh host 'echo {{a.context}}'", 'send it on standard input: `printf %s "$A_CONTEXT" | ssh …`'),
        ("echo `echo {{a.context}}`", 'write "$A_CONTEXT" in `run`'),
        ("eval {{a.context}}", 'call the command itself, with "$A_CONTEXT" as its argument, not through `eval`'),
        ("true && eval echo {{a.context}}", "not through `eval`"),
        ("bash -c {{a.context}}", "put the script of `bash -c` into single quotes"),
    ],
)
def test_the_advice_fits_the_command(only: Callable[..., Diagnostic], command: str, advice: str) -> None:
    found = only(flow(command))
    assert found.code == "tainted-shell"
    assert found.help is not None
    assert found.help.startswith('pass it as a variable: `env = { A_CONTEXT = "{{a.context}}" }`, and ')
    assert advice in found.help


@pytest.mark.parametrize(
    ("command", "env", "name"),
    [
        ("echo '{{path}}'", "", "PATH_VALUE"),
        ("echo '{{note}}'", "env = { NOTE = x }", "NOTE_VALUE"),
        ("echo '{{a.naïve-text}}'", "", "A_NA_VE_TEXT"),
        ("echo '{{prior_context}}'", "", "PRIOR_CONTEXT"),
    ],
)
def test_the_variable_takes_no_other_variable_s_place(
    only: Callable[..., Diagnostic], command: str, env: str, name: str
):
    assert f"`env = {{ {name} = " in (only(flow(command, env)).help or "")


@pytest.mark.parametrize(
    "command",
    [
        "echo {{a.context}}",
        "echo {{a.context}} 'and' \"more\"",
        'echo "$(echo {{a.context}})"',
        "bash -c 'echo \"$1\"' _ {{a.context}}",
        "bash script.sh {{a.context}}",
        "evaluate {{a.context}}",
        "jq --arg x {{a.context}} '.a == $x' f",
    ],
)
def test_a_value_that_stays_one_word_is_left_alone(codes: Callable[..., list[str]], command: str) -> None:
    assert codes(flow(command)) == []


WORKS = [
    ("sh", "printf %s '<'\"$X\"'>'"),
    ("sh", 'printf %s "<$X>"'),
    ("sh", "cat <<EOF\n<$X>\nEOF"),
    ("jq", 'jq -nj \'"<" + $ENV.X + ">"\''),
    ("awk", 'awk \'BEGIN { printf "%s", "<" ENVIRON["X"] ">" }\''),
    ("python3", 'python3 -c \'import os; print("<" + os.environ["X"] + ">", end="")\''),
    ("bash", "bash -c 'printf %s \"<$X>\"'"),
]


@pytest.mark.parametrize("command", [command for program, command in WORKS if shutil.which(program)])
def test_what_is_advised_passes_any_value_on_as_text(command: str, tmp_path: Path) -> None:
    environment = {"X": NASTY, "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["sh", "-c", command], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip("\n") == f"<{NASTY}>"
    assert list(tmp_path.iterdir()) == []
