import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.scheduler.ledger import Capacity, KvLedger

CAPACITY = Capacity(tokens=1000, block_size=10)


def ledger() -> KvLedger:
    return KvLedger({"a": CAPACITY, "b": CAPACITY})


def test_a_trajectory_costs_whole_blocks() -> None:
    assert ledger().cost("a", "g", prompt=0, context=41) == 5


def test_siblings_on_one_engine_share_the_whole_blocks_of_their_prompt() -> None:
    kv = ledger()
    kv.hold("a", "g.0", "g", prompt=35, context=35)
    assert kv.used("a") == 4
    assert kv.cost("a", "g", prompt=35, context=35) == 1  # its own copy of the last, partial block
    assert kv.cost("b", "g", prompt=35, context=35) == 4


def test_the_shared_prompt_stays_counted_until_the_last_sibling_leaves() -> None:
    kv = ledger()
    kv.hold("a", "g.0", "g", prompt=30, context=40)
    kv.hold("a", "g.1", "g", prompt=30, context=50)
    kv.release("g.0")
    assert kv.used("a") == 5
    kv.release("g.1")
    assert kv.used("a") == 0


def test_a_trajectory_cannot_be_counted_twice() -> None:
    kv = ledger()
    kv.hold("a", "g.0", "g", prompt=10, context=10)
    with pytest.raises(ValueError, match="already counted on a"):
        kv.hold("b", "g.0", "g", prompt=10, context=10)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.tuples(st.integers(0, 3), st.integers(1, 60)),  # group, and this member's prompt
            st.lists(st.integers(0, 90), max_size=4),  # growths
        ),
        max_size=30,
    ),
    st.randoms(),
)
def test_what_is_used_is_the_sum_of_unique_blocks_and_returns_to_zero(moves, rng) -> None:
    kv = ledger()
    live: dict[str, tuple[str, tuple[int, int], int]] = {}
    for number, (engine, (group, prompt), growths) in enumerate(moves):
        id = f"t{number}"
        context = prompt
        kv.hold(engine, id, f"g{group}", prompt=prompt, context=context)
        for growth in growths:
            context += growth
            kv.grow(id, context)
        live[id] = (engine, (group, prompt // 10), context)
        for name in ("a", "b"):
            here = [(key, c) for e, key, c in live.values() if e == name]
            shared = sum(blocks for _, blocks in {key for key, _ in here})
            private = sum(-(-(c - blocks * 10) // 10) for (_, blocks), c in here)
            assert kv.used(name) == shared + private
    for id in rng.sample(sorted(live), len(live)):
        kv.release(id)
    assert kv.used("a") == kv.used("b") == 0
    assert not list(kv.held("a")) + list(kv.held("b"))
