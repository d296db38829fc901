"""What can be tuned about a sandbox of many nodes. Knows nothing of how it is used."""

import msgspec


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Times in seconds.

    Attributes:
        cpus_per_node: how many processors Ray sets aside for each node; 0 leaves Ray's count alone.
        in_flight_per_node: how many calls may be on a node, the others wait here; by default four for each
            of its workers, so that none is idle while its next call is on the way.
        sessions_per_node: how many sessions a node holds, branches counted.
        node_wait_s: how long calls wait while there is no node at all.
        replay_cells: of how many cells at most a session is replayed when its node was lost.
        start_s: the longest that a node may take to start.
        probe_every_s: the time between two health probes of a node.
        probe_s: the longest that a node without other work may take to answer its health probe.
        pause_s: the pause before a failed node starts anew; it doubles with each failure in a row, up to 60.
        seed: of the draw of nodes.
    """

    cpus_per_node: float = 0.0
    in_flight_per_node: int | None = None
    sessions_per_node: int = 1024
    node_wait_s: float = 120.0
    replay_cells: int = 256
    start_s: float = 180.0
    probe_every_s: float = 60.0
    probe_s: float = 60.0
    pause_s: float = 0.5
    seed: int = 0
