"""Schema files that are too much: each is refused at once, with a place."""

from __future__ import annotations

import pytest

from runkon.schemas.problems import SchemaProblem
from runkon.schemas.reading import MAX_BYTES, read_schema, read_schema_file


def problem(text: str) -> SchemaProblem:
    with pytest.raises(SchemaProblem) as caught:
        read_schema("s", text)
    return caught.value


def nested(levels: int) -> str:
    return "fields: {a: " + "{type: object, fields: {a: " * levels + "string" + "}}" * levels + "}"


def test_a_file_larger_than_the_limit_is_refused_without_being_read(tmp_path):
    file = tmp_path / "huge.yaml"
    file.write_bytes(b"fields: {a: string}\n" + b"#" * 5_000_000)
    with pytest.raises(SchemaProblem, match="larger than 256 KiB"):
        read_schema_file(file)
    assert "larger than 256 KiB" in problem("x" * (MAX_BYTES + 1)).message
    assert "larger than 256 KiB" in problem("é" * (MAX_BYTES // 2 + 1)).message


def test_aliases_that_multiply_are_refused():
    lines = ["fields:", "  a0: &a0 {type: object, fields: {x: string, y: string}}"]
    for level in range(30):
        inner = ", ".join(f"{name}: *a{level}" for name in "xyz")
        lines.append(f"  a{level + 1}: &a{level + 1} {{type: object, fields: {{{inner}}}}}")
    assert "its aliases stand for more than can be read" in problem("\n".join(lines)).message


def test_a_list_of_examples_that_thousands_of_fields_share_is_refused():
    many = ", ".join(["x"] * 20_000)
    fields = "".join(f"  f{n}: {{type: string, examples: *e}}\n" for n in range(500))
    found = problem(f"fields:\n  a: {{type: string, examples: &e [{many}]}}\n{fields}")
    assert "its aliases stand for more than can be read" in found.message


def test_a_long_type_that_thousands_of_fields_share_is_refused():
    variants = ", ".join(f"v{n}" for n in range(20_000))
    fields = "".join(f"  f{n}: *e\n" for n in range(500))
    assert "aliases" in problem(f'fields:\n  a: &e "enum({variants})"\n{fields}').message


def test_fields_nest_deeper_than_any_answer_can():
    schema = read_schema("s", nested(64))
    depth, fields = 0, schema.fields
    while fields:
        depth, fields = depth + 1, fields[0].shape.fields
    assert depth == 65


@pytest.mark.parametrize("text", [nested(5_000), "[" * 100_000, "{a: " * 40_000, "- " * 100_000])
def test_nesting_beyond_the_limit_is_refused_with_its_place(text):
    found = problem(text)
    assert found.message == "it is nested more than 200 deep"
    assert (found.line, found.column > 200) == (1, True)


def test_a_wide_file_is_read():
    text = "fields:\n" + "".join(f"  field_{n:05}: {{type: string, desc: text}}\n" for n in range(4_000))
    assert [field.name for field in read_schema("s", text).fields][-1] == "field_03999"


def test_the_digest_is_that_of_the_text():
    one, other = (read_schema("s", f"fields: {{{name}: string}}").digest for name in "ab")
    assert one != other
    assert len(one) == 64
    assert read_schema("t", "fields: {a: string}").digest == one


def test_a_file_is_named_by_its_stem(tmp_path):
    file = tmp_path / "review-findings.yaml"
    file.write_text("fields: {a: string}")
    assert read_schema_file(file).name == "review-findings"


def test_a_file_that_is_not_text_says_where(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_bytes(b"fields:\n  a: \xff\n")
    with pytest.raises(SchemaProblem) as caught:
        read_schema_file(file)
    assert (caught.value.message, caught.value.line, caught.value.column) == ("it is not UTF-8 text", 2, 6)


def test_a_file_that_is_none_says_why(tmp_path):
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "gone.yaml", "No such file")):
        with pytest.raises(SchemaProblem, match=why):
            read_schema_file(path)


def test_half_a_character_is_refused():
    assert problem("fields: {a: \ud800}").message == "the character U+D800 can't stand in YAML"
