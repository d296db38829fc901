"""The failure of an engine, as a user may see it."""

from headway.errors import HeadwayError


class EngineError(HeadwayError):
    """An engine did not start, has died or refused a turn; the message names the engine and its log."""
