from __future__ import annotations

from runkon.language.diagnostics import Severity


def test_an_input_declared_twice_is_a_warning_that_shows_both(only) -> None:
    found = only("W{\n  inputs {\n    x\n    x default = 1\n  }\n}")
    assert (found.code, found.severity) == ("duplicate-input", Severity.WARNING)
    assert [related.span.line for related in found.related] == [3]
    assert found.span.line == 4


def test_two_agent_files_with_one_stem_are_an_error(only) -> None:
    found = only('W{ call "a/plan.md" call "b/plan.md" }')
    assert found.code == "ambiguous-key"
    assert "`plan`" in found.message


def test_the_same_file_twice_or_an_id_is_fine(codes) -> None:
    assert codes('W{ call "a/plan.md" call "a/plan.md" }') == []
    assert codes('W{ call "a/plan.md" call "b/plan.md" { id = plan-b } }') == []
    assert codes('W{ call plan call "b/plan.md" }') == []


def test_two_workflows_with_one_name_are_reported_at_the_second(checked, codes) -> None:
    from runkon.language.check import check
    from runkon.language.parser import parse
    from runkon.language.project import SyntaxOnly
    from runkon.language.source import SourceFile

    parsed = parse(SourceFile("w.wf", "workflow a { }\nworkflow b { }\nworkflow a { }"))
    found = [d for w in parsed.workflows for d in check(parsed, w, SyntaxOnly()).diagnostics]
    assert [(d.code, d.span.line) for d in found] == [("duplicate-workflow", 3)]
    assert found[0].related[0].span.line == 1
