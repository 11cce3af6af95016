"""What a run can call: which file, read how often, and what is told where none will do."""

from __future__ import annotations

import pytest

from runkon.engine.callee import supplier
from runkon.executors.agents.finding import ExecutorsAndAgents
from runkon.model.agents import AgentChoice, AgentRefused
from runkon.plugin.decorator import executor
from runkon.plugin.registry import Registry

ORDER = (
    ".runkon/workflows/w/agents/plan.md",
    ".conductor/workflows/w/agents/plan.md",
    ".runkon/agents/plan.md",
    ".conductor/agents/plan.md",
    ".claude/agents/plan.md",
    "kit/agents/plan.md",
    "more/agents/plan.md",
)


def found(world, **more):
    return ExecutorsAndAgents(Registry(), world.runtimes, world.tables).agent(world.call(**more)).agent


def test_the_first_of_the_places_wins(world) -> None:
    for place in ORDER:
        world.write(place, f"---\nmodel: test\n---\n{place}")
    for place in ORDER:
        assert found(world, plugin_dirs=("kit", "more/")).prompt == place
        (world.root / place).unlink()
    with pytest.raises(AgentRefused) as raised:
        found(world, plugin_dirs=("kit", "more/"))
    assert (raised.value.code, raised.value.message) == ("unknown-agent", "there is no agent or executor `plan`")
    assert (raised.value.help or "").split("\n") == ["looked for", *ORDER]


def test_the_nearer_project_comes_first(world) -> None:
    world.write("inner/.runkon/agents/plan.md", "---\nmodel: test\n---\nnear")
    world.write(".runkon/agents/plan.md", "far")
    assert found(world, roots=(world.root / "inner", world.root)).prompt == "near"


def test_a_path_is_looked_up_below_the_project_alone(world) -> None:
    world.write("docs/plan.md", "---\nmodel: test\n---\nby path")
    world.write("plan", "---\nmodel: test\n---\nno slash")
    assert found(world, name="docs/plan.md", form="path").prompt == "by path"
    assert found(world, name="plan", form="path").prompt == "no slash"
    (world.root / "link.md").symlink_to("/etc/hostname")
    for name in ("/etc/hostname", "docs/../../x.md", "link.md", "docs", "none.md"):
        with pytest.raises(AgentRefused) as raised:
            found(world, name=name, form="path")
        assert raised.value.code == "unknown-agent"


def test_a_broken_file_is_told_with_its_place(world) -> None:
    world.write(".claude/agents/plan.md", "---\nrole: boss\n---\nx")
    with pytest.raises(AgentRefused) as raised:
        found(world)
    assert raised.value.code == "broken-agent"
    assert raised.value.message == (
        "the agent file `plan` can't be used: `role` is `boss` (.claude/agents/plan.md:2:7)"
    )


def test_a_file_is_read_once(world) -> None:
    path = world.write(".runkon/agents/plan.md", "---\nmodel: test\n---\nfirst")
    executors = ExecutorsAndAgents(Registry(), world.runtimes, {})
    first = executors.agent(world.call())
    path.write_text("---\nmodel: test\n---\nsecond")
    assert executors.agent(world.call()) is first


def test_executors_of_plugins_are_found_as_ever(world, said) -> None:
    @executor("lint", metered=True)
    def lint(request):
        return None

    registry = Registry()
    registry.register_executor(lint, "p")
    executors = ExecutorsAndAgents(registry, {**world.runtimes, "said": said()}, {})
    assert executors.find("lint").name == "lint"
    assert (executors.find("plan"), list(executors.names()), executors.reducer("r")) == (None, ["lint"], None)
    assert [executors.is_metered(name) for name in ("lint", "said", "test", "gone")] == [True, True, False, False]


def test_a_kept_agent_warns_of_the_model_its_own_step_named(world, said) -> None:
    world.write(".runkon/agents/plan.md", "x")
    world.add(said(name="said"))
    for owner, model in (("one", "m1"), ("two", "m2")):
        world.add(said(name=owner, models=(model,)))
    executors = ExecutorsAndAgents(Registry(), world.runtimes, world.tables)
    warnings: list[str] = []
    for model in (None, "m1", "m2"):
        choice = AgentChoice(default_model=model)
        executors.agent(world.call("plan", runtime="said", choice=choice)).execute(world.request(warn=warnings.append))
    assert [text.split("`")[1] for text in warnings] == ["m1", "m2"]


def test_a_runtime_that_fails_to_say_what_it_is_is_asked_all_the_same(world, said) -> None:
    class Broken(said):
        @property
        def version(self):
            raise ValueError("no version")

        @property
        def metered(self):
            raise ValueError("no price")

        def supplier(self, model):
            raise ValueError("nobody")

    world.write(".runkon/agents/plan.md", "---\nruntime: said\n---\nx")
    world.add(Broken("done"))
    agent = world.executor("plan")
    assert (agent.version, agent.metered, supplier(agent)) == ("unknown", True, "said")
    assert ExecutorsAndAgents(Registry(), world.runtimes, {}).is_metered("said")
    assert agent.execute(world.request()).text == "done"
