import contextlib
import io
import itertools
from collections import Counter

import pytest

from headway.sandbox import Limits
from headway.sandbox.bench.snippets import KINDS, bench_calls

from .conftest import Run


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("kind", ["light", "numpy", "sympy"])
async def test_a_call_prints_what_it_has_to(run: Run, kind: str) -> None:
    for call in itertools.islice(bench_calls(kind, "test"), 3):
        assert (await run(call.code)).stdout == call.expected


def test_calls_that_compute_and_sleep_print_what_they_have_to() -> None:
    slow = [call for call in mixed_block() if "time" in call.code]
    assert len(slow) == 4
    for call in slow:
        quick = call.code.replace("sleep(", "sleep(0 * ").replace(
            "process_time() + ", "process_time() + 0 * "
        )
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(quick, {})
        assert printed.getvalue() == call.expected


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_calls_have_the_same_answer(kind: str) -> None:
    for one, other in itertools.combinations(("a", "b"), 2):
        calls = [
            *itertools.islice(bench_calls(kind, one), 500),
            *itertools.islice(bench_calls(kind, other), 500),
        ]
        assert len({call.expected for call in calls}) == 1000


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_calls(kind: str) -> None:
    first, second = (list(itertools.islice(bench_calls(kind, "a"), 60)) for _ in range(2))
    assert first == second


def test_every_block_of_the_mix_has_the_same_content() -> None:
    blocks = [mixed_block(skip) for skip in (0, 20, 40)]
    for block in blocks:
        assert Counter(map(content, block)) == {
            "light": 13, "numpy": 2, "sympy": 1, "0.5": 1, "2 computed": 1, "1.5": 1, "2": 1,
        }  # fmt: skip
    assert [content(call) for call in blocks[0]] != [content(call) for call in blocks[1]]


def test_the_mix_needs_no_longer_than_its_callers_allow() -> None:
    assert Limits().wall_s >= 2.0


def mixed_block(skip: int = 0):
    return list(itertools.islice(bench_calls("mixed", "test"), skip, skip + 20))


def content(call) -> str:
    for package in ("numpy", "sympy"):
        if package in call.code:
            return package
    for seconds in ("0.5", "1.5"):
        if seconds in call.code:
            return seconds
    if "process_time() + 2" in call.code:
        return "2 computed"
    return "2" if "sleep(2)" in call.code else "light"
