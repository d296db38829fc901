"""Attacks by number: more processes or threads than the call may have."""

from headway.sandbox import Status

from .attack import Attack, within

ATTACKS = (
    Attack(
        name="forks a hundred children",
        code="""
def fork():
    for _ in range(100):
        if os.fork() == 0:
            time.sleep(50)
            os._exit(0)

attempt(fork)
os.killpg(0, signal.SIGKILL)
""",
    ),
    Attack(
        name="forks without end",
        code="""
while True:
    try:
        os.fork()
    except OSError:
        pass
    if sum(name.isdigit() for name in os.listdir("/proc")) > 64:
        escaped()
""",
        limits=within(wall_s=1.5, cpu_s=4.0),
        statuses=(Status.TIMEOUT, Status.CPU_LIMIT, Status.KILLED, Status.MEMORY_LIMIT),
        not_shown="it has no bound: its bounded form is shown instead",
    ),
    Attack(
        name="starts two hundred threads",
        code="""
threading.stack_size(64 << 10)
try:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(50,), daemon=True).start()
except RuntimeError:
    os._exit(0)
escaped()
os._exit(0)
""",
    ),
    Attack(
        name="leaves a hundred zombies",
        code="""
def fork():
    for _ in range(100):
        if os.fork() == 0:
            os._exit(0)

attempt(fork)
""",
    ),
    Attack(
        name="clones a hundred children without libc",
        code="""
def clone():
    for _ in range(100):
        if call(56, 220, int(signal.SIGCHLD), 0, 0, 0, 0) == 0:
            time.sleep(50)
            os._exit(0)

attempt(clone)
os.killpg(0, signal.SIGKILL)
""",
    ),
    Attack(
        name="forks a chain of daemons",
        code="""
def daemons():
    for _ in range(100):
        if os.fork() == 0:
            os.setsid()
            try:
                if os.fork() == 0:
                    time.sleep(50)
            except OSError:
                os._exit(1)
            os._exit(0)
        if os.wait()[1]:
            raise OSError("no more processes")

attempt(daemons)
""",
    ),
    Attack(name="lifts its process limit", code="lift(resource.RLIMIT_NPROC, 64)"),
    Attack(name="lifts its limit of open files", code="lift(resource.RLIMIT_NOFILE, 200)"),
)
