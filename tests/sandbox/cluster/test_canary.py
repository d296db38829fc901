import pytest

from headway.sandbox import Result, Status, Tier, ZygoteSandbox
from headway.sandbox.cluster.canary import CANARIES, find_fault


@pytest.mark.asyncio(loop_scope="session")
async def test_isolation_holds_every_attack(sandbox):
    assert await find_fault(sandbox.run, sandbox.tier, 120.0) is None


async def test_attacks_succeed_without_isolation():
    with pytest.warns(RuntimeWarning, match="WITHOUT ISOLATION"):
        unsafe = await ZygoteSandbox.start(workers=1, unsafe_no_isolation=True)
    async with unsafe:
        fault = await find_fault(unsafe.run, unsafe.tier, 120.0)
    assert fault is not None
    assert fault.endswith("its isolation does not hold")


@pytest.mark.parametrize("name", [canary.name for canary in CANARIES])
async def test_one_attack_that_succeeds_is_enough(name):
    attack = next(canary for canary in CANARIES if canary.name == name)

    async def run(snippet):
        for canary in CANARIES:
            if canary.code == snippet.code and canary is not attack:
                return Result(status=canary.ends, stdout="held\n", tier=Tier.B)
        return Result(status=Status.OK, stdout="escaped\n", tier=Tier.B)

    assert await find_fault(run, Tier.B, 60.0) == f"a snippet could {name}: its isolation does not hold"


async def test_a_fault_of_the_sandbox_is_one_of_the_node():
    async def run(snippet):
        return Result(status=Status.WORKER_LOST, tier=Tier.B)

    assert await find_fault(run, Tier.B, 60.0) == "its sandbox failed in the health probe: worker_lost"
