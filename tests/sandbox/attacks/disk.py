"""Attacks on the scratch space: to store more than the call may."""

from .attack import Attack, within

_DISK = {"limits": within(disk_bytes=16 << 20)}

ATTACKS = (
    Attack(
        name="writes one big file",
        code="""
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def fill():
    with open("big", "wb") as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))

attempt(fill)
""",
        **_DISK,
    ),
    Attack(
        name="writes many files",
        code="""
def fill():
    for n in range(64):
        with open(f"big{n}", "wb") as file:
            file.write(b"x" * (1 << 20))

attempt(fill)
""",
        **_DISK,
    ),
    Attack(
        name="writes files that have no name any more",
        code="""
def fill():
    kept = []
    for n in range(64):
        kept.append(open("big", "wb", buffering=0))
        os.unlink("big")
        if kept[-1].write(b"x" * (1 << 20)) < 1 << 20:
            raise OSError("full")

attempt(fill)
""",
        **_DISK,
    ),
    Attack(
        name="makes many empty files",
        code="""
def fill():
    for n in range(6000):
        os.close(os.open(f"empty{n}", os.O_CREAT | os.O_WRONLY))

attempt(fill)
""",
        **_DISK,
    ),
    Attack(
        name="makes many folders and links",
        code="""
def fill():
    for n in range(3000):
        os.mkdir(f"folder{n}")
        os.symlink("x" * 4000, f"link{n}")

attempt(fill)
""",
        **_DISK,
    ),
    Attack(
        name="makes a huge sparse file",
        code="""
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def grow():
    with open("sparse", "wb") as file:
        file.truncate(1 << 32)

attempt(grow)
""",
        **_DISK,
    ),
    Attack(
        name="reserves space",
        code="""
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

def reserve():
    for n in range(8):
        os.posix_fallocate(os.open(f"big{n}", os.O_CREAT | os.O_WRONLY), 0, 8 << 20)

attempt(reserve)
""",
        **_DISK,
    ),
    Attack(
        name="writes files through mappings",
        code="""
files = []
for n in range(8):
    fd = os.open(f"big{n}", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 8 << 20)
    files.append(mmap.mmap(fd, 8 << 20))
    for m in range(0, 8 << 20, 4096):
        files[-1][m] = 1
escaped()
""",
        **_DISK,
    ),
    Attack(
        name="hides data in extended attributes",
        code="""
open("file", "w").close()
attempt(os.setxattr, "file", "user.hidden", b"x" * 4096)
""",
        not_shown="not every kernel keeps attributes in a tmpfs",
    ),
    Attack(name="lifts its limit of file size", code="lift(resource.RLIMIT_FSIZE, 32 << 20)"),
)
