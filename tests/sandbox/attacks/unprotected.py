"""Runs every attack that can be shown as a plain subprocess, and prints as JSON which of them succeed.

Invariant: nothing outside is harmed. Each attack gets a throw-away machine: its user is an ordinary one, who
is root only over new namespaces of its own (processes, mounts, network, host name, shared memory), which
vanish with the process that made them, and all its files are on one tmpfs. Nothing else is held back: no
filter, no limit, no closed descriptor, every capability over its own namespaces.
"""

import fcntl
import json
import multiprocessing
import os
import platform
import secrets
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from headway.sandbox.jail import syscalls

from . import ATTACKS
from .attack import Attack
from .target import Target, as_input, new_canary

_DEADLINE_S = 30.0
_AT_ONCE = 6  # each machine sleeps more than it works
_METADATA = "169.254.169.254"
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
)
_SIOCSIFFLAGS, _SIOCSIFADDR, _IFF_UP = 0x8914, 0x8916, 1


def main() -> None:
    """Print one line."""
    live = [
        attack for attack in ATTACKS if attack.live_unprotected and attack.machine in ("", platform.machine())
    ]
    with multiprocessing.Pool(_AT_ONCE) as pool:
        succeeded = pool.map(_succeeds, live, chunksize=1)
    print(json.dumps([attack.name for attack, shown in zip(live, succeeded, strict=True) if shown]))


def _succeeds(attack: Attack) -> bool:
    marker = secrets.token_hex(16)
    stdout, to_stdout = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(stdout)
        _become_machine(attack, marker, to_stdout)
    os.close(to_stdout)
    try:
        return _reads(stdout, marker.encode())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(stdout)


def _reads(stdout: int, marker: bytes) -> bool:
    seen, deadline = b"", time.monotonic() + _DEADLINE_S
    while marker not in seen:
        ready, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
        chunk = os.read(stdout, 1 << 16) if ready else b""
        if not chunk:
            return False
        seen = seen[-len(marker) :] + chunk
    return True


def _become_machine(attack: Attack, marker: str, stdout: int) -> NoReturn:
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(_NAMESPACES)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        Path(f"/proc/self/{name}").write_text(text)
    init = os.fork()
    if init:
        os.close(stdout)
        os.waitpid(init, 0)
        os._exit(0)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    try:
        _furnish()
        if os.fork() == 0:
            _serve(attack, marker, stdout)
        os.close(stdout)
        while os.wait():
            pass
    finally:
        os._exit(0)


def _furnish() -> None:
    """Give the new machine a /proc, empty temporary folders, a loopback device and a cloud's own address."""
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    for folder in ("/tmp", "/dev/shm"):
        syscalls.mount("tmpfs", folder, "tmpfs", data="size=256m")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))
        address = struct.pack("16sHH4s16x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(_METADATA))
        fcntl.ioctl(control, _SIOCSIFADDR, address)


def _serve(attack: Attack, marker: str, stdout: int) -> NoReturn:
    """Be a service that starts the attack as its child, with all that it has itself."""
    try:
        home, work = Path("/tmp/home"), Path("/tmp/work")
        home.mkdir()
        work.mkdir()
        plant = new_canary()
        with Target(home) as target, socket.create_server((_METADATA, 80)):
            given = target.given(marker, plant, patience=0.3, cpu_patience=0.5)
            if attack.first:
                _run(attack.program(attack.first), given | {"plant": plant}, subprocess.DEVNULL, target)
            if attack.beside and os.fork() == 0:
                _run(attack.program(attack.beside), given, subprocess.DEVNULL, target)
            else:
                _run(attack.program(attack.code), given, stdout, target)
    finally:
        os._exit(0)


def _run(code: str, given: dict[str, object], stdout: int, target: Target) -> None:
    leaked, kept = socket.socketpair()
    with (
        leaked,
        kept,
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            cwd="/tmp/work",
            pass_fds=(target.folder, leaked.fileno()),
            start_new_session=True,
        ) as plain,
    ):
        plain.communicate(as_input(given))


if __name__ == "__main__":
    main()
