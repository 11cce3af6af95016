import importlib.metadata
import json
import subprocess
import sys

from runkon.plugin import entry_points
from runkon.plugin.entry_points import EntryPoint, installed


def distribution(folder, name, entries, *, version="1.0", style="dist-info"):
    metadata = folder / (f"{name}-{version}.{style}" if version else f"{name}.{style}")
    metadata.mkdir(parents=True)
    (metadata / "entry_points.txt").write_text(entries)
    (metadata / ("METADATA" if style == "dist-info" else "PKG-INFO")).write_text(f"Name: {name}\nVersion: 9.9\n")
    return metadata


def test_finds_the_group_in_a_distribution(tmp_path):
    distribution(
        tmp_path, "lint_kit", "[console_scripts]\nx = a:b\n\n[runkon]\nlint = lint_kit.plugin\nmore = m : a.b [x]\n"
    )
    assert installed([str(tmp_path)]) == [
        EntryPoint("lint", "lint_kit.plugin", "", "lint_kit", "1.0"),
        EntryPoint("more", "m", "a.b", "lint_kit", "1.0"),
    ]


def test_other_groups_and_comments_are_passed_over(tmp_path):
    distribution(tmp_path, "a", "[runkon.other]\nx = y\n[other]\n# [runkon]\nz = y\n")
    distribution(tmp_path, "b", "[runkon]\n# no = m\n\n; nonsense\nbroken = 1 + 1\n")
    assert installed([str(tmp_path)]) == []


def test_an_egg_info_folder_counts_too(tmp_path):
    distribution(tmp_path, "old", "[runkon]\nold = old\n", version="", style="egg-info")
    assert installed([str(tmp_path)]) == [EntryPoint("old", "old", "", "old", "9.9")]


def test_of_two_distributions_of_one_name_the_first_on_the_path_counts(tmp_path):
    distribution(tmp_path / "one", "my_kit", "[runkon]\nfirst = m\n")
    distribution(tmp_path / "two", "My-Kit".replace("-", "_"), "[runkon]\nsecond = m\n", version="2.0")
    found = installed([str(tmp_path / "one"), str(tmp_path / "two")])
    assert [point.name for point in found] == ["first"]


def test_missing_folders_zip_files_and_unreadable_text_find_nothing(tmp_path):
    (tmp_path / "library.zip").write_bytes(b"PK")
    metadata = distribution(tmp_path, "bad", "")
    (metadata / "entry_points.txt").write_bytes(b"\xff\xfe[runkon\nx = \xff")
    (tmp_path / "empty-1.0.dist-info").mkdir()
    assert installed([str(tmp_path / "gone"), str(tmp_path / "library.zip"), str(tmp_path)]) == []


def test_agrees_with_importlib_metadata_on_the_whole_environment(monkeypatch):
    ours = {}
    groups = importlib.metadata.entry_points()
    for group in sorted(groups.groups):
        monkeypatch.setattr(entry_points, "GROUP", group)
        ours[group] = {(p.name, p.module, p.attribute) for p in installed()}
    theirs = {group: {(p.name, p.module, p.attr or "") for p in groups.select(group=group)} for group in groups.groups}
    assert ours == theirs
    assert len(theirs) > 2


def test_looking_does_not_import_importlib_metadata(tmp_path):
    distribution(tmp_path, "kit", "[runkon]\nkit = kit\n")
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from runkon.plugin.entry_points import installed;"
        "print(json.dumps([[p.name for p in installed()], 'importlib.metadata' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    names, imported = json.loads(done.stdout)
    assert "kit" in names
    assert imported is False
