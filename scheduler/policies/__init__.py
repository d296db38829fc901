"""Scheduling policies, by the name under which a user selects them: ``name`` or ``name:option=value,…``."""

import dataclasses
from typing import Any, get_type_hints

import msgspec

from headway.errors import InputError

from ..policy import Policy
from .aimd import Aimd
from .cache_aware import CacheAware
from .capped import Capped
from .consistent_hash import ConsistentHash
from .headroom import Headroom
from .least_inflight import LeastInflight
from .lmetric import LMetric
from .progress_ttl import ProgressTtl
from .round_robin import RoundRobin
from .static import Static, StaticBarrier
from .sticky import StickyLeastLoaded
from .sticky_margin import StickyMargin
from .thunder import Thunder, ThunderEvents

_POLICIES: dict[str, type[Policy]] = {
    policy.name: policy
    for policy in (
        Headroom,
        Static,
        StaticBarrier,
        RoundRobin,
        LeastInflight,
        ConsistentHash,
        StickyLeastLoaded,
        Capped,
        StickyMargin,
        CacheAware,
        LMetric,
        Aimd,
        Thunder,
        ThunderEvents,
        ProgressTtl,
    )
}
NAMES = tuple(_POLICIES)


def make_policy(spec: str) -> Policy:
    """Return a fresh policy, such as ``headroom`` or ``capped:limit=26``; ``InputError`` for what is none."""
    name, _, options = spec.partition(":")
    if name not in _POLICIES:
        raise InputError(f"no policy is named {name!r}; choose one of: {', '.join(NAMES)}")
    return _POLICIES[name](**_parse(name, options))


def option_names(name: str) -> list[str]:
    """The options that a policy has."""
    policy: Any = _POLICIES[name]
    return [f.name for f in dataclasses.fields(policy) if f.init] if dataclasses.is_dataclass(policy) else []


def _parse(name: str, options: str) -> dict[str, Any]:
    known = option_names(name)
    hints = get_type_hints(_POLICIES[name])
    parsed: dict[str, Any] = {}
    for option in filter(None, options.split(",")):
        key, equals, value = option.partition("=")
        if key not in known or not equals:
            choice = f"its options are: {', '.join(known)}" if known else "it has no options"
            raise InputError(f"policy {name}: {option!r} is not an option (name=value); {choice}")
        try:
            parsed[key] = msgspec.convert(
                {"on": True, "off": False}.get(value, value), hints[key], strict=False
            )
        except msgspec.ValidationError as error:
            raise InputError(f"policy {name}: {key}={value}: {error}") from None
    return parsed


__all__ = ["NAMES", "Headroom", "make_policy", "option_names"]
