"""Attacks on the clocks: to run longer, or to burn more processor time, than the call may."""

from headway.sandbox import Status

from .attack import Attack, within

_WALL = {"limits": within(wall_s=0.5), "statuses": (Status.TIMEOUT,)}
_CPU = {"limits": within(cpu_s=0.5), "statuses": (Status.CPU_LIMIT,)}

ATTACKS = (
    Attack(name="sleeps", code="outlive()", **_WALL),
    Attack(
        name="spins",
        code="""
end = time.monotonic() + given["patience"]
while time.monotonic() < end:
    pass
escaped()
""",
        **_WALL,
    ),
    Attack(
        name="blocks every signal and clears its alarm",
        code="""
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
signal.alarm(0)
signal.setitimer(signal.ITIMER_REAL, 0)
outlive()
""",
        **_WALL,
    ),
    Attack(
        name="ignores every signal",
        code="""
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except OSError:
        pass
outlive()
""",
        **_WALL,
    ),
    Attack(
        name="goes on in a new session",
        code="""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        outlive()
    os._exit(0)
os.wait()
outlive()
""",
        **_WALL,
    ),
    Attack(
        name="goes on as a daemon after its call",
        code="""
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        outlive()
os._exit(0)
""",
        statuses=(Status.OK,),
    ),
    Attack(
        name="goes on as another program",
        code="""
code = "import time; time.sleep(float('%s')); print('%s', flush=True)" % (given["patience"], given["marker"])
os.execv(sys.executable, [sys.executable, "-c", code])
""",
        **_WALL,
    ),
    Attack(
        name="goes on in a thread after its main thread has exited",
        code="""
threading.Thread(target=outlive).start()
call(60, 93, 0)
""",
        **_WALL,
    ),
    Attack(
        name="goes on after closing its streams",
        code="""
kept = os.dup(1)
os.closerange(0, 3)
time.sleep(given["patience"])
os.write(kept, given["marker"].encode())
""",
        **_WALL,
    ),
    Attack(
        # Whoever reads stdout because a poll said so may then wait for ever, and reads stderr no more.
        name="takes its output back while it is being read",
        code="""
import fcntl
out, err = (os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK) for fd in (1, 2))

def is_read(fd, seconds):
    end = time.monotonic() + seconds
    while fcntl.ioctl(fd, 0x541B, bytes(4)) != bytes(4):
        if time.monotonic() > end:
            return False
    return True

end, wait = time.monotonic() + min(1.5, given["patience"]), 0.0
while time.monotonic() < end:
    os.write(1, b"x")
    steal = time.perf_counter() + wait
    while time.perf_counter() < steal:
        pass
    try:
        os.read(out, 100)
    except BlockingIOError:
        wait = 0.9 * wait
        continue
    wait += 1e-6
    os.write(2, b"x")
    if not is_read(err, 0.05):
        break
outlive()
""",
        limits=within(wall_s=2.0),
        statuses=(Status.TIMEOUT,),
    ),
    Attack(
        name="lifts its processor time limit",
        code="lift(resource.RLIMIT_CPU, 120)",
    ),
    Attack(
        name="burns on after SIGXCPU",
        code="""
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while time.process_time() < given["cpu_patience"]:
    pass
escaped()
""",
        **_CPU,
    ),
    Attack(
        name="burns in parallel children",
        code="""
for _ in range(2):
    if os.fork() == 0:
        while time.process_time() < given["cpu_patience"]:
            pass
        escaped()
        os._exit(0)
time.sleep(50)
""",
        **_CPU,
    ),
    Attack(
        name="burns in children whose times nobody collects",
        code="""
try:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
except OSError:
    pass
burnt = 0.0
while burnt < given["cpu_patience"]:
    if os.fork() == 0:
        while time.process_time() < 0.25:
            pass
        os._exit(0)
    try:
        os.wait()
    except ChildProcessError:
        burnt += 0.25
escaped()
""",
        **_CPU,
    ),
    Attack(
        name="burns while hopping from process to process",
        code="""
try:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
except OSError:
    pass
ended, alive = os.pipe()
if os.fork():
    os.close(alive)
    os.read(ended, 1)
    os._exit(0)
burnt = 0.0
while burnt < given["cpu_patience"]:
    began = time.process_time()
    while time.process_time() < began + 0.02:
        pass
    burnt += 0.02
    if os.fork():
        os._exit(0)
escaped()
os._exit(0)
""",
        limits=_CPU["limits"],
    ),
)
