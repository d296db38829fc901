"""Which engine sees which GPU, and with which environment."""

import os

import pytest

from headway.engine import EngineConfig
from headway.engine.devices import Placement, place, visible_devices
from headway.engine.environment import engine_environment
from headway.errors import InputError


def test_enough_gpus_are_not_shared() -> None:
    placements = place(engines=2, per_engine=2, devices=["0", "1", "2", "3", "4"])
    assert placements == [Placement(("0", "1")), Placement(("2", "3"))]


def test_too_few_gpus_are_shared_evenly() -> None:
    placements = place(engines=3, per_engine=1, devices=["4", "7"])
    assert [placement.devices for placement in placements] == [("4",), ("7",), ("4",)]
    assert {placement.sharers for placement in placements} == {2}


@pytest.mark.parametrize(
    ("engines", "per_engine", "devices", "message"),
    [(1, 1, [], "no GPU was found"), (2, 2, ["0", "1", "2"], "need 4 GPUs, and there are 3")],
)
def test_gpus_that_do_not_suffice_are_counted(
    engines: int, per_engine: int, devices: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        place(engines=engines, per_engine=per_engine, devices=devices)


def test_the_users_own_choice_of_gpus_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-5")
    assert visible_devices() == ["3", "GPU-5"]


def test_an_engine_on_a_gpu_sees_that_gpu_only() -> None:
    environment = engine_environment(EngineConfig(model="m", device="gpu"), Placement(("3",)))
    assert environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert "TORCHDYNAMO_DISABLE" not in environment


def test_an_engines_environment_leaves_ours_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "40")
    before = dict(os.environ)
    environment = engine_environment(EngineConfig(model="m", device="cpu", threads=3), Placement())
    assert environment["OMP_NUM_THREADS"] == "3"
    assert environment["PATH"] == os.environ["PATH"]
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment
    assert dict(os.environ) == before
