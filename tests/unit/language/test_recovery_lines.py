"""Broken texts of several lines and everything that is reported about them: code, line and column, message."""

from __future__ import annotations

import pytest

from runkon.language.parser import parse
from runkon.language.source import SourceFile


def findings(text: str) -> list[str]:
    found = parse(SourceFile("a.wf", text)).diagnostics
    return [f"{d.span.line}:{d.span.column} {d.code}: {d.message}" for d in found]


ON_SEVERAL_LINES = {
    "unclosed call": (
        """\
workflow w {
  call a {
    retries = 2

  call b { retries = 1 }
  parallel {
    call c
  }
}
""",
        ["2:3 unclosed-block: the block of `call` is never closed"],
    ),
    "unclosed if": (
        """\
workflow w {
  call a
  if a.x {
    call b

  call c
  while a.y {
    max_iterations = 2
    call d
  }
}
""",
        ["3:3 unclosed-block: the block of `if` is never closed"],
    ),
    "unclosed workflow before another": (
        """\
workflow w {
  call a
workflow v {
  call b
}
""",
        ["1:1 unclosed-block: the block of `workflow` is never closed"],
    ),
    "unclosed block before another workflow": (
        """\
workflow w {
  if a.b {
    call a
}
workflow v {
  call b
}
""",
        ["2:3 unclosed-block: the block of `if` is never closed"],
    ),
    "extra brace": (
        """\
workflow w {
  if a.b {
    call a
  }
  }
  call b
  call c
}
""",
        ["5:3 extra-brace: this `}` closes nothing, or the workflow too early"],
    ),
    "unclosed string": (
        """\
workflow w {
  call a {
    output = "abc
    with = "def"
  }
  call b { output = "x" }
}
""",
        ["3:14 unterminated-string: unterminated string"],
    ),
    "unclosed string in a list": (
        """\
workflow w {
  call a {
    with = ["abc, "def"]
  }
  call b { output = "x" }
}
""",
        ["3:23 unterminated-string: unterminated string"],
    ),
    "unclosed string at the end of a list": (
        """\
workflow w {
  call a { with = ["abc", "def] }
  call b { output = "x" }
  call c { output = "y" }
}
""",
        ["2:27 unterminated-string: unterminated string"],
    ),
    "unclosed prompt": (
        """\
workflow w {
  gate human_review {
    prompt = "go {{a}} on
    timeout = 5m
  }
  call b
}
""",
        ["3:14 unterminated-string: unterminated string"],
    ),
    "a closed string of two lines is not blamed": (
        """\
workflow w {
  script s { run = "echo a
   echo b" retires 3 }
  call b { output "x" }
}
""",
        ["3:20 missing-equals: missing `=` after `retires`", "4:19 missing-equals: missing `=` after `output`"],
    ),
    "missing values at line ends": (
        """\
workflow w {
  call a {
    output =
    retries = 2
  }
  call b { output =
  }
  script s {
    run =
  }
  gate
  call c
  call
  script t { run = "x" }
}
""",
        [
            "3:12 missing-value: `output` has no value",
            "6:19 missing-value: `output` has no value",
            "9:9 missing-value: `run` has no value",
            "11:3 missing-name: a name is missing after `gate`",
            "13:3 missing-name: an agent name is missing after `call`",
        ],
    ),
    "many mistakes": (
        """\
workflow w {
  parralel {
    call a { retries 2 }
    cal b
    call c { retries = }
  }
  if a.b
    call x
  }
  call d { foo = 1 }
  foo { bar }
  call e
}
""",
        [
            "2:3 unknown-statement: unknown statement `parralel`",
            "3:22 missing-equals: missing `=` after `retries`",
            "4:5 unknown-statement: unknown statement `cal`",
            "5:22 missing-value: `retries` has no value",
            "7:8 missing-brace: missing `{` after `if a.b`",
            "10:12 unknown-option: unknown option `foo` for `call d`",
            "11:3 unknown-statement: unknown statement `foo`",
        ],
    ),
    "missing value and brace": (
        """\
workflow w {
  call a { output =
  call b { output = "x" }
}
""",
        ["2:19 missing-value: `output` has no value"],
    ),
    "else misspelt": (
        """\
workflow w {
  call a
  if a.x {
    call b
  } els {
    call c
  }
  if a.x {
    call b
  } elif a.y {
    call c
  }
}
""",
        ["5:5 unknown-statement: unknown statement `els`", "10:5 unknown-statement: unknown statement `elif`"],
    ),
    "foreach": (
        """\
workflow w {
  foreach f inn xs {
    call a
  }
  foreach f in {
    call a
  }
  foreach f {
    call b
  }
}
""",
        [
            "2:13 unexpected-token: unexpected `inn`",
            "5:16 missing-name: a value is missing after `in`",
            "8:11 foreach-without-list: `foreach f` has statements but no list to go through",
        ],
    ),
    "inputs": (
        """\
workflow w {
  inputs {
    x required = 3
    y default
    z one_of
    ,
    "t"
  }
  call a { inputs { x } }
  if a.b { inputs { x } }
}
""",
        [
            "3:18 invalid-declaration: unexpected part of a declaration",
            "4:7 invalid-declaration: unexpected part of a declaration",
            "5:7 invalid-declaration: unexpected part of a declaration",
            '7:5 unexpected-token: unexpected `"t"`',
            "9:21 missing-value: `x` has no value",
            "10:12 misplaced-section: `inputs` stands inside a block",
        ],
    ),
    "open end": (
        """\
workflow w {
  call a {
    retries = """,
        ["2:3 unclosed-block: the block of `call` is never closed"],
    ),
    "unclosed list": (
        """\
workflow w {
  call a {
    with = ["a", "b"
    retries = 1
  }
  if (a.b {
    call c
  }
}
""",
        ["3:12 unclosed-bracket: missing `]`", "6:6 unclosed-bracket: missing `)`"],
    ),
    "a number that is none, above a string that never ends": (
        """\
workflow w {
  script s { run = "echo {{nope}}" timeout = 5x }
  script t { run = "echo hi
  }
}
""",
        [
            "2:46 invalid-value: invalid `5x`: expected a number, or a duration such as `90s` or `1h30m`",
            "3:20 unterminated-string: unterminated string",
        ],
    ),
    "no workflow at all": ("bSRH SGqi\nAKPc\n", ["1:1 expected-workflow: unexpected `bSRH` at the start of the file"]),
    "unclosed text in three quotes": (
        """\
workflow w {
  gate human_review {
    prompt = \"\"\"
      Ship it?

      really
    timeout = 48h
  }
  call a { retries 2 }
}
""",
        ["3:14 unterminated-string: unterminated string", "9:20 missing-equals: missing `=` after `retries`"],
    ),
}


@pytest.mark.parametrize("name", ON_SEVERAL_LINES)
def test_all_independent_mistakes_are_reported_and_nothing_else(name: str) -> None:
    text, expected = ON_SEVERAL_LINES[name]
    assert findings(text) == expected
