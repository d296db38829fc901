"""A trace in Perfetto's TrackEvent format, written as it comes.

Times are ns since the start. Slices of a track either nest or follow each other, and are written in the order
in which they begin; a slice is written once it has ended. Knows nothing of what the tracks show.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO

from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import (
    Trace,
    TracePacket,
    TrackDescriptor,
    TrackEvent,
)

Argument = str | int | float
_BLOCK = 2_000  # packets that are written at once
_SEQUENCE = 1


class TraceFile:
    """Writes tracks and what is on them; a context manager, whose end writes the rest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._trace = Trace()
        self._tracks = 0
        self._packet().sequence_flags = TracePacket.SEQ_INCREMENTAL_STATE_CLEARED

    def __enter__(self) -> "TraceFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._write()

    def group(self, name: str) -> int:
        """Begin a group of tracks, which are shown in the order in which they begin; return its number."""
        descriptor = self._describe(name)
        descriptor.child_ordering = TrackDescriptor.EXPLICIT
        return self._tracks

    def track(self, name: str, group: int) -> int:
        """Begin a track of slices and instants; return its number."""
        descriptor = self._describe(name)
        descriptor.parent_uuid = group
        return self._tracks

    def counter(self, name: str, group: int, *, unit: str = "") -> int:
        """Begin a track of a number; return its number."""
        descriptor = self._describe(name)
        descriptor.parent_uuid = group
        descriptor.counter.unit_name = unit
        return self._tracks

    def slice(
        self,
        track: int,
        name: str,
        start: int,
        end: int,
        *,
        arguments: Mapping[str, Argument] | None = None,
        flows: Sequence[int] = (),
        ending_flows: Sequence[int] = (),
    ) -> None:
        """Write what went on from ``start`` to ``end``, nested into the slice before if that ends later."""
        event = self._event(TrackEvent.TYPE_SLICE_BEGIN, track, start)
        event.name = name
        event.flow_ids.extend(flows)
        event.terminating_flow_ids.extend(ending_flows)
        _annotate(event, arguments or {})
        self._event(TrackEvent.TYPE_SLICE_END, track, end)

    def instant(
        self, track: int, name: str, t: int, *, arguments: Mapping[str, Argument] | None = None
    ) -> None:
        """Write what happened at a moment."""
        event = self._event(TrackEvent.TYPE_INSTANT, track, t)
        event.name = name
        _annotate(event, arguments or {})

    def count(self, track: int, t: int, value: float) -> None:
        """From ``t`` on, a counter has this value."""
        self._event(TrackEvent.TYPE_COUNTER, track, t).double_counter_value = value

    def _describe(self, name: str) -> TrackDescriptor:
        self._tracks += 1
        descriptor = self._packet().track_descriptor
        descriptor.uuid = self._tracks
        descriptor.name = name
        descriptor.sibling_order_rank = self._tracks
        return descriptor

    def _event(self, type: TrackEvent.Type, track: int, t: int) -> TrackEvent:
        packet = self._packet()
        packet.timestamp = t
        event = packet.track_event
        event.type = type
        event.track_uuid = track
        return event

    def _packet(self) -> TracePacket:
        if len(self._trace.packet) >= _BLOCK:
            self._write()
        packet = self._trace.packet.add()
        packet.trusted_packet_sequence_id = _SEQUENCE
        return packet

    def _write(self) -> None:
        self._file.write(self._trace.SerializeToString())
        self._trace.Clear()


def _annotate(event: TrackEvent, arguments: Mapping[str, Argument]) -> None:
    for name, value in arguments.items():
        annotation = event.debug_annotations.add()
        annotation.name = name
        if isinstance(value, str):
            annotation.string_value = value
        elif isinstance(value, int):
            annotation.int_value = value
        else:
            annotation.double_value = value
