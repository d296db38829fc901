"""Opens the GPU counters of this machine, whatever vendor's they are.

Invariant: nothing raises; what is not there is said in a line. Knows nothing of what becomes of the samples.
"""

from collections.abc import Callable

from .driver import Driver, DriverAbsent, DriverFault
from .lines import line
from .sampler import DriverSampler, GpuSampler


def open_samplers() -> tuple[list[GpuSampler], list[str]]:
    """A sampler for each driver that knows a GPU, and the lines that say what is not there.

    That a vendor is missing is worth a line only where no other is there. Drivers can take seconds to open,
    and block as long.
    """
    samplers: list[GpuSampler] = []
    absent: list[str] = []
    faults: list[str] = []
    for make in (_nvidia, _amd):
        try:
            samplers.append(_open(make))
        except DriverAbsent as error:
            absent.append(str(error))
        except DriverFault as error:
            faults.append(str(error))
    if not samplers and not faults:
        faults.append(" and ".join(absent))
    return samplers, [line(fault, "them") for fault in faults]


def _open(make: Callable[[], Driver]) -> GpuSampler:
    driver = make()
    try:
        gpus = driver.count()
    except Exception as error:
        raise DriverFault(
            f"{driver.vendor}'s driver cannot be asked ({driver.trouble(error).reason})"
        ) from error
    if not gpus:
        driver.close()
        raise DriverAbsent(f"no GPU that {driver.vendor}'s driver knows")
    return DriverSampler(driver, gpus=gpus)


def _nvidia() -> Driver:
    from .nvidia import NvidiaDriver  # not at the top: the binding is large, and few commands need it

    return NvidiaDriver()


def _amd() -> Driver:
    from .amd import AmdDriver

    return AmdDriver()
