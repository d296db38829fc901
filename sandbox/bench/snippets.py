"""The calls that the benchmark makes, each with the only output that is a right answer.

Invariants: every call prints a number that no other call prints, so an answer that is given twice, or to the
wrong call, is seen; the same seed gives the same calls. Knows nothing of who runs them.

``mixed`` has the shape of the tool calls of an RL step. The rStar2-Agent paper (arXiv 2508.20722) reports
about 45,000 concurrent calls a step with a mean latency of 0.3 s, and most calls are much shorter than that:
the mean is in the tail. A block of 20 calls here has 13 ``light``, 2 ``numpy`` and 1 ``sympy`` calls, two
that compute (0.5 and 2 s of processor time) and two that sleep (1.5 and 2 s): 6 s, or 0.3 s a call. One that
sleeps uses no processor but holds its worker, its memory and its place, as a call that waits for I/O does.
Blocks, not draws, so that runs of a few dozen calls have the same content.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

KINDS = ("light", "numpy", "sympy", "mixed")

_MIX = (*["light"] * 13, *["numpy"] * 2, "sympy", "compute 0.5", "compute 2", "sleep 1.5", "sleep 2")
_LIGHT = "squares = [k * k for k in range(1000)]\nprint({token}, sum(squares))"
_NUMPY = "import numpy as np\na = np.arange(10_000).reshape(100, 100)\nprint({token}, np.trace(a @ a.T))"
_SYMPY = (
    "from sympy import solve, symbols\nx = symbols('x')\n"
    "print({token}, solve(x**2 - {total} * x + {product}, x))"
)
_COMPUTE = (
    "import time\nuntil = time.process_time() + {seconds}\n"
    "while time.process_time() < until:\n    sum(range(1000))\nprint({token}, 'computed')"
)
_SLEEP = "import time\ntime.sleep({seconds})\nprint({token}, 'slept')"


class BenchCall(NamedTuple):
    """A snippet's source and what it has to print."""

    code: str
    expected: str


def bench_calls(kind: str, seed: str) -> Iterator[BenchCall]:
    """Return calls without end, the same for the same kind and seed."""
    rng = random.Random(f"{kind} {seed}")
    while True:
        if kind == "mixed":
            for member in rng.sample(_MIX, len(_MIX)):
                yield _call(member, rng)
        else:
            yield _call(kind, rng)


def _call(kind: str, rng: random.Random) -> BenchCall:
    token = rng.getrandbits(60)
    what, _, seconds = kind.partition(" ")
    match what:
        case "light":
            return BenchCall(_LIGHT.format(token=token), f"{token} 332833500\n")
        case "numpy":
            return BenchCall(_NUMPY.format(token=token), f"{token} 333283335000\n")
        case "sympy":
            low, high = sorted(rng.sample(range(1, 1000), 2))
            code = _SYMPY.format(token=token, total=low + high, product=low * high)
            return BenchCall(code, f"{token} [{low}, {high}]\n")
        case "compute":
            return BenchCall(_COMPUTE.format(token=token, seconds=seconds), f"{token} computed\n")
        case "sleep":
            return BenchCall(_SLEEP.format(token=token, seconds=seconds), f"{token} slept\n")
    raise ValueError(kind)
