from collections.abc import Iterator

import pytest

from headway.engine.simulated.hardware import Hardware, StepTime
from headway.errors import InputError
from headway.profiles.pressure import pressure_of
from headway.profiles.suites import NAMES, make_suite
from headway.profiles.workload import Script, ScriptedGroup, ScriptedTurn, Workload, scaled

HARDWARE = Hardware(
    name="test",
    source="made up",
    measured=False,
    step=StepTime(fixed=0.01, prefill=4e-5, decode=1e-5, kv_read=6e-8, attention=4e-10),
    kv_tokens=300_000,
)


def scripts(workload: Workload) -> Iterator[tuple[int, Script]]:
    for group in workload.groups:
        for script in group.scripts:
            yield workload.system + group.prompt, script


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("pressure", [0.2, 1.0, 3.0])
def test_a_suite_comes_as_close_to_its_pressure_as_whole_groups_allow(name: str, pressure: float) -> None:
    suite = make_suite(name, seed=1, hardware=HARDWARE, engines=4, pressure=pressure)
    suite.check()
    reached = pressure_of(suite, HARDWARE, engines=4, kv_tokens=300_000)
    one_less = Workload(
        name=name,
        groups=suite.groups[:-1],
        max_context=suite.max_context,
        turn_limit=suite.turn_limit,
        system=suite.system,
    )
    if len(suite.groups) > 1:
        before = pressure_of(one_less, HARDWARE, engines=4, kv_tokens=300_000)
        assert abs(reached - pressure) <= abs(before - pressure) + 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_groups_at_every_pressure(name: str) -> None:
    small = make_suite(name, seed=5, hardware=HARDWARE, engines=2, pressure=0.5)
    large = make_suite(name, seed=5, hardware=HARDWARE, engines=8, pressure=2.0)
    assert large.groups[: len(small.groups)] == small.groups
    assert make_suite(name, seed=6, hardware=HARDWARE, engines=8, pressure=2.0).groups != large.groups


def test_siblings_resemble_each_other_more_than_strangers_do() -> None:
    suite = make_suite("math", seed=0, hardware=HARDWARE, engines=8, pressure=3.0)
    means = [sum(s.tokens for s in group.scripts) / len(group.scripts) for group in suite.groups]
    overall = sum(means) / len(means)
    between = sum((mean - overall) ** 2 for mean in means) / len(means)
    within = [
        sum((s.tokens - mean) ** 2 for s in group.scripts) / len(group.scripts)
        for mean, group in zip(means, suite.groups, strict=True)
    ]
    assert between > 3 * (sum(within) / len(within)) / 32  # 32 strangers' means would vary by 1/32 of it


def test_software_agents_take_many_turns_and_grow_long() -> None:
    suite = make_suite("swe", seed=0, hardware=HARDWARE, engines=8, pressure=3.0)
    lengths = sorted(prompt + script.tokens for prompt, script in scripts(suite))
    turns = sorted(len(script.turns) for _, script in scripts(suite))
    assert 30 <= turns[len(turns) // 2] <= 40
    assert 60_000 <= lengths[len(lengths) // 2] <= 90_000


def test_groups_can_be_counted_instead() -> None:
    suite = make_suite("math", seed=0, hardware=HARDWARE, engines=64, groups=512)
    assert suite.trajectories == 512 * 32


def test_an_unknown_suite_is_named() -> None:
    with pytest.raises(InputError, match="no suite is named 'chess'; choose one of: math"):
        make_suite("chess", seed=0, hardware=HARDWARE, engines=1)


def test_a_cache_that_cannot_hold_the_longest_context_is_refused() -> None:
    with pytest.raises(InputError, match=r"contexts grow to 104448 tokens.*50000 tokens of KV cache"):
        make_suite("swe", seed=0, hardware=HARDWARE, engines=1, kv_tokens=50_000)


def test_scaling_keeps_a_workload_playable_and_shrinks_it() -> None:
    suite = make_suite("search", seed=0, hardware=HARDWARE, engines=2, pressure=1.0)
    small = scaled(suite, tokens=1 / 16, times=0.1)
    small.check()
    assert suite.generated / 16 <= small.generated < suite.generated / 14
    assert small.groups[0].scripts[0].turns[0].tool_s == pytest.approx(
        suite.groups[0].scripts[0].turns[0].tool_s / 10
    )
    assert "tokens scaled by 0.0625" in small.notes


def test_a_trajectory_that_outgrows_its_limits_is_named() -> None:
    workload = Workload(
        name="bad",
        groups=[ScriptedGroup(10, [Script([ScriptedTurn(5)]), Script([ScriptedTurn(95)])])],
        max_context=100,
        turn_limit=99,
    )
    with pytest.raises(InputError, match=r"trajectory g1\.1: grows to 105 tokens, and max_context is 100"):
        workload.check()
