"""Parsed files kept between runs: what a hit gives, and that no state of the folder ever shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runkon.language import cache, codec
from runkon.language.cache import ParsedFiles
from runkon.language.codec import NotATree, decode, encode
from runkon.language.entries import MAX_ENTRIES, digest
from runkon.language.parser import parse
from runkon.language.source import SourceFile
from runkon.language.table import kept_table, parse_table

TEXT = """\
workflow w {
  meta { title = "t" trigger = pr timeout = 2h budget_usd = 1.5 }
  inputs { x required y boolean default = true z one_of ["a", "b"] default = a }
  call plan { output = "o" with = ["a"] if = "x.y and not z.u in [1, 2.5, null, true]" retry_on = [timeout] }
  if plan.ok { script s { run = "echo" env = { A = "1" } timeout = 5m } } else { gate human_review { prompt = "?" } }
  do { max_iterations = 3 call "x/f.md" { on_fail = continue } } while f.again
  foreach f in plan.files { call g { inputs = { p = "{{f}}" } } }
  parallel p { until = g.found call a call workflow k { inputs { a = b } } }
  always { call z }
  outputs { v = plan.v }
}
workflow k { inputs { a } call inner }
"""


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were really parsed, in order."""
    seen: list[str] = []

    def counting(source: SourceFile, table: Path | None) -> object:
        seen.append(source.text)
        return parse(source)

    monkeypatch.setattr(cache, "_parse", counting)
    return seen


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_the_second_reading_comes_from_the_folder(tmp_path: Path, parsed: list[str]) -> None:
    first = ParsedFiles(tmp_path / "new" / "folder").parse(SourceFile("a.wf", TEXT))
    second = ParsedFiles(tmp_path / "new" / "folder").parse(SourceFile("a.wf", TEXT))
    assert len(parsed) == 1
    assert second.workflows == first.workflows
    assert second.diagnostics == first.diagnostics
    assert [d.code for d in second.diagnostics] == ["inactive-trigger"]


def test_a_hit_keeps_every_position_and_every_field(tmp_path: Path) -> None:
    files = ParsedFiles(tmp_path)
    fresh = files.parse(SourceFile("a.wf", TEXT))
    stored = files.parse(SourceFile("a.wf", TEXT))
    assert encode(stored.workflows) == encode(fresh.workflows)


def test_spans_name_the_file_as_the_caller_does(tmp_path: Path, parsed: list[str]) -> None:
    files = ParsedFiles(tmp_path)
    files.parse(SourceFile("a.wf", TEXT))
    other = SourceFile("moved/b.wf", TEXT)
    result = files.parse(other)
    assert len(parsed) == 1
    assert result.source is other
    assert {result.workflows[0].span.file, result.diagnostics[0].span.file} == {"moved/b.wf"}


def test_errors_are_kept_too(tmp_path: Path, parsed: list[str]) -> None:
    files = ParsedFiles(tmp_path)
    text = "workflow w { parralel { call a }\n call b { retries = 1 retries = 2 } }"
    assert files.parse(SourceFile("a.wf", text)).diagnostics == files.parse(SourceFile("a.wf", text)).diagnostics
    assert len(parsed) == 1


def test_another_text_is_another_entry(tmp_path: Path, parsed: list[str]) -> None:
    files = ParsedFiles(tmp_path)
    files.parse(SourceFile("a.wf", "workflow a {}"))
    assert files.parse(SourceFile("a.wf", "workflow b {}")).workflows[0].name == "b"
    assert (len(parsed), len(entries(tmp_path))) == (2, 2)


@pytest.mark.parametrize("text", ["", "\ud800 workflow", "workflow w { call a \x00 }", "\ufeffworkflow w {}"])
def test_any_text_can_be_kept(tmp_path: Path, text: str) -> None:
    files = ParsedFiles(tmp_path)
    assert files.parse(SourceFile("a.wf", text)).diagnostics == files.parse(SourceFile("a.wf", text)).diagnostics


def damaged(whole: bytes) -> dict[str, bytes]:
    first, _, payload = whole.partition(b"\n")
    forged = b'[-1,[-1,[34,1,"x"]],[-1]]'
    return {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "cut by one": whole[:-1],
        "one byte changed": whole.replace(b'"plan"', b'"plam"', 1),
        "digest only": first,
        "no digest": payload,
        "binary": bytes(range(256)) * 4,
        "pickle": b"\x80\x04\x95\x0b\x00\x00\x00",
        "foreign but with its digest": digest(forged) + b"\n" + forged,
        "another shape": digest(b"{}") + b"\n{}",
        "a number": digest(b"7") + b"\n7",
        "not a pair": digest(b"[-1]") + b"\n[-1]",
        "a pair of numbers": digest(b"[-1,1,2]") + b"\n[-1,1,2]",
        "deep": digest(b"[" * 100_000) + b"\n" + b"[" * 100_000,
    }


@pytest.mark.parametrize("kind", sorted(damaged(b"x\ny")))
def test_a_damaged_entry_is_ignored_and_rewritten(tmp_path: Path, parsed: list[str], kind: str) -> None:
    files = ParsedFiles(tmp_path)
    expected = files.parse(SourceFile("a.wf", TEXT))
    (entry,) = entries(tmp_path)
    whole = entry.read_bytes()
    entry.write_bytes(damaged(whole)[kind])
    assert files.parse(SourceFile("a.wf", TEXT)).workflows == expected.workflows
    assert len(parsed) == 2
    assert entry.read_bytes() == whole


def test_an_entry_of_another_language_version_is_not_used(
    tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    monkeypatch.setattr(cache, "LANGUAGE_VERSION", 99)
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    assert len(parsed) == 2


def test_an_entry_of_other_code_is_not_used(tmp_path: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    monkeypatch.setattr(cache, "_code_state", lambda: "changed")
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    assert len(parsed) == 2


def test_the_grammar_and_the_parser_are_part_of_the_key() -> None:
    state = cache._code_state()
    assert all(name in state for name in ("runkon.lark", "builder.py", "option_types.py", "diagnostics.py"))


def test_without_a_folder_nothing_is_kept(parsed: list[str]) -> None:
    files = ParsedFiles(None)
    files.parse(SourceFile("a.wf", TEXT))
    files.parse(SourceFile("a.wf", TEXT))
    assert len(parsed) == 2


def test_a_folder_that_cannot_be_written_is_no_cache(tmp_path: Path, parsed: list[str]) -> None:
    (tmp_path / "file").write_text("not a folder")
    files = ParsedFiles(tmp_path / "file" / "cache")
    assert files.parse(SourceFile("a.wf", TEXT)).ok
    assert files.parse(SourceFile("a.wf", TEXT)).ok
    assert len(parsed) == 2
    assert (tmp_path / "file").read_text() == "not a folder"


def test_an_entry_that_is_a_folder_is_no_entry(tmp_path: Path, parsed: list[str]) -> None:
    files = ParsedFiles(tmp_path)
    files.parse(SourceFile("a.wf", TEXT))
    (entry,) = entries(tmp_path)
    entry.unlink()
    entry.mkdir()
    assert files.parse(SourceFile("a.wf", TEXT)).ok
    assert [e.name for e in entries(tmp_path)] == [entry.name]


def test_the_table_is_kept_beside_and_nothing_temporary(tmp_path: Path) -> None:
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    ParsedFiles(tmp_path).parse(SourceFile("b.wf", "workflow b {}"))
    assert sorted(entry.suffix for entry in entries(tmp_path)) == [".parsed", ".parsed", ".table"]


def test_a_kept_table_is_the_table(tmp_path: Path) -> None:
    built = kept_table(tmp_path / "t.table")
    kept_table.cache_clear()
    assert kept_table(tmp_path / "t.table") == built == parse_table()


@pytest.mark.parametrize("damage", [b"", b"x\n[]", b"\x00" * 99])
def test_a_damaged_table_is_built_again(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "t.table"
    file.write_bytes(damage)
    assert kept_table(file) == parse_table()
    assert len(file.read_bytes()) > len(damage)


def test_an_edited_file_needs_no_lark_once_the_table_is_kept(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from runkon.language.cache import ParsedFiles;"
        "from runkon.language.source import SourceFile;"
        f"r = ParsedFiles(Path({str(tmp_path)!r})).parse(SourceFile('a.wf', 'workflow edited {{}}')); assert r.ok;"
        "print('lark' in sys.modules, 'runkon.language.parser' in sys.modules)"
    )
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_the_oldest_entries_beyond_the_limit_go_and_strangers_stay(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    for number in range(MAX_ENTRIES + 5):
        old = tmp_path / f"{number:03}.parsed"
        old.write_text("x")
        os.utime(old, (number, number))
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    names = {entry.name for entry in entries(tmp_path)}
    assert len(names) == MAX_ENTRIES + 1
    assert "README" in names
    assert {"004.parsed", "204.parsed"} & names == {"204.parsed"}


def test_a_hit_imports_neither_lark_nor_pydantic_nor_package_metadata(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from runkon.language.cache import ParsedFiles;"
        "from runkon.language.source import SourceFile;"
        f"r = ParsedFiles(Path({str(tmp_path)!r})).parse(SourceFile('a.wf', {TEXT!r})); assert r.ok;"
        "print([m for m in ('lark', 'pydantic', 'importlib.metadata', 'runkon.language.parser', 'logging')"
        " if m in sys.modules])"
    )
    ParsedFiles(tmp_path).parse(SourceFile("a.wf", TEXT))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ── the codec ───────────────────────────────────────────────────────────────────────────────────
def test_every_node_class_has_its_number() -> None:
    assert "Workflow(span,name," in codec.SHAPE
    assert "Diagnostic(code,severity," in codec.SHAPE


def test_nesting_up_to_the_limit_can_be_kept() -> None:
    tree = parse(SourceFile("a.wf", "workflow w {" + "if a.b { " * 99 + "call x" + "}" * 99 + "}")).workflows
    assert encode(decode(encode(tree), "a.wf")) == encode(tree)


def test_options_as_they_were_written_are_read_when_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = parse(SourceFile("a.wf", "workflow w { call a { id = b } call c }")).workflows
    read: list[str] = []
    made = codec._now
    monkeypatch.setattr(codec, "_now", lambda text, file: (read.append(text), made(text, file))[1])
    (workflow,) = decode(encode(tree), "b.wf")  # type: ignore[misc]
    assert [step.options.id for step in workflow.body] == ["b", None]
    assert read == []
    assert [entry.name for entry in workflow.body[0].written] == ["id"]
    assert workflow.body[0].written[0].span.file == "b.wf"
    assert (workflow.body[1].written, len(read)) == ((), 1)


def test_very_long_options_are_kept_with_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ", ".join(f'"n{number}"' for number in range(500))
    tree = parse(SourceFile("a.wf", f"workflow w {{ call a {{ with = [{names}] }} }}")).workflows
    encoded = encode(tree)
    monkeypatch.setattr(codec, "_now", lambda *_: pytest.fail("nothing is left for later"))
    assert decode(encoded, "a.wf") == tree


def _long(odd: str = "") -> str:
    calls = [f"call a{number % 7} {{ id = s{number} retries = {number % 3} }}" for number in range(300)]
    return f"workflow w {{ meta {{ title = t }} {' '.join(calls[:150])} {odd} {' '.join(calls[150:])} }}"


@pytest.mark.parametrize(
    "odd", ["", "call a { with = [x] }", "do { call a call b }", f"do {{ {'call c ' * 40} }}", "call x { on_fail = y }"]
)
def test_many_steps_stand_field_by_field_and_come_back_as_they_were(odd: str) -> None:
    tree = parse(SourceFile("a.wf", _long(odd))).workflows
    encoded = encode(tree)
    text = json.dumps(encoded)
    assert text.count(f"[{codec._COLUMNS}, ") > 1
    (workflow,) = back = decode(json.loads(text), "b.wf")  # type: ignore[misc]
    assert back == tree
    assert encode(back) == encoded
    assert [step.written for step in workflow.body] == [step.written for step in tree[0].body]
    assert (workflow.body[200].span.file, workflow.body[200].agent.span.file) == ("b.wf", "b.wf")
    assert workflow.body[200].span[1:] == tree[0].body[200].span[1:]
    assert all(one is other for one, other in zip(workflow.items[1:], workflow.body, strict=True))


def test_the_same_node_many_times_stays_one() -> None:
    tree = parse(SourceFile("a.wf", "workflow w { call a { id = b } }")).workflows[0].body * 40
    back = decode(json.loads(json.dumps(encode(tree))), "a.wf")
    assert back == tree
    assert len(set(map(id, back))) == 1  # type: ignore[call-overload]


def test_columns_that_do_not_fit_are_refused() -> None:
    tree = parse(SourceFile("a.wf", _long())).workflows[0].body
    text = json.dumps(encode(tree))
    for wrong in (
        lambda columns: columns[3].pop(),  # a span without its end
        lambda columns: columns[5][5].pop(),  # a text too few
        lambda columns: columns[5][5].__setitem__(0, -4),
        lambda columns: columns.__setitem__(1, 999),
        lambda columns: columns.__setitem__(2, 1),
        lambda columns: columns.pop(),
        lambda columns: columns.__setitem__(slice(2, None), []),
    ):
        value = json.loads(text)
        wrong(value[1])
        with pytest.raises(NotATree):
            decode(value, "a.wf")


def test_what_is_no_tree_is_refused() -> None:
    with pytest.raises(TypeError):
        encode(object())
    for value in ([], ["x"], [999], [0, 99, 1], [-3, 5], [-9], [-2, 1], [0], [-4, "x"], [-5]):
        with pytest.raises(NotATree):
            decode(value, "a.wf")


def test_text_that_is_no_unicode_is_parsed_anew_each_time(tmp_path: Path) -> None:
    source = SourceFile("a.wf", 'workflow w if"\ud800\udfff"}}')
    for _ in range(2):
        assert ParsedFiles(tmp_path).parse(source).diagnostics == parse(source).diagnostics
    assert list(tmp_path.glob("*.parsed")) == []
