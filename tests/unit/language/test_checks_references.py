from __future__ import annotations

import pytest

CLEAN = {
    "a call": "W{ call a }",
    "produced only inside an if, used after it": "W{ inputs { f boolean } if f { call a } if a.x { call b } }",
    "produced in an else": """W{ inputs { f boolean } if f { call a } else { call b }
        if b.x { call c } if a.x { call d } }""",
    "do while sees its body": "W{ do { max_iterations = 2 call c } while c.x }",
    "a path agent answers to its stem": 'W{ call "x/plan.md" if plan.ok { call a } }',
    "parallel branches after the block": "W{ parallel { call a call b } if b.ok { call c } }",
    "the if of a branch sees what came before": 'W{ call d parallel { call a { if = "d.m" } call b } }',
    "until sees the branches": "W{ parallel { until = a.done call a call b } }",
    "always sees the body": "W{ call a always { if a.failed { call b } } }",
    "always before the body in text": "W{ always { if a.failed { call b } } call a }",
    "nested bodies add up": """W{ call a if a.x { while a.more { max_iterations = 2 call b if b.y { call c } } }
        if c.z { call d } }""",
    "a plain do is transparent": "W{ do { call a } if a.x { call b } }",
    "a nested always is transparent": "W{ inputs { f boolean } if f { always { call a } } if a.x { call b } }",
    "an id renames the key": "W{ call a { id = first } if first.ok { call b } }",
    "a named parallel has a result": "W{ parallel checks { call a call b } if checks.failed > 0 { call c } }",
    "a script by its name": 'W{ script s { run = "echo" } if s.ok { call b } }',
    "a gate by its type": "W{ gate human_review { } if human_review.approved { call a } }",
    "a gate by its name": "W{ gate human_review { name = ship } if ship.approved { call a } }",
    "a boolean input": "W{ inputs { f boolean } unless f { call a } }",
    "an input compared": 'W{ inputs { n default = "x" } if n == "x" { call a } if inputs.n != "y" { call b } }',
    "a loop variable": "W{ call scan foreach file in scan.files { call a { if = file.big } } }",
    "item in a loop": "W{ call scan foreach file in scan.files { if item.big { call a } } }",
    "run facts": 'W{ if workflow.name == "w" and workflow.run_id != "" { call a } }',
    "the end of the run in always": 'W{ call a always { if workflow_status == "failed" { call b } } }',
    "a host variable compared": "W{ if ticket_id != null { call a } }",
    "a step called workflow": 'W{ script workflow { run = "x" } if workflow.inputs { call a } }',
    "a quality gate after its source": "W{ call rt gate quality_gate { source = rt threshold = 80 } }",
    "outputs read the body": "W{ call a outputs { verdict = a.verdict word = plain } }",
}


@pytest.mark.parametrize("text", CLEAN.values(), ids=CLEAN.keys())
def test_what_exists_where_it_is_read_is_fine(codes, text: str) -> None:
    assert codes(text) == []


FAULTS = {
    "nobody produces it": ("W{ if ghost.x { call a } }", "unknown-step", "ghost"),
    "compared": ("W{ if ghost.score > 3 { call a } }", "unknown-step", "ghost"),
    "behind not and or": ("W{ call a if a.x or not ghost.y { call b } }", "unknown-step", "ghost"),
    "in an else if": ("W{ call a if a.x { call b } else if ghost.y { call c } }", "unknown-step", "ghost"),
    "while looks before its body": ("W{ while c.x { max_iterations = 1 call c } }", "later-step", "c"),
    "a later step": ("W{ if b.x { call a } call b }", "later-step", "b"),
    "an arm does not see its neighbour": (
        "W{ inputs { f boolean } if f { call a } else { if a.x { call b } } }",
        "other-branch",
        "a",
    ),
    "a sibling branch": ('W{ parallel { call a call b { if = "a.m" } } }', "other-branch", "a"),
    "a branch that stands below": ('W{ parallel { call b { if = "a.m" } call a } }', "later-step", "a"),
    "a quality gate before its source": (
        "W{ gate quality_gate { source = rt threshold = 80 } call rt }",
        "later-step",
        "rt",
    ),
    "a quality gate without source": ("W{ gate quality_gate { source = rt threshold = 80 } }", "unknown-step", "rt"),
    "a list that nobody made": ("W{ foreach f in scan.files { call a } }", "unknown-step", "scan"),
    "an output of nobody": ("W{ outputs { v = ghost.x } }", "unknown-step", "ghost"),
    "an undeclared bare name": ("W{ if flag { call a } }", "unknown-input", "flag"),
    "an undeclared input by prefix": ("W{ if inputs.flag == 1 { call a } }", "unknown-input", "flag"),
    "an undeclared bare operand": ("W{ if flag == 1 { call a } }", "unknown-input", "flag"),
    "a text input as a test": ("W{ inputs { flag } if flag { call a } }", "input-not-boolean", "flag"),
}


@pytest.mark.parametrize(("text", "code", "name"), FAULTS.values(), ids=FAULTS.keys())
def test_what_does_not_exist_yet_is_one_finding(only, text: str, code: str, name: str) -> None:
    found = only(text)
    assert found.code == code
    assert f"`{name}`" in found.message


def test_the_finding_marks_the_step_only(only) -> None:
    found = only("W{\n  if ghost.x { call a }\n}")
    assert (found.span.line, found.span.column, found.span.end - found.span.start) == (2, 6, len("ghost"))


def test_a_close_name_is_suggested_with_its_line(only) -> None:
    assert only("W{\n  call build\n  if biuld.failed { call a }\n}").help == "did you mean `build` (line 2)?"


def test_a_later_step_is_shown(only) -> None:
    found = only("W{\n  if b.x { call a }\n  call b\n}")
    assert [(related.span.line, related.label) for related in found.related] == [(3, "`b` stands here")]


def test_a_bare_step_name_gets_a_hint(only) -> None:
    assert "a.MARKER" in (only("W{ call a if a { call b } }").help or "")


def test_a_child_makes_its_top_level_steps_readable(codes, catalog) -> None:
    world = catalog(
        workflows={"k": "workflow k { call inner parallel { call p } inputs { f boolean } if f { call deep } }"}
    )
    assert codes("W{ call workflow k if k.m { call a } if inner.m { call a } if p.m { call a } }", world) == []
    assert codes("W{ call workflow k if deep.m { call a } }", world) == ["unknown-step"]


def test_an_unreadable_child_causes_no_further_finding(codes, catalog) -> None:
    assert codes("W{ call workflow nope if nope.m { call a } if inner.m { call b } }", catalog()) == [
        "unknown-workflow"
    ]


def test_references_before_an_unreadable_child_are_still_checked(codes, catalog) -> None:
    text = "W{ if ghost.m { call a } call workflow nope }"
    assert codes(text, catalog()) == ["unknown-step", "unknown-workflow"]


@pytest.mark.parametrize("condition", ["b.status == completed", "failed != b.status", "b.status in [failed, skipped]"])
def test_a_bare_word_beside_a_status_belongs_in_quotes(checked, condition: str) -> None:
    found = checked("W{ call b if " + condition + " { call c } }").diagnostics
    assert {each.code for each in found} == {"unknown-input"}
    assert [(each.help or "")[:26] for each in found] == [
        'text stands in quotes: `"' + each.message[16] for each in found
    ]


def test_a_bare_word_beside_a_field_may_be_text_or_an_input(only) -> None:
    found = only("W{ call b if b.color == red { call c } }")
    assert found.help == 'if it is text, put it in quotes: `"red"`; an input has to be declared: `inputs { red }`'
