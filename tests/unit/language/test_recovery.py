"""Broken texts and everything that is reported about them: code, line and column, message."""

from __future__ import annotations

import pytest

from runkon.language.parser import parse
from runkon.language.source import SourceFile


def findings(text: str) -> list[str]:
    found = parse(SourceFile("a.wf", text)).diagnostics
    return [f"{d.span.line}:{d.span.column} {d.code}: {d.message}" for d in found]


ON_ONE_LINE = [
    ("", ["1:1 no-workflow: the file holds no workflow"]),
    ("  // x", ["1:7 no-workflow: the file holds no workflow"]),
    ("my_wf { call a }", ["1:1 expected-workflow: unexpected `my_wf` at the start of the file"]),
    ('workflow "w" {}', ["1:10 quoted-name: the name after `workflow` stands without quotes"]),
    ("workflow do {}", ["1:10 reserved-word: `do` is a keyword and cannot be a name here"]),
    ("workflow w { call a", ["1:1 unclosed-block: the block of `workflow` is never closed"]),
    ("workflow w {} @", ["1:15 text-after-workflow: unexpected `@` after the end of the workflow"]),
    ("workflow w {} junk } 12", ["1:15 text-after-workflow: unexpected `junk` after the end of the workflow"]),
    ("workflow w { call 'a' }", ["1:19 unexpected-character: unexpected character `'`"]),
    ("workflow w { call -a }", ["1:19 unexpected-character: unexpected character `-`"]),
    ("workflow w { call é }", ["1:19 unexpected-character: unexpected character `é`"]),
    ('workflow w { meta { title = "x } }', ["1:29 unterminated-string: unterminated string"]),
    (
        'workflow w { call "abc\\',
        ["1:19 unterminated-escape: unterminated escape: the text ends right behind a backslash"],
    ),
    ('workflow w { meta { targets = ["a",,"b"] } }', ["1:36 unexpected-token: unexpected `,`"]),
    ("workflow w { x = 1 call a }", ["1:14 option-out-of-place: option `x` stands directly in the `workflow`"]),
    ("workflow w { if a.b { inputs { x } } }", ["1:23 misplaced-section: `inputs` stands inside a block"]),
    ("workflow w { call gate }", ["1:19 reserved-word: `gate` is a keyword and cannot be a name here"]),
    ("workflow w { call meta }", ["1:19 reserved-word: `meta` is a keyword and cannot be a name here"]),
    ("workflow w { call 3 }", ["1:19 unexpected-token: unexpected `3`"]),
    (
        "workflow w { call a { timeout = 5q } }",
        ["1:33 invalid-value: invalid `5q`: expected a number, or a duration such as `90s` or `1h30m`"],
    ),
    ('workflow w { call workflow "kid" }', ["1:28 quoted-name: the name after `workflow` stands without quotes"]),
    (
        'workflow w { if "s.ok" { call t } }',
        ["1:17 invalid-value: invalid `condition`: expected a reference or a comparison"],
    ),
    ('workflow w { if s.ok { call t note = "x" } }', ["1:31 unknown-option: unknown option `note` for `if`"]),
    ("workflow w { do c.x { call f } }", ["1:17 obsolete-do: `do` takes no condition in front of its block"]),
    ("workflow w { always { retries = 1 call z } }", ["1:23 unknown-option: unknown option `retries` for `always`"]),
    ("workflow w { if s.do { call a } }", ["1:19 reserved-word: `do` is a keyword and cannot be a name here"]),
    (
        "workflow w { parallel { call a fail_fast = false } }",
        ["1:32 option-after-statement: option `fail_fast` comes after a statement"],
    ),
    ("workflow w { gate pr_checks call b }", ["1:29 missing-brace: missing `{` after `gate pr_checks`"]),
    ("workflow w { gate pr_checks }", ["1:29 missing-brace: missing `{` after `gate pr_checks`"]),
    ('workflow w { inputs { x default "v" } }', ["1:33 missing-equals: missing `=` after `default`"]),
    ("workflow w { call a; call b }", ["1:20 unexpected-token: unexpected `;`"]),
    ("workflow w { parralel { call a } }", ["1:14 unknown-statement: unknown statement `parralel`"]),
    ("workflow w { cal a }", ["1:14 unknown-statement: unknown statement `cal`"]),
    (
        "workflow w { graph foo { call a a -> b } }",
        ["1:14 not-available: the statement `graph` is not available in this version"],
    ),
    ("workflow w { state { x } }", ["1:22 invalid-declaration: unexpected part of a declaration"]),
    ("workflow w { state { x int } }", ["1:24 invalid-declaration: unexpected part of a declaration"]),
    ("workflow w { do { state { x text } } }", ["1:19 misplaced-section: `state` stands inside a block"]),
    ("workflow w { set { x = 1 x = 2 } }", ["1:26 duplicate-key: key `x` is given twice"]),
    ("workflow w { retry { call a } }", ["1:14 unknown-statement: unknown statement `retry`"]),
    ("workflow w { foo bar baz }", ["1:14 unknown-statement: unknown statement `foo`"]),
    ("workflow w { call a { retries 2 } }", ["1:31 missing-equals: missing `=` after `retries`"]),
    ("workflow w { call a { retries: 2 } }", ["1:30 unexpected-character: unexpected character `:`"]),
    ("workflow w { call a { retries == 2 } }", ["1:31 unexpected-token: unexpected `==`"]),
    ("workflow w { call a { retries = } }", ["1:31 missing-value: `retries` has no value"]),
    ("workflow w { call a { retries } }", ["1:23 missing-value: `retries` has no value"]),
    ("workflow w { if a = b { call c } }", ["1:19 unexpected-token: unexpected `=`"]),
    ("workflow w { if a.b && c.d { call c } }", ["1:21 unexpected-character: unexpected character `&&`"]),
    ("workflow w { if !a { call c } }", ["1:17 unexpected-character: unexpected character `!`"]),
    ("workflow w { if { call c } }", ["1:17 missing-name: a condition is missing after `if`"]),
    ("workflow w { gate { } }", ["1:19 missing-name: a name is missing after `gate`"]),
    ("workflow w { call { } }", ["1:19 missing-name: an agent name is missing after `call`"]),
    ("workflow w { if a. { call c } }", ["1:20 missing-name: a name is missing after `.`"]),
    ("workflow w { if (a or b { call c } }", ["1:17 unclosed-bracket: missing `)`"]),
    ('workflow w { call a { with = ["x" } }', ["1:30 unclosed-bracket: missing `]`"]),
    ("workflow w { else { call a } }", ["1:14 else-without-if: this `else` follows no `if`"]),
    ("workflow w { if a { call b } elif c { call d } }", ["1:30 unknown-statement: unknown statement `elif`"]),
    ("workflow w { script s { run = ./a/b.sh } }", ["1:31 unexpected-character: unexpected character `.`"]),
    ("workflow w { script s { run = a/b.sh timeout = 5 } }", ["1:32 unexpected-character: unexpected character `/`"]),
    ("workflow w { call scripts/x.md }", ["1:26 unexpected-character: unexpected character `/`"]),
    ("workflow w { call a { env { A = 1 } } }", ["1:27 missing-equals: missing `=` after `env`"]),
    ("workflow w", ["1:10 unexpected-token: unexpected end of the file"]),
    ("workflow", ["1:1 unexpected-token: unexpected end of the file"]),
    (
        'workflow w { call a { env = { A = "1" timeout = 3 }  }',
        ["1:1 unclosed-block: the block of `workflow` is never closed"],
    ),
    ("workflow w { if a and { call b } }", ["1:23 missing-name: a condition is missing after `and`"]),
    ("workflow w { if a == { call b } }", ["1:22 missing-name: a value is missing after `==`"]),
    ("workflow w { foreach f in { call b } }", ["1:27 missing-name: a value is missing after `in`"]),
    ("workflow w { if a.b call c } }", ["1:21 missing-brace: missing `{` after `if a.b`"]),
    ('workflow w { script s run = "x" } }', ["1:23 missing-brace: missing `{` after `script s`"]),
    ("workflow w { call a retries = 2 } }", ["1:21 missing-brace: missing `{` after `call a`"]),
    ("workflow w { call a { { retries = 2 } }", ["1:23 unexpected-token: unexpected `{`"]),
    ("workflow w { call a { retries = 2 retries } }", ["1:35 missing-value: `retries` has no value"]),
    ('workflow w { call "a" "b" }', ['1:23 unexpected-token: unexpected `"b"`']),
    ("workflow w { if a.b ) { call c } }", ["1:21 unexpected-token: unexpected `)`"]),
    ("workflow w { call a ] call b }", ["1:21 unexpected-token: unexpected `]`"]),
    ('workflow w { meta { title "x" } }', ["1:27 missing-equals: missing `=` after `title`"]),
    ("workflow w { outputs { a = } }", ["1:26 missing-value: `a` has no value"]),
    ("workflow w { outputs { a b = c } }", ["1:24 missing-value: `a` has no value"]),
    (
        "workflow w { call a { retries = 5x } }",
        ["1:33 invalid-value: invalid `5x`: expected a number, or a duration such as `90s` or `1h30m`"],
    ),
    ("workflow w { call a { run == 3 } }", ["1:27 unexpected-token: unexpected `==`"]),
    ("workflow w { workflow x { call a } }", ["1:1 unclosed-block: the block of `workflow` is never closed"]),
    ("workflow w { call a } }", ["1:23 extra-brace: this `}` closes nothing, or the workflow too early"]),
    ("workflow w { call a } call b", ["1:23 text-after-workflow: unexpected `call` after the end of the workflow"]),
    ("workflow w { call a } workflow", ["1:23 unexpected-token: unexpected end of the file"]),
    ("call a", ["1:1 expected-workflow: unexpected `call` at the start of the file"]),
    ("w { call a }", ["1:1 expected-workflow: unexpected `w` at the start of the file"]),
    ("workflow w { while { call a } }", ["1:20 missing-name: a condition is missing after `while`"]),
    ("workflow w { call a else { call b } }", ["1:21 else-without-if: this `else` follows no `if`"]),
    (
        "workflow w { if a { call b call c } else { call d } else { call f } }",
        ["1:53 else-without-if: this `else` follows no `if`"],
    ),
    ("workflow w { parallel { call a } until }", ["1:34 unknown-statement: unknown statement `until`"]),
    ("workflow w { gate 5 { } }", ["1:19 unexpected-token: unexpected `5`"]),
    ("workflow w { call a { output = 'x' } }", ["1:32 unexpected-character: unexpected character `'`"]),
    ("workflow w { call a { output = $x } }", ["1:32 unexpected-character: unexpected character `$`"]),
    ("workflow w { call a { output = x$y } }", ["1:33 unexpected-character: unexpected character `$`"]),
    ("workflow w { iff a.b { call c } }", ["1:14 unknown-statement: unknown statement `iff`"]),
    ('workflow w { scrip s { run = "x" } }', ["1:14 unknown-statement: unknown statement `scrip`"]),
    ("workflow w { always call b }", ["1:21 missing-brace: missing `{` after `always`"]),
    ("workflow w { if a.b -> c }", ["1:21 unexpected-character: unexpected character `-`"]),
    ("workflow w { inputs { x y @ z } }", ["1:27 unexpected-character: unexpected character `@`"]),
    ("workflow w { call a { with = [a b } }", ["1:30 unclosed-bracket: missing `]`"]),
    ("workflow w { \x00 }", ["1:14 unexpected-character: unexpected character `U+0000`"]),
    ('workflow w { call a { output = "x" \x1b } }', ["1:36 unexpected-character: unexpected character `U+001B`"]),
    ("workflow w { call a {% if %} }", ["1:22 unexpected-character: unexpected character `%`"]),
]


@pytest.mark.parametrize(("text", "expected"), ON_ONE_LINE, ids=lambda value: value if isinstance(value, str) else "")
def test_one_mistake_is_one_report(text: str, expected: list[str]) -> None:
    assert findings(text) == expected
