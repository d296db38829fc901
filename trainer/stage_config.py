"""The stages of a run, as data: how long rollouts may get in each, on which tasks, and when it is entered."""

from typing import Annotated

import msgspec
from msgspec import Meta

_Count = Annotated[int, Meta(ge=1)]
_Share = Annotated[float, Meta(gt=0, le=1)]


class EntryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a stage is entered before the one before it has taken all its steps.

    The one before has taken ``after`` steps, and over its last ``window`` steps this share of the groups was
    right in every rollout (``fully_solved``). Without ``fully_solved`` a stage has to wait for its turn.
    """

    after: Annotated[int, Meta(ge=0)] = 0
    fully_solved: _Share | None = None
    window: _Count = 10


class StageConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage, of ``steps`` steps at most.

    ``max_response_tokens``, ``max_turns`` and ``max_turn_tokens`` are the agent's limits in it (None: those
    of ``[agent]``). ``drop_solved``: on entry, tasks that the policy solves in each of so many rollouts are
    left out. Groups from the ``drop_within`` steps before count for that; tasks without one are tried.
    ``reset_optimizer``: the moments begin at zero, and the learning rate warms up again.
    """

    name: Annotated[str, Meta(min_length=1, max_length=40)] = "train"
    steps: _Count
    max_response_tokens: _Count | None = None
    max_turns: _Count | None = None
    max_turn_tokens: _Count | None = None
    drop_solved: _Count | None = None
    drop_within: _Count = 20
    reset_optimizer: bool = False
    enter: EntryConfig = EntryConfig()
