"""The line between a slot and a session's states: short words, each with the kernel's word on who said it.

Knows nothing of what the words mean.
"""

import socket
import struct

_UCRED = struct.Struct("=iII")
_LONGEST_WORD = 4096


def make_line() -> tuple[socket.socket, socket.socket]:
    """Return the hearing end, which learns each speaker's process id, and the other."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def hear(line: socket.socket) -> tuple[bytes, int]:
    """Receive one word and its speaker's process id in this pid namespace: 0 once nobody is there.

    The kernel names the speaker also of an empty word; a socket that does not ask for names gives 0.
    """
    try:
        word, notes, _, _ = line.recvmsg(_LONGEST_WORD, socket.CMSG_SPACE(_UCRED.size))
    except ConnectionResetError:
        return b"", 0
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            return word, _UCRED.unpack(data[: _UCRED.size])[0]
    return word, 0


def forget_unheard(line: socket.socket) -> None:
    """Drop the words that nobody waited for."""
    line.setblocking(False)
    try:
        while hear(line)[1]:
            pass
    except BlockingIOError:
        pass
    finally:
        line.setblocking(True)
