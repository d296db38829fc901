"""Attacks on the kernel's own interfaces: each that a snippet does not need must be out of reach.

A bare call with useless arguments succeeds if the kernel looks at them at all: what can be reached can have
a flaw.
"""

from .attack import ROOT_ONLY, Attack

_GONE = "newer kernels do not have it any more"
_NEW = "older kernels do not have it yet"
_OPTIONAL = "not every kernel has it"

# Name: its number on x86_64 and on aarch64, and why it is not shown.
_CALLS = {
    "bpf": (321, 280, ROOT_ONLY),
    "io_uring_setup": (425, 425, ""),
    "io_uring_enter": (426, 426, ""),
    "io_uring_register": (427, 427, ""),
    "keyctl": (250, 219, ""),
    "add_key": (248, 217, ""),
    "request_key": (249, 218, ""),
    "userfaultfd": (323, 282, ""),
    "perf_event_open": (298, 241, ""),
    "mount": (165, 40, ""),
    "umount2": (166, 39, ""),
    "pivot_root": (155, 41, ""),
    "open_tree": (428, 428, ""),
    "move_mount": (429, 429, ""),
    "fsopen": (430, 430, ""),
    "fsconfig": (431, 431, ""),
    "fsmount": (432, 432, ""),
    "fspick": (433, 433, ""),
    "mount_setattr": (442, 442, ""),
    "unshare": (272, 97, ""),
    "setns": (308, 268, ""),
    "clone3": (435, 435, ""),
    "kexec_load": (246, 104, ROOT_ONLY),
    "kexec_file_load": (320, 294, ROOT_ONLY),
    "init_module": (175, 105, ROOT_ONLY),
    "finit_module": (313, 273, ROOT_ONLY),
    "delete_module": (176, 106, ROOT_ONLY),
    "process_vm_readv": (310, 270, ""),
    "process_vm_writev": (311, 271, ""),
    "process_mrelease": (448, 448, ""),
    "pidfd_getfd": (438, 438, ""),
    "shmget": (29, 194, ""),
    "semget": (64, 190, ""),
    "msgget": (68, 186, ""),
    "mq_open": (240, 180, ""),
    "name_to_handle_at": (303, 264, ""),
    "open_by_handle_at": (304, 265, ""),
    "chroot": (161, 51, ""),
    "personality": (135, 92, ""),
    "seccomp": (317, 277, ""),
    "fanotify_mark": (301, 263, ""),
    "vmsplice": (278, 75, ""),
    "tee": (276, 77, ""),
    "quotactl": (179, 60, ""),
    "quotactl_fd": (443, 443, ""),
    "reboot": (169, 142, ""),
    "swapon": (167, 224, ROOT_ONLY),
    "swapoff": (168, 225, ROOT_ONLY),
    "settimeofday": (164, 170, ""),
    "clock_settime": (227, 112, ""),
    "adjtimex": (159, 171, ""),
    "clock_adjtime": (305, 266, ""),
    "sethostname": (170, 161, ""),
    "setdomainname": (171, 162, ""),
    "acct": (163, 89, ROOT_ONLY),
    "syslog": (103, 116, ROOT_ONLY),
    "vhangup": (153, 58, ROOT_ONLY),
    "nfsservctl": (180, 42, _GONE),
    "lookup_dcookie": (212, 18, _GONE),
    "mbind": (237, 235, ""),
    "set_mempolicy": (238, 237, ""),
    "migrate_pages": (256, 238, ""),
    "move_pages": (279, 239, ""),
    "remap_file_pages": (216, 234, ""),
    "memfd_secret": (447, 447, _OPTIONAL),
    "setxattr": (188, 5, ""),
    "socket": (41, 198, ""),
    "bind": (49, 200, ""),
    "connect": (42, 203, ""),
    "set_mempolicy_home_node": (450, 450, _NEW),
    "map_shadow_stack": (453, 453, _OPTIONAL),
    "statmount": (457, 457, _NEW),
}
_ONLY_X86 = {"modify_ldt": 154, "ustat": 136}


def _reach(name: str, x86_64: int, aarch64: int, not_shown: str) -> Attack:
    code = f"reach({x86_64}, {aarch64}, -1, -1, -1, -1, -1, -1)"
    return Attack(name=f"reaches {name}", code=code, not_shown=not_shown)


def _reach_x86(name: str, number: int) -> Attack:
    code = f"reach({number}, -1, -1, -1, -1, -1, -1, -1)"
    return Attack(name=f"reaches {name}", code=code, machine="x86_64")


ATTACKS = (
    *(_reach(name, *about) for name, about in _CALLS.items()),
    *(_reach_x86(name, number) for name, number in _ONLY_X86.items()),
    Attack(name="makes a ring", code="attempt(call, 425, 425, 8, ctypes.create_string_buffer(120))"),
    Attack(
        name="handles its own page faults",
        code="attempt(call, 323, 282, 1)",
    ),
    Attack(
        name="counts events of the processor",
        code="""
attr = bytearray(64)
struct.pack_into("=IIQ", attr, 0, 1, 64, 0)
struct.pack_into("=Q", attr, 40, 0b1100000)
attempt(call, 298, 241, bytes(attr), 0, -1, -1, 0)
""",
        not_shown="some kernels keep it from ordinary users",
    ),
    Attack(
        name="answers for the kernel",
        code="""
class Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

libc.prctl(38, 1, 0, 0, 0)
attempt(call, 317, 277, 1, 8, ctypes.byref(Program(1, struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000))))
""",
    ),
    Attack(
        name="watches a whole file system",
        code="attempt(call, 300, 262, 0x200, 0)",
    ),
    Attack(
        name="gives its pages to a pipe",
        code="""
got, put = os.pipe()
page = mmap.mmap(-1, 4096)
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
attempt(call, 278, 75, put, struct.pack("QQ", address, 4096), 1, 8)
""",
    ),
    Attack(
        name="keeps a key in the kernel",
        code="attempt(call, 248, 217, b'user', b'headway-attack', b'x', 1, -2)",
    ),
    Attack(
        name="calls the 32-bit kernel",
        code="""
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("53 b8 14 00 00 00 cd 80 5b c3"))
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid():
    escaped()
""",
        machine="x86_64",
    ),
    Attack(
        name="calls the kernel with 32-bit pointers",
        code="""
if libc.syscall(ctypes.c_long(0x40000000 + 39)) == os.getpid():
    escaped()
""",
        machine="x86_64",
        not_shown="few kernels have x32",
    ),
    Attack(
        name="calls what no table lists yet",
        code="""
for number in range(452, 600):
    try:
        call(number, number, -1, -1, -1, -1, -1, -1)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENOSYS):
            continue
    escaped()
    break
""",
        not_shown=_NEW,
    ),
    Attack(
        name="gives commands to devices",
        code="""
import fcntl
for request in (0x5412, 0x541C, 0x40049409, 0x8933):
    try:
        fcntl.ioctl(1, request, bytes(64))
    except OSError as error:
        if error.errno == errno.EPERM:
            continue
    escaped()
""",
    ),
)
