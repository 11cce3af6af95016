"""Whatever a program does, its run is replayed to the same records, without a call; also one that was interrupted and
resumed, and the replay of a replay."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from runkon.cassettes.answering import Replay, ReplayedExecutors
from runkon.cassettes.comparing import compare
from runkon.engine.config import RunConfig
from runkon.model.records import RunRecord
from runkon.model.status import RunStatus
from runkon.replaying import STRICT, Played, Replaying, Source
from runkon.store.memory import MemoryRunStore
from runkon.testing.running import TextRun, recorded, resume_run, run_text

from .generated_runs import Generated, PathAnswers, runnable

PROGRAMS = runnable(range(500))


class Silent(PathAnswers):
    """The same executor, which must not be called."""

    def execute(self, request: object) -> Any:
        raise AssertionError("a replay calls nobody")


class MemoryReplaying(Replaying):
    """Replays of runs in memory."""

    def __init__(self, store: MemoryRunStore) -> None:
        super().__init__(SimpleNamespace(store=store, record=store.run))  # type: ignore[arg-type]

    def _executors(self, source: Source, replay: Replay) -> ReplayedExecutors:
        return ReplayedExecutors(replay, Silent())


def replayed(run: TextRun, config: RunConfig) -> tuple[Played, Source]:
    """The run's replay, and what it was made of."""
    assert isinstance(run.store, MemoryRunStore)
    replaying = MemoryReplaying(run.store)
    source = Source(replaying.cassette_of(run.record.id), run.program, run.record.inputs, config, run.record.id)
    return replaying.play(source, STRICT), source


def difference(run: TextRun, now: RunRecord, source: Source) -> object:
    store, before = run.store, run.record
    return compare(
        (before, store.steps(before.id), {}), (now, store.steps(now.id), {}), is_whole=source.cassette.is_whole
    )


@pytest.mark.parametrize("chunk", range(4))
@pytest.mark.parametrize("records", [True, False])
def test_a_run_is_replayed_to_the_same_records(chunk: int, tmp_path: Path, *, records: bool) -> None:
    config = RunConfig(working_dir=tmp_path, records=records)
    assert len(PROGRAMS) > 40
    for one in PROGRAMS[chunk::4]:
        run = run_text(one.text, PathAnswers(), one.inputs, store=MemoryRunStore(), config=config)  # type: ignore[arg-type]
        played, source = replayed(run, config)
        assert played.divergence is None, (one.seed, played.divergence)
        assert difference(run, played.run, source) is None, (one.seed, difference(run, played.run, source))
        again, source = replayed(recorded(played.run, run.store, run.program), config)
        assert again.divergence is None, one.seed
        assert difference(run, again.run, source) is None, one.seed
        assert (played.run.cost_usd, again.answered) == (0.0, played.answered)


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_a_run_that_was_interrupted_and_resumed_is_replayed_in_one_leg(stop: int, tmp_path: Path) -> None:
    config = RunConfig(working_dir=tmp_path)
    for one in PROGRAMS[stop::5]:
        run = interrupted(one, stop, config)
        if run is None:
            continue
        played, source = replayed(run, config)
        assert played.divergence is None, (one.seed, played.divergence)
        assert difference(run, played.run, source) is None, (one.seed, difference(run, played.run, source))
        run = resume_run(run, PathAnswers(), config=config)  # type: ignore[arg-type]
        played, source = replayed(run, config)
        assert played.divergence is None, (one.seed, played.divergence)
        assert difference(run, played.run, source) is None, (one.seed, difference(run, played.run, source))


def interrupted(one: Generated, stop: int, config: RunConfig) -> TextRun | None:
    """The run of a program, interrupted at its call number `stop`; None if it was over before."""
    answers = PathAnswers(stop)
    run = run_text(
        one.text,
        answers,
        one.inputs,
        store=MemoryRunStore(),
        config=config,
        control=answers.control,  # type: ignore[arg-type]
    )
    return run if run.record.status is RunStatus.INTERRUPTED else None
