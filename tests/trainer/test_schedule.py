import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.trainer.schedule import learning_rate


def rates(steps: int, *, warmup: int, decay: int | None, to: float = 0.1) -> list[float]:
    return [
        learning_rate(step, peak=2.0, warmup_steps=warmup, decay_steps=decay, decay_to=to)
        for step in range(1, steps + 1)
    ]


def test_the_rate_rises_linearly_to_its_peak_and_stays() -> None:
    assert rates(6, warmup=4, decay=None) == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0])
    assert rates(2, warmup=0, decay=None) == [2.0, 2.0]


def test_a_cosine_brings_it_to_its_floor_where_it_stays() -> None:
    assert rates(8, warmup=2, decay=4, to=0.0) == pytest.approx([1, 2, 1.707107, 1, 0.292893, 0, 0, 0])
    assert rates(8, warmup=2, decay=4, to=0.5)[-1] == 1.0


@given(warmup=st.integers(0, 20), decay=st.integers(1, 20), to=st.floats(0, 1))
def test_it_never_rises_after_the_warmup_nor_falls_in_it(warmup: int, decay: int, to: float) -> None:
    found = rates(45, warmup=warmup, decay=decay, to=to)
    assert found[:warmup] == sorted(found[:warmup])
    assert found[warmup:] == sorted(found[warmup:], reverse=True)
    assert min(found[warmup:]) >= 2.0 * to * 0.999
