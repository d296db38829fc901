"""Which tasks the policy solves every time, from the groups that were rolled out anyway.

Invariant: only a task's latest group counts. Pure; knows nothing of how groups come about.
"""

from collections.abc import Mapping

import msgspec

from headway.scheduler import Group


class SolveRate(msgspec.Struct, frozen=True, array_like=True):
    """Of ``scored`` rollouts by weights of ``version``, ``right`` were right."""

    version: int
    right: int
    scored: int


class SolveRates:
    """The latest rate of every task."""

    def __init__(self, rates: Mapping[str, SolveRate] | None = None) -> None:
        self._rates = dict(rates or {})

    @property
    def rates(self) -> dict[str, SolveRate]:
        """All that is known, by task."""
        return dict(self._rates)

    def note(self, group: Group, version: int) -> None:
        """Take in a group, rolled out with weights of ``version``."""
        rewards = [rollout.reward for rollout in group.rollouts if rollout.reward is not None]
        self._rates[group.task] = SolveRate(version, sum(reward > 0 for reward in rewards), len(rewards))

    def solved(self, task: str, *, of: int, since: int) -> bool | None:
        """Whether all rollouts were right, ``of`` at least; None where no group since that version says.

        One that was wrong is enough to say no.
        """
        rate = self._rates.get(task)
        if rate is None or rate.version < since:
            return None
        if rate.right < rate.scored:
            return False
        return True if rate.scored >= of else None
