"""Which folder may import which, and what may be imported nowhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .tree import ROOT, imports_of, python_files, shown, tree_of

SOURCES = [(shown(file), list(imports_of(tree_of(file)))) for file in python_files("runkon")]


def test_the_layer_contracts_hold():
    command = shutil.which("lint-imports", path=str(Path(sys.executable).parent))
    assert command, "import-linter is not installed"
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("library", "folder"), [("sqlmodel", "store"), ("sqlalchemy", "store"), ("pluggy", "plugin"), ("lark", "language")]
)
def test_a_library_with_a_home_is_imported_nowhere_else(library, folder):
    strangers = [
        f"{file}:{line}"
        for file, imports in SOURCES
        for name, line in imports
        if name.split(".")[0] == library and not file.startswith(f"runkon/{folder}/")
    ]
    assert strangers == []


def test_folders_only_an_editable_install_can_import_are_imported_nowhere():
    """The checkout is on the path of an editable install, so `import grammar` would work there and nowhere else."""
    found = [
        f"{shown(file)}:{line} imports {name}"
        for file in python_files("runkon", "tests", "examples", "benchmarks")
        for name, line in imports_of(tree_of(file))
        if name.split(".")[0] in ("grammar", "plugins")
    ]
    assert found == []


def test_no_module_of_the_package_needs_itself_not_even_for_types():
    modules = {file.removesuffix(".py").replace("/", "."): imports for file, imports in SOURCES}
    needs = {module: {name for name, _ in imports} & set(modules) for module, imports in modules.items()}
    while leaves := [module for module, names in needs.items() if not names]:
        for leaf in leaves:
            del needs[leaf]
        for names in needs.values():
            names.difference_update(leaves)
    # what is left needs a cycle or stands in one
    assert {module: sorted(names) for module, names in needs.items()} == {}
