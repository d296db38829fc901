"""Plays a scene under a policy, on fresh engines: simulated in virtual time, or real ones in real time."""

import asyncio
import gc
from collections.abc import Sequence

import msgspec

from headway.engine import Engine
from headway.scheduler import make_policy

from ..closed_loop import VIRTUAL_LIMIT_S, play
from ..real_engines import TURN_LIMIT_S, open_real_engines
from ..virtual_time import run_virtual
from .figures import Figures, Tally
from .scene import Scene


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy came to in one scene; ``decision_us`` is what a decision of the scheduler took."""

    policy: str
    engines: int
    seed: int
    figures: Figures
    decision_us: float


def replay_simulated(scene: Scene, policy: str) -> Row:
    """Play on simulated engines."""
    try:
        return run_virtual(_replay(scene, policy, scene.engines.simulated(), limit_s=VIRTUAL_LIMIT_S))
    finally:
        gc.collect()  # nothing was collected meanwhile


def replay_real(scene: Scene, policy: str, model: str | None) -> Row:
    """Play on vLLM engines of a model, by default of the small random one; texts are made up."""
    return asyncio.run(_replay_real(scene, policy, model))


async def _replay_real(scene: Scene, policy: str, model: str | None) -> Row:
    what = scene.engines.real(model=model, max_context=scene.workload.max_context)
    async with open_real_engines(what) as engines:
        return await _replay(scene, policy, engines, limit_s=TURN_LIMIT_S)


async def _replay(scene: Scene, policy: str, engines: Sequence[Engine], *, limit_s: float) -> Row:
    tally = Tally(engine.info.id for engine in engines)
    result = await play(scene.workload, engines, make_policy(policy), sink=tally, limit_s=limit_s)
    return Row(
        policy=policy,
        engines=scene.engines.count,
        seed=scene.seed,
        figures=tally.figures(),
        decision_us=result.decision_us,
    )
