"""Attacks on other processes: signals, tracing, and changing how they are scheduled."""

from .attack import ROOT_ONLY, Attack

ATTACKS = (
    Attack(
        name="kills its parent",
        code="""
for pid in others():
    attempt(os.kill, pid, signal.SIGKILL)
""",
    ),
    Attack(
        name="stops its parent",
        code="""
for pid in others():
    attempt(os.kill, pid, signal.SIGSTOP)
""",
    ),
    Attack(
        name="kills everything",
        code="""
def seen():
    return {p for p in os.listdir("/proc") if p.isdigit()}

before = seen()
for pid in (0, -1):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        os.kill(pid, signal.SIGTERM)
        os.kill(-1, signal.SIGKILL)
    except OSError:
        pass
time.sleep(0.1)
if before - seen():
    escaped()
""",
    ),
    Attack(
        name="kills itself and all beside it",
        code="os.kill(0, 9)\nos.kill(-1, 9)",
        not_shown="its end is all there is to see: the sandbox answers the next call or not",
    ),
    Attack(
        name="kills other sessions and groups",
        code="""
for pid in others():
    attempt(os.killpg, pid, 0)
    attempt(os.getsid, pid)
""",
    ),
    Attack(
        name="opens a descriptor of another process",
        code="""
for pid in others():
    attempt(os.pidfd_open, pid)
""",
    ),
    Attack(
        name="signals another process by descriptor",
        code="""
for pid in others():
    attempt(lambda: signal.pidfd_send_signal(os.pidfd_open(pid), 0))
""",
    ),
    Attack(
        name="queues a signal to another process",
        code="""
info = (ctypes.c_int * 32)(0, 0, -1)
for pid in others():
    attempt(call, 129, 138, pid, 0, info)
""",
    ),
    Attack(
        name="has the kernel signal another process",
        code="""
import fcntl
ours, theirs = socket.socketpair()
for pid in others():
    attempt(fcntl.fcntl, ours, fcntl.F_SETOWN, pid)
""",
    ),
    Attack(
        name="slows other processes down",
        code="""
for pid in others():
    attempt(os.setpriority, os.PRIO_PROCESS, pid, 19)
    attempt(os.setpriority, os.PRIO_PGRP, pid, 19)
""",
    ),
    Attack(
        name="reads other processes' priorities",
        code="""
for pid in others():
    attempt(os.getpriority, os.PRIO_PROCESS, pid)
    attempt(os.sched_getaffinity, pid)
""",
    ),
    Attack(
        name="moves processes to other processors",
        code="""
for pid in [0, *others()]:
    attempt(lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid)))
""",
    ),
    Attack(
        name="takes a real-time priority",
        code="attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="raises its priority",
        code="attempt(os.setpriority, os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) - 1)",
        not_shown=ROOT_ONLY,
    ),
    Attack(name="changes its input and output priority", code="attempt(call, 251, 30, 1, 0, 0x6007)"),
    Attack(
        name="limits another process",
        code="""
for pid in others():
    attempt(resource.prlimit, pid, resource.RLIMIT_CORE)
""",
    ),
    Attack(
        name="asks to be traced",
        code="""
if libc.ptrace(0, 0, 0, 0) == 0:
    escaped()
""",
    ),
    Attack(
        name="traces its parent",
        code="""
for pid in others():
    if libc.ptrace(0x4206, pid, 0, 0) == 0:
        escaped()
""",
    ),
    Attack(
        name="traces its child",
        code="""
pid = os.fork()
if pid == 0:
    time.sleep(50)
    os._exit(0)
if libc.ptrace(0x4206, pid, 0, 0) == 0:
    escaped()
os.kill(pid, signal.SIGKILL)
""",
    ),
    Attack(
        name="reads and writes another process's memory by call",
        code="""
buffer = ctypes.create_string_buffer(8)
local = struct.pack("QQ", ctypes.addressof(buffer), 8)
for pid in [os.getpid(), *others()]:
    line = read(f"/proc/{pid}/maps").split(b"-")[0]
    remote = struct.pack("QQ", int(line or b"0", 16), 8)
    attempt(call, 310, 270, pid, local, 1, remote, 1, 0)
""",
    ),
    Attack(
        name="takes a descriptor out of another process",
        code="""
for pid in [os.getpid(), *others()]:
    attempt(lambda: call(438, 438, os.pidfd_open(pid), 0, 0))
""",
    ),
    Attack(
        name="compares itself with another process",
        code="""
for pid in [os.getpid(), *others()]:
    attempt(call, 312, 272, pid, pid, 1, 0, 0)
""",
    ),
    Attack(
        name="advises another process's memory away",
        code="attempt(lambda: call(440, 440, os.pidfd_open(os.getpid()), struct.pack('QQ', 0, 0), 0, 21, 0))",
    ),
)
