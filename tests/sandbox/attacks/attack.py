"""One hostile program that checks itself: it prints a marker if, and only if, what it tries has succeeded.

Invariant: no attack can do lasting harm even where nothing holds it: each is bounded in memory, processes,
disk and time, or says in ``not_shown`` why it must not run outside a sandbox. Knows nothing of how it is run.
"""

import msgspec

from headway.sandbox import Limits, Status

ROOT_ONLY = "only the root of the whole machine may do it, sandbox or not"
FRESH = "every plain subprocess is a new interpreter"
NO_CHANNEL = "a plain subprocess has no result that could be forged"


def within(**limits: float) -> Limits:
    """Return generous limits, but for those that the attack is about."""
    return Limits(**({"wall_s": 60.0, "cpu_s": 60.0} | limits))


class Attack(msgspec.Struct, frozen=True, kw_only=True):
    """``code`` sees ``PRELUDE``; ``first`` runs in a call of its own before it, with ``PLANT`` filled in, and
    ``beside`` in a call at the same time.

    ``statuses`` and ``exit_code`` are the only truthful ends, where the attack is about those. ``machine`` is
    the only kind of processor on which it means anything.
    """

    name: str
    code: str
    first: str = ""
    beside: str = ""
    limits: Limits = within()
    statuses: tuple[Status, ...] = ()
    exit_code: int | None = None
    machine: str = ""
    not_shown: str = ""

    @property
    def live_unprotected(self) -> bool:
        """Whether it must succeed in a plain subprocess."""
        return not self.not_shown

    def program(self, code: str) -> str:
        """Return what a call runs."""
        return PRELUDE + code


PRELUDE = r"""
import ctypes, errno, glob, hashlib, json, mmap, os, re
import resource, signal, socket, struct, sys, threading, time

given = json.loads(sys.stdin.readline())
libc = ctypes.CDLL(None, use_errno=True)


def escaped():
    os.write(1, given["marker"].encode())


def attempt(act, *arguments):
    # Succeeds if the act does, whatever it returns.
    try:
        act(*arguments)
    except (OSError, ValueError, OverflowError):
        return
    escaped()


def call(x86_64, aarch64, *arguments):
    number = {"x86_64": x86_64, "aarch64": aarch64}[os.uname().machine]
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def reach(x86_64, aarch64, *arguments):
    # Succeeds if the kernel looked at the arguments at all.
    try:
        call(x86_64, aarch64, *arguments)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            return
    escaped()


def map_private(size, protection, flags):
    libc.mmap.restype = ctypes.c_void_p
    words = map(ctypes.c_long, (0, size, protection, flags, -1, 0))
    return libc.mmap(*words)


def outlive():
    time.sleep(given["patience"])
    escaped()


def lift(kind, bound):
    for wish in (resource.RLIM_INFINITY, resource.getrlimit(kind)[1], 1 << 40, 2 * bound):
        try:
            resource.setrlimit(kind, (wish, wish))
            break
        except (OSError, ValueError):
            pass
    soft = resource.getrlimit(kind)[0]
    if soft == resource.RLIM_INFINITY or soft > bound:
        escaped()


def read(path, size=-1):
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(size) or b""
    except OSError:
        return b""


def search(data):
    for found in re.findall(rb"canary-[0-9a-f]{32}", data):
        if hashlib.sha256(found).hexdigest() in given["secrets"]:
            escaped()


def search_memory(process):
    for line in read(f"/proc/{process}/maps").splitlines():
        start, end = (int(x, 16) for x in line.split()[0].split(b"-"))
        if b" r" in line and end - start < 1 << 28:
            try:
                with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
                    memory.seek(start)
                    search(memory.read(end - start) or b"")
            except (OSError, OverflowError):
                pass


def others():
    pids = {int(p) for p in os.listdir("/proc") if p.isdigit()} | {os.getppid(), given["pid"]}
    return sorted(pids - {0, os.getpid()})
"""
