"""The parse cases of the reference language, by their ids: what is accepted, what is an error, on purpose or not."""

from __future__ import annotations

import pytest

from runkon.language.parser import parse
from runkon.language.source import SourceFile


def W(inside: str) -> str:  # noqa: N802 - the name the cases use
    return f"workflow w {{ {inside} }}"


ACCEPTED = {
    "L1": "workflow w {}",
    "L2": "// c\nworkflow w { call a // tail\n}",
    "L3": "workflow w { # note\ncall a }",
    "L5": W(r'meta { description = "a\tb\"c\\d\qe\nf" }'),
    "L6": W('meta { description = "a\nb" }'),
    "L9": W('script s { run = "x" timeout = 4294967296 }'),
    "L10": W('script s { run = "x" timeout = "4294967296" }'),
    "L13": W("call a-b-1_c"),
    "L15": "\ufeffworkflow w {}",
    "L16": W('meta { description = "see //x" }'),
    "L19": "workflow\xa0w\xa0{}",
    "H3": "workflow gate {}",
    "H6": W("meta { trigger = pr }"),
    "H8": W('meta { targets = "repo" }'),
    "H9": W('meta { targets = ["a" "b", "c",] }'),
    "H13": W('meta { description = "d" } meta { title = "t" }'),
    "H14": W('meta { title = "A", group = "B" }'),
    "H15": W("inputs { x }"),
    "H16": W('inputs { x required description = "d" y description = "e" }'),
    "H17": W("inputs { x default = 5 }"),
    "H18": W('inputs { x required default = "v" }'),
    "H19": W("inputs { f boolean required }"),
    "H22": W("inputs { required required y }"),
    "H23": W('call a inputs { x } call b meta { title = "T" }'),
    "C1": W("call a"),
    "C2": W("call a { retries = 2 on_fail = fix }"),
    "C3": W('call a { on_fail = "fix" }'),
    "C4": W('call a { on_fail = "x/fix.md" }'),
    "C5": W('call a { on_fail = continue } call b { on_fail = "continue" }'),
    "C7": W('call "diag"'),
    "C8": W('call ".claude/agents/plan.md"'),
    "C10": W('call "a..b/c.md"'),
    "C11": W("call default"),
    "C13": W('call a { with = "s" } call b { with = ["s","t"] } call c { with = s }'),
    "C15": W('call a { retries = "+3" }'),
    "C16": W('call a { timeout = "5m" max_turns = 40 plugin_dirs = ["/p"] as = dev output = "s" }'),
    "C18": W("call a { timeout = 5m }"),
    "C22": W("call a {}"),
    "C23": W('call workflow kid { inputs { env = "prod" n = 3 } retries = 1 as = bot }'),
    "C24": W('call workflow kid { inputs = { env = "prod" } }'),
    "C28": W('call workflow kid { inputs { a = "x", b = "y" } }'),
    "B1": W("call s if s.ok { call t }"),
    "B2": W("inputs { f boolean } unless f { call t }"),
    "B3": W("if s.ok.more { call t }"),
    "B7": W("while r.bad { max_iterations = 5 call f }"),
    "B9": W("while flag { max_iterations = 1 call f }"),
    "B12": W("do { max_iterations = 3 stuck_after = 2 on_max_iter = continue call f } while c.x"),
    "B14": W("do { max_iterations = 1 call f } while flag"),
    "B16": W("do { call f }"),
    "B17": W('do { output = "s" with = ["p"] call f }'),
    "B19": W("do { call f } while c.x { max_iterations = 2 call g }"),
    "B20": W("do { call f } call m while c.x { max_iterations = 2 call g }"),
    "B22": W("always { call y } call a always { call z }"),
    "B23": W("if s.ok { always { call z } }"),
    "B25": W("if s.gate { call a } if workflow.inputs { call a }"),
    "P1": W("parallel { call a call b }"),
    "P5": W('parallel { call a { retries = 1 if = "d.m" output = "o" with = "p" } }'),
    "P6": W('parallel { call a { if = "dm" } }'),
    "P7": W("parallel { call a { if = d.m } }"),
    "P9": W("parallel { call workflow k }"),
    "P11": W('parallel { call a { as = bot timeout = "1m" } }'),
    "P12": W('parallel { call a { if = "x.y.z" } }'),
    "G1": W('gate human_approval { prompt = "?" timeout = 3600 }'),
    "G2": W("gate human_review {}"),
    "G6": W("gate human_review { timeout = 2h }"),
    "G7": W('gate pr_approval { mode = "review_decision" }'),
    "G9": W('gate pr_approval { mode = "min_approvals" min_approvals = 2 }'),
    "G12": W('gate slack_vote { options = { up = "yes" down = "no" } }'),
    "G13": W('gate human_review { options = ["a","b"] }'),
    "G14": W('gate a { options = s.items } gate b { options = "s.items" }'),
    "G16": W('gate a { options = { a = "x", b = "y" } }'),
    "G17": W('gate quality_gate { source = "rt" threshold = 85 on_fail = continue }'),
    "S1": W('script s { run = "a.sh" }'),
    "S3": W('script s { run = "a.sh" env = { A = "1" B = two } timeout = "120" retries = "2" }'),
    "S5": W('script s { run = "a.sh" timeout = "5m" }'),
    "S6": W('script s { run = "a.sh" env = { script = "x" } }'),
    "S7": W('script s { run = "a.sh" env = { if = "x" default = "y" } }'),
    "S8": W("script s { run = a.sh }"),
    "E1": W(
        'foreach f { over = tickets scope = { label = "x" } max_parallel = 2 workflow = kid inputs = { id = "i" } }'
    ),
    "E6": W('foreach f { over = tickets max_parallel = 2 workflow = kid inputs { id = "x" } }'),
    "E7": W("foreach f { over = anything max_parallel = 1 workflow = kid }"),
    "E8": W("foreach f { over = anything max_parallel = 0 workflow = kid }"),
}

REFUSED = {
    "L4": W("call a; call b"),
    "L7": W('meta { title = "x }'),
    "L8": 'workflow w { call "abc\\',
    "L11": W("call 'a'"),
    "L12": W("call -a"),
    "L14": W("call é"),
    "L17": "workflow w {} @",
    "L18": "workflow w {} junk } 12",
    "L20": W("call\x1ca"),
    "H1": "my_wf { call a }",
    "H2": 'workflow "w" {}',
    "H4 do": "workflow do {}",
    "H4 meta": "workflow meta {}",
    "H5": "workflow w { call a",
    "H7": W('meta { trigger = "hourly" }'),
    "H10": W('meta { targets = ["a",,"b"] }'),
    "H11": W('meta { targets = [["a"]] }'),
    "H12": W("meta { colour = red }"),
    "H21": W('inputs { x default "v" }'),
    "H24": W("if a.b { inputs { x } }"),
    "H25": W("x = 1 call a"),
    "C6": W('call a { on_fail = "../fix.md" }'),
    "C9": W('call "../../x"'),
    "C12 gate": W("call gate"),
    "C12 meta": W("call meta"),
    "C12 number": W("call 3"),
    "C14": W('call a { retries = "x" }'),
    "C17": W('call a { timeout = "soon" }'),
    "C19": W('call a { max_turns = "many" }'),
    "C20": W("call a { nonsense = 1 }"),
    "C21": W("call a { retries = 1 retries = 4 }"),
    "C26": W('call workflow kid { inputs { a = "x" } inputs { b = "y" } }'),
    "C27": W('call workflow "kid"'),
    "B4": W('if "s.ok" { call t }'),
    "B5": W('if s.ok { note = "x" call t }'),
    "B6": W('if s.ok { call t note = "x" }'),
    "B8": W("while r.bad { call f }"),
    "B10": W("while r.bad { max_iterations = 3 on_max_iter = explode call f }"),
    "B11": W('while r.bad { max_iterations = "x" }'),
    "B13": W("do { call f } while c.x"),
    "B15": W("do c.x { call f }"),
    "B18": W("do { max_iterations = 5 call f }"),
    "B24": W("always { retries = 1 call z }"),
    "B26": W("if s.do { call a }"),
    "P2": W("parallel { fail_fast = no call a }"),
    "P3": W("parallel { min_success = x call a }"),
    "P4": W("parallel { }"),
    "P8": W("parallel { call a { retries = bad } }"),
    "P10": W("parallel { call a fail_fast = false }"),
    "G3": W("gate pr_checks"),
    "G8": W("gate pr_approval { mode = review_decision min_approvals = 2 }"),
    "G10": W("gate pr_approval { mode = banana }"),
    "G11": W("gate pr_approval { on_timeout = maybe }"),
    "G15": W("gate a { options = yes }"),
    "G18": W("gate quality_gate { }"),
    "G19": W('gate quality_gate { source = "rt" threshold = 150 }'),
    "G20": W('gate quality_gate { source = "rt" threshold = 1 on_fail = fixer }'),
    "G21": W('gate quality_gate { source = "rt" threshold = 1 options = ["a"] }'),
    "S2": W("script s { timeout = 3 }"),
    "S4": W('script s { run = "a.sh" env = "A=1" }'),
    "E2": W("foreach f { }"),
    "E3": W("foreach f { over = t max_parallel = lots workflow = k }"),
    "E4": W("foreach f { over = t max_parallel = 1 workflow = k ordered = yes }"),
    "E5": W('foreach f { over = t max_parallel = 1 workflow = k scope = "x" }'),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_is_accepted(case: str) -> None:
    result = parse(SourceFile("a.wf", ACCEPTED[case]))
    assert [d.message for d in result.diagnostics if d.severity == "error"] == []
    assert len(result.workflows) == 1


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(case: str) -> None:
    assert not parse(SourceFile("a.wf", REFUSED[case])).ok


@pytest.mark.parametrize("timeout", ["2h", "48h", "30m", "60s", "3600", " 5m ", "1d", "5ms"])
def test_quoted_gate_timeouts(timeout: str) -> None:
    assert parse(SourceFile("a.wf", W(f'gate a {{ timeout = "{timeout}" }}'))).ok


@pytest.mark.parametrize("timeout", ["1.5h", "2H", "h", "", "2 h"])
def test_quoted_gate_timeouts_that_are_none(timeout: str) -> None:
    assert not parse(SourceFile("a.wf", W(f'gate a {{ timeout = "{timeout}" }}'))).ok
