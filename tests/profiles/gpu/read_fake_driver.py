"""Reads the drivers that it finds and prints what it has read as JSON; run by ``fake_drivers``.

Its standard input is the script for the fake drivers, and its argument says how to read: ``read`` three times
without a pause, ``interrupted`` where another part of the process closes AMD SMI in between, or ``monitor``,
for as long as the script's timeline lasts, on the loop that headway uses.
"""

import asyncio
import importlib
import os
import sys
import time
from pathlib import Path

import msgspec
import uvloop

from headway.profiles.gpu import GpuMonitor, GpuSample, GpuSampler, open_samplers
from headway.profiles.gpu.lines import describe
from headway.scheduler.events import Event
from tests.profiles.gpu.fake_drivers import Outcome

READINGS = 3
PERIOD_S = 0.11  # the shortest that GPM is worth


class Kept:
    """A sink that keeps GPU samples."""

    def __init__(self) -> None:
        self.samples: list[GpuSample] = []

    def emit(self, event: Event) -> None:
        """Keep it."""
        assert isinstance(event, GpuSample)
        self.samples.append(event)


def main(how: str) -> None:
    """Play the script and print the outcome."""
    script = sys.stdin.read()
    Path(os.environ["HEADWAY_FAKE_DRIVER"]).write_text(script)
    samplers, opening = open_samplers()
    if how == "monitor":
        length = sum(float(line.split()[1]) for line in script.splitlines() if line.startswith("phase"))
        outcome = uvloop.run(monitor(samplers, opening, length))
    else:
        outcome = read(samplers, opening, closes=how == "interrupted")
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


def begin() -> int:
    """Let the timeline begin; returns when that is."""
    origin = time.monotonic_ns()
    path = Path(os.environ["HEADWAY_FAKE_DRIVER"] + ".origin")
    path.with_suffix(".new").write_text(str(origin))
    path.with_suffix(".new").rename(path)
    return origin


def read(samplers: list[GpuSampler], opening: list[str], *, closes: bool) -> Outcome:
    """Read some times."""
    origin = begin()
    samples: list[GpuSample] = []
    for _ in range(READINGS):
        samples += [sample for sampler in samplers for sample in sampler.read()]
        if closes:
            importlib.import_module("amdsmi").amdsmi_shut_down()
    facts = [facts for sampler in samplers for facts in sampler.facts()]
    for sampler in samplers:
        sampler.close()
    return Outcome(origin=origin, opening=opening, lines=describe(facts), facts=facts, samples=samples)


async def monitor(samplers: list[GpuSampler], opening: list[str], length: float) -> Outcome:
    """Monitor until the timeline is over."""
    sink = Kept()
    async with GpuMonitor(sink, samplers=samplers, period_s=PERIOD_S) as monitor:
        origin = begin()
        await asyncio.sleep(length)
    return Outcome(
        origin=origin,
        opening=opening,
        lines=monitor.lines(),
        facts=monitor.facts(),
        samples=sink.samples,
        coverage=monitor.coverage(),
    )


if __name__ == "__main__":
    main(sys.argv[1])
