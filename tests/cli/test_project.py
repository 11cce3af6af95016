"""`init new plugins doctor`, and what is said when runkon itself fails."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys

import pytest


class TestInit:
    def test_the_project_runs_at_once(self, case):
        case.run("init").exits(0).stdout("""
            wrote runkon.toml
            wrote .runkon/workflows/hello.wf
            wrote .runkon/workflows/hello.wftest
            wrote .runkon/agents/critic.md
            wrote .runkon/schemas/opinion.yaml
            wrote .runkon/plugins/words.py
            wrote .runkon/.gitignore
            """)
        case.stderr("""
            next:
              runkon run hello                   a script, an agent, a Python function
              runkon show @last critic --prompt  what the agent was sent
              runkon test                        its tests, which call nobody
            answers are made up; for real ones change the word `test` in runkon.toml
            """)
        case.run("validate", "hello", "--strict").exits(0)
        case.run("fmt", "--check").exits(0)
        case.run("run", "hello", "-q").exits(0).stdout(
            "greeting = Hello, world! Nice to meet you.\nwords = 6\nopinion = Short and friendly.\n"
        )
        assert "`test`: its answers are made up" in case.run("run", "hello").exits(0).err

    @pytest.mark.parametrize("folder", [".", "fresh", "a folder"])
    @pytest.mark.parametrize("settings", ["", 'model = "opus"\n', "broken = [\n"])
    def test_what_it_prints_works_as_printed(self, case, folder, settings):
        if settings:
            case.file(f"{folder}/runkon.toml", settings)
        case.run("init", folder).exits(0)
        lines = [line[2:].split("  ")[0] for line in case.err.splitlines() if line.startswith("  ")]
        assert len(lines) == (3 if folder == "." else 4)
        assert ("--model test" in case.err, "change the word" in case.err) == (bool(settings), not settings)
        if settings.startswith("broken"):
            return
        shell = f'set -e\nrunkon() {{ {sys.executable} -m runkon "$@"; }}\n' + "\n".join(lines)
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False, env=os.environ)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "words = 6\n" in done.stdout
        assert "Hello, world! Nice to meet you.\n" in done.stdout.partition("prompt:")[2]
        assert "2 passed\n" in done.stderr

    def test_a_real_model_takes_one_word(self, case):
        case.run("init").exits(0)
        settings = case.project / "runkon.toml"
        text = settings.read_text("utf-8")
        assert text.count("\n") == 2
        settings.write_text(text.replace('model = "test"', 'model = "nobody:has-it"'))
        assert case.run("run", "hello").code != 0
        assert "`nobody" in case.err
        assert "its answers are made up" not in case.err

    def test_nothing_is_overwritten(self, case):
        case.file(".runkon/workflows/hello.wf", "mine").file("runkon.toml", "jobs = 2\n").run("init").exits(0)
        assert case.out.startswith("kept  runkon.toml\nkept  .runkon/workflows/hello.wf\nwrote ")
        assert (case.project / ".runkon/workflows/hello.wf").read_text() == "mine"
        assert (case.project / "runkon.toml").read_text() == "jobs = 2\n"

    def test_in_another_folder(self, case):
        case.run("init", "fresh").exits(0)
        assert case.err.startswith("next:\n  cd fresh\n  runkon run hello ")
        assert "change the word `test` in fresh/runkon.toml\n" in case.err
        assert (case.project / "fresh/.runkon/plugins/words.py").is_file()

    def test_where_a_file_is_in_the_way(self, case):
        case.file("taken/.runkon", "a file").run("init", "taken").exits(5)
        assert case.err.startswith("error[cannot-write]: ")

    def test_json(self, case):
        case.run("init", "--json").exits(0)
        assert [entry["written"] for entry in case.json()["init"]] == [True] * 7
        assert case.json()["next"] == ["runkon run hello", "runkon show @last critic --prompt", "runkon test"]
        case.run("init", "--json")
        assert [entry["written"] for entry in case.json()["init"]] == [False] * 7


class TestNew:
    def test_a_workflow_that_checks_formats_and_runs(self, case):
        case.run("new", "second").exits(0).stdout("wrote .runkon/workflows/second.wf\n")
        case.stderr("next: runkon run second\n")
        case.run("validate", "second", "--strict").exits(0)
        case.run("fmt", "--check", "second").exits(0)
        case.run("run", "second", "-q").exits(0)

    def test_never_over_another(self, case):
        case.run("new", "x").run("new", "x").exits(2).stdout("").stderr("""
            error[file-exists]: `.runkon/workflows/x.wf` exists already
              = help: take another name, or change that file
              = next: runkon run x
            """)

    @pytest.mark.parametrize("name", ["../x", "a b", "", "1st", "x.wf", "meta", "do"])
    def test_names_that_name_nothing(self, case, name):
        case.run("new", name).exits(2).stdout("")
        assert case.err.startswith(f"error[invalid-name]: `{name}` can't name a workflow\n")


class TestPlugins:
    def test_what_is_there_and_what_is_broken(self, case):
        case.run("init").file(".runkon/plugins/broken.py", "import nothing_of_this_name\n")
        case.run("plugins").exits(0)
        words = next(line for line in case.out.splitlines() if line.startswith("words "))
        assert words.split()[1] == "ok"
        assert words.endswith("executor count-words")
        assert "broken: " in case.out
        case.run("plugins", "--json").exits(0)
        found = {plugin["name"]: plugin for plugin in case.json()["plugins"]}
        assert found["words"]["brings"] == ["executor count-words"]
        assert "nothing_of_this_name" in found["broken"]["problem"]

    def test_two_executors_of_one_name_name_both_plugins(self, case):
        text = "from runkon import executor\n@executor('lint')\ndef lint(request):\n    return None\n"
        case.file(".runkon/plugins/one.py", text).file(".runkon/plugins/two.py", text).run("plugins").exits(5)
        assert case.err.startswith("error[duplicate-executor]: ")
        assert "`one`" in case.err
        assert "`two`" in case.err


RUNTIMES = """
from runkon import hookimpl
from runkon.model.agents import Availability


class Local:
    version = "1"

    def __init__(self, name):
        self.name = name

    def run(self, request):
        raise NotImplementedError

    def offers(self, model):
        return False

    def most_cost_usd(self, request):
        return None

    def availability(self, settings, *, check=False):
        if self.name == "broken":
            raise OSError("out of order")
        if "argv" in settings:
            return Availability(ready=False, detail="no argv")
        if check:
            return Availability(ready=True, detail="asked")
        return Availability(ready=None, detail="the key LOCAL_KEY is present")


@hookimpl
def runkon_register_runtimes(register):
    register(Local("local"))
    register(Local("broken"))
"""
SETTINGS = """
[runtimes.mine]
type = "local"
argv = []
[runtimes.lost]
type = "gone"
"""


class TestDoctor:
    def test_all_is_well(self, case):
        case.env(OPENAI_API_KEY="sk-secret").run("doctor").exits(0).stderr("")
        assert "sk-secret" not in case.out
        assert "state folder" in case.out
        assert not (case.project / ".runkon/runkon.db").exists()
        case.run("doctor", "--json").exits(0)
        assert case.json()["ok"] is True

    def test_a_file_in_the_place_of_the_state_folder_is_a_problem(self, case):
        (case.project / ".runkon").rmdir()
        case.file(".runkon", "x").run("doctor").exits(5)
        assert "state folder problem .runkon: it is a file, not a folder" in " ".join(case.out.split())
        assert "is a file, but the database needs a folder there" in case.run("runs").exits(5).err

    def test_a_wrong_setting_is_a_problem(self, case):
        case.file("runkon.toml", "jobs = 0\n").run("doctor").exits(5)
        assert "settings  problem  `jobs` in `runkon.toml` is 0" in case.out

    def test_runtimes_are_listed_with_what_they_need(self, case):
        case.file(".runkon/plugins/local.py", RUNTIMES).file("runkon.toml", SETTINGS).run("doctor", "--json").exits(5)
        found = {one["name"]: (one["state"], one["detail"]) for one in case.json()["doctor"]}
        assert found["runtime test"] == ("ok", "makes answers up from schemas, offline; `--model test`")
        assert found["runtime local"] == ("unknown", "the key LOCAL_KEY is present")
        assert found["runtime mine"] == ("problem", "no argv")
        assert found["runtime broken"] == ("problem", "its plugin failed: out of order")
        assert found["runtime lost"] == ("problem", "its table has the type `gone`, which is not there")
        case.run("doctor", "--check", "--json").exits(5)
        found = {one["name"]: (one["state"], one["detail"]) for one in case.json()["doctor"]}
        assert found["runtime local"] == ("ok", "asked")

    def test_the_whole_text_of_a_new_project(self, case, tmp_path, monkeypatch):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in ("git", "sh"):
            (folder / name).write_text("#!/bin/sh\n")
            (folder / name).chmod(0o755)
        case.env(PATH=str(folder))
        for name in [name for name in os.environ if name.endswith("_API_KEY")]:
            monkeypatch.delenv(name)
        case.run("init").run("doctor").exits(0).stderr("")
        lines = [re.split(r"  +", line, maxsplit=2) for line in case.out.splitlines()]
        number = re.compile(r"\d+\.\d+[.\d]*")
        told = {name: (state, number.sub("N", " ".join(rest))) for name, state, *rest in lines}
        assert told == {
            "runkon": ("ok", "N"),
            "python": ("ok", number.sub("N", f"N at {sys.executable}")),
            "sqlite": ("ok", "N"),
            "project": ("ok", str(case.project)),
            "settings": ("ok", "runkon.toml"),
            "state folder": ("ok", ".runkon"),
            "database": ("ok", ".runkon/runkon.db (made by the first run)"),
            "plugins": ("ok", f"{len(case.run('plugins').out.splitlines())} loaded; executors: count-words, script"),
            "runtime acp": (
                "missing", '`[runtimes.NAME]` with `type = "acp"` and `argv` names a program that speaks the protocol',
            ),
            "runtime agents": (
                "unknown",
                "pydantic-ai-slim N; OPENAI_API_KEY absent, ANTHROPIC_API_KEY absent, "
                "GOOGLE_API_KEY or GEMINI_API_KEY absent",
            ),
            "runtime claude": (
                "missing", "`claude` is not installed; install it with `npm install -g @anthropic-ai/claude-code`",
            ),
            "runtime codex": ("missing", "`codex` is not installed; install it with `npm install -g @openai/codex`"),
            "runtime command": (
                "missing", '`[runtimes.NAME]` with `type = "command"` and `argv` makes any program a runtime',
            ),
            "runtime gemini": (
                "missing", "`gemini` is not installed; install it with `npm install -g @google/gemini-cli`",
            ),
            "runtime test": ("ok", "makes answers up from schemas, offline; `--model test`"),
            "agent critic": ("ok", "its answers are made up: model test"),
            "git": ("ok", str(folder / "git")),
            "sh": ("ok", str(folder / "sh")),
            "dot": ("missing", "needed for `graph --format svg`"),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("settings", "agent", "told"),
        [
            ('model = "opus"', "Judge.", "runtime claude, model opus: `claude` is not installed; install it with "),
            (
                'model = "openai:x"',
                "Judge.",
                "runtime agents, model openai:x: `agents: openai` has no key: the variable",
            ),
            ('runtime = "nobody"', "Judge.", "there is no runtime `nobody` to run the agent file `critic`"),
            ("", "Judge.", "nothing says which runtime runs the agent file `critic`"),
            ('model = "test"', "---\nrole: judge\n---\nJudge.", "`role` is `judge`"),
        ],
    )
    def test_an_agent_that_nobody_here_can_answer_is_a_problem(self, case, monkeypatch, settings, agent, told):
        case.env(PATH="/nowhere").file("runkon.toml", settings).file(".runkon/agents/critic.md", agent)
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        case.run("doctor", "--json").exits(5)
        problems = {one["name"]: one["detail"] for one in case.json()["doctor"] if one["state"] == "problem"}
        assert list(problems) == ["agent critic"]
        assert problems["agent critic"].startswith(told)

    def test_agents_with_a_key_are_well_and_stand_together(self, case):
        case.env(OPENAI_API_KEY="sk-secret-4711").file("runkon.toml", 'model = "openai:x"\n')
        for name in ("one", "two"):
            case.file(f".runkon/agents/{name}.md", "Judge.")
        case.file(".runkon/workflows/ship/agents/three.md", "---\nmodel: test\n---\nJudge.")
        case.run("doctor").exits(0)
        assert re.search(r"^agents one, two +ok +runtime agents, model openai:x$", case.out, re.MULTILINE)
        assert re.search(r"^agent three +ok +its answers are made up: model test$", case.out, re.MULTILINE)
        assert "4711" not in case.out

    def test_a_program_that_the_settings_name_has_to_be_there(self, case):
        case.file("runkon.toml", '[runtimes.mine]\ntype = "command"\nargv = ["not-installed-anywhere", "{{prompt}}"]\n')
        case.run("doctor").exits(5)
        assert re.search(r"^runtime mine +problem  .*not-installed-anywhere", case.out, re.MULTILINE)

    def test_a_broken_plugin_is_a_problem(self, case):
        case.file(".runkon/plugins/broken.py", "1 / 0\n").run("doctor", "--json").exits(5)
        problems = [check for check in case.json()["doctor"] if check["state"] == "problem"]
        assert [check["name"] for check in problems] == ["plugin broken"]


class TestOurOwnBugs:
    @pytest.fixture
    def broken(self, case, monkeypatch):
        def fail(*_arguments: object, **_options: object) -> None:
            raise RuntimeError("the \x1b[31mwheel came off\nat speed")

        monkeypatch.setattr("runkon.cli.commands.runs._newest", fail)
        return case

    def test_it_says_so_and_keeps_the_traceback_in_a_file(self, broken):
        broken.run("runs", "--limit", "3").exits(70).stdout("").stderr("""
            error[internal-error]: runkon itself failed: RuntimeError: the ␛[31mwheel came off
              = help: this is a bug in runkon, not in your workflow; recorded steps are safe
              = report: open an issue of the project and attach TMP/project/.runkon/internal-error-STAMP.txt
              = next: RUNKON_DEBUG=1 runkon runs --limit 3        (shows the traceback)
            """)
        (kept,) = (broken.project / ".runkon").glob("internal-error-*.txt")
        text = kept.read_text()
        assert "$ runkon runs --limit 3\n" in text
        assert "Traceback (most recent call last)" in text

    @pytest.mark.parametrize(
        "given", [("-i", "token=s3cret-4711"), ("-itoken=s3cret-4711",), ("--input=token=s3cret-4711",)]
    )
    def test_the_values_of_inputs_are_in_no_report(self, case, monkeypatch, given):
        def fail(*_arguments: object, **_options: object) -> None:
            raise RuntimeError("broke at s3cret-4711")

        monkeypatch.setattr("runkon.engine.runner.Runner.create", fail)
        case.wf("workflow x { inputs { token secret } }").run("run", "x.wf", *given).exits(70)
        (kept,) = (case.project / ".runkon").glob("internal-error-*.txt")
        assert "RuntimeError: broke at …" in kept.read_text()
        assert "token=…" in kept.read_text()
        assert "4711" not in kept.read_text() + case.out + case.err

    def test_with_debug_the_traceback_is_shown(self, broken):
        broken.env(RUNKON_DEBUG="1").run("runs").exits(70)
        assert "Traceback (most recent call last)" in broken.err


def test_a_wrong_settings_file_stops_every_command_that_needs_it(case):
    case.file("runkon.toml", "job = 3\n").run("runs").exits(5).stdout("").stderr("""
        error[unknown-setting]: `runkon.toml` has an unknown setting `job`
          = help: did you mean `jobs`?
        """)


def test_a_reader_that_goes_away_is_no_error(case):
    case.wf("".join(f'workflow w{n} {{ script a {{ run = "true" }} }}\n' for n in range(500)))
    command = f"{sys.executable} -m runkon graph x.wf --json | head -c 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", f"for n in 1 2 3; do {command}; done"],
        capture_output=True,
        text=True,
        env=os.environ,
        check=True,
    )
    assert done.stderr == ""


class TestPlaces:
    def test_a_new_folder_for_the_records_is_named_once(self, case):
        (case.project / ".runkon").rmdir()
        case.wf('workflow x { script a { run = "true" } }').run("run", "x.wf").exits(0)
        assert case.err.startswith(f"note: runs are recorded in {case.project}/.runkon, made now\nrun ")
        assert "made now" not in case.run("run", "x.wf").exits(0).err

    def test_an_empty_project_is_told_how_to_begin(self, case):
        for words in (["run", "hello"], ["resume"], ["show", "@last"]):
            case.run(*words)
            assert case.err.endswith("= next: runkon init\n"), words

    def test_a_settings_file_that_is_a_folder(self, case):
        (case.project / "runkon.toml").mkdir()
        assert case.run("runs").exits(5).err.startswith("error[unreadable-settings]: the settings file ")

    def test_a_folder_that_was_removed_under_the_command(self, case, tmp_path, monkeypatch):
        gone = tmp_path / "gone"
        gone.mkdir()
        monkeypatch.chdir(gone)
        gone.rmdir()
        for words in (["runs"], ["run", "x"], ["validate"], ["new", "x"]):
            case.run(*words).exits(5).stdout("")
            assert case.err.startswith("error[no-folder]: the folder this command was started in does not exist")

    def test_a_name_that_is_no_text_of_the_locale(self, case):
        case.wf('workflow x { script a { run = "true" } }', "x\udcff.wf").run("run", "x\udcff.wf").exits(2)
        assert case.err.startswith("error[not-utf8]: `x\\xff.wf` is no text in this locale\n")

    def test_a_file_nobody_may_write_says_why(self, case, monkeypatch):
        def refuse(path: object, flags: int, *rest: int, **options: int) -> int:
            if flags & os.O_WRONLY and str(path).endswith("x.wf"):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            return opened(path, flags, *rest, **options)

        opened = os.open

        case.wf("workflow x { }")
        monkeypatch.setattr("runkon.cli.files.os.open", refuse)
        case.run("fmt", "x.wf").exits(5).stderr("""
            error[cannot-write]: `x.wf` can't be written: read-only file system
              = help: the disk is mounted for reading only; take another place
            """)


WORKTREE = 'workflow x { script a { run = "true" stream = lines } }'


class TestErrorsAsJson:
    @pytest.mark.parametrize(
        ("words", "code", "slug"),
        [
            (["show", "zzz"], 6, "run-not-found"),
            (["run", "none.wf"], 2, "file-not-found"),
            (["runs", "--bogus"], 2, "unknown-option"),
            (["events", "@last"], 6, "run-not-found"),
        ],
    )
    def test_an_error_stands_where_the_result_would(self, case, words, code, slug):
        case.run(*words, "--json").exits(code)
        found = case.json()
        assert (found["schema"], found["error"]["code"], found["exit_code"]) == ("runkon.error/1", slug, code)
        assert f"error[{slug}]: {found['error']['message']}" in case.err

    @pytest.mark.parametrize(
        ("text", "slug"),
        [
            ("workflow x {", "unclosed"),
            ('workflow x { script a { run = "true" stream = lines } }', "unsupported"),
        ],
    )
    def test_a_workflow_that_cannot_run_gives_its_findings(self, case, text, slug):
        case.wf(text).run("run", "x.wf", "--json").exits(3)
        (file,) = case.json()["files"]
        assert file["ok"] is False
        assert any(slug in found["code"] for found in file["diagnostics"]), file["diagnostics"]


def test_what_is_no_number_and_no_switch_is_said_in_plain_words(case):
    case.run("runs", "--limit", "abc").exits(2)
    assert "`--limit`: `abc` is not a whole number\n" in case.err
    case.env(RUNKON_QUIET="maybe").run("runs").exits(2)
    assert "`maybe` is not a switch (`1` or `0`)\n" in case.err
