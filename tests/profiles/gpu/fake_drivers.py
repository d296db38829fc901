"""Builds the fake drivers with gcc, and reads them with the real bindings in a process of their own.

A fake driver plays a script (``fake_timeline.h`` says which commands it has); it tests how headway uses a
binding, and tests no driver.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from headway.profiles.gpu import GpuFacts, GpuSample
from headway.profiles.gpu.coverage import Coverage

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
BINDING = Path(sys.prefix) / "amdsmi"  # AMD's, apart, as vLLM and Ray trip over it where there is no ROCm
NVIDIA, AMD = "libnvidia-ml.so.1", "libamd_smi.so"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a process has read. ``origin`` is when the script's timeline began, on the samples' clock."""

    origin: int
    opening: list[str]
    lines: list[str]
    facts: list[GpuFacts]
    samples: list[GpuSample]
    coverage: list[Coverage] = []

    def of(self, gpu: str) -> list[GpuSample]:
        """The samples of one GPU."""
        return [sample for sample in self.samples if sample.gpu == gpu]


def build_nvidia(folder: Path, *, without: Sequence[str] = ()) -> Path:
    """A folder with the fake NVML; ``without`` are functions that it does not have."""
    gcc(HERE / "fake_nvml.c", folder / NVIDIA, *(f"-D{name}=other_{name}" for name in without))
    return folder


def build_amd(folder: Path) -> Path:
    """A ROCm folder with the fake AMD SMI; skips the test where the binding is not installed."""
    library = folder / "lib" / AMD
    library.parent.mkdir(parents=True)
    source = HERE / "fake_amd_smi.c"
    written = set(re.findall(r"^EXPORT int (\w+)\(", source.read_text(), re.MULTILINE))
    stubs = folder / "stubs.c"
    stubs.write_text("".join(f"int {name}(void) {{ return 2; }}\n" for name in _bound() - written))
    gcc(source, library, str(stubs))
    return folder


def _bound() -> set[str]:
    """The functions that the binding looks for as it is imported; it needs every one."""
    wrapper = BINDING / "amdsmi" / "amdsmi_wrapper.py"
    if not wrapper.is_file():
        pytest.skip(
            f"AMD's sampler is not tested: its binding is not in {BINDING} "
            f"(pip install --no-deps --target {BINDING} amdsmi==7.0.2)"
        )
    return set(re.findall(r"_libraries\['libamd_smi.so'\]\.(\w+)", wrapper.read_text()))


def gcc(source: Path, library: Path, *options: str) -> None:
    """Build a shared library."""
    if shutil.which("gcc") is None:
        pytest.fail("gcc is needed to build the fake drivers; install it (Debian: apt install gcc)")
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-O1",
        "-Wall",
        "-Wextra",
        "-o",
        str(library),
        str(source),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def read_fake(
    work: Path, script: str, *, nvidia: Path | None = None, amd: Path | None = None, how: str = "read"
) -> Outcome:
    """Read fake drivers in ``how`` of the ways of ``read_fake_driver.py``; what is None cannot be loaded."""
    nvidia, amd = nvidia or _broken(work / "no-nvidia", NVIDIA), amd or _broken(work / "no-amd", AMD)
    environment = {name: value for name, value in os.environ.items() if name != "ROCM_HOME"}
    environment |= {
        "LD_LIBRARY_PATH": f"{nvidia}:{amd / 'lib'}",
        "ROCM_PATH": str(amd),
        "PYTHONPATH": str(BINDING),
        "HEADWAY_FAKE_DRIVER": str(work / "script"),
    }
    command = [sys.executable, "-m", "tests.profiles.gpu.read_fake_driver", how]
    done = subprocess.run(
        command, input=script, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return msgspec.json.decode(done.stdout, type=Outcome)


def _broken(folder: Path, library: str) -> Path:
    """A folder whose library cannot be loaded, which also hides one that this machine may have."""
    (folder / "lib").mkdir(parents=True)
    for place in (folder, folder / "lib"):
        (place / library).touch()
    return folder
