from __future__ import annotations

from pathlib import Path

import pytest

from runkon.errors import UserError
from runkon.language.cache import ParsedFiles
from runkon.language.places import names_file
from runkon.language.project import Project, StoredProgram, SyntaxOnly
from runkon.language.source import SourceFile


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / ".runkon" / "workflows").mkdir(parents=True)
    return folder


@pytest.fixture
def project(root: Path) -> Project:
    return Project(root, {"executor": ("lint",)}, ParsedFiles(None))


def put(root: Path, name: str, text: str = "text", *, mode: int = 0o644) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def at(root: Path, name: str = "flow.wf", text: str = "") -> SourceFile:
    return SourceFile(str(root / name), text)


def found(project: Project, kind: str, name: str, workflow: str = "w") -> Path | None:
    return project.locate(kind, name, workflow, at(project.root)).path  # type: ignore[arg-type]


# ── names ─────────────────────────────────────────────────────────────────────────────────────────
def test_names_come_from_the_registry(project: Project) -> None:
    assert project.knows("executor", "lint")
    assert not project.knows("executor", "other")
    assert not project.knows("runtime", "claude")
    assert project.names("executor") == ("lint",)
    assert project.names("provider") == ()


# ── agents, snippets, schemas ─────────────────────────────────────────────────────────────────────
AGENTS = [
    ".runkon/workflows/w/agents/a.md",
    ".conductor/workflows/w/agents/a.md",
    ".runkon/agents/a.md",
    ".conductor/agents/a.md",
    ".claude/agents/a.md",
]
SNIPPETS = [
    ".runkon/workflows/w/prompts/a.md",
    ".conductor/workflows/w/prompts/a.md",
    ".runkon/prompts/a.md",
    ".conductor/prompts/a.md",
]


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ("agent", AGENTS),
        ("snippet", SNIPPETS),
        ("schema", [p.replace("prompts/a.md", "schemas/a.yaml") for p in SNIPPETS]),
    ],
)
def test_the_first_place_wins_and_all_are_named(project: Project, root: Path, kind: str, places: list[str]) -> None:
    assert project.locate(kind, "a", "w", at(root)) == (None, tuple(places), None)  # type: ignore[arg-type]
    for place in reversed(places):
        path = put(root, place)
        assert found(project, kind, "a") == path
    assert found(project, kind, "a", "another") == root / places[2]


def test_a_path_is_looked_up_from_the_project_root(project: Project, root: Path) -> None:
    path = put(root, "prompts/x.md")
    for kind in ("agent", "snippet", "schema"):
        assert found(project, kind, "prompts/x.md") == path
        assert found(project, kind, "./prompts/x.md") == root / "./prompts/x.md"
        assert found(project, kind, "prompts") is None


@pytest.mark.parametrize("name", ["../x.md", "a/../../x.md", "/etc/passwd", "~/x.md", "a/\0b", "..", "a..b"])
def test_names_and_paths_that_lead_out_are_refused(project: Project, root: Path, name: str) -> None:
    put(root.parent, "x.md")
    for kind in ("snippet", "schema"):
        assert found(project, kind, name) is None


def test_a_link_out_of_the_project_is_refused_and_one_inside_is_fine(project: Project, root: Path) -> None:
    outside = put(root.parent, "secret.md")
    (root / ".runkon/agents").mkdir()
    (root / ".runkon/agents/a.md").symlink_to(outside)
    located = project.locate("agent", "a", "w", at(root))
    assert located.path is None
    assert "outside the project" in (located.problem or "")
    inside = put(root, "shared.md")
    (root / ".runkon/agents/b.md").symlink_to(inside)
    assert found(project, "agent", "b") == root / ".runkon/agents/b.md"


def test_a_folder_named_like_a_file_is_not_found(project: Project, root: Path) -> None:
    (root / ".runkon/agents/a.md").mkdir(parents=True)
    assert found(project, "agent", "a") is None


# ── scripts ───────────────────────────────────────────────────────────────────────────────────────
def test_scripts_are_looked_for_in_three_places(project: Project, root: Path) -> None:
    places = (".conductor/scripts/s.sh", ".runkon/scripts/s.sh", "s.sh")
    for place in places:
        path = put(root, place, mode=0o755)
        assert found(project, "script", "s.sh") == path
    assert project.locate("script", "gone.sh", "w", at(root)).places == (
        "gone.sh",
        ".runkon/scripts/gone.sh",
        ".conductor/scripts/gone.sh",
    )


def test_a_script_without_execute_bit_is_found_with_its_problem(project: Project, root: Path) -> None:
    put(root, "s.sh", mode=0o644)
    assert project.locate("script", "s.sh", "w", at(root)).problem == "it is not executable (mode 0644)"


@pytest.mark.parametrize("run", ["/bin/sh", "../x.sh", "a..b/x.sh", "~/x.sh"])
def test_scripts_outside_the_project_are_refused(project: Project, root: Path, run: str) -> None:
    put(root.parent, "x.sh", mode=0o755)
    located = project.locate("script", run, "w", at(root))
    assert located.path is None
    assert located.problem


@pytest.mark.parametrize("run", ["x.sh", "./x", "tools/x", "x.py", "a-b_c.rb", "a@2/x"])
def test_one_plain_word_with_a_slash_or_an_extension_names_a_file(run: str) -> None:
    assert names_file(run)


@pytest.mark.parametrize(
    "run", ["make", "x.sh arg", "a|b.sh", "$X/y.sh", "A=b/c", "*.sh", "python3.11", "'x.sh'", "a;b.sh", ""]
)
def test_everything_else_is_shell_text(run: str) -> None:
    assert not names_file(run)


# ── workflows ─────────────────────────────────────────────────────────────────────────────────────
KID = "workflow kid { }"


def test_a_called_workflow_is_looked_for_in_order(project: Project, root: Path) -> None:
    caller = at(root, "flows/main.wf", "workflow main { }")
    places = [".conductor/workflows/kid.wf", ".runkon/workflows/kid.wf", "flows/kid.wf"]
    assert project.workflow("kid", caller) == (None, None, tuple(reversed(places)), None)
    for place in places:
        path = put(root, place, KID)
        loaded = project.workflow("kid", caller)
        assert loaded.workflow is not None
        assert loaded.source is not None
        assert Path(loaded.source.path).resolve() == path.resolve()
    same_file = at(root, "flows/main.wf", "workflow main { } workflow kid { call a }")
    inside = project.workflow("kid", same_file).workflow
    assert inside is not None
    assert len(inside.body) == 1


def test_a_file_of_several_workflows_gives_the_one_of_its_name(project: Project, root: Path) -> None:
    put(root, "kid.wf", "workflow other { } workflow kid { call a }")
    loaded = project.workflow("kid", at(root)).workflow
    assert loaded is not None
    assert loaded.name == "kid"
    put(root, "kid2.wf", "workflow whatever { }")
    loaded = project.workflow("kid2", at(root)).workflow
    assert loaded is not None
    assert loaded.name == "whatever"


@pytest.mark.parametrize("text", ["workflow kid { ] }", "", "// nothing"])
def test_a_called_file_with_errors_is_a_problem(project: Project, root: Path, text: str) -> None:
    put(root, "kid.wf", text)
    loaded = project.workflow("kid", at(root))
    assert loaded.workflow is None
    assert loaded.problem


def test_a_called_file_that_is_no_text_is_a_problem(project: Project, root: Path) -> None:
    (root / "kid.wf").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in (project.workflow("kid", at(root)).problem or "")


def test_a_called_workflow_behind_a_link_out_is_refused(project: Project, root: Path) -> None:
    put(root.parent, "kid.wf", KID)
    (root / "kid.wf").symlink_to(root.parent / "kid.wf")
    loaded = project.workflow("kid", at(root))
    assert loaded.workflow is None
    assert "outside" in (loaded.problem or "")


# ── a project inside the project ──────────────────────────────────────────────────────────────────
def test_a_file_of_a_nearer_project_looks_there_first(project: Project, root: Path) -> None:
    nested = root / "packages" / "ui"
    inner = put(nested, ".conductor/agents/a.md")
    outer = put(root, ".runkon/agents/a.md")
    only_outer = put(root, ".runkon/agents/b.md")
    caller = at(nested, "src/flow.wf")
    assert project.locate("agent", "a", "w", caller).path == inner
    assert project.locate("agent", "b", "w", caller).path == only_outer
    assert project.locate("agent", "a", "w", at(root)).path == outer
    assert project.roots(caller) == (nested, root)
    assert project.roots(at(root, ".runkon/workflows/x.wf")) == (root,)
    assert project.roots(at(root.parent, "elsewhere.wf")) == (root,)


# ── run FILE | NAME ───────────────────────────────────────────────────────────────────────────────
def test_a_name_is_found_in_the_workflow_folders(project: Project, root: Path) -> None:
    second = put(root, ".conductor/workflows/ship.wf", KID)
    assert project.find_workflow("ship", root) == second.relative_to(root)
    first = put(root, ".runkon/workflows/ship.wf", KID)
    assert project.find_workflow("ship", root) == first.relative_to(root)
    assert project.find_workflow("ship", Path("/")) == first.relative_to("/")
    assert project.workflow_names() == ("ship",)


def test_a_file_is_taken_as_it_is(project: Project, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert project.find_workflow("x.wf", root) == Path("x.wf")
    assert project.find_workflow("sub/x", root) == Path("sub/x")
    put(root, "plain", KID)
    assert project.find_workflow("plain", root) == Path("plain")
    assert project.find_workflow("x.wf", root / "sub") == root / "sub" / "x.wf"


def test_an_unknown_name_lists_the_places_and_a_close_name(project: Project, root: Path) -> None:
    put(root, ".runkon/workflows/review.wf", KID)
    with pytest.raises(UserError) as caught:
        project.find_workflow("reveiw", root)
    assert caught.value.code == "workflow-not-found"
    assert "`.runkon/workflows/reveiw.wf`, `.conductor/workflows/reveiw.wf`" in caught.value.message
    assert caught.value.help == "did you mean `review`?"
    assert caught.value.next == "runkon run review"


def test_a_file_of_the_name_beside_is_suggested(project: Project, root: Path) -> None:
    put(root, "ship.wf", KID)
    with pytest.raises(UserError) as caught:
        project.find_workflow("ship", root)
    assert caught.value.next == "runkon run ship.wf"


@pytest.mark.parametrize("target", ["", "a b", "é", "a.b", "*"])
def test_what_is_no_name_says_so(project: Project, root: Path, target: str) -> None:
    with pytest.raises(UserError) as caught:
        project.find_workflow(target, root)
    assert caught.value.code == "invalid-name"


# ── the other catalogs ────────────────────────────────────────────────────────────────────────────
def test_syntax_only_takes_everything_for_granted() -> None:
    world = SyntaxOnly()
    assert world.knows("executor", "anything")
    assert world.locate("script", "gone.sh", "w").path is not None
    assert world.workflow("kid", SourceFile("x.wf", "")) == (None, None, (), None)


def test_a_stored_program_needs_executors_but_no_files(project: Project, root: Path) -> None:
    world = StoredProgram(project)
    assert world.knows("executor", "lint")
    assert not world.knows("executor", "gone")
    assert world.locate("agent", "gone", "w", at(root)).path is None
    assert world.locate("script", "gone.sh", "w", at(root)).path is not None


def test_a_stored_program_finds_called_workflows_among_its_files(project: Project) -> None:
    texts = {
        "main.wf": "workflow main { call workflow kid } workflow own { call a }",
        ".conductor/workflows/kid.wf": "workflow kid { call far }",
        ".runkon/workflows/kid.wf": "workflow kid { call near }",
        "sub/kid.wf": "workflow kid { call beside_the_caller_first }",
        "sub/other.wf": "workflow other { call workflow kid }",
    }
    files = {path: SourceFile(path, text) for path, text in texts.items()}
    world = StoredProgram(project, tuple(files.values()), ParsedFiles(None))

    def found(name: str, caller: str) -> str | None:
        source = world.workflow(name, files[caller]).source
        return None if source is None else source.path

    assert found("own", "main.wf") == "main.wf"
    assert found("kid", "main.wf") == ".runkon/workflows/kid.wf"
    assert found("kid", "sub/other.wf") == "sub/kid.wf"
    assert found("nobody", "main.wf") is None
