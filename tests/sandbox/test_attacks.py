"""Each attack prints ``escaped`` where it succeeds and ``held`` where it does not."""

import errno
import os
import platform
import socket
from collections.abc import Iterator

import psutil
import pytest

from headway.sandbox import Status

pytestmark = pytest.mark.asyncio(loop_scope="session")

READS_SHADOW = """
try:
    open("/etc/shadow").read(); print("escaped")
except OSError:
    print("held")
"""

READS_OTHERS_ENVIRONMENT = """
import glob
def read(path):
    try:
        return open(path, "rb").read()
    except OSError:
        return b""
print("escaped" if any(b"PATH=" in read(path) for path in glob.glob("/proc/[0-9]*/environ")) else "held")
"""

SEES_OTHER_PROCESSES = """
import os
print("escaped" if [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()] else "held")
"""

SEES_ITS_PARENT = """
import os
print("escaped" if os.getppid() else "held")
"""

SEES_USERS_FILES = """
import os
print("escaped" if any(os.path.exists(p) and os.listdir(p) for p in ("/home", "/var", "/sys")) else "held")
"""

TRACES = """
import ctypes
print("escaped" if ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0 else "held")
"""

WRITES_OUTSIDE = """
import os, sys
folders = ["/", "/etc", "/usr/lib", "/dev", sys.prefix, sys.prefix + "/lib", os.path.dirname(os.__file__)]
escaped = False
for folder in folders:
    path = os.path.join(folder, "headway-attack")
    try:
        open(path, "w").close(); os.unlink(path); escaped = True
    except OSError:
        pass
for path in ("/proc/sys/kernel/core_pattern", os.__file__, sys.executable):
    try:
        os.close(os.open(path, os.O_WRONLY)); escaped = True
    except OSError:
        pass
print("escaped" if escaped else "held")
"""

FORKS_WITHOUT_END = """
import os, signal, time
children = []
try:
    while len(children) < 100:
        pid = os.fork()
        if not pid:
            time.sleep(1000)
        children.append(pid)
    print("escaped")
except OSError:
    print("held")
for pid in children:
    os.kill(pid, signal.SIGKILL)
"""

MAKES_NAMESPACES = """
import ctypes, os
clone = {"x86_64": 56, "aarch64": 220}[os.uname().machine]
pid = ctypes.CDLL(None).syscall(clone, 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0:
    os._exit(0)
print("escaped" if pid > 0 else "held")
"""

FILLS_THE_DISK = """
try:
    with open("big", "wb") as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))
    print("escaped")
except OSError:
    print("held")
"""

FILLS_THE_DISK_WITH_MANY_FILES = """
try:
    for n in range(64):
        with open(f"big{n}", "wb") as file:
            file.write(b"x" * (1 << 20))
    print("escaped")
except OSError:
    print("held")
"""

HOLDS_MEMORY_WITHOUT_OWNER = """
import os
try:
    os.write(os.memfd_create("hog"), b"x" * (1 << 20)); print("escaped")
except OSError:
    print("held")
"""

BECOMES_ROOT = """
import os
try:
    os.setuid(0); print("escaped")
except OSError:
    print("held")
"""

LIFTS_ITS_LIMITS = """
import resource
escaped = False
for kind in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU):
    try:
        resource.setrlimit(kind, (1 << 40, 1 << 40)); escaped = True
    except (OSError, ValueError):
        pass
print("escaped" if escaped else "held")
"""

HIDES_ITS_MEMORY = """
import ctypes
print("escaped" if ctypes.CDLL(None).prctl(4, 0, 0, 0, 0) == 0 else "held")
"""

INHERITS_DESCRIPTORS = """
import os
print("escaped" if [fd for fd in os.listdir("/proc/self/fd") if int(fd) > 3] else "held")
"""

ATTACKS = {name: code for name, code in globals().items() if isinstance(code, str) and name.isupper()}

FORBIDDEN_CALLS = {
    "bpf": (321, 280),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "unshare": (272, 97),
    "setns": (308, 268),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "clone3": (435, 435),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "open_by_handle_at": (304, 265),
    "chroot": (161, 51),
    "personality": (135, 92),
    "seccomp": (317, 277),
}


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("name", ATTACKS)
async def test_attack_is_held(run, name):
    assert (await run(ATTACKS[name])).stdout == "held\n"


@pytest.mark.parametrize("name", FORBIDDEN_CALLS)
async def test_system_call_is_refused(run, name):
    number = FORBIDDEN_CALLS[name][platform.machine() == "aarch64"]
    code = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    code += f"print(libc.syscall({number}, -1, -1, -1, -1, -1, -1), ctypes.get_errno())"
    returned, code = map(int, (await run(code)).stdout.split())
    assert returned == -1
    assert code in (errno.EPERM, errno.ENOSYS)


async def test_network_is_out_of_reach(run, listener):
    code = f"import socket\nsocket.create_connection(('127.0.0.1', {listener}), 5)\nprint('escaped')"
    result = await run(code)
    assert (result.status, result.stdout) == (Status.ERROR, "")


async def test_result_cannot_be_forged_through_a_descriptor(run):
    code = """
import os
for fd in range(3, 1024):
    try:
        os.write(fd, bytes(4096))
    except OSError:
        pass
print('{"status": "ok"}')
os._exit(9)
"""
    result = await run(code)
    assert (result.status, result.exit_code, result.attempt) == (Status.ERROR, 9, 1)


async def test_snippet_cannot_pass_for_a_fault_of_the_sandbox(run):
    code = """
import os
for line in open("/proc/self/maps"):
    span, modes, *_ = line.split()
    if modes == "rw-s":
        start, end = (int(x, 16) for x in span.split("-"))
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(bytes(end - start))
os._exit(5)
"""
    result = await run(code)
    assert (result.status, result.exit_code, result.attempt) == (Status.ERROR, 5, 1)


async def test_killing_everything_kills_only_oneself(run, sandbox):
    before = below(sandbox)
    result = await run("import os, signal\nos.kill(0, 9)\nos.kill(-1, 9)\nprint('alive')")
    assert result.attempt == 1
    assert (await run("print(1)")).attempt == 1
    assert below(sandbox) == before


async def test_children_together_cannot_exceed_the_memory_limit(run):
    code = """
import os, time
for _ in range(8):
    if not os.fork():
        hog = b"x" * (60 << 20)
        time.sleep(1000)
time.sleep(1000)
"""
    result = await run(code, memory_bytes=128 << 20)
    assert (result.status, result.signal) == (Status.MEMORY_LIMIT, 9)
    assert result.peak_memory_bytes > 128 << 20


async def test_shared_memory_cannot_exceed_the_memory_limit(run):
    code = """
import mmap, time
hog = mmap.mmap(-1, 400 << 20)
for n in range(0, 400 << 20, 4096):
    hog[n] = 1
time.sleep(1000)
"""
    assert (await run(code, memory_bytes=128 << 20)).status is Status.MEMORY_LIMIT


async def test_fork_bomb_ends_with_its_call(run, sandbox):
    before = below(sandbox)
    result = await run("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", wall_s=1.5)
    assert result.status in (Status.TIMEOUT, Status.CPU_LIMIT)
    assert below(sandbox) == before
    assert (await run("print(1)")).stdout == "1\n"


async def test_daemon_is_gone_after_the_call(run, sandbox):
    before = below(sandbox)
    code = """
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(1000)
    os._exit(0)
print("left")
"""
    assert (await run(code)).stdout == "left\n"
    assert below(sandbox) == before


async def test_files_are_gone_after_the_call(run):
    assert (await run("open('left', 'w').write('x'); open('/dev/shm/more', 'w')")).status is Status.OK
    assert (await run("import os; print(os.listdir('.'), os.listdir('/dev/shm'))")).stdout == "[] []\n"


def below(sandbox) -> set[int]:
    """The sandbox's own processes: those that run snippets are their children, and gone between calls."""
    found = {
        process.pid for pid in sandbox.process_ids for process in psutil.Process(pid).children(recursive=True)
    }
    assert os.getpid() not in found
    return found
