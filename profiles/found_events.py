"""What reading a record finds out, as events among those that were recorded. None of them is in a log."""

from typing import Literal

from headway.scheduler.events import Event

Stage = Literal["outside", "ramp", "steady", "drain"]


class Gap(Event, frozen=True, kw_only=True):
    """Events between ``t`` and ``until`` are missing from a record."""

    until: int


class Vanished(Event, frozen=True, kw_only=True):
    """A trajectory of which events are missing is not where it was; it is over where it is not ``live``."""

    trajectory: str
    live: bool


class Recomputing(Event, frozen=True, kw_only=True):
    """A running turn begins, or ends, to prefill tokens that were computed before."""

    trajectory: str
    engine: str
    on: bool


class StageChanged(Event, frozen=True, kw_only=True):
    """The work is in another stage from now on."""

    stage: Stage
