import time

import pytest

from headway.sandbox.answers import equate
from headway.sandbox.verify import verify_all

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDLESS = [
    "9^{9^{9^9}}",
    "1000000000!",
    "(x+1)^{100000}",
    r"\binom{1000000000}{500000000}",
    r"\gcd(10^{1000000},3)",
    "(" * 900 + "x" + ")" * 900,
]
FRAGMENTS = [
    "(", ")", "[", "{", "}", r"\{", "1", "1,", ",1", "1 ", ".", "-", "+-", "a", "a ", "a,", "1a ", "=", "a=",
    "x_", "x_1", "^", "°", "%", "$", "\\", r"\ ", r"\a", r"\ab", r"\aaaaaaaaa", r"\text{", r"\text{a}",
    r"\frac", r"\frac{1}{", r"\sqrt(", r"\pm ", r"\begin{pmatrix}", r"\left", r"\boxed{", r"\pmod", "and ",
    " or ", "1 or ", ":", ";", "e1", "10^", r"\times 10^", r"\overline{", "½", "²", "\ud800", "ﷺ", "i", "\n",
    "|", "'", "a b/",
]  # fmt: skip


async def test_endless_comparison_costs_its_own_limit_and_no_other_verdict(sandbox):
    good = [(rf"\frac{{\sqrt{{{4 * k}}}}}{{2}}", rf"\sqrt{{{k}}}") for k in range(2, 2 + len(ENDLESS))]
    pairs = [pair for k, text in enumerate(ENDLESS) for pair in ((text, "3y"), good[k])]
    assert await verify_all(sandbox, pairs, limit_s=1.5) == [False, True] * len(ENDLESS)


@pytest.mark.parametrize("fragment", FRAGMENTS)
@pytest.mark.parametrize("tail", ["", "!", "1}"])
async def test_hostile_text_is_read_in_linear_time(fragment, tail):
    text = fragment * (1900 // len(fragment)) + tail
    began = time.process_time()
    for answer, truth in ((text, "5"), ("5", text), (text, r"\text{even}"), (text, text + "1")):
        equate(answer, truth)
    assert time.process_time() - began < 10.0  # it takes a hundredth of this; backtracking would take years


async def test_set_of_many_members_is_bounded():
    members = ",".join(rf"\sqrt{{{k}}}" for k in range(200))
    assert equate(rf"\{{{members}\}}", rf"\{{{members},1\}}") is not True
