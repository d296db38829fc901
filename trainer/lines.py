"""A connection from rank 0 to each other rank, over which one hears at once that the other has ended.

The collectives of torch cannot be waited in for as long as a rollout takes: they have a time limit, and hear
late, or never, of a process that was killed. Invariant: a machine that is lost is noticed within minutes.
Knows nothing of what is said.
"""

import os
import secrets
import socket
from contextlib import suppress
from multiprocessing.connection import Connection

from headway.errors import HeadwayError

from .ranks import LIMIT, Ranks

_KEY_BYTES = 32
_RANK_BYTES = 4
_GREETING_S = 10.0


def connect(ranks: Ranks) -> list[Connection]:
    """Return the connections to the other ranks, in order, on rank 0, and the one to it on the others."""
    host = os.environ.get("MASTER_ADDR", "localhost")  # which is rank 0's, by torchrun's convention
    server = _listen(host) if ranks.rank == 0 else None
    port, key = ranks.gather(
        (server.getsockname()[1], secrets.token_bytes(_KEY_BYTES)) if server else (0, b"")
    )[0]
    try:
        if server is None:
            end = socket.create_connection((host, port), timeout=LIMIT.total_seconds())
            end.sendall(key + ranks.rank.to_bytes(_RANK_BYTES))
            return [_line(end)]
        with server:
            lines = dict(_accept(server, key) for _ in range(ranks.size - 1))
        return [lines[rank] for rank in sorted(lines)]
    except OSError as error:
        raise HeadwayError(f"rank {ranks.rank} cannot connect at {host}:{port}: {error}") from error


def _listen(host: str) -> socket.socket:
    """On this machine alone where all ranks are on it."""
    if host in ("localhost", "127.0.0.1"):
        server = socket.create_server(("127.0.0.1", 0))
    else:
        dual = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if dual else socket.AF_INET
        server = socket.create_server(("", 0), family=family, dualstack_ipv6=dual)
    server.settimeout(LIMIT.total_seconds())
    return server


def _accept(server: socket.socket, key: bytes) -> tuple[int, Connection]:
    """The rank that is the next to call, and the connection to it; who does not know the key is sent off."""
    while True:
        end = server.accept()[0]
        with suppress(OSError):
            end.settimeout(_GREETING_S)
            greeting = end.recv(len(key) + _RANK_BYTES, socket.MSG_WAITALL)
            if secrets.compare_digest(greeting[: len(key)], key):
                return int.from_bytes(greeting[len(key) :]), _line(end)
        end.close()


def _line(end: socket.socket) -> Connection:
    end.settimeout(None)
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 6)):
        end.setsockopt(socket.IPPROTO_TCP, option, value)
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 90_000)
    return Connection(end.detach())
