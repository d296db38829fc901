"""Every attack on the sandbox, by topic."""

from . import (
    disk,
    files,
    kernel,
    leftovers,
    memory,
    network,
    output,
    privilege,
    proc_and_secrets,
    processes,
    result_channel,
    signals_and_tracing,
    time,
)
from .attack import Attack

ATTACKS: tuple[Attack, ...] = tuple(
    attack
    for topic in (
        time,
        memory,
        processes,
        files,
        proc_and_secrets,
        network,
        signals_and_tracing,
        result_channel,
        output,
        privilege,
        kernel,
        disk,
        leftovers,
    )
    for attack in topic.ATTACKS
)

__all__ = ["ATTACKS", "Attack"]
