from pathlib import Path

import pytest
from runkon_example_plugin.links import check_links

from runkon import Cancelled, Fatal
from runkon.testing import ExecutorContract, cancel, request_for


class TestContract(ExecutorContract):
    def make(self):
        return check_links

    def request(self):
        return request_for("check-links", working_dir=Path(__file__).parents[1])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a page.md").write_text("text")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.md").write_text("[dead](nowhere.md)")
    return tmp_path


def look(folder, text):
    (folder / "README.md").write_text(text)
    return check_links.execute(request_for("check-links", working_dir=folder))


@pytest.mark.parametrize(
    "link",
    [
        "[a](docs/a%20page.md)",
        "[a](<docs>)",
        "[a](docs#part)",
        '[a](docs "title")',
        "[a](/docs)",
        "[a](#here)",
        "[a](https://example.org/x)",
        "[a](mailto:ann@example.org)",
        "`[a](nowhere.md)`",
        "```\n[a](nowhere.md)\n```",
    ],
)
def test_a_link_that_leads_somewhere_is_fine(folder, link):
    output = look(folder, link)
    assert output.markers == frozenset()
    assert output.values == {"dead": [], "files": 2}


def test_a_dead_link_is_named_with_file_and_line(folder):
    output = look(folder, "# Title\n\nsee [this](docs/gone.md) and [that](docs)\n")
    assert output.markers == {"has_dead_links"}
    assert output.values["dead"] == [{"file": "README.md", "line": 3, "target": "docs/gone.md"}]
    assert output.context == "README.md:3: no `docs/gone.md`"


def test_the_folder_is_an_input(folder):
    output = check_links.execute(request_for("check-links", working_dir=folder, inputs={"folder": "docs"}))
    assert output.values["files"] == 1


def test_a_folder_that_is_not_there_is_fatal(folder):
    with pytest.raises(Fatal, match="there is no folder"):
        check_links.execute(request_for("check-links", working_dir=folder, inputs={"folder": "gone"}))


def test_it_stops_between_two_files(folder):
    request = request_for("check-links", working_dir=folder)
    cancel(request)
    with pytest.raises(Cancelled):
        check_links.execute(request)
