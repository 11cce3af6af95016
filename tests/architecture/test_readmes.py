"""Every folder explains itself on one page, and the page is true."""

from __future__ import annotations

import re

import pytest

from .tree import PACKAGE, ROOT, SKIPPED, shown

HEADINGS = ["Purpose", "Files", "Flow", "Rules", "How to extend"]
FOLDERS = sorted(
    f for f in PACKAGE.iterdir() if f.is_dir() and f.name not in SKIPPED and any(g.suffix == ".py" for g in f.iterdir())
)
PLUGINS = sorted(file.parent for file in (ROOT / "plugins").glob("*/__init__.py"))
PAGES = [*(folder / "README.md" for folder in [*FOLDERS, *PLUGINS]), ROOT / "benchmarks" / "README.md"]
NAMED = re.compile(r"`([\w./-]+\.(?:py|sql|lark|wf|md|toml))`")


def test_there_are_folders_to_look_at():
    assert {"language", "engine", "store", "plugin", "testing"} <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_the_page_has_the_five_headings_in_order(page):
    assert page.is_file(), f"{shown(page)} is missing"
    found = re.findall(r"(?m)^## (.+?)\s*$", page.read_text("utf-8"))
    assert [heading for heading in found if heading in HEADINGS] == HEADINGS


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_every_file_the_page_names_is_there(page):
    missing = []
    for name in sorted(set(NAMED.findall(page.read_text("utf-8"))) - {"__init__.py"}):
        if name.rpartition("/")[2].split(".")[0].isupper():
            continue  # `CODE.wf` stands for any code
        near = [page.parent / name, PACKAGE / name, ROOT / name]
        if not any(place.exists() for place in near) and not any(page.parent.rglob(name)):
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=shown)
def test_the_page_names_every_file_of_its_folder(page):
    text = page.read_text("utf-8")
    files = [file for file in page.parent.rglob("*.py") if file.name != "__init__.py" and not SKIPPED & set(file.parts)]
    assert files
    unnamed = [str(f.relative_to(page.parent)) for f in files if not re.search(rf"\b{re.escape(f.name)}\b", text)]
    assert sorted(unnamed) == []
