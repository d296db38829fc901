import msgspec
import pytest

from headway.errors import InputError
from headway.profiles.replay.engine_set import engine_set, engines_of_run
from headway.scheduler.events import EngineStarted

from .runs import HARDWARE

STARTED = EngineStarted(
    t=0,
    engine="b",
    kind="vllm",
    version="1",
    device="gpu",
    kv_tokens=5000,
    block_size=16,
    max_context=2048,
    max_num_seqs=4096,
)


def test_engines_of_a_run_have_the_sizes_that_it_recorded_and_the_times_of_the_hardware() -> None:
    other = msgspec.structs.replace(STARTED, engine="a", kv_tokens=6000)
    engines = engines_of_run(HARDWARE, ["a", "b"], [STARTED, other])
    assert engines.kv_tokens == {"a": 6000, "b": 5000}
    assert engines.hardware.step == HARDWARE.step
    assert (engines.hardware.block_size, engines.hardware.max_num_seqs) == (16, 4096)
    assert [engine.info.kv_tokens for engine in engines.simulated()] == [6000, 4992]
    assert engines.longest_context == 2048


def test_a_run_that_recorded_no_sizes_has_those_of_the_hardware() -> None:
    assert engines_of_run(HARDWARE, ["a"], []).kv_tokens == {"a": HARDWARE.kv_tokens}


def test_a_fleet_of_another_size_is_of_the_usual_engines() -> None:
    engines = engines_of_run(HARDWARE, ["a", "b", "c"], [STARTED])
    assert engines.resized(3) is engines
    assert list(engines.resized(2).kv_tokens.items()) == [("engine-0", 5000), ("engine-1", 5000)]


def test_real_engines_are_as_large_as_the_smallest() -> None:
    sizes = engines_of_run(HARDWARE, ["a", "b"], [msgspec.structs.replace(STARTED, max_num_seqs=8)])
    what = msgspec.structs.replace(sizes, kv_tokens={"a": 6000, "b": 5000}).real(model="m", max_context=900)
    assert (what.engines, what.kv_tokens, what.max_context, what.model) == (2, 5000, 900, "m")
    assert (what.block_size, what.max_num_seqs, what.max_batched_tokens) == (16, 8, 2048)


def test_no_engine_is_no_fleet() -> None:
    with pytest.raises(InputError, match="--engines 0: at least one engine"):
        engine_set(HARDWARE, count=0)
