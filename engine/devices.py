"""Decides which GPUs each engine sees, and what share of a GPU's memory it may take.

Invariants: engines of one fleet overlap on a GPU only when there are fewer GPUs than engines, and then
their shares of memory sum to the configured utilisation at most. Knows nothing of vLLM.
"""

import math
import os

import msgspec

from headway.errors import InputError


class Placement(msgspec.Struct, frozen=True):
    """The GPUs of one engine (none on a CPU) and how many engines share each of them."""

    devices: tuple[str, ...] = ()
    sharers: int = 1


def place(*, engines: int, per_engine: int, devices: list[str]) -> list[Placement]:
    """One placement for each engine, in order; ``InputError`` where the GPUs do not suffice."""
    if not devices:
        raise InputError("no GPU was found; check nvidia-smi and CUDA_VISIBLE_DEVICES, or use device 'cpu'")
    if engines * per_engine <= len(devices):
        starts = range(0, engines * per_engine, per_engine)
        return [Placement(tuple(devices[start : start + per_engine])) for start in starts]
    if per_engine > 1:
        raise InputError(
            f"{engines} engines of {per_engine} GPUs each need {engines * per_engine} GPUs, and there are "
            f"{len(devices)}; lower tensor_parallel_size or the number of engines"
        )
    sharers = math.ceil(engines / len(devices))
    return [Placement((devices[index % len(devices)],), sharers) for index in range(engines)]


def visible_devices() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        return [name.strip() for name in listed.split(",") if name.strip()]
    return [str(index) for index in range(_count_nvidia() or _count_amd())]


def _count_nvidia() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()


def _count_amd() -> int:
    try:
        import amdsmi  # pyright: ignore[reportMissingImports]
    except ImportError:
        return 0
    amdsmi.amdsmi_init()
    try:
        return len(amdsmi.amdsmi_get_processor_handles())
    finally:
        amdsmi.amdsmi_shut_down()
