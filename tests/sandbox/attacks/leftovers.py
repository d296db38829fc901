"""Attacks across calls: what one call leaves or says, another may not find."""

from .attack import FRESH, Attack, within

ATTACKS = (
    Attack(
        # The kernel names a socket that passes credentials by itself, and who has left its pair hears anyone.
        name="hears from a call beside it",
        code="""
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
ours.settimeout(2)
try:
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.send(b"name me")
    theirs.close()
    try:
        ours.send(b"leave")
    except ConnectionRefusedError:
        pass
    ours.recv(16)
    escaped()
except OSError:
    pass
""",
        beside="""
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
end = time.monotonic() + 2
while time.monotonic() < end:
    for name in re.findall(rb" @([0-9a-f]{5})$", read("/proc/net/unix"), re.MULTILINE):
        try:
            ours.sendto(b"hello", b"\\0" + name)
        except OSError:
            pass
    time.sleep(0.01)
""",
    ),
    Attack(
        name="leaves files",
        first="""
os.mkdir("folder", 0)
for path in ("left", ".hidden", "/dev/shm/left"):
    open(path, "w").write("x")
""",
        code="""
if os.listdir(".") or os.path.exists("/dev/shm/left") or os.listdir("/tmp"):
    escaped()
""",
    ),
    Attack(
        name="leaves a daemon",
        first="""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(50)
os._exit(0)
""",
        code="""
for pid in others():
    if b"time.sleep(50)" in read(f"/proc/{pid}/cmdline"):
        escaped()
""",
    ),
    Attack(
        name="leaves shared memory",
        first="attempt(call, 29, 194, 4711, 4096, 0o1600)",
        code="attempt(call, 29, 194, 4711, 4096, 0o600)",
    ),
    Attack(
        name="leaves a message queue",
        first="attempt(call, 68, 186, 4711, 0o1600)",
        code="attempt(call, 68, 186, 4711, 0o600)",
    ),
    Attack(
        name="leaves a key",
        first="attempt(call, 248, 217, b'user', b'headway-left', b'x', 1, -4)",
        code="attempt(call, 249, 218, b'user', b'headway-left', None, 0)",
    ),
    Attack(
        name="leaves a change of the interpreter",
        first="""
import builtins, math
math.pi = builtins.len = json.loads = 3
sys.path.insert(0, "/left")
sys.setrecursionlimit(77)
os.environ["LEFT"] = "x"
""",
        code="""
import math
if math.pi == 3 or "/left" in sys.path or "LEFT" in os.environ or sys.getrecursionlimit() == 77 or len == 3:
    escaped()
""",
        not_shown=FRESH,
    ),
    Attack(
        name="leaves a change of its process",
        first="""
os.mkdir("folder")
os.chdir("folder")
os.umask(0)
os.nice(5)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
signal.signal(signal.SIGUSR2, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
""",
        code="""
changed = [
    os.getcwd().endswith("folder"),
    os.umask(0o22) == 0,
    os.getpriority(os.PRIO_PROCESS, 0) == 5,
    signal.SIGUSR1 in signal.pthread_sigmask(signal.SIG_BLOCK, ()),
    signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN,
    resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 50,
]
if any(changed):
    escaped()
""",
        not_shown=FRESH,
    ),
    Attack(
        name="leaves input unread",
        first="pass",
        code="""
if sys.stdin.read():
    escaped()
""",
        not_shown=FRESH,
    ),
    Attack(
        # The process that serves has held both the code and the input of the earlier call.
        name="finds what an earlier call was given",
        first="secret = 'PLANT'\n" * 1000,
        code="search_memory('self')",
        not_shown=FRESH,
    ),
    Attack(
        name="finds what an earlier call printed",
        limits=within(output_bytes=64 << 10),
        first="print(('canary-' + hashlib.sha256(given['plant'].encode()).hexdigest()[:32]) * 1500)",
        code="search_memory('self')",
        not_shown=FRESH,
    ),
    Attack(
        name="leaves a change of the kernel's settings",
        first="""
for path in ("net/ipv4/ip_default_ttl", "kernel/shmmni", "fs/mqueue/msg_max", "kernel/hostname"):
    try:
        os.write(os.open("/proc/sys/" + path, os.O_WRONLY), b"97")
    except OSError:
        pass
""",
        code="""
for path in ("net/ipv4/ip_default_ttl", "kernel/shmmni", "fs/mqueue/msg_max", "kernel/hostname"):
    if read("/proc/sys/" + path).strip() == b"97":
        escaped()
""",
    ),
    Attack(
        name="leaves a listener",
        first="server = socket.create_server(('127.0.0.1', 4711))\nif os.fork() == 0:\n    time.sleep(50)",
        code="attempt(socket.create_connection, ('127.0.0.1', 4711), 1)",
    ),
    Attack(
        name="leaves a mount",
        first="libc.mount(b'headway-left', b'/dev/shm', b'tmpfs', 0, None)",
        code="""
if b"headway-left" in read("/proc/self/mountinfo"):
    escaped()
""",
    ),
    Attack(
        name="leaves a module where the next call imports from",
        first="""
for folder in {".", *sys.path, os.path.dirname(os.__file__)}:
    try:
        open(os.path.join(folder, "headway_left.py"), "w").close()
    except OSError:
        pass
""",
        code="""
sys.path.append(".")
try:
    import headway_left
    escaped()
except ImportError:
    pass
""",
    ),
)
