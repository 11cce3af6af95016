"""Programs that hang, flood, die, print garbage, leave others behind: each has a clear end, and nothing stays."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import threading

import psutil
import pytest

from runkon.errors import Cancelled, Fatal, RunkonError, Transient
from runkon.model.failures import StepFailure
from runkon.model.output import Usage
from runkon.testing import cancel

PATIENCE = 30.0
INIT = "say(type='system', subtype='init', session_id='s-1')\n"
DONE = "say(type='result', subtype='success', result='done', session_id='s-1', total_cost_usd=0.5, num_turns=1)\n"
TURN = "say(type='assistant', message=dict(id='m%d', content=[dict(type='text', text='turn %d')]))\n"


def claude(ask, program, body, **settings):
    return ask("claude", {"binary": str(program(body)), **settings})


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def left_pids(ask) -> list[int]:
    return json.loads((ask.folder / "bin" / "pids").read_text())


# ── silence and time ──────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("before", ["", INIT, "raw(b'half a line')\n", "os.close(1); os.close(2)\n"])
def test_one_that_hangs_is_ended(ask, program, before):
    with pytest.raises(StepFailure, match=r"`claude` was ended: it said nothing for 0\.3 s") as caught:
        claude(ask, program, before + "forever()", idle_timeout="300ms")
    assert caught.value.kind == "idle"


def test_one_that_talks_for_ever_is_ended_by_its_time(ask, program):
    body = INIT + "while True: say(type='system', subtype='busy'); time.sleep(0.01)"
    with pytest.raises(StepFailure, match=r"took longer than 0\.3 s") as caught:
        claude(ask, program, body, timeout="300ms", idle_timeout="10m")
    assert (caught.value.kind, caught.value.session) == ("timeout", "s-1")


def test_one_that_ignores_sigterm_is_killed(ask, program):
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + INIT + "forever()"
    with pytest.raises(StepFailure, match="said nothing"):
        ask("claude", {"binary": str(program(body)), "idle_timeout": "300ms"}, step={"options": {"kill_grace": 0.2}})


def test_one_that_hangs_after_its_answer_has_answered(ask, program, monkeypatch):
    monkeypatch.setattr("runkon_cli.conversation.SETTLE", 0.2)
    reply = claude(ask, program, INIT + DONE + "forever()")
    assert (reply.text, reply.usage.cost_usd) == ("done", 0.5)


def test_one_that_is_putting_its_session_away_is_let(ask, program):
    body = INIT + DONE + "sys.stdout.close()\ntime.sleep(0.3)\nnote('saved', True)"
    assert claude(ask, program, body).text == "done"
    assert (ask.folder / "bin" / "saved").exists()


# ── turns ─────────────────────────────────────────────────────────────────────────────────────────
def turns(number: int) -> str:
    return "".join(TURN % (n, n) for n in range(1, number + 1))


def test_the_last_turn_it_may_take_ends_it(ask, program):
    with pytest.raises(StepFailure, match="`claude` was ended at its turn 2, the most it may take") as caught:
        claude(ask, program, INIT + turns(2) + "forever()", max_turns=2)
    assert (caught.value.usage.turns, caught.value.session) == (2, "s-1")


def test_a_turn_less_is_fine_and_the_step_knows_better(ask, program):
    file = str(program(INIT + turns(2) + DONE))
    assert ask("claude", {"binary": file, "max_turns": 3}).text == "done"
    assert ask("claude", {"binary": file, "max_turns": 1}, step={"max_turns": 3}).text == "done"
    with pytest.raises(StepFailure, match="turn 2"):
        ask("claude", {"binary": file, "max_turns": 50}, step={"max_turns": 2})


def test_what_the_last_turn_cost_is_still_heard(ask, program):
    with pytest.raises(StepFailure, match="turn 1") as caught:
        claude(ask, program, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + turns(1) + DONE, max_turns=1)
    assert caught.value.usage.cost_usd == 0.5


def test_a_hundred_turns_are_the_most_without_a_word(ask, program):
    with pytest.raises(StepFailure, match="turn 100"):
        claude(ask, program, "for n in range(200): say(type='assistant', message=dict(id=str(n)))\nforever()")


# ── floods ────────────────────────────────────────────────────────────────────────────────────────
ENDLESS = {
    "lines": "line = b'x' * 99 + b'\\n'\nwhile True: raw(line * 1000)",
    "one line": "while True: raw(b'x' * 100000)",
    "json": "line = json.dumps(dict(type='noise', text='x' * 1000)).encode() + b'\\n'\nwhile True: raw(line * 100)",
    "errors": "while True: os.write(2, b'x' * 100000)",
    "nothing": "while True: raw(b'\\0' * 100000)",
}


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
def test_a_flood_ends_in_bounded_memory(ask, program, body):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(StepFailure, match="was ended: it printed more than 200 MiB"):
        ask("claude", {"binary": str(program(body)), "max_output_mb": 200}, step={"log_path": None})
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB


def test_a_flood_of_text_ends_too(ask, program):
    with pytest.raises(StepFailure, match="more than 30 MiB"):
        ask("command", {"argv": [str(program(ENDLESS["lines"])), "{{prompt}}"], "max_output_mb": 30})


def test_a_line_of_many_megabytes_is_read(ask, program):
    body = "say(type='result', subtype='success', result='x' * (12 << 20))"
    assert len(claude(ask, program, body).text) == 12 << 20


@pytest.mark.parametrize("size", [17, 50])
def test_an_answer_that_is_too_big_is_said_to_be(ask, program, size):
    body = f"say(type='result', subtype='success', result='x' * ({size} << 20))"
    with pytest.raises(StepFailure, match="ended without an answer: a line above 16 MiB was left out"):
        claude(ask, program, body)


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("line_end", ["", "\\n"])
def test_a_text_that_is_too_big_is_said_to_be(ask, program, output, line_end):
    body = f"for _ in range(50): raw(b'x' * (1 << 20) + b'{line_end}')"
    with pytest.raises(StepFailure, match="its answer is above 16 MiB"):
        ask("command", {"argv": [str(program(body)), "{{prompt}}"], "output": output})


def test_a_line_that_is_too_big_does_not_hide_the_answer(ask, program):
    assert claude(ask, program, "raw(b'x' * (17 << 20) + b'\\n')\n" + DONE).text == "done"


# ── garbage and sudden ends ───────────────────────────────────────────────────────────────────────
GARBAGE = (
    "raw(b'\\xff\\xfe\\x00\\x1b[2J not json\\n{\"type\": \\n[1, 2]\\n3\\nnull\\n\\r\\n')\n"
    'raw(b\'{"type": "assistant", "message": "x"}\\n{"type": [1]}\\n{"type": "system", "subtype": 7}\\n\')\n'
    'raw(b\'{"type": "assistant", "message": {"id": 3, "content": [1, {"type": "text"}], "usage": [2]}}\\n\')\n'
    "raw(b'[' * 200000 + b'\\n')\n"
    "raw(json.dumps({'type': 'result', 'usage': {'input_tokens': 'many'}, 'num_turns': -1}).encode()[:-3] + b'\\n')\n"
)


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
def test_garbage_alone_is_no_answer(ask, program, name):
    with pytest.raises(StepFailure, match=f"`{name}` ended without an answer"):
        ask(name, {"binary": str(program(GARBAGE))})
    assert all(line.isprintable() for line in ask.lines)


def test_garbage_does_not_hide_the_answer(ask, program):
    assert claude(ask, program, GARBAGE + DONE).text == "done"


def test_what_is_not_utf_8_is_replaced(ask, program):
    body = 'raw(b\'{"type": "result", "subtype": "success", "result": "caf\\xe9 \\\\ud800"}\\n\')'
    assert claude(ask, program, body).text == "caf\ufffd ?"
    assert ask("command", {"argv": [str(program("raw(b'caf\\xe9')", "other")), "{{prompt}}"]}).text == "caf\ufffd"


def test_escape_codes_do_not_reach_the_terminal(ask, program):
    text = "\x1b]0;t\x07\x1b[2Jhi\x00\r\nyou"
    claude(ask, program, f"say(type='assistant', message=dict(content=[dict(type='text', text={text!r})]))\n" + DONE)
    assert ask.lines == ["hi\ufffd"]


ENDS = {
    "a": ("sys.exit(0)", "`claude` ended without an answer and said nothing"),
    "code": (INIT + "sys.exit(7)", "`claude` exited with code 7 and said nothing"),
    "words": ("sys.stderr.write('\\x1b[31mboom\\x1b[0m\\n'); sys.exit(7)", "`claude` exited with code 7: boom"),
    "stray": ("print('what is this'); sys.exit(0)", "`claude` ended without an answer: what is this"),
    "signal": (INIT + "os.kill(os.getpid(), signal.SIGSEGV)", "`claude` was killed by SIGSEGV and said nothing"),
    "mid-line": ('raw(b\'{"type": "result", "subty\'); os._exit(0)', '`claude` ended without an answer: {"type": "res'),
    "traceback": ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
}


@pytest.mark.parametrize(("body", "said"), ENDS.values(), ids=ENDS)
def test_an_end_without_an_answer_says_how_and_why(ask, program, body, said):
    with pytest.raises(StepFailure) as caught:
        claude(ask, program, body)
    assert said in str(caught.value)
    assert caught.value.kind == "exit"


def test_an_answer_without_a_line_end_counts(ask, program):
    body = 'raw(b\'{"type": "result", "subtype": "success", "result": "done"}\')'
    assert claude(ask, program, body).text == "done"


def test_a_byte_order_mark_and_other_line_ends_change_nothing(ask, program):
    body = "raw(b'\\xef\\xbb\\xbf' + json.dumps(dict(type='result', result='done')).encode() + b'\\r\\n')"
    assert claude(ask, program, body).text == "done"


def test_one_that_stops_itself_is_ended(ask, program):
    file = str(program(INIT + "os.kill(os.getpid(), signal.SIGSTOP)"))
    with pytest.raises(StepFailure, match="said nothing"):
        ask("claude", {"binary": file, "idle_timeout": "300ms"}, step={"options": {"kill_grace": 0.2}})


def test_an_answer_in_pieces_is_put_together(ask, program):
    body = "for byte in json.dumps(dict(type='result', result='ä done')).encode() + b'\\n': raw(bytes([byte]))"
    assert claude(ask, program, body).text == "ä done"


def test_what_comes_after_the_answer_changes_nothing(ask, program):
    body = INIT + DONE + turns(5) + "say(type='result', is_error=True, result='no')\nraw(b'\\xff')\nsys.exit(9)"
    reply = claude(ask, program, body)
    assert (reply.text, reply.usage.turns, ask.lines) == ("done", 1, [])


def test_a_word_like_an_error_in_the_answer_is_none(ask, program):
    body = "say(type='result', subtype='success', result='the code says: 401 Unauthorized, rate limit')"
    assert "401" in claude(ask, program, body).text


def test_the_connection_is_worth_another_try(ask, program):
    with pytest.raises(Transient):
        claude(ask, program, "sys.stderr.write('Error: connect ECONNREFUSED 127.0.0.1:1\\n'); sys.exit(1)")


# ── input ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("body", ["os.close(0)\n", "sys.stdin.buffer.read(10)\n", ""])
def test_one_that_does_not_read_its_prompt_may_answer_all_the_same(ask, program, body):
    file = program(body + DONE)
    assert ask("claude", {"binary": str(file)}, prompt="x" * 5_000_000).text == "done"


def test_a_big_prompt_goes_in_while_much_comes_out(ask, program):
    body = (
        "total = 0\n"
        "while True:\n"
        "    piece = os.read(0, 1000)\n"
        "    if not piece: break\n"
        "    total += len(piece)\n"
        '    raw(b\'{"type": "noise"}\\n\' * 100)\n'
        "say(type='result', subtype='success', result=str(total))"
    )
    file = program(body)
    assert ask("claude", {"binary": str(file)}, prompt="x" * 2_000_000).text == "2000000"


# ── others that it started ────────────────────────────────────────────────────────────────────────
LEAVE = (
    "import subprocess\n"
    "code = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)'\n"
    "inside = subprocess.Popen([sys.executable, '-c', code])\n"
    "outside = subprocess.Popen([sys.executable, '-c', code], start_new_session=True)\n"
    "without = subprocess.Popen([sys.executable, '-c', code], start_new_session=True, stdin=-3, stdout=-3, stderr=-3)\n"
    "note('pids', [inside.pid, outside.pid, without.pid])\n"
)
OUTCOMES = {
    "answer": (DONE, {}),
    "failure": ("sys.exit(3)", {}),
    "killed": ("os.kill(os.getpid(), 9)", {}),
    "idle": ("forever()", {"idle_timeout": "1s"}),
    "turns": (turns(2) + "forever()", {"max_turns": 2}),
}


@pytest.mark.parametrize(("end", "settings"), OUTCOMES.values(), ids=OUTCOMES)
def test_what_it_leaves_behind_is_ended(ask, program, end, settings):
    file = program(LEAVE + end)
    step = {"options": {"kill_grace": 0.3}}
    try:
        assert ask("claude", {"binary": str(file), **settings}, step=step).text == "done"
    except RunkonError:
        assert end != DONE
    assert [pid for pid in left_pids(ask) if not is_gone(pid)] == []


# ── cancellation ──────────────────────────────────────────────────────────────────────────────────
def cancelled_while_running(ask, program, body, name="claude", **settings):
    request = ask.request(settings={"binary": str(program(body)), **settings})
    return stopped(ask, name, request, lambda: cancel(request.step))


def stopped(ask, name, request, stop):
    """What comes of a request that is stopped once the program has said something."""
    ended: list[object] = []

    def run() -> None:
        try:
            ended.append(ask.runtimes[name].run(request))
        except RunkonError as error:
            ended.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    assert ask.heard.wait(PATIENCE)
    stop()
    runner.join(PATIENCE)
    return ended[0]


def test_a_cancelled_one_is_ended_with_all_it_started(ask, program):
    ended = cancelled_while_running(ask, program, LEAVE + INIT + turns(1) + "forever()")
    assert isinstance(ended, Cancelled)
    assert (ended.usage.turns, ended.session) == (1, "s-1")
    assert [pid for pid in left_pids(ask) if not is_gone(pid)] == []


def test_a_cancelled_one_without_an_answer_is_cancelled_whatever_its_code(ask, program):
    body = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + turns(1) + "forever()"
    assert isinstance(cancelled_while_running(ask, program, body), Cancelled)


def test_an_answer_that_still_arrives_counts(ask, program):
    body = (
        "def last(*_):\n"
        "    raw(json.dumps(dict(type='result', subtype='success', result='done')).encode() + b'\\n')\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, last)\n"
    )
    assert cancelled_while_running(ask, program, body + turns(1) + "forever()").text == "done"


def test_a_text_that_is_cut_off_is_no_answer(ask, program):
    request = ask.request(settings={"argv": [str(program("print('partly', flush=True)\nforever()")), "{{prompt}}"]})
    assert isinstance(stopped(ask, "command", request, lambda: cancel(request.step)), Cancelled)


def test_a_cancelled_request_starts_nothing(ask, program):
    request = ask.request(settings={"binary": str(program(DONE))})
    cancel(request.step)
    with pytest.raises(Cancelled):
        ask.runtimes["claude"].run(request)
    assert ask.pids == []


def test_all_can_be_killed_at_once(ask, program):
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + turns(1) + "forever()"
    request = ask.request(settings={"binary": str(program(body))})
    assert isinstance(stopped(ask, "claude", request, ask.runtimes["claude"].kill), Cancelled)


# ── it can't be started ───────────────────────────────────────────────────────────────────────────
def test_a_missing_program_says_how_to_install_it(ask):
    with pytest.raises(Fatal) as caught:
        ask("claude", {"binary": "no-such-claude"})
    assert str(caught.value) == (
        "`claude` can't run `no-such-claude`: it is not in `PATH`; "
        "install it with `npm install -g @anthropic-ai/claude-code`"
    )
    assert caught.value.usage == Usage(cost_usd=0.0)  # nothing was started
    with pytest.raises(Fatal, match="there is no such file; ask the admin"):
        ask("codex", {"binary": "bin/codex", "install": "ask the admin"})


def test_a_file_that_can_not_be_run_is_named(ask, program):
    file = program(DONE)
    file.chmod(0o644)
    with pytest.raises(Fatal, match="is not an executable file"):
        ask("claude", {"binary": str(file)})
    with pytest.raises(Fatal, match="is not an executable file"):
        ask("claude", {"binary": str(file.parent)})


@pytest.mark.parametrize(
    ("text", "said"), [("echo without a first line", "exec format error"), ("#!/no/such/thing\n", "")]
)
def test_a_file_that_is_no_program_is_named(ask, program, text, said):
    file = program("")
    file.write_text(text)
    with pytest.raises(Fatal, match=f"could not be started: {said}"):
        ask("claude", {"binary": str(file)})


def test_a_busy_system_is_worth_another_try(ask, program, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(Transient, match="could not be started: resource temporarily unavailable"):
        ask("claude", {"binary": str(program(DONE))})


def test_a_folder_that_is_not_there_is_named(ask, program, tmp_path):
    with pytest.raises(StepFailure, match=r"the folder `.*/gone` is not there"):
        ask("claude", {"binary": str(program(DONE))}, step={"working_dir": tmp_path / "gone"})


def test_a_log_that_can_not_be_written_is_told_and_changes_nothing(ask, program, tmp_path):
    (tmp_path / "logs").write_text("a file")
    assert claude(ask, program, INIT + DONE).text == "done"
    assert len(ask.warnings) == 1
    assert "log" in ask.warnings[0]


def test_many_at_once(ask, program):
    file = str(program("prompt = sys.stdin.read()\nsay(type='result', subtype='success', result=prompt)"))
    answers: dict[int, str] = {}

    def run(number: int) -> None:
        answers[number] = ask("claude", {"binary": file}, prompt=f"number {number}").text

    runners = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(PATIENCE)
    assert answers == {number: f"number {number}" for number in range(8)}
    assert len(ask.pids) == 8
    assert os.getpid() not in ask.pids


# ── what a step says ──────────────────────────────────────────────────────────────────────────────
def test_a_step_knows_better_how_long_it_may_be_silent(ask, program):
    step = {"options": {"idle_timeout": 0.3}}
    with pytest.raises(StepFailure, match=r"said nothing for 0\.3 s"):
        ask("claude", {"binary": str(program("forever()")), "idle_timeout": "1h"}, step=step)


def test_what_is_printed_is_a_sign_of_life(ask, program, monkeypatch):
    monkeypatch.setattr("runkon_cli.conversation.SIGN", 0.0)
    claude(ask, program, "say(type='noise')\n" + DONE)
    assert "" in ask.lines


def test_a_program_whose_start_can_not_be_told_is_ended(ask, program):
    def fails(pid: int) -> None:
        ask.pids.append(pid)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask("claude", {"binary": str(program("forever()"))}, step={"started": fails})
    assert is_gone(ask.pids[0])
