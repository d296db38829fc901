"""Attacks on the memory limit: to hold more than the call may, by every way that counts it differently."""

from headway.sandbox import Status

from .attack import Attack, within

_TIGHT = {"limits": within(memory_bytes=64 << 20)}
_HELD = {**_TIGHT, "statuses": (Status.MEMORY_LIMIT,)}

ATTACKS = (
    Attack(name="allocates one big block", code="x = bytearray(256 << 20)\nescaped()", **_HELD),
    Attack(
        name="allocates block by block",
        code="""
blocks = []
for _ in range(256):
    blocks.append(b"x" * (1 << 20))
outlive()
""",
        **_HELD,
    ),
    Attack(
        name="allocates in a tree of processes",
        code="""
for _ in range(8):
    if os.fork() == 0:
        hog = b"x" * (40 << 20)
        outlive()
        os._exit(0)
time.sleep(50)
""",
        **_HELD,
    ),
    Attack(
        name="touches a shared mapping",
        code="""
hog = mmap.mmap(-1, 256 << 20)
for n in range(0, 256 << 20, 4096):
    hog[n] = 1
outlive()
""",
        **_HELD,
    ),
    Attack(
        # The pages stay, although no process maps them any more.
        name="hides a shared mapping from its processes' sizes",
        code="""
size, part = 256 << 20, 8 << 20
hog = mmap.mmap(-1, size)
for start in range(0, size, part):
    hog[start : start + part] = b"x" * part
    hog.madvise(mmap.MADV_DONTNEED, start, part)
time.sleep(given["patience"])
if all(hog[n] == 120 for n in range(0, size, part)):
    escaped()
""",
        **_HELD,
    ),
    Attack(
        # /proc says of a process whose first thread is gone that it holds no memory.
        name="allocates in a thread after its main thread has exited",
        code="""
def hold():
    time.sleep(0.1)
    hog = mmap.mmap(-1, 256 << 20)
    for n in range(0, 256 << 20, 4096):
        hog[n] = 1
    outlive()

threading.Thread(target=hold).start()
call(60, 93, 0)
""",
        **_HELD,
    ),
    Attack(
        # A page table of 4 KiB for each 2 MiB that are read; the page itself is one that all share.
        name="fills page tables",
        code="""
size = 1 << 37
start = map_private(size, 1, 0x4022)
libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), 15)
for address in range(start, start + size, 2 << 20):
    ctypes.c_char.from_address(address).value
time.sleep(given["patience"])
if int(re.search(rb"VmPTE:\\s+(\\d+)", read("/proc/self/status"))[1]) > 192 << 10:
    escaped()
""",
        **_HELD,
    ),
    Attack(
        name="fills the buffers of sockets",
        code="""
got, put = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        kept, held = [], 0
        for _ in range(50):
            try:
                pair = socket.socketpair()
            except OSError:
                break
            kept.append(pair)
            for end in pair:
                end.setblocking(False)
                try:
                    while True:
                        held += end.send(bytes(32 << 10))
                except BlockingIOError:
                    pass
        os.write(put, struct.pack("q", held))
        time.sleep(50)
held = sum(struct.unpack("q", os.read(got, 8))[0] for _ in range(8))
time.sleep(given["patience"])
if held > 128 << 20:
    escaped()
""",
        **_TIGHT,
    ),
    Attack(
        name="maps private memory of a device",
        code="""
with open("/dev/zero", "rb") as zero:
    hog = mmap.mmap(zero.fileno(), 256 << 20, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
for n in range(0, 256 << 20, 4096):
    hog[n] = 1
outlive()
""",
        **_TIGHT,
    ),
    Attack(
        # Counted as stack, which the limit of data leaves out.
        name="maps memory as if it were a stack",
        code="""
hog = mmap.mmap(-1, 256 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x100)
for n in range(0, 256 << 20, 4096):
    hog[n] = 1
outlive()
""",
        **_HELD,
    ),
    Attack(
        name="makes a read-only mapping writable",
        code="""
start = map_private(256 << 20, 1, 0x22)
if libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(256 << 20), 3) == 0:
    ctypes.memset(start, 1, 256 << 20)
    outlive()
""",
        **_TIGHT,
    ),
    Attack(
        name="reserves the stacks of many threads",
        code="""
threading.stack_size(8 << 20)
done = threading.Event()
try:
    for _ in range(60):
        threading.Thread(target=done.wait, daemon=True).start()
except RuntimeError:
    os._exit(0)
escaped()
os._exit(0)
""",
        limits=within(memory_bytes=64 << 20, processes=200),
    ),
    Attack(
        name="holds memory without an owner",
        code="""
def hold():
    os.write(os.memfd_create("hog"), b"x" * (1 << 20))

attempt(hold)
""",
    ),
    Attack(
        name="fills /dev/shm",
        code="""
def fill():
    for n in range(8):
        with open(f"/dev/shm/{n}", "wb") as file:
            file.write(b"x" * (8 << 20))

attempt(fill)
""",
        limits=within(disk_bytes=16 << 20),
    ),
    Attack(
        name="locks memory",
        code="""
page = mmap.mmap(-1, 32 << 10)
if libc.mlock(ctypes.byref(ctypes.c_char.from_buffer(page)), ctypes.c_size_t(32 << 10)) == 0:
    escaped()
""",
    ),
    Attack(
        name="maps locked memory",
        code="attempt(mmap.mmap, -1, 32 << 10, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x2000)",
    ),
    Attack(name="lifts its memory limit", code="lift(resource.RLIMIT_DATA, 1 << 30)"),
    Attack(name="lifts its limit of locked memory", code="lift(resource.RLIMIT_MEMLOCK, 0)"),
    Attack(
        name="hides its memory from the watch",
        code="""
if libc.prctl(4, 0, 0, 0, 0) == 0:
    escaped()
""",
    ),
)
