"""Many files that call each other: each is read into a tree once and checked once, however many call it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runkon.app import App
from runkon.language import cache, check
from runkon.settings import load_settings

LEVELS, WIDTH, CALLS = 5, 12, 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five levels of twelve files; each calls four of the next level."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for level in range(LEVELS):
        for place in range(WIDTH):
            called = [(place * 5 + number) % WIDTH for number in range(CALLS)] if level + 1 < LEVELS else []
            calls = "\n".join(f"  call workflow w{level + 1}_{other}" for other in called)
            file = tmp_path / f".runkon/workflows/w{level}_{place}.wf"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f'workflow w{level}_{place} {{\n  script s {{ run = "true" }}\n{calls}\n}}\n')
    return tmp_path


def test_each_is_parsed_once_and_checked_at_most_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    checked: list[str] = []
    parse, rules = cache._parse, check.RULES

    def counting_parse(source, table):
        parsed.append(source.path)
        return parse(source, table)

    def counting_rule(context):
        checked.append(context.workflow.name)
        return ()

    monkeypatch.setattr(cache, "_parse", counting_parse)
    monkeypatch.setattr(check, "RULES", (*rules, counting_rule))
    app = App(load_settings(folder, {}, {}))
    known: dict = {}
    files = sorted(path.relative_to(folder) for path in folder.glob(".runkon/workflows/*.wf"))
    assert all(app.check_file(path, known=known).ok for path in files)
    assert sorted(parsed) == sorted(map(str, files))
    called = {name for name in checked if not name.startswith("w0_")}
    assert sorted(checked) == sorted([path.stem for path in files] + sorted(called))
