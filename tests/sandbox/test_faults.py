import os

import pytest

from headway.sandbox import ZygoteSandbox
from headway.sandbox.bench.agents import wait_for_all
from headway.sandbox.bench.faults import inflict


@pytest.mark.slow
async def test_no_call_is_lost_answered_wrongly_or_twice_while_processes_are_killed():
    sandbox = await ZygoteSandbox.start(workers=2)
    faults = await inflict(sandbox, lambda: [os.getpid()], kills=60, outstanding=16, seed=0, pause_s=0.05)
    assert sum(faults.kills.values()) == 60
    assert faults.calls > 0
    assert (faults.lost, faults.wrong, faults.left) == (0, 0, 0)


async def test_a_crowd_of_agents_is_answered_completely():
    async with await ZygoteSandbox.start(workers=2) as sandbox:
        seen = await wait_for_all(sandbox, agents=300, within_s=0.0, seed=0)
    assert (seen.answered, seen.lost, seen.most_waiting) == (300, 0, 300)
