"""The failure of an engine, as a user may see it."""

from headway.errors import HeadwayError


class EngineError(HeadwayError):
    """An engine did not start, has died or refused a turn; the message names the engine and its log."""


class EngineDead(EngineError):
    """The engine itself is gone: every call to it fails from now on."""
