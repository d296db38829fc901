"""Attacks through /proc, and on secrets: a canary is in the service's environment and memory."""

from .attack import ROOT_ONLY, Attack

ATTACKS = (
    Attack(
        name="reads its environment",
        code="""
for name, value in os.environb.items():
    search(value)
search(read("/proc/self/environ"))
""",
    ),
    Attack(
        name="reads the environments of other processes",
        code="""
for pid in others():
    search(read(f"/proc/{pid}/environ"))
""",
    ),
    Attack(
        name="sees other processes",
        code="""
if [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]:
    escaped()
""",
    ),
    Attack(
        name="sees its parent",
        code="""
if os.getppid():
    escaped()
""",
    ),
    Attack(
        name="reads the service's memory",
        code="""
for pid in others():
    search_memory(pid)
""",
    ),
    Attack(name="finds secrets in its own memory", code="search_memory('self')"),
    Attack(
        name="finds secrets among the interpreter's objects",
        code="""
import gc
gc.unfreeze()
things = gc.get_referents(*gc.get_objects())
for thing in (*things, *gc.get_referents(*things)):
    if isinstance(thing, str):
        search(thing.encode("utf-8", "replace"))
    elif isinstance(thing, (bytes, bytearray)):
        search(thing)
""",
    ),
    Attack(
        name="finds secrets in the frames that called it",
        code="""
frame = sys._getframe()
while frame := frame.f_back:
    search(repr([frame.f_locals, frame.f_globals]).encode("utf-8", "replace"))
""",
        not_shown="a plain program has no frames that called it",
    ),
    Attack(
        name="reads the machine's memory",
        code="""
for path in ("/proc/kcore", "/dev/mem", "/dev/kmem"):
    if read(path, 1):
        escaped()
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="reads the kernel's addresses",
        code="""
lines = read("/proc/kallsyms", 4096).splitlines()[:20]
if any(int(line.split()[0], 16) for line in lines if line.strip()):
    escaped()
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="reads the kernel's log",
        code="""
for path in ("/proc/kmsg", "/dev/kmsg"):
    attempt(os.open, path, os.O_RDONLY | os.O_NONBLOCK)
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="opens the system request trigger",
        code="attempt(os.open, '/proc/sysrq-trigger', os.O_WRONLY)",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="opens the handler of core dumps for writing",
        code="attempt(os.open, '/proc/sys/kernel/core_pattern', os.O_WRONLY)",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="writes any of the kernel's settings",
        code="""
def write(path):
    value = read(path, 4096)
    fd = os.open(path, os.O_WRONLY)
    if value:
        os.write(fd, value)

for folder, _, names in os.walk("/proc/sys"):
    for name in names:
        attempt(write, os.path.join(folder, name))
""",
    ),
    Attack(
        name="opens files of /proc itself for writing",
        code="""
for top in set(os.listdir("/proc")) - {"sys"}:
    if top.isdigit() or os.path.islink("/proc/" + top):
        continue
    attempt(os.open, "/proc/" + top, os.O_WRONLY)
    for folder, _, names in os.walk("/proc/" + top):
        for name in names:
            attempt(os.open, os.path.join(folder, name), os.O_WRONLY)
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="makes itself the last to be killed for memory",
        code="""
def lower():
    now = int(read("/proc/self/oom_score_adj"))
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(str(now - 1))

attempt(lower)
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="changes other processes through /proc",
        code="""
for pid in others():
    for name in ("oom_score_adj", "mem", "comm", "coredump_filter", "clear_refs"):
        attempt(os.open, f"/proc/{pid}/{name}", os.O_WRONLY)
""",
    ),
    Attack(
        name="reads the service's command line",
        code="""
for pid in others():
    if read(f"/proc/{pid}/cmdline"):
        escaped()
""",
    ),
)
