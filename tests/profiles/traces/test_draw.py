"""Groups drawn from a workload until it fills the cache as it should."""

import msgspec
import pytest

from headway.errors import InputError
from headway.profiles.pressure import pressure_of
from headway.profiles.traces.draw import drawn
from headway.profiles.workload import ScriptedGroup, Workload

from .logs import HARDWARE, LONG, SHORT

WORKLOAD = Workload(
    name="w",
    groups=[ScriptedGroup(50 + n, [LONG, SHORT], min(n, 1), 1.0) for n in range(9)],
    max_context=1024,
    turn_limit=64,
    notes="said before",
)


def draw(pressure: float, *, seed: int = 0, workload: Workload = WORKLOAD, **more: int) -> Workload:
    return drawn(workload, pressure=pressure, hardware=HARDWARE, engines=2, kv_tokens=2048, seed=seed, **more)


@pytest.mark.parametrize("pressure", [0.3, 0.8, 2.5])
def test_the_pressure_comes_close_to_what_was_wanted(pressure: float) -> None:
    reached = pressure_of(draw(pressure), HARDWARE, engines=2, kv_tokens=2048)
    assert reached == pytest.approx(pressure, abs=0.1)


def test_no_group_comes_twice_before_all_have_come() -> None:
    many = draw(2.5)
    prompts = [group.prompt for group in many.groups]
    assert len(prompts) > 9
    assert sorted(prompts[:9]) == [50 + n for n in range(9)]
    assert prompts[9:] != prompts[: len(prompts) - 9]
    assert "from 9, some taken again, all begun at once" in many.notes
    assert many.notes.startswith("said before; ")


def test_all_begin_at_once_and_in_an_order_that_the_seed_decides() -> None:
    one, other = draw(0.8), draw(0.8, seed=1)
    assert {(group.after, group.delay_s) for group in one.groups} == {(0, 0.0)}
    assert one == draw(0.8)
    assert one.groups != other.groups
    assert draw(0.3).groups == one.groups[: len(draw(0.3).groups)]


def test_a_number_of_groups_may_be_given_instead() -> None:
    assert len(draw(1.0, groups=4).groups) == 4


def test_a_context_that_no_engine_holds_is_refused() -> None:
    groups = [ScriptedGroup(2000, [LONG])]
    with pytest.raises(InputError, match="contexts grow to 2130 tokens"):
        draw(1.0, workload=msgspec.structs.replace(WORKLOAD, groups=groups, max_context=4096))


def test_the_scheduler_is_told_no_more_than_an_engine_holds() -> None:
    assert draw(1.0, workload=msgspec.structs.replace(WORKLOAD, max_context=9999)).max_context == 2048
