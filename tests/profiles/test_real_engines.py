import asyncio
from pathlib import Path

import pytest

from headway.profiles.against_real import run_real, simulate
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.real_engines import RealEngines
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload

WORKLOAD = Workload(
    name="two groups",
    groups=[
        ScriptedGroup(
            prompt=60,
            scripts=[
                Script([ScriptedTurn(20, tool_s=0.05, observed=40), ScriptedTurn(10 + 5 * sibling)])
                for sibling in range(3)
            ],
        )
        for _ in range(2)
    ],
    max_context=256,
    turn_limit=64,
    system=8,
)


@pytest.mark.vllm
def test_real_and_simulated_engines_play_the_same_workload(tiny_model: Path, tmp_path: Path) -> None:
    what = RealEngines(
        engines=2,
        kv_tokens=1024,
        max_context=256,
        max_num_seqs=8,
        max_batched_tokens=256,
        model=str(tiny_model),
    )
    real = asyncio.run(run_real(WORKLOAD, what, policy="sticky_least_loaded", log_dir=tmp_path))
    simulated = simulate(WORKLOAD, what, hardware=load_hardware("cpu-tiny"), policy="sticky_least_loaded")
    assert real.generated == simulated.generated == WORKLOAD.generated
    assert real.turns == simulated.turns == 12
    assert real.prompt_tokens == simulated.prompt_tokens
    assert real.preemptions == simulated.preemptions == 0
    assert real.cached_tokens > 0
