"""The fake drivers, built once."""

from pathlib import Path

import pytest

from tests.profiles.gpu.fake_drivers import build_amd, build_nvidia


@pytest.fixture(scope="session")
def nvidia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fake libnvidia-ml.so.1."""
    return build_nvidia(tmp_path_factory.mktemp("fake-nvidia"))


@pytest.fixture(scope="session")
def amd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ROCm folder with a fake libamd_smi.so."""
    return build_amd(tmp_path_factory.mktemp("fake-amd"))
