"""A service as its attackers see it: secrets in its environment, memory and files, a child, and sockets.

Everything that an attack aims at is given to it as one line of JSON; of the secrets only their digests are,
so that an attack knows what it has found without holding it. Knows nothing of the sandbox.
"""

import hashlib
import json
import os
import secrets
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

VARIABLE = "HEADWAY_TEST_CANARY"
_KEYS = (".ssh/id_ed25519", ".aws/credentials", ".netrc")


class Target:
    """Enter it before whatever is attacked starts, so that there is something to leak."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._resources = ExitStack()
        self._canary = new_canary()

    def __enter__(self) -> Self:
        os.environ[VARIABLE] = self._canary
        self._resources.callback(os.environ.pop, VARIABLE)
        (self._home / "spare").mkdir()
        for name in ("secret", *_KEYS):
            path = self._home / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(self._canary)
            path.chmod(0o600)
        self._resources.enter_context(subprocess.Popen(["cat"], stdin=subprocess.PIPE))
        self.folder = os.open(self._home, os.O_RDONLY)
        os.set_inheritable(self.folder, True)
        self._resources.callback(os.close, self.folder)
        self._tcp, self._tcp6, self._udp = self._bind_internet()
        for kind, name in ((socket.SOCK_STREAM, "stream"), (socket.SOCK_DGRAM, "datagram")):
            for address in (str(self._home / name), f"\0{self._home / name}"):
                self._bind(socket.AF_UNIX, kind, address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def given(self, marker: str, plant: str, *, patience: float, cpu_patience: float) -> dict[str, object]:
        """Return what an attack is told: digests of secrets, one of them of what a plant is printed as."""
        printed = f"canary-{hashlib.sha256(plant.encode()).hexdigest()[:32]}"
        return {
            "marker": marker,
            "secrets": [
                hashlib.sha256(secret.encode()).hexdigest() for secret in (self._canary, plant, printed)
            ],
            "patience": patience,
            "cpu_patience": cpu_patience,
            "pid": os.getpid(),
            "home": str(self._home),
            "stream": str(self._home / "stream"),
            "datagram": str(self._home / "datagram"),
            "tcp": self._tcp,
            "tcp6": self._tcp6,
            "udp": self._udp,
        }

    def _bind_internet(self) -> tuple[int, int, int]:
        tcp = self._bind(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        tcp6 = self._bind(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 0)) if has_ipv6() else tcp
        udp = self._bind(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        return tcp.getsockname()[1], tcp6.getsockname()[1], udp.getsockname()[1]

    def _bind(self, family: int, kind: int, address: str | tuple[str, int]) -> socket.socket:
        bound = self._resources.enter_context(socket.socket(family, kind))
        bound.bind(address)
        if kind == socket.SOCK_STREAM:
            bound.listen(1000)
        return bound


def new_canary() -> str:
    """Return a secret that an attack knows when it sees it."""
    return f"canary-{secrets.token_hex(16)}"


def has_ipv6() -> bool:
    """Whether this kernel speaks IPv6 at all."""
    return Path("/proc/net/if_inet6").exists()


def as_input(given: dict[str, object]) -> bytes:
    """Return the standard input of an attack."""
    return json.dumps(given).encode() + b"\n"
