"""Holds a hardware profile against recorded runs: each is replayed as it was, and compared with itself."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from headway.engine.simulated.hardware import Hardware

from ..cause import Cause
from ..traces import TraceOptions
from .figures import Figures
from .measure import replay_simulated
from .plan import Asked, make_plan
from .recorded_figures import figures_of


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what it came to, and its replay with the profile, both under its own policy and engines."""

    name: str
    policy: str
    recorded: Figures
    replayed: Figures

    @property
    def error(self) -> float:
        """How far the makespan is off, relative to the recorded one."""
        return self.replayed.makespan_s / self.recorded.makespan_s - 1

    @property
    def idle_error(self) -> float:
        """By how much the share of any cause is off, at most."""
        recorded, replayed = self.recorded.idle, self.replayed.idle
        return max(abs(replayed.get(cause, 0.0) - recorded.get(cause, 0.0)) for cause in Cause)


def check_on(run: Path, hardware: Hardware) -> Check:
    """Replay a run folder or an event log; raises ``HeadwayError`` where that cannot be done."""
    plan = make_plan(Asked(trace=run, options=TraceOptions(), hardware=hardware))
    assert plan.recorded is not None
    policy = plan.recorded.policy
    return Check(
        name=run.resolve().name,
        policy=policy,
        recorded=figures_of(plan.recorded),
        replayed=replay_simulated(plan.scenes[0], policy).figures,
    )


def error_text(checks: Sequence[Check], *, fitted: bool) -> str:
    """For ``Hardware.error``; ``fitted`` says whether the profile had seen the steps of these runs."""
    worst = max((check.error for check in checks), key=abs)
    idle = max(check.idle_error for check in checks)
    which = "the run that it was fitted to" if fitted else f"{len(checks)} runs that it was not fitted to"
    if len(checks) == 1:
        which = which.replace("1 runs", "a run")
    return (
        f"makespan of {which}, replayed: off by {worst:+.1%}; the share of a cause of idle time: by at most "
        f"{idle * 100:.1f} points"
    )
