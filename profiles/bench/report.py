"""What a benchmark leaves behind: its rows, how they came about, and what they say of the claims."""

from collections.abc import Sequence

import msgspec

from headway.engine.simulated.hardware import Hardware

from ..provenance import error_of, simulated_on, versions
from .claims import Verdict, judge
from .comparison import Comparison, compare
from .pool import Failed
from .row import Measured, Row
from .sweep import best_limits


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows came about. ``calibration_error`` is what the simulation was off by against real runs."""

    schema: str = "headway.bench.scheduling"
    command: str
    simulated: bool
    hardware: Hardware
    kv_tokens: int
    calibration_error: str
    notes: list[str]
    versions: dict[str, str]


class FailedArm(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that did not get through a cell."""

    cell: str
    policy: str
    why: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark's result. ``complete`` is false where it was ended before all was measured."""

    header: Header
    rows: list[Row]
    verdicts: list[Verdict]
    failed: list[FailedArm]
    complete: bool

    def comparisons(self) -> list[Comparison]:
        """The rows by suite and fleet."""
        return compare(self.rows)


def make_report(
    header: Header, measured: Sequence[Measured], failed: Sequence[Failed], *, complete: bool
) -> Report:
    """Put everything together, in an order that does not depend on which process was quicker."""
    rows = sorted((m.row for m in measured), key=lambda r: (r.suite, r.engines, r.pressure, r.seed, r.policy))
    return Report(
        header=header,
        rows=[*rows, *best_limits(rows)],
        verdicts=judge(compare(rows), measured),
        failed=[FailedArm(cell=f.cell.where, policy=f.policy, why=f.why) for f in failed],
        complete=complete,
    )


def make_header(
    command: str, hardware: Hardware, *, kv_tokens: int, notes: list[str], simulated: bool = True
) -> Header:
    """The header of a run on this machine."""
    return Header(
        command=command,
        simulated=simulated,
        hardware=hardware,
        kv_tokens=kv_tokens,
        calibration_error=error_of(hardware),
        notes=notes,
        versions=versions(),
    )


def provenance(header: Header) -> str:
    """The sentence that stands beside every table: where the figures come from, and how far to trust them."""
    if not header.simulated:
        return f"Measured on real engines ({header.hardware.name}, {header.kv_tokens:,} KV tokens each)."
    return simulated_on(header.hardware, kv_tokens=header.kv_tokens)
