import pytest

from headway.sandbox import Result, SandboxError, Snippet, Status, Tier, verify

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Fixed:
    """A sandbox that gives one answer, or fails the test if it is asked at all."""

    tier = Tier.NONE

    def __init__(self, result: Result | None = None) -> None:
        self._result = result

    async def run(self, snippet: Snippet) -> Result:
        assert self._result is not None, "decided without the sandbox"
        return self._result

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        (" 12", "12"),
        ("1/2", "0.5"),
        ("-0.50", "-1/2"),
        ("1,000", "1000"),
        ("x+1", "x+1"),
        ("2.", "2"),
    ],
)
async def test_equal_text_and_numbers_are_decided_at_once(answer, truth):
    assert await verify(Fixed(), answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("3", "4"),
        ("", ""),
        ("", "4"),
        ("1/3", "0.333"),
        ("9" * 2000, "3"),
        ("1} or {2", "2"),
        (r"1} \boxed{2", "2"),
    ],
)
async def test_plainly_wrong_answers_are_decided_at_once(answer, truth):
    assert not await verify(Fixed(), answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        (r"\frac{1}{2}", "0.5"),
        ("sqrt(3)/2", r"\frac{\sqrt{3}}{2}"),
        ("x^2+2x+1", "(x+1)^2"),
        ("(1,2)", "(1, 2)"),
        ("{1,2}", r"\{2,1\}"),
        (r"\text{even}", "even"),
        ("2**10", "1024"),
        ("x = 5", "5"),
    ],
)
async def test_equivalent_answers_are_right(sandbox, answer, truth):
    assert await verify(sandbox, answer, truth)


@pytest.mark.parametrize(
    ("answer", "truth"),
    [
        ("x^2+2x", "(x+1)^2"),
        ("(2,1)", "(1,2)"),
        ("1 or 2 or 3", "3"),
        ("\\frac{", "3"),
        ("__import__('os')._exit(42)", "3"),
        ("exit(42)", "3"),
        ('"]\nimport os; os._exit(42)', "3"),
    ],
)
async def test_other_answers_are_wrong(sandbox, answer, truth):
    assert not await verify(sandbox, answer, truth)


@pytest.mark.parametrize("status", [Status.TIMEOUT, Status.MEMORY_LIMIT, Status.KILLED])
async def test_comparison_that_does_not_end_is_wrong(status):
    assert not await verify(Fixed(Result(status=status, signal=9, tier=Tier.NONE)), "x", "y")


async def test_fault_of_the_sandbox_is_no_verdict():
    with pytest.raises(SandboxError, match="3 times"):
        await verify(Fixed(Result(status=Status.WORKER_LOST, tier=Tier.NONE, attempt=3)), "x", "y")
