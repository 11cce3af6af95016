"""A secret input is in no file a run leaves, and is given again when the run goes on."""

from __future__ import annotations

from .conftest import Case

SECRET = "s3cret-token-4711"
PLUGIN = """
from runkon import Output, executor

@executor("leak")
def leak(request):
    value = request.secrets["token"]
    request.emit("with " + value)
    return Output(markers=frozenset([value]), context=value, values={"v": value, value: [value]}, text=value)

@executor("refuse")
def refuse(request):
    raise ValueError("bad token " + request.secrets["token"])
"""
WORKFLOW = """
workflow x {
  inputs { token secret  name default = "joe" }
  call leak
  call refuse { on_fail = continue }
  script says { run = "echo $RUNKON_TOKEN; echo $RUNKON_TOKEN >&2; test -f go" }
  outputs { v = leak.v }
}
"""


def _files_with_the_secret(case: Case) -> list[str]:
    files = [path for path in (case.project / ".runkon").rglob("*") if path.is_file()]
    assert any(path.name == "runkon.db" for path in files)
    return [path.name for path in files if SECRET.encode() in path.read_bytes()]


def _failed(case: Case) -> Case:
    case.file(".runkon/plugins/leaky.py", PLUGIN).wf(WORKFLOW)
    return case.run("run", "x.wf", "-i", f"token={SECRET}", "-v").exits(1)


def test_no_file_and_no_output_of_a_run_holds_it(case: Case) -> None:
    _failed(case)
    assert SECRET not in case.out + case.err
    assert _files_with_the_secret(case) == []
    case.run("show", "@last", "--json").exits(0)
    assert SECRET not in case.out


def test_a_resume_asks_for_it_and_takes_it(case: Case) -> None:
    _failed(case).file("go", "")
    case.run("resume").exits(2)
    assert "missing-secret" in case.err
    case.run("resume", "-i", f"token={SECRET}").exits(0).stdout("v = «secret:token»\n")
    assert SECRET not in case.out + case.err
    assert _files_with_the_secret(case) == []


def test_a_fork_takes_it(case: Case) -> None:
    _failed(case).file("go", "")
    case.run("resume", "--fork").exits(2)
    assert "missing-secret" in case.err
    case.run("resume", "@last", "--fork", "-i", f"token={SECRET}").exits(0).stdout("v = «secret:token»\n")
    assert _files_with_the_secret(case) == []


def test_other_inputs_of_a_run_are_fixed(case: Case) -> None:
    _failed(case)
    case.run("resume", "-i", f"token={SECRET}", "-i", "name=kim").exits(2)
    assert "error[fixed-input]" in case.err


def test_an_answer_keeps_none_that_is_given_beside_it(case: Case) -> None:
    case.wf('workflow x {\n  inputs { token secret }\n  script deploy { run = "true" }\n}\n')
    case.dies("after_return:path=deploy", "run", "x.wf", "-i", f"token={SECRET}")
    said = ["-m", f"with {SECRET}", "--set", "decision=done", "--set", f'output={{"context": "used {SECRET}"}}']
    case.run("answer", "@last", *said, "-i", "other=1").exits(2)
    assert "error[fixed-input]: `other` is no secret of run" in case.err
    case.run("answer", "@last", *said, "-i", f"token={SECRET}", "--resume").exits(0)
    assert "decided     deploy  done, by" in case.err
    assert "with «secret:token»" in case.err
    assert SECRET not in case.out + case.err
    assert _files_with_the_secret(case) == []


def test_who_answers_without_it_is_told_that_it_would_be_kept(case: Case) -> None:
    case.wf('workflow x {\n  inputs { token secret }\n  script deploy { run = "true" }\n}\n')
    case.dies("after_return:path=deploy", "run", "x.wf", "-i", f"token={SECRET}")
    case.run("answer", "@last", "--set", "decision=failed", "-m", "it was not there").exits(0)
    note = "note: what you say is kept as it is; `-i token=VALUE` beside it would take secrets out of it\n"
    assert case.err.startswith(note)
