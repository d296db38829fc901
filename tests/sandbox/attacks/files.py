"""Attacks on files: to read what is the service's or the machine's, and to write anywhere outside."""

from .attack import ROOT_ONLY, Attack

ATTACKS = (
    Attack(name="reads /etc/shadow", code="attempt(open, '/etc/shadow')", not_shown=ROOT_ONLY),
    Attack(
        name="reads the machine's users",
        code="""
if b"root:" in read("/etc/passwd"):
    escaped()
""",
    ),
    Attack(name="reads the service's secret file", code="search(read(given['home'] + '/secret'))"),
    Attack(
        name="reads keys and tokens in home folders",
        code="""
homes = [given["home"], os.path.expanduser("~"), "/root", *glob.glob("/home/*")]
for home in homes:
    for kind in (".ssh/id_*", ".aws/credentials", ".netrc", ".kube/config", ".cache/huggingface/token"):
        for path in glob.glob(f"{home}/{kind}"):
            if read(path):
                escaped()
""",
    ),
    Attack(
        name="lists the machine's folders",
        code="""
needed = [sys.prefix, sys.base_prefix, *sys.path]
for path in ("/home", "/root", "/var", "/sys", "/run", "/mnt", "/srv", "/opt", "/boot", given["home"]):
    try:
        if os.listdir(path) and not any(place.startswith(path + "/") for place in needed):
            escaped()
    except OSError:
        pass
""",
    ),
    Attack(
        name="talks to the container engine",
        code="""
paths = ["/var/run/docker.sock", "/run/containerd/containerd.sock", "/var/run/secrets", given["stream"]]
if any(os.path.exists(path) for path in paths):
    escaped()
""",
    ),
    Attack(
        name="writes outside its scratch space",
        code="""
folders = ["/", "/etc", "/usr/lib", "/dev", "/proc", sys.prefix, sys.prefix + "/lib", *sys.path]
for folder in [*folders, os.path.dirname(os.__file__), given["home"]]:
    path = os.path.join(folder, "headway-attack")
    try:
        open(path, "w").close()
    except OSError:
        continue
    os.unlink(path)
    escaped()
""",
    ),
    Attack(
        name="opens Python's own files for writing",
        code="""
for path in (os.__file__, sys.executable, os.path.realpath(sys.executable), "/etc/passwd"):
    attempt(os.open, path, os.O_WRONLY)
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="opens a read-only descriptor again for writing",
        code="""
for path in (os.__file__, given["home"] + "/secret"):
    attempt(lambda: os.open(f"/proc/self/fd/{os.open(path, os.O_RDONLY)}", os.O_RDWR))
""",
    ),
    Attack(
        name="touches and changes the modes of files outside",
        code="""
for path in (os.__file__, sys.executable, given["home"]):
    attempt(lambda: os.utime(path))
    attempt(lambda: os.chmod(path, os.stat(path).st_mode & 0o7777))
""",
    ),
    Attack(
        name="maps Python's library shared and writable",
        code="""
def change():
    with open(os.__file__, "r+b") as file:
        mmap.mmap(file.fileno(), 0)

attempt(change)
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="follows symbolic links out",
        code="""
for n, root in enumerate(("", "/proc/1/root", "/proc/self/root", "../" * 30)):
    os.symlink(root + given["home"] + "/secret", f"link{n}")
    search(read(f"link{n}"))
""",
    ),
    Attack(
        name="makes a hard link to a file outside",
        code="""
for n, path in enumerate((given["home"] + "/secret", "/etc/shadow", os.__file__)):
    attempt(os.link, path, f"link{n}")
""",
    ),
    Attack(name="climbs out of its folder", code="search(read('../' * 40 + given['home'] + '/secret'))"),
    Attack(
        name="goes through /proc/self/root",
        code="""
for way in ("self/root", "self/task/%d/root" % os.getpid(), "thread-self/root", "self/cwd"):
    search(read("/proc/" + way + "/.." * 40 + given["home"] + "/secret"))
""",
    ),
    Attack(
        name="goes through the roots and folders of other processes",
        code="""
for pid in [1, *others()]:
    for way in ("root", "cwd"):
        search(read(f"/proc/{pid}/{way}" + "/.." * 40 + given["home"] + "/secret"))
""",
    ),
    Attack(
        name="goes through the descriptors of other processes",
        code="""
for pid in others():
    for path in glob.glob(f"/proc/{pid}/fd/*"):
        search(read(path + "/secret"))
""",
    ),
    Attack(
        name="finds an open descriptor of a folder",
        code="""
for fd in range(3, 1024):
    attempt(os.fchdir, fd)
""",
    ),
    Attack(
        name="inherits descriptors",
        code="""
if [fd for fd in os.listdir("/proc/self/fd") if int(fd) > 3]:
    escaped()
""",
    ),
    Attack(
        name="makes device files",
        code="""
import stat
for kind, major, minor in ((stat.S_IFCHR, 1, 1), (stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 254, 0)):
    attempt(os.mknod, f"device{major}", kind | 0o600, os.makedev(major, minor))
""",
        not_shown=ROOT_ONLY,
    ),
    Attack(
        name="opens devices",
        code="""
memory, disks = ["mem", "kmem", "port", "kmsg", "kvm"], ["fuse", "loop0", "sda", "vda", "nvme0n1"]
for name in [*memory, *disks, "net/tun", "tty", "ptmx", "console"]:
    attempt(os.open, "/dev/" + name, os.O_RDWR | os.O_NONBLOCK)
attempt(os.listdir, "/dev/pts")
""",
    ),
    Attack(
        name="watches the service's folder",
        code="""
fd = libc.inotify_init1(0)
if libc.inotify_add_watch(fd, given["home"].encode(), 0xFFF) >= 0:
    escaped()
""",
    ),
    Attack(
        name="removes and renames folders outside",
        code="""
os.mkdir("mine")
for path in (given["home"] + "/spare", "/etc", "/usr/local/lib"):
    attempt(os.rename, path, "mine/theirs")
""",
    ),
)
