"""Attacks by output: floods, and bytes that a reader might stumble over."""

from headway.sandbox import Status

from .attack import Attack, within

_SMALL = {"limits": within(output_bytes=1000), "statuses": (Status.OUTPUT_LIMIT,)}
_ODD = "what it prints harms a reader at most, and the reader is the sandbox"
_FLOOD = """
for _ in range(64):
    assert os.write({fd}, b"x" * (1 << 20)) == 1 << 20
escaped()
"""

ATTACKS = (
    Attack(name="floods its output", code=_FLOOD.format(fd=1), **_SMALL),
    Attack(name="floods its error output", code=_FLOOD.format(fd=2), **_SMALL),
    Attack(
        name="floods byte by byte",
        code="""
for _ in range(200_000):
    os.write(1, b"x")
escaped()
""",
        **_SMALL,
    ),
    Attack(
        name="floods from its children",
        code="""
for _ in range(4):
    if os.fork() == 0:
        for _ in range(32):
            assert os.write(1, b"x" * (1 << 20)) == 1 << 20
        escaped()
        os._exit(0)
for _ in range(4):
    os.wait()
""",
        **_SMALL,
    ),
    Attack(
        name="floods without end while its wall limit passes",
        code="""
while True:
    os.write(1, b"x" * 100)
    os.write(2, b"x" * 100)
    time.sleep(0.001)
""",
        limits=within(wall_s=0.5, output_bytes=10 << 20),
        statuses=(Status.TIMEOUT,),
        not_shown="it has no bound",
    ),
    Attack(
        name="floods through a pipe made large",
        code="""
import fcntl
try:
    fcntl.fcntl(1, 1031, 1 << 20)
except OSError:
    pass
for _ in range(64):
    assert os.write(1, b"x" * (1 << 20)) == 1 << 20
escaped()
""",
        **_SMALL,
    ),
    Attack(
        name="prints bytes that are no text",
        code="os.write(1, bytes(range(256)) * 8)\nos.write(2, b'\\xed\\xa0\\x80\\xf8\\x88' * 8)",
        statuses=(Status.OK,),
        not_shown=_ODD,
    ),
    Attack(
        name="prints zeros",
        code="os.write(1, bytes(5000))\nos.write(2, bytes(5000))",
        statuses=(Status.OK,),
        not_shown=_ODD,
    ),
    Attack(
        name="prints commands to a terminal",
        code="print('\\x1b[2J\\x1b]0;title\\x07\\x1b[8m\\x1bc\\x9b5n\\u202e' * 8)",
        statuses=(Status.OK,),
        not_shown=_ODD,
    ),
    Attack(
        name="prints one huge line",
        code="sys.stdout.write('x' * 900_000)",
        statuses=(Status.OK,),
        not_shown=_ODD,
    ),
    Attack(
        name="prints lone surrogates",
        code="print('\\ud800')",
        statuses=(Status.ERROR,),
        not_shown=_ODD,
    ),
    Attack(
        name="closes its output",
        code="os.closerange(0, 3)\nos._exit(0)",
        statuses=(Status.OK,),
        not_shown=_ODD,
    ),
    Attack(
        name="opens its closed output again",
        code="""
back = os.open("/proc/self/fd/1", os.O_RDONLY | os.O_NONBLOCK)
os.closerange(0, 3)
time.sleep(0.1)
again = os.open(f"/proc/self/fd/{back}", os.O_WRONLY | os.O_NONBLOCK)
try:
    while True:
        os.write(again, b"x" * 4096)
except BlockingIOError:
    pass
os._exit(0)
""",
        not_shown=_ODD,
    ),
    Attack(
        name="makes its output packets that do not wait",
        code="""
import fcntl
fcntl.fcntl(1, fcntl.F_SETFL, os.O_DIRECT | os.O_NONBLOCK)
try:
    for _ in range(100):
        os.write(1, b"x" * 100)
except BlockingIOError:
    pass
""",
        not_shown=_ODD,
    ),
)
