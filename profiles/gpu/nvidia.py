"""NVIDIA's driver, by NVML (the distribution ``nvidia-ml-py``).

Knows nothing of what becomes of the figures.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pynvml

from .driver import DriverAbsent, DriverFault, Handle, Identity, Meter, NotMeasured, Trouble
from .nvidia_meters import DriverSamplesMeter, GpmMeter, UtilizationMeter, code_of

_ABSENT = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
}
_LOST = {
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_GPU_IS_LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED,
    pynvml.NVML_ERROR_GPU_NOT_FOUND,
}


class NvidiaDriver:
    """An opened NVML; raises ``DriverAbsent`` or ``DriverFault`` where it cannot be opened."""

    vendor = "NVIDIA"

    def __init__(self) -> None:
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            if code_of(error) == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
                raise DriverAbsent("no NVIDIA driver (libnvidia-ml.so.1 cannot be loaded)") from error
            raise DriverFault(f"NVIDIA's driver cannot be used ({error}); nvidia-smi may say more") from error

    def count(self) -> int:
        """How many GPUs NVML knows; it does not heed CUDA_VISIBLE_DEVICES."""
        return int(pynvml.nvmlDeviceGetCount())

    def identify(self, index: int) -> Identity:
        """A GPU by NVML's number, which is that of its place on the PCI bus."""
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        return Identity(
            id=pynvml.nvmlDeviceGetUUID(handle), name=pynvml.nvmlDeviceGetName(handle), key=handle
        )

    def handle(self, gpu: Identity) -> Handle:
        """The handle that it was found by: it stays good."""
        return gpu.key

    def meters(self, handle: Handle, now: int) -> Iterator[Callable[[], Meter]]:
        """Hardware counters, else the driver's history, else its latest figure."""
        yield partial(GpmMeter, handle, now)
        yield partial(DriverSamplesMeter, handle)
        yield partial(UtilizationMeter, handle, now)

    def memory_used(self, handle: Handle) -> int:
        """Bytes in use; the driver's own are among them."""
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)

    def power_w(self, handle: Handle) -> float:
        """Watts of the board, which newer GPUs average over a second."""
        return float(pynvml.nvmlDeviceGetPowerUsage(handle) / 1e3)

    def energy_j(self, handle: Handle) -> float:
        """Joules since the driver was loaded."""
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3)

    def pids(self, handle: Handle) -> list[int]:
        """The processes with a compute context; inside a container NVML may see none."""
        return sorted(process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle))

    def trouble(self, error: Exception) -> Trouble:
        """What an error of NVML means."""
        if isinstance(error, pynvml.NVMLError):
            code = code_of(error)
            return Trouble(
                "absent" if code in _ABSENT else "lost" if code in _LOST else "passing", str(error)
            )
        if isinstance(error, pynvml.NVMLLibraryMismatchError):
            return Trouble("absent", "this driver is too old for it")
        return Trouble("absent" if isinstance(error, NotMeasured) else "passing", str(error))

    def close(self) -> None:
        """Undo the opening; NVML counts them."""
        pynvml.nvmlShutdown()
