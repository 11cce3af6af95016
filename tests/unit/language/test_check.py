from __future__ import annotations

import pytest

from runkon.language.check import check, check_again
from runkon.language.diagnostics import Diagnostic
from runkon.language.parser import parse
from runkon.language.program import Catalog, CheckedWorkflow, Located, NameKind, ResourceKind
from runkon.language.project import SyntaxOnly
from runkon.language.source import SourceFile


def test_a_clean_workflow_becomes_a_checked_one(checked) -> None:
    result = checked("W{ call a }")
    assert result.diagnostics == ()
    assert result.checked is not None
    assert result.checked.workflow.name == "w"


def test_warnings_do_not_stop_a_workflow(checked) -> None:
    result = checked("W{ gate human_review { } if human_review.ok { call a } }")
    assert [found.code for found in result.diagnostics] == ["never-true"]
    assert result.checked is not None
    assert result.checked.warnings == result.diagnostics


def test_findings_are_sorted_by_position_and_all_reported(checked) -> None:
    result = checked("W{ if a.x { call b } if flag { call c } if ghost.y { call d } }")
    starts = [found.span.start for found in result.diagnostics]
    assert starts == sorted(starts)
    assert [found.code for found in result.diagnostics] == ["unknown-step", "unknown-input", "unknown-step"]
    assert result.checked is None


def test_without_a_project_only_the_text_is_checked() -> None:
    text = """workflow w {
      call nobody { with = ["p"] output = "s" on_fail = "x/y.md" executor = e }
      call "x/plan.md"
      script s { run = "gone.sh" }
      gate slack_vote { }
      foreach f { over = tickets max_parallel = 1 workflow = elsewhere }
      call workflow away
      if step-of-away.done { call x }
    }"""
    parsed = parse(SourceFile("w.wf", text))
    result = check(parsed, parsed.workflows[0], SyntaxOnly())
    assert result.diagnostics == ()
    assert result.checked is not None


def test_the_text_alone_still_shows_its_own_errors() -> None:
    parsed = parse(SourceFile("w.wf", "workflow w { if ghost.x { call a } }"))
    assert [found.code for found in check(parsed, parsed.workflows[0], SyntaxOnly()).diagnostics] == ["unknown-step"]


def test_what_the_parser_lets_through_is_never_too_deep_to_check(codes) -> None:
    assert codes("W{ inputs { f boolean } if " + "not " * 90 + "f { call a } }") == []
    assert codes("W{ inputs { f boolean } " + "if f { " * 95 + "call a" + " }" * 95 + " }") == []


# ── facts ─────────────────────────────────────────────────────────────────────────────────────────
def test_calls_are_bounded_by_retries_loops_and_branches(checked) -> None:
    facts = checked("""W{
      call a { retries = 2 }
      inputs { f boolean }
      if f { call b call c } else { call d }
      parallel { call e call f2 { fallback = g } }
      do { max_iterations = 3 call h } while h.more
      script s { run = "x" on_fail = helper }
      always { call z }
    }""").facts
    assert facts.calls_max == 3 + 2 + (1 + 2) + 3 + 1 + 1
    assert facts.concurrency_max == 2


def test_a_loop_over_an_unknown_list_has_no_bound_unless_one_is_given(checked) -> None:
    text = "W{ call scan foreach f in scan.files { max_parallel = 4 %s call a { retries = 1 } } }"
    assert checked(text % "").facts.calls_max is None
    assert checked(text % "").facts.concurrency_max == 4
    assert checked(text % "max_items = 10").facts.calls_max == 21
    assert checked('W{ foreach f in ["a", "b"] { max_parallel = 4 call a } }').facts[:2] == (2, 2)


def test_children_count_as_often_as_they_may_run(checked) -> None:
    text = "W{ call workflow k { retries = 1 } } workflow k { call a call b }"
    assert checked(text).facts.calls_max == 4


def test_a_limit_of_the_run_limits_what_runs_at_once(checked) -> None:
    assert checked("W{ meta { max_parallel = 2 } parallel { call a call b call c } }").facts.concurrency_max == 2
    assert checked("W{ parallel { max_parallel = 2 call a call b call c } }").facts.concurrency_max == 2


def test_facts_name_what_is_needed_and_what_is_missing(checked, catalog) -> None:
    facts = checked(
        """W{ inputs { a b default = 1 c boolean }
          call there call gone script s { run = "echo" } gate human_review { name = ship } call workflow nope }""",
        catalog(known={"executor": ("there",)}, everything=False),
    ).facts
    assert facts.inputs_required == ("a",)
    assert facts.gates == ("ship",)
    assert facts.scripts == ("s",)
    assert facts.executors == ("there", "script")
    assert facts.missing == ("agent:gone", "workflow:nope")
    assert facts.calls_max is None


class TestAgain:
    """A text that was accepted once: only what it names may be gone meanwhile."""

    def test_what_it_names_is_looked_for_again(self) -> None:
        checked, findings = again('workflow w { script s { run = "true" } call gone }', Nothing())
        assert checked is None
        assert [found.code for found in findings] == ["unknown-agent"]

    def test_its_text_is_not_judged_again(self) -> None:
        text = 'workflow w { script s { run = "true" } if ghost.x { script t { run = "true" } } }'
        parsed = parse(SourceFile("w.wf", text))
        assert check(parsed, parsed.workflows[0], Nothing()).checked is None
        checked, findings = again(text, Nothing())
        assert findings == ()
        assert checked is not None
        assert checked.workflow == parsed.workflows[0]

    def test_the_workflows_it_calls_come_with_it(self) -> None:
        text = "workflow a { call workflow b }\nworkflow b { call gone }\n"
        checked, findings = again(text, SyntaxOnly())
        assert findings == ()
        assert checked is not None
        assert checked.children["b"].workflow.name == "b"
        checked, findings = again(text, Nothing())
        assert checked is None
        assert [found.code for found in findings] == ["unknown-agent"]

    def test_one_that_calls_itself_is_not_followed_for_ever(self) -> None:
        checked, _ = again("workflow a { call workflow a }\n", SyntaxOnly())
        assert checked is None


class Nothing(SyntaxOnly):
    """A project without executors and agents."""

    def knows(self, kind: NameKind, name: str) -> bool:
        return kind != "executor"

    def locate(self, kind: ResourceKind, name: str, workflow: str, caller: SourceFile | None = None) -> Located:
        return Located(None, ()) if kind == "agent" else super().locate(kind, name, workflow, caller)


def again(text: str, catalog: Catalog) -> tuple[CheckedWorkflow | None, tuple[Diagnostic, ...]]:
    parsed = parse(SourceFile("w.wf", text))
    return check_again(parsed, parsed.workflows[0], catalog)


@pytest.mark.parametrize(
    ("scope", "calls"),
    [
        ("from = 1 to = 10", 10),
        ("from = 10 to = 1 step = -3", 4),
        ("from = 0 to = 9 step = 5", 2),
        ("to = 3", 3),
        ("from = 5 to = 1", 0),
        ('from = 1 to = "{{n}}"', None),
        ("from = 1", None),
        ("from = 1 to = 5 step = 0", None),
    ],
)
def test_a_range_of_written_numbers_has_a_bound(checked, scope: str, calls: int | None) -> None:
    text = f"W{{ inputs {{ n }} foreach i in range {{ scope = {{ {scope} }} call a }} }}"
    assert checked(text).facts.calls_max == calls
    assert checked(text.replace("call a", "max_items = 2 call a")).facts.calls_max == min(
        2, 2 if calls is None else calls
    )


def test_limits_of_a_workflow_bound_its_calls(checked) -> None:
    loop = "do { max_iterations = 9 call a } while a.x"
    assert checked(f"W{{ meta {{ max_calls = 4 }} {loop} }}").facts.calls_max == 4
    assert checked(f"W{{ meta {{ max_calls = 40 }} {loop} }}").facts.calls_max == 9
    endless = "W{ %s foreach f in a.files { call b } call a }"
    assert checked(endless.replace("%s", "meta { max_calls = 7 } call a")).facts.calls_max == 7


def test_facts_reach_through_called_workflows(checked, catalog) -> None:
    world = catalog(
        workflows={
            "k": "workflow k { inputs { q required } script build { run = x } gate human_review { } call b"
            " call workflow l foreach t in range { scope = { to = 2 } call c } }",
            "l": "workflow l { meta { max_calls = 5 } script tidy { run = y }"
            " do { max_iterations = 9 call d } while d.x }",
        }
    )
    text = "W{ state { n number reduce = max } parallel { call workflow k { retries = 1 inputs { q = 1 } } call a } }"
    facts = checked(text, world).facts
    assert facts.calls_max == 2 * (1 + 5 + 2) + 1
    assert facts.concurrency_max == 2
    assert facts.gates == ("k/human_review",)
    assert facts.scripts == ("k/build", "k/l/tidy")
    assert facts.executors == ("a", "script", "b", "c", "d")
    assert (facts.providers, facts.reducers) == (("range",), ("max",))
    assert facts.inputs_required == ()


def test_agents_that_stand_in_are_executors_too(checked) -> None:
    facts = checked("W{ call a { fallback = b on_fail = c } script s { run = x on_fail = continue } }").facts
    assert facts.executors == ("a", "b", "c", "script")


def test_a_workflow_that_calls_itself_has_no_bound(checked, catalog) -> None:
    world = catalog(workflows={"k": "workflow k { call a call workflow k }"})
    assert checked("W{ call workflow k }", world).facts.calls_max is None
