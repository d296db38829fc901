"""Attacks on the network: to reach the service's sockets, the machine's, or anything beyond."""

from .attack import Attack

ATTACKS = (
    Attack(
        name="connects to the service over TCP",
        code="attempt(socket.create_connection, ('127.0.0.1', given['tcp']), 3)",
    ),
    Attack(
        name="connects to the service over TCP and IPv6",
        code="attempt(socket.create_connection, ('::1', given['tcp6']), 3)",
    ),
    Attack(
        # Nobody answers, but a port that nobody holds would refuse.
        name="sends to the service over UDP",
        code="""
try:
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.settimeout(0.3)
    out.connect(("127.0.0.1", given["udp"]))
    out.send(b"x")
    out.recv(1)
except TimeoutError:
    escaped()
except OSError:
    pass
""",
    ),
    Attack(
        name="asks the cloud for its credentials",
        code="attempt(socket.create_connection, ('169.254.169.254', 80), 1)",
    ),
    Attack(
        name="connects to the internet",
        code="""
for address in (("1.1.1.1", 443), ("8.8.8.8", 53), ("2606:4700:4700::1111", 443)):
    attempt(socket.create_connection, address, 1)
""",
        not_shown="a test may not need the internet",
    ),
    Attack(
        name="resolves a name",
        code="attempt(socket.getaddrinfo, 'example.com', 80)",
        not_shown="a test may not need the internet",
    ),
    Attack(
        name="connects to the service's socket by its path",
        code="""
for kind, name in ((socket.SOCK_STREAM, "stream"), (socket.SOCK_DGRAM, "datagram")):
    attempt(lambda: socket.socket(socket.AF_UNIX, kind).connect(given[name]))
""",
    ),
    Attack(
        name="connects to the service's abstract socket",
        code="""
for kind, name in ((socket.SOCK_STREAM, "stream"), (socket.SOCK_DGRAM, "datagram")):
    attempt(lambda: socket.socket(socket.AF_UNIX, kind).connect("\\0" + given[name]))
""",
    ),
    Attack(
        name="sends to the service's path from one of a pair of sockets",
        code="""
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
attempt(ours.sendto, b"x", given["datagram"])
""",
    ),
    Attack(
        name="sends to the service's abstract socket from one of a pair",
        code="""
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
attempt(ours.sendto, b"x", "\\0" + given["datagram"])
""",
    ),
    Attack(
        name="makes a socket of any family",
        code="""
for family in range(1, 46):
    for kind in (1, 2, 3, 5):
        attempt(lambda: socket.socket(family, kind).close())
""",
    ),
    Attack(
        name="makes a pair of sockets of the internet's families",
        code="""
for family in (2, 10, 16, 17, 30, 40):
    attempt(socket.socketpair, family)
""",
        not_shown="TIPC alone makes such pairs, and few kernels have it",
    ),
    Attack(
        name="makes a socket to the host of this virtual machine",
        code="attempt(lambda: socket.socket(40, socket.SOCK_STREAM))",
        not_shown="not every kernel has vsock",
    ),
    Attack(
        name="asks the kernel about the network",
        code="""
def ask():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
        route.bind((0, 0))

attempt(ask)
""",
    ),
    Attack(
        name="listens to every packet",
        code="attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x300))",
    ),
    Attack(
        name="forges packets",
        code="attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 255))",
    ),
    Attack(
        name="listens for others",
        code="attempt(socket.create_server, ('127.0.0.1', 0))",
    ),
    Attack(
        name="makes a socket by number",
        code="attempt(call, 41, 198, 1, 1, 0)",
    ),
)
