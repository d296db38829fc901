"""Says where every engine's time went: the event log, and the attribution of idle time."""

from .attribution import Attribution
from .cause import Cause
from .event_log import EventLog, Header, Reader

__all__ = ["Attribution", "Cause", "EventLog", "Header", "Reader"]
