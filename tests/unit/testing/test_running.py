import threading

import pytest

from runkon.errors import UserError
from runkon.model.events import RunCompleted, RunCreated, StepCompleted
from runkon.model.status import RunStatus, StepStatus
from runkon.plugin.decorator import executor
from runkon.testing import FakeClock, ScriptedExecutor, check_text, resume_run, run_text

TWO = """
workflow two {
  inputs { scope default = "all" }
  call plan
  if plan.ready {
    call build { inputs = { what = "{{scope}}" } }
  }
  outputs { said = "{{build.context}}" }
}
"""


def test_a_text_is_run_and_everything_recorded_comes_back():
    script = ScriptedExecutor(
        {"plan": {"markers": ["ready"]}, "build": lambda request: f"built {request.inputs['what']}"}
    )
    done = run_text(TWO, script, {"scope": "docs"})
    assert done.record.status is RunStatus.COMPLETED
    assert done.record.outputs == {"said": "built docs"}
    assert [str(step.path) for step in done.steps] == ["plan", "build"]
    assert done.step("build").status is StepStatus.COMPLETED
    assert isinstance(done.events[0], RunCreated)
    assert isinstance(done.events[-1], RunCompleted)
    assert len([event for event in done.events if isinstance(event, StepCompleted)]) == 2
    assert script.paths == ["plan", "build"]


def test_executors_may_be_a_list():
    @executor("plan")
    def plan(request):
        return None

    assert run_text(TWO, [plan]).record.status is RunStatus.COMPLETED


def test_a_failed_run_is_resumed_and_finished_work_is_not_repeated():
    script = ScriptedExecutor({"plan": {"markers": ["ready"]}, "build": [RuntimeError("no"), "built"]})
    failed = run_text(TWO, script)
    assert failed.record.status is RunStatus.FAILED
    done = resume_run(failed, script)
    assert done.record.status is RunStatus.COMPLETED
    assert script.paths == ["plan", "build", "build"]


def test_time_is_virtual_where_the_test_wants_it():
    clock = FakeClock()
    script = ScriptedExecutor({"plan": [RuntimeError("busy"), "planned"]})
    text = "workflow w {\n  call plan { retries = 1 delay = 20s jitter = false }\n}\n"
    results = []
    running = threading.Thread(target=lambda: results.append(run_text(text, script, clock=clock)), daemon=True)
    running.start()
    script.wait_for_calls(1)
    clock.wait_for_timer(20.0)
    clock.advance(20)
    running.join(30)
    assert results[0].record.status is RunStatus.COMPLETED
    assert len(script.calls) == 2


def test_a_text_with_errors_is_refused_with_the_findings_drawn():
    with pytest.raises(UserError) as raised:
        run_text("workflow w {\n  cal plan\n}\n", ScriptedExecutor())
    assert raised.value.code == "invalid-workflow"
    assert "test.wf:2:3" in raised.value.message


def test_a_text_without_a_workflow_is_refused():
    with pytest.raises(UserError) as raised:
        check_text("// nothing\n")
    assert raised.value.code == "invalid-workflow"


def test_asking_for_a_step_that_is_not_there_names_those_that_are():
    done = run_text("workflow w {\n  call plan\n}\n", ScriptedExecutor(default=None))
    with pytest.raises(KeyError, match="no step at `other`, only plan"):
        done.step("other")
