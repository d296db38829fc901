"""NVIDIA's sampler: the real binding over a fake driver."""

from pathlib import Path

import pytest

from tests.profiles.gpu.fake_drivers import build_nvidia, read_fake
from tests.profiles.gpu.timeline import SCRIPT, assert_recovered

NO_GPM = "answer gpm 3\n"
ONLY_RATES = NO_GPM + "answer nvmlDeviceGetSamples 3\n"  # which has a figure in each reading
ALL = ["sm", "dram", "memory", "power", "energy", "processes"]


def line(gpu: int, note: str) -> str:
    return f"GPU counters: GPU {gpu} (NVIDIA Fake 100): {note}; the profile goes on without it"


NO_DRAM = line(0, "no DRAM bandwidth (this GPU has no GPM, which came with Hopper)")


def test_gpm_of_a_fake_driver_recovers_the_timeline(nvidia: Path, tmp_path: Path) -> None:
    outcome = read_fake(tmp_path, SCRIPT, nvidia=nvidia, how="monitor")
    assert_recovered(outcome)
    assert all(
        sample.dram == pytest.approx(sample.sm / 2, abs=0.001) for sample in outcome.samples if sample.sm
    )
    last = outcome.samples[-1]
    assert (last.memory_used, last.power_w, last.energy_j, last.pids) == (30, 412.5, 7.25, [4242])
    (facts,) = outcome.facts
    assert (facts.id, facts.name, facts.vendor, facts.index) == ("GPU-fake-0", "NVIDIA Fake 100", "NVIDIA", 0)
    assert (facts.measure, facts.metrics, facts.notes) == ("gpm", ALL, [])
    (coverage,) = outcome.coverage
    assert coverage.resolution_s == pytest.approx(0.2, abs=0.1)
    assert coverage.share > 0.8
    assert outcome.opening == outcome.lines == []


def test_the_history_of_a_fake_driver_recovers_the_timeline(nvidia: Path, tmp_path: Path) -> None:
    outcome = read_fake(tmp_path, SCRIPT + NO_GPM, nvidia=nvidia, how="monitor")
    assert_recovered(outcome)
    assert outcome.samples[-1].power_w == 412.5
    (facts,) = outcome.facts
    assert (facts.measure, facts.resolution_s) == ("driver samples", 0.05)
    (coverage,) = outcome.coverage
    assert coverage.resolution_s == 0.05
    assert coverage.share > 0.9
    assert outcome.lines == [NO_DRAM]


def test_the_latest_figure_is_taken_where_a_fake_driver_has_no_other_and_each_lack_is_one_line(
    nvidia: Path, tmp_path: Path
) -> None:
    script = ONLY_RATES + (
        "answer nvmlDeviceGetTotalEnergyConsumption 3\n"
        "answer nvmlDeviceGetComputeRunningProcesses_v3 4\n"
        "answer nvmlDeviceGetPowerUsage 10\n"
    )
    outcome = read_fake(tmp_path, "phase 9 70\n" + script, nvidia=nvidia)
    (facts,) = outcome.facts
    assert (facts.measure, facts.metrics) == ("utilization", ["sm", "memory", "power"])
    assert len(outcome.samples) == 3
    assert all(sample.memory_used == 30 and sample.power_w is None for sample in outcome.samples)
    assert outcome.lines == [
        NO_DRAM,
        line(0, "no processes (Insufficient Permissions)"),
        line(0, "power cannot be read at times (Timeout)"),
        line(0, "no energy (Not Supported)"),
    ]


def test_a_function_that_a_fake_driver_lacks_is_one_line(tmp_path: Path) -> None:
    lacks = ("nvmlGpmQueryDeviceSupport", "nvmlDeviceGetTotalEnergyConsumption")
    old = build_nvidia(tmp_path, without=lacks)
    outcome = read_fake(tmp_path, "gpus 2\nanswer nvmlDeviceGetSamples 3\n", nvidia=old)
    assert [facts.measure for facts in outcome.facts] == ["utilization", "utilization"]
    assert len(outcome.samples) == 6
    for what, said in zip(("DRAM bandwidth", "energy"), outcome.lines, strict=True):
        assert said == (
            f"GPU counters: GPUs 0, 1 (NVIDIA Fake 100): no {what} (Function Not Found); "
            "the profile goes on without it"
        )


def test_a_gpu_that_is_lost_on_the_way_is_one_line_and_the_other_goes_on(
    nvidia: Path, tmp_path: Path
) -> None:
    outcome = read_fake(tmp_path, f"gpus 2\n{ONLY_RATES}lose 1 15 15\n", nvidia=nvidia)
    assert len(outcome.of("GPU-fake-0")) == 3
    assert 0 < len(outcome.of("GPU-fake-1")) < 3
    assert [facts.metrics for facts in outcome.facts] == [
        ["sm", "memory", "power", "energy", "processes"],
        [],
    ]
    assert outcome.lines[1:] == [line(1, "it cannot be read (GPU is lost)")]


def test_a_gpu_that_is_lost_from_the_start_is_one_line(nvidia: Path, tmp_path: Path) -> None:
    outcome = read_fake(tmp_path, f"gpus 2\n{ONLY_RATES}lose 0 0 15\n", nvidia=nvidia)
    assert {sample.gpu for sample in outcome.samples} == {"GPU-fake-1"}
    lost = "GPU counters: GPU 0 (GPU): it cannot be read (GPU is lost); the profile goes on without it"
    assert outcome.lines == [lost, NO_DRAM.replace("GPU 0", "GPU 1")]


def test_a_fake_driver_that_is_not_loaded_is_one_line(nvidia: Path, tmp_path: Path) -> None:
    outcome = read_fake(tmp_path, "answer nvmlInitWithFlags 9\n", nvidia=nvidia)
    assert outcome.facts == []
    assert outcome.opening == [
        "GPU counters: NVIDIA's driver cannot be used (Driver Not Loaded); nvidia-smi may say more; "
        "the profile goes on without them"
    ]
