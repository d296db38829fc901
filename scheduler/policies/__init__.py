"""Scheduling policies, by the name under which a user selects them."""

from headway.errors import InputError

from ..policy import Policy
from .headroom import Headroom
from .static import Static
from .sticky import StickyLeastLoaded

_POLICIES: dict[str, type[Headroom | Static | StickyLeastLoaded]] = {
    "headroom": Headroom,
    "static": Static,
    "sticky_least_loaded": StickyLeastLoaded,
}
NAMES = tuple(_POLICIES)


def make_policy(name: str) -> Policy:
    """Return a fresh policy; raises ``InputError`` for a name that is none."""
    try:
        return _POLICIES[name]()
    except KeyError:
        raise InputError(f"no policy is named {name!r}; choose one of: {', '.join(NAMES)}") from None


__all__ = ["NAMES", "Headroom", "Static", "StickyLeastLoaded", "make_policy"]
