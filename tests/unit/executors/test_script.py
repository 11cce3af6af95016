from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from runkon import executors
from runkon.engine.cancellation import TIMEOUT, Token
from runkon.errors import Cancelled
from runkon.executors.script import ScriptExecutor
from runkon.model.failures import StepFailure
from runkon.model.output import JsonValue, Output
from runkon.model.ports import StepRequest
from runkon.testing.executor_suite import CancellableContract
from runkon.testing.requests import request_for

PATIENCE = 30.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def asked(run: str, folder: Path, *, env: dict[str, JsonValue] | None = None, **inputs: JsonValue) -> StepRequest:
    return request_for("build", options={"run": run, "env": env or {}}, inputs=inputs, working_dir=folder)


def execute(run: str, folder: Path, *, env: dict[str, JsonValue] | None = None, **inputs: JsonValue) -> Output:
    return ScriptExecutor().execute(asked(run, folder, env=env, **inputs))


def failure(run: str, folder: Path) -> StepFailure:
    with pytest.raises(StepFailure) as caught:
        execute(run, folder)
    assert caught.value.kind == "exit"
    return caught.value


class TestContract(CancellableContract):
    def make(self) -> object:
        return ScriptExecutor()

    def request(self) -> StepRequest:
        return request_for("build", options={"run": "echo hello"})

    def slow_request(self) -> StepRequest:
        return request_for("build", options={"run": "echo busy; sleep 300"})


# ── what comes out ────────────────────────────────────────────────────────────────────────────────
def test_without_a_block_what_was_printed_is_the_context_without_line_ends_behind_it(folder: Path) -> None:
    assert execute("echo hello; echo noise >&2", folder) == Output(context="hello")
    assert execute("printf '\\n a\\n\\nb \\n\\n'", folder).context == "\n a\n\nb "


@pytest.mark.parametrize("size", [2001, 16_384, 100_000])
def test_a_long_context_is_cut_and_says_so(folder: Path, size: int) -> None:
    assert execute(f"head -c {size} /dev/zero | tr '\\0' x", folder).context == "x" * 1999 + "…"


def test_a_context_of_the_most_characters_is_whole_and_its_line_end_does_not_count(folder: Path) -> None:
    assert execute("head -c 2000 /dev/zero | tr '\\0' x; echo", folder).context == "x" * 2000


def test_what_follows_many_empty_lines_is_not_lost_without_a_word(folder: Path) -> None:
    assert execute("echo a; head -c 20000 /dev/zero | tr '\\0' '\\n'; echo b", folder).context.endswith("\n…")


def test_an_output_block_gives_markers_context_and_fields(folder: Path) -> None:
    block = '<<<FLOW_OUTPUT>>>\n{"markers": ["ok"], "context": "c", "n": 3}\n<<<END_FLOW_OUTPUT>>>'
    output = execute(f"echo log; cat <<'X'\n{block}\nX\n", folder)
    assert output == Output(frozenset({"ok"}), "c", {"n": 3})


def test_a_block_after_megabytes_of_log_is_found(folder: Path) -> None:
    block = '<<<FLOW_OUTPUT>>>{"context": "end"}<<<END_FLOW_OUTPUT>>>'
    assert execute(f"head -c 20000000 /dev/zero; echo '{block}'", folder).context == "end"


def test_a_broken_block_is_said_and_the_step_succeeds(folder: Path) -> None:
    output = execute("echo '<<<FLOW_OUTPUT>>>{markers}<<<END_FLOW_OUTPUT>>>'", folder)
    assert output.context.startswith("<<<FLOW_OUTPUT>>>")
    assert output.text.startswith("its output block is not valid JSON")


def test_bytes_that_are_not_text_are_replaced(folder: Path) -> None:
    assert execute("printf 'a\\377b'", folder).context == "a\ufffdb"


# ── how it fails ──────────────────────────────────────────────────────────────────────────────────
def test_a_non_zero_exit_fails_with_code_and_the_end_of_stderr(folder: Path) -> None:
    assert failure("echo why >&2; exit 3", folder).message == "script `build` exited with code 3: why"
    assert failure("echo only stdout; exit 1", folder).message == "script `build` exited with code 1: only stdout"
    assert failure("exit 9", folder).message == "script `build` exited with code 9 and said nothing"


def test_a_long_stderr_is_cut_at_a_line(folder: Path) -> None:
    message = failure("for i in 1 2 3 4 5 6 7 8 9; do printf '%0300d\\n' $i >&2; done; exit 1", folder).message
    said = message.partition(": ")[2]
    assert said.startswith("…000")
    assert said.endswith("9")
    assert {len(line) for line in said[1:].splitlines()} == {300}


def test_escape_sequences_of_a_failed_script_are_made_harmless(folder: Path) -> None:
    message = failure("printf '\\033[31mred\\033[0m \\033]0;title\\007 \\007bell' >&2; exit 1", folder).message
    assert message == "script `build` exited with code 1: red  \ufffdbell"


def test_a_death_by_signal_names_the_signal(folder: Path) -> None:
    assert failure("kill -SEGV $$", folder).message.startswith("script `build` was killed by SIGSEGV")


def test_what_can_not_be_started_says_why(folder: Path) -> None:
    assert failure("echo '" + "x" * 3_000_000 + "'", folder).message == (
        "script `build` could not be started: its command and environment are too big for the system; "
        "pass big values through a file"
    )
    with pytest.raises(StepFailure, match="NUL character") as raised:
        execute("echo a\0b", folder)
    assert raised.value.kind == "value"  # with the same text it never starts
    with pytest.raises(StepFailure, match=r"the folder `.*gone` is not there"):
        execute("true", folder / "gone")
    with pytest.raises(StepFailure, match="has nothing to run"):
        ScriptExecutor().execute(request_for("build"))


# ── files ─────────────────────────────────────────────────────────────────────────────────────────
def script(path: Path, text: str, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_a_word_with_an_extension_names_a_file(folder: Path) -> None:
    script(folder / ".conductor/scripts/a.sh", "#!/bin/sh\necho conductor")
    assert execute("a.sh", folder).context == "conductor"
    script(folder / ".runkon/scripts/a.sh", "#!/bin/sh\necho runkon $PWD")
    assert execute("a.sh", folder).context == f"runkon {folder.resolve()}"
    script(folder / "a.sh", "#!/bin/sh\necho root")
    assert execute("a.sh", folder).context == "root"
    assert execute("./a.sh", folder).context == "root"


def test_a_file_without_an_interpreter_line_is_shell_text(folder: Path) -> None:
    script(folder / "plain.sh", "echo plain")
    assert execute("plain.sh", folder).context == "plain"


def test_a_file_with_spaces_in_its_folder_needs_no_quotes(tmp_path: Path) -> None:
    script(tmp_path / "a b" / "x.sh", "#!/bin/sh\necho ok")
    assert execute("x.sh", tmp_path / "a b").context == "ok"


def test_a_file_that_can_not_be_run_says_why(folder: Path) -> None:
    assert failure("gone.sh", folder).message == (
        "script `build` can't run `gone.sh`: it is not there; "
        "looked at gone.sh, .runkon/scripts/gone.sh, .conductor/scripts/gone.sh"
    )
    script(folder / "x.sh", "#!/bin/sh", 0o644)
    assert "not executable" in failure("x.sh", folder).message
    assert "absolute paths are not allowed" in failure("/bin/ls", folder).message
    assert "`..` is not allowed" in failure("../x.sh", folder).message
    os.symlink("/bin/ls", folder / "out.sh")
    assert "leads outside the project" in failure("out.sh", folder).message


# ── environment ───────────────────────────────────────────────────────────────────────────────────
def test_inputs_are_in_the_environment_under_both_prefixes(folder: Path) -> None:
    output = execute(
        'echo "$RUNKON_SCOPE $CONDUCTOR_SCOPE $RUNKON_FLAG $RUNKON_LIST $RUNKON_INJECTED"',
        folder,
        scope="full",
        flag=True,
        list=["a", 1],
        prior_contexts=[1],
        **{"item.id": "7", "no-dash": "x"},
    )
    assert output.context == 'full full true ["a", 1] RUNKON_SCOPE RUNKON_FLAG RUNKON_LIST'


def test_the_inputs_of_the_options_come_instead_of_all_variables(folder: Path) -> None:
    request = asked('echo "$RUNKON_A-$RUNKON_B"', folder, a="variable", b="exported")
    request = replace(request, options={**request.options, "inputs": {"a": "input"}})
    assert ScriptExecutor().execute(request).context == "input-"


def test_the_env_of_the_step_comes_last_but_may_not_set_protected_names(folder: Path) -> None:
    lines: list[str] = []
    env: dict[str, JsonValue] = {"RUNKON_A": "own", "PLAIN": "it's $HOME", "PATH": "/evil", "B=C": "x", "": "y"}
    request = replace(asked('echo "$RUNKON_A|$PLAIN"; echo "$PATH"', folder, env=env, a="input"), emit=lines.append)
    assert ScriptExecutor().execute(request).context == f"own|it's $HOME\n{os.environ['PATH']}"
    assert lines[:3] == [f"`{name}` of `env` is left out: a script may not set it" for name in ("PATH", "B=C", "")]


def test_a_value_too_big_for_the_environment_is_left_out_and_said(folder: Path) -> None:
    lines: list[str] = []
    request = replace(
        asked("echo ${RUNKON_BIG-unset} $RUNKON_OK", folder, big="x" * 200_000, ok="1"), emit=lines.append
    )
    assert ScriptExecutor().execute(request).context == "unset 1"
    assert lines[0].startswith("input `big` is left out of the environment")


def test_names_injected_by_an_outer_run_stay_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNKON_INJECTED", "RUNKON_OUTER")
    assert execute("echo $RUNKON_INJECTED", folder, a="1").context == "RUNKON_OUTER RUNKON_A"


def test_a_half_character_does_not_stop_the_script(folder: Path) -> None:
    assert execute("echo $RUNKON_A", folder, a="x\ud800").context == "x?"


def test_a_secret_reaches_the_environment_and_nothing_else(folder: Path) -> None:
    lines: list[str] = []
    request = replace(
        asked(
            'test "$RUNKON_TOKEN" = hunter22 && test "$T" = "Bearer hunter22" && echo "got $T"; exit 0',
            folder,
            env={"T": "Bearer «secret:token»"},
            token={"$secret": "token"},
        ),
        secrets={"token": "hunter22"},
        log_path=folder / "step.log",
        emit=lines.append,
    )
    assert ScriptExecutor().execute(request).context == "got Bearer «secret:token»"
    assert (folder / "step.log").read_text() == "got Bearer «secret:token»\n"
    assert lines == ["got Bearer «secret:token»"]


# ── stopping ──────────────────────────────────────────────────────────────────────────────────────
def test_a_stop_counts_as_stopped_whatever_the_exit_code(folder: Path) -> None:
    busy = threading.Event()
    request = asked("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done", folder)
    request = replace(request, emit=lambda _: busy.set())
    errors: list[BaseException] = []

    def work() -> None:
        try:
            ScriptExecutor().execute(request)
        except BaseException as error:  # noqa: BLE001 - what was raised is looked at below
            errors.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    assert busy.wait(PATIENCE)
    assert isinstance(request.cancel, Token)
    request.cancel.cancel(TIMEOUT)
    worker.join(PATIENCE)
    assert [type(error) for error in errors] == [Cancelled]


def test_a_kill_ends_every_running_script_at_once(folder: Path) -> None:
    executor = ScriptExecutor()
    started = threading.Semaphore(0)
    ends: list[str] = []

    def work() -> None:
        request = asked("trap '' TERM; echo ready; while :; do sleep 0.05; done", folder)
        try:
            executor.execute(replace(request, emit=lambda _: started.release()))
        except Cancelled:
            ends.append("cancelled")

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for _ in workers:
        assert started.acquire(timeout=PATIENCE)
    executor.kill()
    for worker in workers:
        worker.join(PATIENCE)
    assert ends == ["cancelled"] * 3
    executor.kill()


def test_a_step_that_is_cancelled_already_starts_nothing(folder: Path) -> None:
    request = asked("touch started", folder)
    assert isinstance(request.cancel, Token)
    request.cancel.cancel(TIMEOUT)
    with pytest.raises(Cancelled):
        ScriptExecutor().execute(request)
    assert list(folder.iterdir()) == []


def test_a_dry_run_starts_nothing(folder: Path) -> None:
    output = ScriptExecutor().execute(replace(asked("touch started", folder), dry_run=True))
    assert (output.context, output.markers, list(folder.iterdir())) == ("", frozenset(), [])


# ── the package ───────────────────────────────────────────────────────────────────────────────────
def test_the_hook_registers_the_script_executor() -> None:
    registered: list[object] = []
    executors.runkon_register_executors(registered.append)
    assert [type(thing) for thing in registered] == [ScriptExecutor]


def test_registering_loads_no_process_machinery() -> None:
    code = (
        "import sys, json; from runkon.executors.script import ScriptExecutor; ScriptExecutor();"
        "heavy = ('subprocess', 'psutil', 'asyncio', 'selectors', 'logging');"
        "print(json.dumps([name for name in heavy if name in sys.modules]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(ran.stdout) == []
