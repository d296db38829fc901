import pytest

from headway.engine.simulated import Hardware
from headway.errors import InputError
from headway.profiles.hardware_profiles import load_hardware
from headway.profiles.pressure import pressure_of
from headway.profiles.small_suites import make_small_suite
from headway.profiles.suites import NAMES


@pytest.fixture
def hardware() -> Hardware:
    return load_hardware("cpu-tiny")


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_is_playable_and_has_its_pressure(name: str, hardware: Hardware) -> None:
    workload = make_small_suite(name, seed=1, hardware=hardware, engines=2, kv_tokens=12288, pressure=3.5)
    workload.check()
    assert workload.max_context <= hardware.max_context
    assert pressure_of(workload, hardware, engines=2, kv_tokens=12288) == pytest.approx(3.5, rel=0.1)


def test_a_number_of_groups_overrides_the_pressure(hardware: Hardware) -> None:
    workload = make_small_suite(
        "swe", seed=1, hardware=hardware, engines=2, kv_tokens=12288, pressure=3.5, groups=3
    )
    assert len(workload.groups) == 3


def test_seeds_differ_and_a_seed_repeats(hardware: Hardware) -> None:
    def make(seed: int) -> object:
        return make_small_suite(
            "math", seed=seed, hardware=hardware, engines=2, kv_tokens=12288, pressure=1.0
        )

    assert make(1) == make(1) != make(2)


def test_an_unknown_suite_is_refused(hardware: Hardware) -> None:
    with pytest.raises(InputError, match="no suite is named 'chess'"):
        make_small_suite("chess", seed=1, hardware=hardware, engines=2, kv_tokens=12288, pressure=1.0)


def test_a_cache_that_cannot_hold_a_context_is_refused(hardware: Hardware) -> None:
    with pytest.raises(InputError, match="4096"):
        make_small_suite("swe", seed=1, hardware=hardware, engines=2, kv_tokens=2048, pressure=1.0)
