"""A runtime that answers what a test says, and a project with agent files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runkon.executors.agents.choosing import Runtimes
from runkon.executors.agents.executor import AgentExecutor
from runkon.executors.agents.finding import ExecutorsAndAgents
from runkon.executors.agents.generator import Generator
from runkon.model.agents import AgentCall, AgentChoice, AgentReply, AgentRequest, Availability
from runkon.model.output import JsonValue
from runkon.model.ports import StepRequest
from runkon.plugin.registry import Registry
from runkon.testing.requests import request_for


class Said:
    """A runtime whose answers are given one by one; one that is an exception is raised."""

    version = "1"

    def __init__(self, *answers: object, name: str = "said", models: tuple[str, ...] = (), ready: bool = True) -> None:
        self.name = name
        self.asked: list[AgentRequest] = []
        self._answers = list(answers)
        self._models = models
        self._ready = ready

    def run(self, request: AgentRequest) -> AgentReply:
        self.asked.append(request)
        answer = self._answers.pop(0) if self._answers else AgentReply(text="nothing more to say")
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, AgentReply) else AgentReply(text=str(answer))

    def offers(self, model: str) -> bool:
        return model in self._models

    def availability(self, settings: Mapping[str, JsonValue], *, check: bool = False) -> Availability:
        return Availability(ready=self._ready)

    def most_cost_usd(self, request: AgentRequest) -> float | None:
        return 0.5


class World:
    """A project folder with agent files and runtimes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runtimes: dict[str, object] = {"test": Generator()}
        self.tables: dict[str, Mapping[str, JsonValue]] = {}

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def add(self, runtime: Any) -> Any:
        self.runtimes[runtime.name] = runtime
        return runtime

    def call(self, name: str = "plan", **more: Any) -> AgentCall:
        return AgentCall(**{"name": name, "form": "name", "workflow": "w", "roots": (self.root,), **more})

    def executor(self, name: str = "plan", **more: Any) -> AgentExecutor:
        found = ExecutorsAndAgents(Registry(), self.runtimes, self.tables).agent(self.call(name, **more))
        assert isinstance(found, AgentExecutor)
        return found

    def all_runtimes(self) -> Runtimes:
        return Runtimes(self.runtimes, self.tables)

    def request(self, **more: Any) -> StepRequest:
        return replace(request_for("plan"), workflow="w", roots=(self.root,), working_dir=self.root, **more)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def said() -> type[Said]:
    return Said


@pytest.fixture
def choice() -> Callable[..., AgentChoice]:
    return AgentChoice
