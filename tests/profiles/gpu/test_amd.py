"""AMD's sampler: the real binding over a fake driver."""

from pathlib import Path

import pytest

from tests.profiles.gpu.fake_drivers import read_fake
from tests.profiles.gpu.timeline import SCRIPT, assert_recovered

NO_COUNTERS = "answer counters 1\n"  # then each reading has a figure


def line(gpu: int, note: str) -> str:
    return f"GPU counters: GPU {gpu} (AMD Fake 300): {note}; the profile goes on without it"


def test_counters_of_a_fake_driver_recover_the_timeline_also_where_they_come_round(
    amd: Path, tmp_path: Path
) -> None:
    outcome = read_fake(tmp_path, SCRIPT, amd=amd, how="monitor")
    assert_recovered(outcome)
    assert all(
        sample.dram == pytest.approx(sample.sm / 4, abs=0.01) for sample in outcome.samples if sample.sm
    )
    last = outcome.samples[-1]
    assert (last.memory_used, last.power_w, last.energy_j, last.pids) == (30, 412.0, 15.25, [4242])
    (facts,) = outcome.facts
    assert (facts.id, facts.name, facts.vendor, facts.index) == ("fake-0", "AMD Fake 300", "AMD", 0)
    assert (facts.measure, facts.resolution_s, facts.notes) == ("accumulator", 0.001, [])
    (coverage,) = outcome.coverage
    assert coverage.resolution_s == pytest.approx(0.2, abs=0.1)
    assert coverage.share > 0.9
    assert outcome.opening == outcome.lines == []


def test_each_lack_of_a_fake_driver_is_one_line(amd: Path, tmp_path: Path) -> None:
    script = (
        "gpus 2\nanswer amdsmi_get_energy_count 2\nanswer amdsmi_get_gpu_process_list 10\n"
        "answer amdsmi_get_gpu_memory_usage 8\nanswer amdsmi_get_gpu_device_uuid 2\n"
    )
    outcome = read_fake(tmp_path, NO_COUNTERS + script, amd=amd)
    assert [facts.measure for facts in outcome.facts] == ["utilization", "utilization"]
    assert [facts.id for facts in outcome.facts] == ["0000:10:00.0", "0000:11:00.0"]
    assert [(sample.sm, sample.dram, sample.power_w) for sample in outcome.samples] == [
        (0.75, 0.25, 412.0)
    ] * 6
    both = "GPU counters: GPUs 0, 1 (AMD Fake 300): {}; the profile goes on without it"
    assert outcome.lines == [
        both.format("no processes (AMDSMI_STATUS_NO_PERM - Permission Denied)"),
        both.format("memory in use cannot be read at times (AMDSMI_STATUS_TIMEOUT - Timeout in API call)"),
        both.format("no energy (AMDSMI_STATUS_NOT_SUPPORTED - Feature not supported)"),
    ]


def test_a_gpu_that_is_lost_on_the_way_is_one_line_and_the_other_goes_on(amd: Path, tmp_path: Path) -> None:
    outcome = read_fake(tmp_path, f"gpus 2\n{NO_COUNTERS}lose 0 25 31\n", amd=amd)
    assert len(outcome.of("fake-1")) == 3
    assert 0 < len(outcome.of("fake-0")) < 3
    assert outcome.lines == [line(0, "it cannot be read (AMDSMI_STATUS_NOT_FOUND - Device Not found)")]


def test_sampling_goes_on_where_another_part_of_the_process_closes_the_library(
    amd: Path, tmp_path: Path
) -> None:
    outcome = read_fake(tmp_path, NO_COUNTERS, amd=amd, how="interrupted")
    assert [sample.power_w for sample in outcome.samples] == [412.0] * 3
    assert outcome.lines == []


def test_a_fake_driver_that_is_not_loaded_is_one_line(amd: Path, tmp_path: Path) -> None:
    outcome = read_fake(tmp_path, "answer amdsmi_init 34\n", amd=amd)
    assert outcome.facts == []
    assert outcome.opening == [
        "GPU counters: AMD's driver cannot be used (AMDSMI_STATUS_DRIVER_NOT_LOADED - Driver not loaded); "
        "amd-smi may say more; the profile goes on without them"
    ]


def test_the_gpus_of_one_vendor_are_read_where_the_other_has_a_fault(
    nvidia: Path, amd: Path, tmp_path: Path
) -> None:
    outcome = read_fake(tmp_path, NO_COUNTERS + "answer nvmlInitWithFlags 9\n", nvidia=nvidia, amd=amd)
    assert len(outcome.of("fake-0")) == 3
    (said,) = outcome.opening
    assert said.startswith("GPU counters: NVIDIA's driver cannot be used (Driver Not Loaded)")
