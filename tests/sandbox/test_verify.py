import json
import math

import pytest

from headway.errors import InputError
from headway.sandbox import Result, SandboxError, Snippet, Status, Tier
from headway.sandbox.verify import verify, verify_all

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPEN_PAIR = (r"\sqrt{8}", r"2\sqrt{2}")


def ended(status: Status, **fields: object) -> Result:
    return Result(status=status, tier=Tier.NONE, **fields)


class Scripted:
    """A sandbox that ends a run as its script says, given how many formulas are in it, which it notes."""

    tier = Tier.NONE

    def __init__(self, script) -> None:
        self._script = script
        self.asked: list[int] = []

    async def run(self, snippet: Snippet) -> Result:
        self.asked.append(len(json.loads(snippet.stdin)[0]))
        return self._script(self.asked[-1])

    async def open_session(self, limits=None, *, idle_s=1800.0):
        raise AssertionError("no session is needed")

    async def close(self) -> None:
        pass


def open_pairs(count: int) -> list[tuple[str, str]]:
    return [(rf"\sqrt{{{number}}}", "x") for number in range(count)]


def accept_all(count: int) -> Result:
    return ended(Status.OK, exit_code=0, stdout="1" * count)


@pytest.mark.parametrize(
    ("answer", "truth", "right"),
    [
        (" 12", "12", True),
        ("1/2", "0.5", True),
        ("-0.50", "-1/2", True),
        ("1,000", "1000", True),
        ("x+1", "x+1", True),
        ("5 cm", r"50\,\text{mm}", True),
        ("(C)", "C", True),
        (r"\{1,2\}", r"\{2,1\}", True),
        ("3", "4", False),
        ("", "", False),
        ("1/3", "0.333", False),
        ("9" * 5000, "3", False),
        (r"\text{even}", "odd", False),
    ],
)
async def test_what_needs_no_algebra_is_decided_without_the_sandbox(answer, truth, right):
    sandbox = Scripted(accept_all)
    assert await verify(sandbox, answer, truth) is right
    assert sandbox.asked == []


async def test_verdicts_come_in_the_order_of_the_pairs(sandbox):
    pairs = [OPEN_PAIR, ("1", "2"), (r"\sqrt{8}", "3"), ("2", "2"), ("x+1", "1+x"), ("x+1", "x+2")]
    assert await verify_all(sandbox, pairs) == [True, False, False, True, True, False]


async def test_pairs_may_be_an_iterator(sandbox):
    assert await verify_all(sandbox, iter([OPEN_PAIR, ("1", "2")])) == [True, False]


async def test_nothing_to_compare_is_no_work():
    sandbox = Scripted(accept_all)
    assert await verify_all(sandbox, []) == []
    assert sandbox.asked == []


async def test_equal_pairs_are_compared_once():
    sandbox = Scripted(accept_all)
    assert await verify_all(sandbox, [OPEN_PAIR, ("1", "2"), OPEN_PAIR]) == [True, False, True]
    assert sandbox.asked == [1]


async def test_many_pairs_share_a_few_runs():
    sandbox = Scripted(accept_all)
    assert await verify_all(sandbox, open_pairs(64)) == [True] * 64
    assert sum(sandbox.asked) == 64
    assert len(sandbox.asked) <= 8


@pytest.mark.parametrize("status", [Status.TIMEOUT, Status.CPU_LIMIT, Status.MEMORY_LIMIT, Status.KILLED])
async def test_comparison_that_the_sandbox_had_to_end_is_wrong(status):
    assert not await verify(Scripted(lambda _: ended(status, signal=9)), *OPEN_PAIR)


async def test_pairs_of_a_run_that_was_ended_are_compared_one_by_one():
    sandbox = Scripted(
        lambda count: accept_all(count) if count == 1 else ended(Status.MEMORY_LIMIT, signal=9)
    )
    assert await verify_all(sandbox, open_pairs(3)) == [True] * 3
    assert sandbox.asked == [3, 1, 1, 1]


@pytest.mark.parametrize("stdout", ["", "1", "111", "1x", "11\n", "yes"])
async def test_output_that_is_not_one_digit_a_pair_is_no_verdict(stdout):
    sandbox = Scripted(lambda count: ended(Status.OK, stdout=stdout if count == 2 else "0"))
    assert await verify_all(sandbox, open_pairs(2)) == [False, False]
    assert sandbox.asked == [2, 1, 1]


@pytest.mark.parametrize("status", [Status.WORKER_LOST, Status.SANDBOX_ERROR])
async def test_fault_of_the_sandbox_is_no_verdict(status):
    with pytest.raises(SandboxError, match="3 times"):
        await verify(Scripted(lambda _: ended(status, attempt=3)), *OPEN_PAIR)


async def test_sandbox_that_lacks_what_compares_is_an_error_that_says_so():
    broken = ended(Status.ERROR, exit_code=1, stderr="ModuleNotFoundError: No module named 'math_verify'\n")
    with pytest.raises(SandboxError, match="No module named 'math_verify'"):
        await verify(Scripted(lambda _: broken), *OPEN_PAIR)


@pytest.mark.parametrize("limit_s", [0.0, -1.0, math.nan])
async def test_limit_that_is_no_time_is_refused(limit_s):
    with pytest.raises(InputError, match="limit_s"):
        await verify(Scripted(accept_all), "1", "1", limit_s=limit_s)
