"""What `import runkon` offers, and what it costs."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib

import pytest

import runkon

from .tree import PACKAGE, ROOT, tree_of


def test_every_public_name_can_be_had():
    missing = [name for name in runkon.__all__ if getattr(runkon, name, None) is None]
    assert missing == []


def test_the_names_for_type_checkers_are_the_names_there_are():
    imported = {
        alias.name
        for item in ast.walk(tree_of(PACKAGE / "__init__.pyi"))
        if isinstance(item, ast.ImportFrom) and item.module and item.module.startswith("runkon.")
        for alias in item.names
    }
    assert imported | {"__version__"} == set(runkon.__all__) == set(dir(runkon))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        runkon.no_such_name  # noqa: B018 - the access is the test


def test_the_version_is_the_distributions():
    assert runkon.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def test_importing_runkon_imports_nothing_else():
    code = "import sys, json; was = set(sys.modules); import runkon; print(json.dumps(sorted(set(sys.modules) - was)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [name for name in json.loads(done.stdout) if name != "__future__"] == ["runkon"]
