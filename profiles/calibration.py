"""Loads engines with known work and cuts the record of their steps into runs, for a fit.

Each run has a fixed number of clients an engine; every client goes through turns whose context grows, as an
agent does without tools, so that prefill, decode and context vary in all combinations. The engines run side
by side, so that they get in each other's way as much as later.
Invariant: prompts depend on the seed alone. Knows nothing of scheduling.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import msgspec

from headway.engine import Engine, Request, Sampling
from headway.engine.step_record import StepRecord, read_steps, record_files


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """One run: ``clients`` an engine, each with ``turns`` turns. The rest are ranges in tokens, inclusive."""

    clients: int
    turns: int = 4
    prompt: tuple[int, int] = (100, 1500)
    generated: tuple[int, int] = (20, 60)
    observed: tuple[int, int] = (50, 800)


class StepRun(msgspec.Struct, frozen=True):
    """The steps of all engines during one run."""

    name: str
    steps: list[StepRecord]


LOADS = tuple(Load(clients=clients) for clients in (1, 8, 3, 12, 5, 2, 8, 4, 12, 6))


async def record_runs(
    engines: Sequence[Engine], folder: Path, loads: Iterable[Load] = LOADS, *, seed: int = 0
) -> AsyncIterator[StepRun]:
    """Put each load on the engines, which record their steps in ``folder``, and yield what it gave."""
    for number, load in enumerate(loads):
        began = time.monotonic()
        async with asyncio.TaskGroup() as clients:
            for index, engine in enumerate(engines):
                for client in range(load.clients):
                    name = f"{seed}.{number}.{index}.{client}"
                    clients.create_task(_client(engine, load, name))
        yield StepRun(f"run {number + 1}, {load.clients} clients", steps_between(folder, began))


def steps_between(folder: Path, began: float, ended: float = float("inf")) -> list[StepRecord]:
    """What the engines that record in ``folder`` did between two moments of the monotonic clock."""
    return [step for file in record_files(folder) for step in read_steps(file) if began < step.t <= ended]


async def _client(engine: Engine, load: Load, name: str) -> None:
    draw = random.Random(name)
    context = _tokens(draw, load.prompt)
    for turn in range(load.turns):
        generated = draw.randint(*load.generated)
        if len(context) + generated > engine.info.max_context:
            return
        answer = await engine.generate(
            Request(id=f"{name}.{turn}", prompt=context, sampling=Sampling(max_tokens=generated))
        )
        context = context + answer.tokens + _tokens(draw, load.observed)


def _tokens(draw: random.Random, length: tuple[int, int], vocabulary: int = 500) -> list[int]:
    return [draw.randrange(vocabulary) for _ in range(draw.randint(*length))]
