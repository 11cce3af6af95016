"""One word per thing: names that say nothing, or say something else here, are not used."""

from __future__ import annotations

import ast
import re

from .tree import PACKAGE, ROOT, SKIPPED, functions_of, python_files, shown, tree_of

BANNED = {"util", "utils", "helper", "helpers", "common", "data", "info", "manager", "handler", "task", "job", "misc"}
ALLOWED_FILES = {"runkon/plugin/manager.py": "pluggy's own word for what it does"}
ALLOWED_CLASSES = {
    "PluginManager": "pluggy's own word for what it does",
    "SchemaInfo": "the table `schema_info`, which other versions read",
    "StepInfo": "what a step's first event says about its place; the word stands in the recorded form",
}
PLACES = ("grammar", "plugins", "tests", "examples", "benchmarks", ".ci")
SOURCES = python_files("runkon", "plugins", "benchmarks")


def words_of(name: str) -> set[str]:
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def test_no_file_or_folder_has_a_name_that_says_nothing():
    names = {shown(f): f.stem for f in SOURCES} | {shown(f.parent): f.parent.name for f in SOURCES}
    assert sorted(f for f, name in names.items() if words_of(name) & BANNED and f not in ALLOWED_FILES) == []


def test_no_class_has_a_name_that_says_nothing():
    named = {
        f"{shown(file)}:{item.lineno} {item.name}"
        for file in SOURCES
        for item in ast.walk(tree_of(file))
        if isinstance(item, ast.ClassDef) and words_of(item.name) & BANNED and item.name not in ALLOWED_CLASSES
    }
    assert named == set()


def test_no_public_signature_says_any():
    found = []
    for file in python_files("runkon"):
        for function in functions_of(tree_of(file)):
            arguments = function.args
            hints = [a.annotation for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
            hints += [a.annotation for a in (arguments.vararg, arguments.kwarg) if a] + [function.returns]
            named = {item.id for hint in hints if hint for item in ast.walk(hint) if isinstance(item, ast.Name)}
            if "Any" in named and not function.name.startswith("_"):
                found.append(f"{shown(file)}:{function.lineno} {function.name}")
    assert found == []


def test_no_function_changes_a_global():
    found = [
        f"{shown(file)}:{item.lineno} global {', '.join(item.names)}"
        for file in python_files("runkon")
        for item in ast.walk(tree_of(file))
        if isinstance(item, ast.Global)
    ]
    assert found == []


def test_nothing_is_left_for_later():
    marks = re.compile(r"#.*\b(TODO|FIXME|XXX|HACK)\b|pytest\.(mark\.)?(xfail|skip)\b")
    files = [*SOURCES, *(file for file in python_files("tests", "examples") if file.name != "test_words.py")]
    marked = [
        f"{shown(file)}:{number}"
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if marks.search(line)
    ]
    stubs = [
        f"{shown(file)}:{item.lineno}"
        for file in files
        for item in ast.walk(tree_of(file))
        if isinstance(item, ast.Raise) and item.exc and "NotImplementedError" in ast.dump(item.exc)
    ]
    assert marked + stubs == []


def test_no_file_names_a_place_on_somebodys_machine():
    place = re.compile(r"(?<![\w.\]])/(work|root|home/\w+|Users/\w+)/")
    texts = {".py", ".md", ".toml", ".wf", ".lark", ".yml", ".yaml", ".sql", ".json", ""}
    found = [
        f"{shown(file)}: {match[0]}"
        for folder in (PACKAGE, *(ROOT / name for name in PLACES))
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix in texts and not SKIPPED & set(file.parts)
        for match in place.finditer(file.read_text("utf-8", "replace"))
    ]
    assert found == []
