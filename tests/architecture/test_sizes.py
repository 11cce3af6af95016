"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

from .tree import ROOT, functions_of, python_files, shown, tree_of

FILE_LIMIT = 400
FUNCTION_LIMIT = 60
FOLDERS = ("runkon", "plugins", "benchmarks", "examples")
OVERSIZED = {"runkon/language/nodes.py": "the whole syntax tree on one page is easier to read than two halves"}


def test_no_source_file_is_longer_than_the_limit():
    lengths = {shown(f): len(f.read_text("utf-8").splitlines()) for f in python_files(*FOLDERS)}
    assert lengths, "no source file found"
    assert {f: n for f, n in lengths.items() if n > FILE_LIMIT and f not in OVERSIZED} == {}


def test_every_exception_is_still_needed_and_has_a_reason():
    for file, reason in OVERSIZED.items():
        assert len((ROOT / file).read_text("utf-8").splitlines()) > FILE_LIMIT, f"{file} needs no exception any more"
        assert len(reason) > 20


def test_no_function_is_longer_than_the_limit():
    long = {
        f"{shown(file)}:{function.lineno} {function.name}": length
        for file in python_files(*FOLDERS)
        for function in functions_of(tree_of(file))
        if (length := (function.end_lineno or 0) - function.lineno + 1) > FUNCTION_LIMIT
    }
    assert long == {}
