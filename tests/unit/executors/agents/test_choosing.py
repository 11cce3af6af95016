"""Which runtime, which model: every place that may say so, and what wins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runkon.executors.agents.choosing import Runtimes, choose
from runkon.executors.agents.generator import Generator
from runkon.model.agents import AgentChoice, AgentDefinition, AgentRefused

AGENT = AgentDefinition(name="plan", prompt="Plan.", path=Path("plan.md"))


@pytest.fixture
def chosen(said, world):
    runtimes = Runtimes(
        {
            "test": Generator(),
            "claude": said(name="claude", models=("opus", "haiku")),
            "gemini": said(name="gemini", models=("flash",)),
            "agents": said(name="agents"),
        },
        {"local": {"type": "gemini", "models": ["llama3:8b"], "default_model": "tiny"}},
    )

    def choose_it(*, step=(None, None), flag=(None, None), agent=(None, None), setting=(None, None)):
        choice = AgentChoice(runtime=flag[0], model=flag[1], default_runtime=setting[0], default_model=setting[1])
        call = world.call(runtime=step[0], model=step[1], choice=choice)
        found = choose(replace(AGENT, runtime=agent[0], model=agent[1]), call, runtimes)
        return found.name, found.model

    return choose_it


def test_nothing_said_is_claude_if_it_is_installed(chosen) -> None:
    assert chosen() == ("claude", None)


def test_the_first_place_that_names_a_runtime_wins(chosen) -> None:
    names = {"step": ("gemini", None), "flag": ("agents", None), "agent": ("claude", None), "setting": ("local", None)}
    for place in ("step", "flag", "agent"):
        assert chosen(**names)[0] == names[place][0]
        del names[place]
    assert chosen(**names) == ("local", "tiny")


def test_the_first_place_that_names_a_model_wins(chosen) -> None:
    models = {"step": (None, "opus"), "flag": (None, "haiku"), "agent": (None, "flash"), "setting": (None, "x:y")}
    assert chosen(**models) == ("claude", "opus")
    del models["step"]
    assert chosen(**models) == ("claude", "haiku")
    del models["flag"]
    assert chosen(**models) == ("gemini", "flash")
    del models["agent"]
    assert chosen(**models) == ("agents", "x:y")


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ({"flag": (None, "openai:gpt"), "agent": ("claude", None)}, ("agents", "openai:gpt")),
        ({"flag": (None, "flash"), "agent": ("claude", "opus")}, ("gemini", "flash")),
        ({"flag": ("gemini", None), "agent": (None, "opus")}, ("gemini", None)),
        ({"flag": ("gemini", None), "agent": (None, "unheard-of")}, ("gemini", "unheard-of")),
        ({"agent": ("claude", "unheard-of")}, ("claude", "unheard-of")),
        ({"agent": (None, "unheard-of")}, ("claude", "unheard-of")),
        ({"flag": (None, "unheard-of"), "agent": ("gemini", None)}, ("gemini", "unheard-of")),
        ({"flag": (None, "llama3:8b")}, ("local", "llama3:8b")),
        ({"agent": ("local", "llama3:8b")}, ("local", "llama3:8b")),
        ({"flag": (None, "test"), "step": ("claude", "opus")}, ("test", "test")),
        ({"agent": ("claude", "test")}, ("test", "test")),
        ({"flag": ("claude", None), "setting": (None, "test")}, ("claude", None)),
        ({"step": ("local", None), "setting": (None, "test")}, ("local", "tiny")),
        ({"flag": ("claude", None), "agent": (None, "test")}, ("claude", None)),
        ({"agent": ("claude", None), "setting": (None, "test")}, ("test", "test")),
        ({"setting": ("claude", "test")}, ("test", "test")),
        ({"step": (None, "opus"), "agent": (None, "test")}, ("claude", "opus")),
    ],
)
def test_a_model_brings_its_runtime_unless_something_closer_names_another(chosen, places, found) -> None:
    assert chosen(**places) == found


def test_a_model_of_another_runtime_is_told(said, world) -> None:
    runtimes = Runtimes({"a": said(name="a", models=("m",)), "b": said(name="b")}, {})
    found = choose(replace(AGENT, model="m"), world.call(choice=AgentChoice(runtime="b")), runtimes)
    assert (found.name, found.model, found.unused) == ("b", None, "m")


@pytest.mark.parametrize(
    ("agent", "message", "help"),
    [
        (
            replace(AGENT, runtime="claud"),
            "there is no runtime `claud` to run the agent file",
            "did you mean `claude`?",
        ),
        (AGENT, "nothing says which runtime runs the agent file `plan`", "are `claude`, `test`\nchoose one with"),
        (replace(AGENT, model="a:b"), "the model `a:b` of agent `plan` needs the runtime `agents`", "'runkon[agents]'"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(said, world, agent, message: str, help: str) -> None:
    runtimes = Runtimes({"test": Generator(), "claude": said(name="claude", ready=False)}, {})
    with pytest.raises(AgentRefused) as raised:
        choose(agent, world.call(), runtimes)
    assert raised.value.code == "unknown-runtime"
    assert message in raised.value.message
    assert help in (raised.value.help or "")


def test_a_table_of_a_type_that_is_not_there_is_no_runtime(world) -> None:
    runtimes = Runtimes({"test": Generator()}, {"mine": {"type": "gone"}, "test": {"models": []}})
    assert list(runtimes.names()) == ["test"]
    assert runtimes.find("mine") is None


def test_a_plugin_that_can_not_say_its_models_takes_none_from_others(said) -> None:
    class Broken(Generator):
        def offers(self, model: str) -> bool:
            raise ValueError(model)

    runtimes = Runtimes({"broken": Broken(), "claude": said(name="claude", models=("opus",))}, {})
    assert (runtimes.owner_of("opus"), runtimes.owner_of("unheard-of")) == ("claude", None)
