"""The shell itself is the judge: whatever a value holds, a protected place hands it over as it is."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runkon.language.shell_text import is_plain_word, quoted, shell_places

NASTY = "a'b\"c $(echo hacked) `echo hacked` $HOME ; echo hacked\n# \\ *"
values = st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)
nasty_values = st.text(alphabet="'\"\\$`(){};|&<>\n #!*?~=ab", max_size=30)


def shell(command: str) -> str:
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=True, stdin=subprocess.DEVNULL)
    return ran.stdout.decode("utf-8")


@settings(max_examples=60, deadline=None)
@given(values | nasty_values)
def test_a_quoted_value_reaches_the_program_unchanged(value: str) -> None:
    assert shell(f"printf %s {quoted(value)}") == value


def test_quotes_in_a_value_are_written_the_portable_way() -> None:
    assert quoted("it's") == "'it'\\''s'"
    assert quoted("") == "''"


@pytest.mark.parametrize("word", ["a", "main", "v1.2", "src/x.py", "a@b:c", "50%", "-x", "k=v,w"])
def test_plain_words_mean_themselves(word: str) -> None:
    assert is_plain_word(word)
    assert shell(f'printf "%s" "{word}"') == word
    assert shell(f"printf '%s' {word}") == word


@pytest.mark.parametrize("text", ["", "a b", "$x", "a\n", "é", "~", "*", "a;b", "`", "\\"])
def test_other_texts_are_no_plain_words(text: str) -> None:
    assert not is_plain_word(text)


PROTECTED = [
    "printf %s {{x}}",
    "printf %s pre{{x}}post",
    'printf "%s" {{x}}',
    "echo 'it' >/dev/null; printf %s {{x}}",
    'y=$(printf %s {{x}}); printf %s "$y"',
    'printf %s "$(printf %s {{x}})"',
    "(printf %s {{x}})",
    "# a comment isn't a quote\nprintf %s {{x}}",
    "echo a#b 'c' >/dev/null\nprintf %s {{x}}",
    "cat <<EOF >/dev/null\nit's\nEOF\nprintf %s {{x}}",
    "cat <<-'END' >/dev/null\n\t\"\n\tEND\nprintf %s {{x}}",
    'echo "it\'s" >/dev/null; printf %s {{x}}',
    "echo it\\'s >/dev/null; printf %s {{x}}",
    'echo "a\\"b" >/dev/null; printf %s {{x}}',
    'echo "${HOME}" $HOME >/dev/null && printf %s {{x}}',
]


@pytest.mark.parametrize("command", PROTECTED)
def test_places_in_the_open_are_protected(command: str) -> None:
    assert shell_places(command).protected == (True,)
    value = NASTY if "$(" not in command else NASTY + "."  # command substitution drops final newlines
    expected = f"pre{value}post" if "pre{{" in command else value
    assert shell(command.replace("{{x}}", quoted(value))) == expected


UNPROTECTED = [
    'echo "{{x}}"',
    'echo "$$({{x}})"',
    "echo '{{x}}'",
    'echo "a $b {{x}} c"',
    "echo `echo {{x}}`",
    'echo $(echo "{{x}}")',
    "# {{x}}\ntrue",
    "true # {{x}}",
    "cat <<EOF\n{{x}}\nEOF",
    "cat <<'EOF'\n{{x}}\nEOF",
    "cat <<$WORD\n{{x}}\n",
    "cat <<E}\nE\n{{x}}\nE}",
    "cat <<E\n\tE\n{{x}}\nE",
    "cat <<E\na\\\nE\n{{x}}\nE",
    "cat <<'E'E\nE\n{{x}}\nEE",
    "echo $(( {{x}} ))",
    "echo \\{{x}}",
    "echo ${{x}}",
    "echo ${y:-{{x}}}",
    "echo \"${y:-'{{x}}'}\"",
    "echo $'it\\'s' {{x}}",
    'echo "unclosed {{x}}',
]


@pytest.mark.parametrize("command", UNPROTECTED)
def test_places_that_quoting_cannot_protect_are_told_apart(command: str) -> None:
    assert shell_places(command).protected == (False,)


def test_every_placeholder_is_judged_by_its_own_place() -> None:
    assert shell_places("a {{x}} \"{{y}}\" {{z}} '{{u}}' {{v}}").protected == (True, False, True, False, True)
    assert shell_places("no placeholders 'here").protected == ()


shell_pieces = st.sampled_from(
    [
        "echo ",
        "{{x}}",
        "{{x}}",
        "'",
        '"',
        "`",
        "$(",
        ")",
        "${y:-",
        "}",
        "$",
        "\\",
        "#",
        " ",
        "\n",
        "<<E",
        "\nE\n",
        "<<-E",
        "<<'E'",
        "\n\tE\n",
        "\\\n",
        "((",
        "a",
    ]
)


@settings(max_examples=250, deadline=None)
@given(st.lists(shell_pieces, max_size=14).map("".join))
def test_no_command_lets_a_protected_value_run(command: str) -> None:
    """Whatever stands around it: a value at a protected place never becomes a command."""
    verdicts = shell_places(command).protected
    attack = "'; echo HACKED; \"; echo HACKED; $(echo HACKED >&2) `echo HACKED >&2`\necho HACKED\n)}"
    parts = command.split("{{x}}")
    assert len(verdicts) == len(parts) - 1
    filled = parts[0]
    for verdict, part in zip(verdicts, parts[1:], strict=True):
        filled += (quoted(attack) if verdict else "word") + part
    ran = subprocess.run(
        ["/bin/sh", "-c", filled.replace("echo ", ": ", 0)], capture_output=True, stdin=subprocess.DEVNULL, timeout=20
    )
    printed = (ran.stdout + ran.stderr).decode("utf-8", "replace")
    assert "HACKED" not in [line.strip() for line in printed.splitlines()]
