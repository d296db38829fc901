"""Rows of a benchmark that nobody ran."""

from headway.sandbox import Tier
from headway.sandbox.bench.plan import EXECUTORS, Plan
from headway.sandbox.bench.report import Header
from headway.sandbox.bench.row import Cost, Measured, Mode, Sight, measured
from headway.sandbox.bench.sample import Sample

PLAN = Plan(
    executors=list(EXECUTORS),
    snippets=["light"],
    outstanding=[8, 1024],
    calls=None,
    rate=None,
    load=0.6,
    rounds=2,
    workers=2,
    seed=0,
    seconds=5.0,
)


def header(command: str = "headway bench sandbox") -> Header:
    return Header(
        command=command,
        date="2026-01-01 00:00+00:00",
        tier=Tier.A,
        cores=2,
        processor="a processor",
        kernel="6.0",
        versions={"python": "3.11"},
        plan=PLAN,
    )


def made(
    executor: str = "headway",
    mode: Mode = Mode.CLOSED,
    *,
    calls: int = 10,
    seconds: float = 1.0,
    cpu_s: float = 1.0,
    snippet: str = "light",
    number: int = 0,
    latency_s: float = 0.001,
    outstanding: int | None = 8,
    lost: int = 0,
) -> Measured:
    """Calls one after another, each a little slower than the one before it."""
    samples = [
        Sample(float(i), float(i), i + latency_s * (1 + i / calls), right=i >= lost) for i in range(calls)
    ]
    rate, load = (calls / seconds, 0.6) if mode is Mode.OPEN else (None, None)
    sight = Sight(executor, snippet, mode, number, outstanding=outstanding, rate=rate, load=load)
    return measured(samples, Cost(seconds, cpu_s, 100 << 20, 110 << 20), sight)
