"""AMD's driver, by AMD SMI (the distribution ``amdsmi``, which has to fit the ROCm that is installed).

AMD SMI counts no openings: whoever else in this process closes it, as vLLM does after each question of its
own, closes it here too. So handles are looked up anew each time, by PCI address, and it is opened again where
it was closed. Knows nothing of what becomes of the figures.
"""

import contextlib
import importlib
import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from .amd_meters import AccumulatorMeter, ActivityMeter, number
from .driver import DriverAbsent, DriverFault, Handle, Identity, Meter, NotMeasured, Trouble

# Codes of amdsmi_status_t; the binding does not export them.
_NOT_INIT = 32
_ABSENT = {2, 3, 5, 10}  # not supported, not implemented, no symbol, no permission
_LOST = {6, 31, 34}  # libdrm fails, the device or the driver is not there


class AmdDriver:
    """An opened AMD SMI; raises ``DriverAbsent`` or ``DriverFault`` where it cannot be opened."""

    vendor = "AMD"

    def __init__(self) -> None:
        self._smi = _binding()
        try:
            self._smi.amdsmi_init()
        except Exception as error:
            reason = self.trouble(error).reason
            raise DriverFault(f"AMD's driver cannot be used ({reason}); amd-smi may say more") from error

    def count(self) -> int:
        """How many GPUs AMD SMI knows; it does not heed HIP_VISIBLE_DEVICES."""
        return len(self._smi.amdsmi_get_processor_handles())

    def identify(self, index: int) -> Identity:
        """A GPU by its place in AMD SMI's list."""
        handle = self._smi.amdsmi_get_processor_handles()[index]
        address = self._smi.amdsmi_get_gpu_device_bdf(handle)
        name = self._smi.amdsmi_get_gpu_asic_info(handle)["market_name"]
        try:
            uuid = self._smi.amdsmi_get_gpu_device_uuid(handle)
        except self._smi.AmdSmiLibraryException:  # not every GPU has one
            uuid = ""
        return Identity(id=uuid or address, name=name, key=address)

    def handle(self, gpu: Identity) -> Handle:
        """The handle that its PCI address has by now."""
        try:
            return self._smi.amdsmi_get_processor_handle_from_bdf(gpu.key)
        except self._smi.AmdSmiLibraryException as error:
            if error.get_error_code() != _NOT_INIT:
                raise
        self._smi.amdsmi_init()
        return self._smi.amdsmi_get_processor_handle_from_bdf(gpu.key)

    def meters(self, handle: Handle, now: int) -> Iterator[Callable[[], Meter]]:
        """The firmware's counters, else its latest figure."""
        yield partial(AccumulatorMeter, self._smi, handle)
        yield partial(ActivityMeter, self._smi, handle, now)

    def memory_used(self, handle: Handle) -> int:
        """Bytes of VRAM in use."""
        return int(self._smi.amdsmi_get_gpu_memory_usage(handle, self._smi.AmdSmiMemoryType.VRAM))

    def power_w(self, handle: Handle) -> float:
        """Watts of the socket: now where the GPU tells, else on average."""
        info = self._smi.amdsmi_get_power_info(handle)
        for name in ("current_socket_power", "average_socket_power", "socket_power"):
            if watts := number(info.get(name)):
                return float(watts)
        raise NotMeasured("the GPU does not tell it")

    def energy_j(self, handle: Handle) -> float:
        """Joules since the GPU was started; the counter's unit comes with it, in µJ."""
        count = self._smi.amdsmi_get_energy_count(handle)
        return float(round(count["energy_accumulator"] * count["counter_resolution"] / 1e6, 3))

    def pids(self, handle: Handle) -> list[int]:
        """The processes that have the GPU open."""
        return sorted(process["pid"] for process in self._smi.amdsmi_get_gpu_process_list(handle))

    def trouble(self, error: Exception) -> Trouble:
        """What an error of AMD SMI means."""
        if isinstance(error, self._smi.AmdSmiLibraryException):
            smi_error: Any = error
            code, reason = smi_error.get_error_code(), smi_error.get_error_info()
            return Trouble("absent" if code in _ABSENT else "lost" if code in _LOST else "passing", reason)
        return Trouble("absent" if isinstance(error, NotMeasured) else "passing", str(error))

    def close(self) -> None:
        """Close AMD SMI."""
        self._smi.amdsmi_shut_down()


def _binding() -> Any:
    """The module, whose import opens the library; it prints, and raises KeyError where there is none."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return importlib.import_module("amdsmi")
    except ModuleNotFoundError as error:
        raise DriverAbsent("no AMD driver that amdsmi could ask (amdsmi is not installed)") from error
    except KeyError as error:
        raise DriverAbsent("no AMD driver (libamd_smi.so cannot be loaded)") from error
    except Exception as error:
        raise DriverFault(
            f"AMD's driver cannot be used: amdsmi does not fit it ({error}); install the amdsmi of this ROCm"
        ) from error
