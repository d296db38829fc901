"""What is said where there is no driver: the real bindings, with libraries that cannot be loaded."""

from pathlib import Path

from tests.profiles.gpu.fake_drivers import read_fake

LEAD, END = (
    "GPU counters: no NVIDIA driver (libnvidia-ml.so.1 cannot be loaded)",
    "; the profile goes on without them",
)


def test_a_machine_without_drivers_is_one_line(tmp_path: Path) -> None:
    outcome = read_fake(tmp_path, "")
    assert outcome.facts == []
    assert outcome.samples == []
    (said,) = outcome.opening
    assert said.startswith(f"{LEAD} and no AMD driver")
    assert said.endswith(END)


def test_a_fake_driver_without_gpus_is_one_line(nvidia: Path, tmp_path: Path) -> None:
    (said,) = read_fake(tmp_path, "gpus 0\n", nvidia=nvidia).opening
    assert said.startswith("GPU counters: no GPU that NVIDIA's driver knows and no AMD driver")
    assert said.endswith(END)
