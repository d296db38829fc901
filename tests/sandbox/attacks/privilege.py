"""Attacks on privilege: to become more than the unprivileged user that a call runs as."""

from .attack import ROOT_ONLY, Attack

_NAMESPACES = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "host name": 0x04000000,
    "inter-process": 0x08000000,
    "user": 0x10000000,
    "process": 0x20000000,
    "network": 0x40000000,
    "time": 0x00000080,
}


def _unshares(name: str, flag: int) -> Attack:
    return Attack(name=f"enters a new {name} namespace", code=f"attempt(call, 272, 97, {flag})")


ATTACKS = (
    Attack(
        name="becomes root",
        code="""
for become in (os.setuid, os.setgid, os.seteuid, os.setegid):
    attempt(become, 0)
attempt(os.setresuid, 0, 0, 0)
""",
    ),
    Attack(
        name="becomes another user",
        code="attempt(os.setuid, 12345)\nattempt(os.setgid, 12345)",
        not_shown=ROOT_ONLY,
    ),
    Attack(name="is root already", code="if 0 in (os.getuid(), os.geteuid(), os.getgid()):\n    escaped()"),
    Attack(name="drops its groups", code="attempt(os.setgroups, [])", not_shown=ROOT_ONLY),
    Attack(
        name="has capabilities",
        code="""
status = read("/proc/self/status").decode()
for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    if int(re.search(kind + r":\\s+(\\w+)", status)[1], 16):
        escaped()
""",
    ),
    Attack(
        name="takes capabilities",
        code="""
header = struct.pack("Ii", 0x20080522, 0)
for bit in (0, 1, 6, 7, 8, 12, 19, 21):
    attempt(call, 126, 91, header, struct.pack("6I", 1 << bit, 1 << bit, 1 << bit, 0, 0, 0))
""",
    ),
    Attack(
        name="keeps capabilities over a change of user",
        code="""
for option, value in ((8, 1), (28, 1), (47, 2)):
    if libc.prctl(option, value, 21, 0, 0) == 0:
        escaped()
""",
    ),
    Attack(
        name="may gain privileges by another program",
        code="""
if b"NoNewPrivs:\\t0" in read("/proc/self/status"):
    escaped()
""",
    ),
    Attack(
        name="has no system call filter",
        code="""
if b"Seccomp:\\t0" in read("/proc/self/status"):
    escaped()
""",
        not_shown="a container's engine may filter a plain subprocess, too",
    ),
    Attack(
        name="finds programs that run as root",
        code="""
if not os.statvfs("/usr/lib").f_flag & os.ST_NOSUID:
    escaped()
for top in ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/libexec"):
    for folder, _, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and os.stat(path).st_mode & 0o6000:
                if not os.statvfs(path).f_flag & os.ST_NOSUID:
                    escaped()
""",
    ),
    Attack(
        name="makes a program that runs as its owner",
        code="""
with open("program", "wb") as file:
    file.write(read(sys.executable))
os.chmod("program", 0o6755)
if os.stat("program").st_mode & 0o6000 and not os.statvfs("program").f_flag & os.ST_NOSUID:
    escaped()
""",
    ),
    *(_unshares(name, flag) for name, flag in _NAMESPACES.items()),
    Attack(
        name="clones itself into new namespaces",
        code="""
for flag in (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
    try:
        pid = call(56, 220, flag | 17, 0, 0, 0, 0)
    except OSError:
        continue
    if pid == 0:
        os._exit(0)
    escaped()
""",
    ),
    Attack(
        name="clones itself into new namespaces by the newer call",
        code="""
try:
    pid = call(435, 435, struct.pack("11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0), 88)
    if pid == 0:
        os._exit(0)
    escaped()
except OSError:
    pass
""",
    ),
    Attack(
        name="clones itself into another's control group",
        code="""
try:
    fd = os.open("/", os.O_RDONLY)
    pid = call(435, 435, struct.pack("11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, fd), 88)
except OSError as error:
    if error.errno not in (errno.EPERM, errno.ENOSYS):
        escaped()
""",
    ),
    Attack(
        name="enters the namespaces of others",
        code="""
for pid in ["self", 1, *others()]:
    for path in glob.glob(f"/proc/{pid}/ns/*"):
        attempt(lambda: call(308, 268, os.open(path, os.O_RDONLY), 0))
""",
    ),
    Attack(
        name="maps users anew",
        code="""
try:
    call(272, 97, 0x10000000)
except OSError:
    pass
for name, text in (("setgroups", b"deny"), ("uid_map", b"0 0 1"), ("gid_map", b"0 0 1")):
    attempt(lambda: os.write(os.open(f"/proc/self/{name}", os.O_WRONLY), text))
""",
    ),
    Attack(
        name="mounts a file system",
        code="""
os.mkdir("here")
for kind in (b"tmpfs", b"proc", b"sysfs", b"overlay", b"cgroup2"):
    if libc.mount(kind, b"here", kind, 0, None) == 0:
        escaped()
""",
    ),
    Attack(
        name="binds a folder elsewhere",
        code="""
os.mkdir("here")
if libc.mount(b"/", b"here", None, 4096 | 16384, None) == 0:
    escaped()
""",
    ),
    Attack(
        name="makes a read-only mount writable",
        code="""
os.mkdir("here")
for path in (b"/", os.path.dirname(os.__file__).encode(), b"/usr/lib", b"here"):
    if libc.mount(None, path, None, 32 | 4096, None) == 0:
        escaped()
""",
    ),
    Attack(
        name="makes its mounts seen outside",
        code="""
for path in (b"/", b"/tmp", b"/proc"):
    if libc.mount(None, path, None, 1 << 20, None) == 0:
        escaped()
""",
    ),
    Attack(
        name="removes mounts",
        code="""
for path in (b"/proc", b"/tmp", b"/usr/lib", b"/dev/null"):
    if libc.umount2(path, 2) == 0:
        escaped()
""",
    ),
    Attack(name="changes its root", code="os.mkdir('here')\nattempt(os.chroot, 'here')"),
    Attack(
        name="climbs out of a changed root",
        code="""
def climb():
    os.mkdir("inner")
    outside = os.open(".", os.O_RDONLY)
    os.chroot("inner")
    os.fchdir(outside)
    for _ in range(40):
        os.chdir("..")
    os.chroot(".")
    search(read(given["home"] + "/secret"))

try:
    climb()
except OSError:
    pass
""",
    ),
    Attack(
        name="swaps its root",
        code="""
os.makedirs("new/old")
libc.mount(b"tmpfs", b"new", b"tmpfs", 0, None)
try:
    os.makedirs("new/old")
except OSError:
    pass
attempt(call, 155, 41, b"new", b"new/old")
""",
        not_shown="it needs a root that is a mount of its own, which not every machine's is",
    ),
    Attack(name="turns address randomization off", code="attempt(call, 135, 92, 0x0040000)"),
    Attack(
        name="names the machine",
        code="attempt(socket.sethostname, 'headway-attack')",
    ),
    Attack(
        name="changes what ends with its parent",
        code="""
for option, value in ((1, 0), (36, 1), (35, 0), (22, 1), (52, 1), (27, 0)):
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) == 0:
        escaped()
""",
    ),
    Attack(
        name="gives a file capabilities",
        code="""
open("file", "w").close()
attempt(os.setxattr, "file", "security.capability", struct.pack("<5I", 0x02000001, 1 << 21, 0, 0, 0))
""",
    ),
    Attack(
        name="gives its files away",
        code="open('file', 'w').close()\nattempt(os.chown, 'file', 12345, -1)",
        not_shown=ROOT_ONLY,
    ),
)
