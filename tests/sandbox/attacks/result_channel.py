"""Attacks on the result: to have another ending reported than the true one."""

from headway.sandbox import Status

from .attack import NO_CHANNEL, Attack, within

_ENDS_WITH_9 = {"statuses": (Status.ERROR,), "exit_code": 9}

ATTACKS = (
    Attack(
        name="writes a result to every descriptor",
        code="""
for fd in range(3, 1024):
    attempt(os.write, fd, bytes(4096))
os._exit(9)
""",
        **_ENDS_WITH_9,
    ),
    Attack(
        name="sends a result over every inherited socket",
        code="""
for fd in range(3, 1024):
    attempt(lambda: socket.socket(fileno=os.dup(fd)).send(bytes(128)))
    attempt(lambda: os.write(os.open(f"/proc/self/fd/{fd}", os.O_WRONLY), bytes(128)))
os._exit(9)
""",
        **_ENDS_WITH_9,
    ),
    Attack(
        name="writes into its own standard input",
        code="""
os.write(os.open("/proc/self/fd/0", os.O_WRONLY | os.O_NONBLOCK), b"{}" * 100)
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        name="prints a result",
        code="""
print(json.dumps({"status": "ok", "exit_code": 0, "reward": 1.0}), flush=True)
print("\\n__RESULT__ ok 0\\n", file=sys.stderr, flush=True)
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        name="clears every page that it shares",
        code="""
for line in open("/proc/self/maps"):
    span, modes, *_ = line.split()
    if modes == "rw-s":
        start, end = (int(x, 16) for x in span.split("-"))
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(bytes(end - start))
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        name="fills every page that it shares",
        code="""
for line in open("/proc/self/maps"):
    span, modes, *_ = line.split()
    if modes == "rw-s":
        start, end = (int(x, 16) for x in span.split("-"))
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            memory.write(b"\\1" * (end - start))
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        name="prints a memory error",
        code="sys.stderr.write('MemoryError\\n')\nos._exit(1)",
        statuses=(Status.ERROR,),
        exit_code=1,
        not_shown=NO_CHANNEL,
    ),
    Attack(
        name="has a memory error and ends well",
        code="""
try:
    x = bytearray(1 << 40)
except MemoryError:
    pass
""",
        statuses=(Status.OK,),
        exit_code=0,
        not_shown=NO_CHANNEL,
    ),
    Attack(
        name="exits with a code beyond a byte",
        code="sys.exit(256 + 9)",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        # Plain Python exits with 255 here, and 2**70 & 0xFF would be a success.
        name="exits with a code beyond a machine word",
        code="sys.exit(1 << 70)",
        statuses=(Status.ERROR,),
        exit_code=255,
        not_shown=NO_CHANNEL,
    ),
    Attack(
        name="exits with a code that cannot be printed",
        code="""
class Code:
    def __str__(self):
        raise KeyboardInterrupt

sys.exit(Code())
""",
        statuses=(Status.ERROR,),
        exit_code=1,
        not_shown=NO_CHANNEL,
    ),
    Attack(
        name="has a child end well and fails itself",
        code="""
if os.fork() == 0:
    os._exit(0)
os.wait()
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        name="calls itself killed for processor time",
        code="""
signal.signal(signal.SIGXCPU, signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGXCPU)
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        name="breaks the interpreter that ends it",
        code="""
import builtins
sys.stdout = sys.stderr = sys.excepthook = None
for name in ("BaseException", "isinstance", "type", "print"):
    delattr(builtins, name)
sys.modules.clear()
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        # The runner's last word would be lost, and its process would go on as if it were the one that serves.
        name="takes away the call that ends it",
        code="os._exit = lambda status: None\nsys.exit(9)",
        not_shown=NO_CHANNEL,
    ),
    Attack(
        name="changes the functions that called it",
        code="""
frame = sys._getframe()
while frame := frame.f_back:
    for name, thing in list(frame.f_globals.items()):
        if callable(thing):
            frame.f_globals[name] = lambda *arguments, **options: 0
os._exit(9)
""",
        not_shown=NO_CHANNEL,
        **_ENDS_WITH_9,
    ),
    Attack(
        name="crashes",
        code="ctypes.string_at(8)",
        statuses=(Status.KILLED,),
        not_shown=NO_CHANNEL,
    ),
    Attack(
        name="goes back into the process that serves by an exception",
        code="""
import atexit
class Odd(BaseException):
    pass

def fail(*arguments):
    raise Odd

atexit.register(fail)
sys.excepthook = threading.excepthook = fail
sys.stdout.flush = sys.stderr.flush = fail
raise Odd
""",
        statuses=(Status.ERROR,),
        exit_code=1,
        not_shown=NO_CHANNEL,
    ),
    Attack(
        name="ends by a time-out that it says was none",
        code="print('done', flush=True)\nsys.stdout.close()\ntime.sleep(50)",
        limits=within(wall_s=0.5),
        statuses=(Status.TIMEOUT,),
        not_shown=NO_CHANNEL,
    ),
)
