"""Finds the system calls that a program makes and the sandbox's filter refuses, by letting it make them.

For maintainers who decide what the allow list should have: the program runs WITHOUT isolation, under a filter
whose refusals the kernel asks this process about; each is counted and then allowed. Knows nothing of slots.

Source of the interface: seccomp_unotify(2).
"""

import ctypes
import fcntl
import os
import platform
import re
import select
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from .errors import SandboxError
from .jail import seccomp, syscalls

_ASK = 0x7FC00000  # SECCOMP_RET_USER_NOTIF
_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_QUESTION = struct.Struct("=QIIiIQ6Q")
_ANSWER = struct.Struct("=QqiI")
_CONTINUE = 1
_LOOK_EVERY_MS = 100
_DEFINITION = re.compile(r"#define __NR_(\w+) (\d+)")

# Runs in the child before the program: installs the filter and passes its listener on.
_CHILD = """
import os, runpy, socket, sys
from headway.sandbox.learn import install
line = socket.socket(fileno=int(sys.argv[1]))
listener = install()
socket.send_fds(line, [b"L"], [listener])
os.close(listener)
line.close()
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Refused(msgspec.Struct, frozen=True):
    """A system call that the filter would have refused, and how often it was made."""

    number: int
    name: str
    times: int


def install() -> int:
    """Install the asking filter in this process, for good; return the descriptor of its questions."""
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
    program = seccomp.compile_filter(refusal=_ASK)
    prog = ctypes.byref(syscalls.SockFprog(len(program) // 8, program))
    number = syscalls.machine_number(_SECCOMP)
    return syscalls.numbered(number, "seccomp", _SET_MODE_FILTER, _NEW_LISTENER, prog)


def learn(file: Path, arguments: Sequence[str] = ()) -> tuple[int, list[Refused]]:
    """Run a Python file unconfined; return its exit status and the calls that the filter would refuse.

    Raises:
        SandboxError: the program did not start, or this kernel cannot ask.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(theirs.fileno()), str(file), *arguments],
            pass_fds=(theirs.fileno(),),
        )
        theirs.close()
        _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    if not fds:
        raise SandboxError(f"{file}: could not be started under the asking filter (status {child.wait()})")
    counts: Counter[int] = Counter()
    poll = select.poll()
    poll.register(fds[0], select.POLLIN)
    while True:
        events = poll.poll(_LOOK_EVERY_MS)
        if events and events[0][1] & select.POLLIN:
            _answer(fds[0], counts)
        elif child.poll() is not None:
            break
    os.close(fds[0])
    names = _names()
    refused = [Refused(number, names.get(number, "?"), times) for number, times in counts.most_common()]
    return child.returncode, refused


def _answer(listener: int, counts: Counter[int]) -> None:
    question = bytearray(_QUESTION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, question)
        identifier, _, _, number, *_ = _QUESTION.unpack(question)
        counts[number] += 1
        fcntl.ioctl(listener, _SEND, _ANSWER.pack(identifier, 0, 0, _CONTINUE))
    except FileNotFoundError:  # the asker was killed meanwhile
        return


def _names() -> dict[int, str]:
    """The names in this machine's C headers, where they are installed, and those of the allow list."""
    kind = "unistd_64.h" if platform.machine() == "x86_64" else "unistd.h"
    found: dict[int, str] = {}
    for header in Path("/usr/include").glob(f"**/asm*/{kind}"):
        for name, number in _DEFINITION.findall(header.read_text(encoding="utf-8", errors="replace")):
            found.setdefault(int(number), name)
    return found
