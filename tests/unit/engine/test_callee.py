"""Who carries out a step: a registered executor, else an agent file; and what is told where nobody does."""

from __future__ import annotations

import pytest

from runkon.errors import Fatal
from runkon.model.agents import AgentCall, AgentRefused
from runkon.model.ports import Executors, StepRequest
from runkon.plugin.registry import Registry
from runkon.testing import check_text


class WithAgents(Executors):
    """Registered executors, and agents by name; keeps every call of an agent."""

    def __init__(self, agents: dict[str, object], **registered: object) -> None:
        self.calls: list[AgentCall] = []
        self._agents = agents
        self._registered = registered

    def find(self, name: str):
        return self._registered.get(name)

    def names(self):
        return sorted(self._registered)

    def agent(self, call: AgentCall):
        self.calls.append(call)
        if call.name not in self._agents:
            raise AgentRefused("unknown-agent", f"there is no agent `{call.name}`", help="look again")
        return self._agents[call.name]

    def is_metered(self, name: str) -> bool:
        return False


class Named:
    """An executor that says who it is."""

    version = "1"
    effect = "read"
    metered = False

    def __init__(self, name: str, **more: object) -> None:
        self.name = name
        self.seen: list[StepRequest] = []
        for key, value in more.items():
            setattr(self, key, value)

    def execute(self, request: StepRequest) -> object:
        self.seen.append(request)
        return f"by {self.name}"


@pytest.fixture
def play(flow):
    """Run a body with these executors and agents; its record."""

    def run(body: str, executors: WithAgents, **config: object):
        case = flow(body)
        case.executor = executors
        case.configure(**config)
        case.start()
        return case

    return run


def test_a_registered_executor_comes_first(play) -> None:
    executors = WithAgents({"a": Named("agent")}, a=Named("registered"))
    assert play("call a", executors).steps["a"].output.context == "by registered"
    assert executors.calls == []


def test_an_agent_file_is_asked_for_with_all_that_decides(play) -> None:
    executors = WithAgents({"a": Named("runtime")})
    case = play('call a { model = "m" plugin_dirs = ["kit"] }', executors, agents={"default_runtime": "r"})
    assert case.steps["a"].output.context == "by runtime"
    (call,) = executors.calls
    assert (call.name, call.form, call.workflow, call.plugin_dirs) == ("a", "name", "w", ("kit",))
    assert (call.model, call.runtime, call.choice.default_runtime) == ("m", None, "r")
    assert call.roots == (case.config.working_dir,)


def test_a_path_is_never_an_executor(play) -> None:
    executors = WithAgents({"a": Named("agent")}, a=Named("registered"))
    assert play('call "a"', executors).steps["a"].output.context == "by agent"
    assert executors.calls[0].form == "path"


def test_a_runtime_may_stand_in_the_place_of_an_executor(play) -> None:
    executors = WithAgents({"a": Named("agent")}, lint=Named("lint"))
    case = play('call a { executor = "claude" } call a { id = b executor = "lint" }', executors)
    assert [case.steps[key].output.context for key in ("a", "b")] == ["by agent", "by lint"]
    assert [call.runtime for call in executors.calls] == ["claude"]


def test_equal_calls_are_found_once_and_others_anew(play) -> None:
    executors = WithAgents({"a": Named("agent")})
    play('call a call a { id = b } call a { id = c model = "m" }', executors)
    assert [call.model for call in executors.calls] == [None, "m"]


def test_what_is_not_there_fails_the_step_with_what_to_do(play) -> None:
    executors = WithAgents({"spare": Named("spare")})
    case = play("call gone { on_fail = continue } call gone { id = b fallback = spare }", executors)
    error = case.steps["gone"].error
    assert (error.kind, error.message) == ("fatal", "there is no agent `gone`\nhelp: look again")
    assert (case.steps["b"].output.context, case.steps["b"].output.degraded) == ("by spare", True)


def test_after_a_fatal_failure_nothing_else_is_asked_of_the_same_supplier(play) -> None:
    def refused(request: StepRequest) -> object:
        raise Fatal("no such key")

    one, two = Named("agents", supplier="openai", execute=refused), Named("agents", supplier="openai")
    other = Named("agents", supplier="anthropic")
    executors = WithAgents({"one": one, "two": two, "other": other})
    case = play("call one { on_fail = continue } call two { on_fail = continue } call other", executors)
    assert [case.steps[key].status for key in ("one", "two", "other")] == ["failed", "failed", "completed"]
    assert two.seen == []


def test_a_dry_run_calls_who_rehearses_even_if_calls_cost(play) -> None:
    rehearsing, other = Named("r", metered=True, rehearses=True, effect="write"), Named("o", metered=True)
    case = play("call r call o", WithAgents({}, r=rehearsing, o=other), dry_run=True)
    assert case.steps["r"].output.context == "by r"
    assert case.steps["o"].output.text == "dry run: `o` was not called"
    assert rehearsing.seen[0].dry_run
    assert case.steps["r"].effect in (None, "read")


def test_what_a_call_may_cost_is_asked_of_its_executor_under_a_budget(play) -> None:
    asked: list[str] = []

    def most(request: StepRequest) -> float:
        asked.append(request.path)
        return 0.6

    agent = Named("agent", metered=True, most_cost_usd=most)
    case = play("call a call a { id = b max_cost_usd = 0.1 }", WithAgents({"a": agent}), budget_usd=0.5)
    assert (case.record.status, case.record.reason) == ("failed", "budget")
    assert asked == ["a"]
    assert agent.seen == []


@pytest.mark.parametrize("said", [ValueError("boom"), "0.1", float("nan"), -1.0])
def test_what_is_no_amount_counts_as_unknown(play, said: object) -> None:
    def most(_: StepRequest) -> object:
        if isinstance(said, Exception):
            raise said
        return said

    agent = Named("agent", metered=True, most_cost_usd=most)
    case = play("call a", WithAgents({"a": agent}), budget_usd=0.5)
    assert (case.record.status, case.record.reason) == ("failed", "budget")
    assert agent.seen == []


def test_executors_without_agents_are_as_ever(flow) -> None:
    case = flow("call gone { on_fail = continue }")
    case.executor = Registry()
    case.start()
    assert case.steps["gone"].error.message == "no executor is called `gone`"


def test_branches_and_called_workflows_that_wait_for_a_place_are_not_called_after_a_fatal_failure(flow) -> None:
    asked: list[str] = []

    def refused(request: StepRequest) -> object:
        asked.append(request.path)
        request.cancel.wait(0.05)  # the others come to wait meanwhile
        raise Fatal("quota is used up")

    agent = Named("agent", supplier="openai", execute=refused, metered=True)
    text = """workflow w {
      parallel p { fail_fast = false min_success = 0
        call agent { id = a }
        do { call agent { id = b } }
        call agent { id = c }
        call workflow k { id = kid }
      }
    }
    workflow k { call agent { id = d } }"""
    case = flow("")
    case.program = check_text(text)
    case.executor = WithAgents({}, agent=agent)
    case.configure(max_parallel=1)
    case.start()
    assert len(asked) == 1
    errors = {step.error.message for step in case.steps.values() if step.error is not None and step.info.kind == "call"}
    assert errors == {"quota is used up"}
    assert (case.record.calls, case.statuses["p"]) == (1, "completed")
