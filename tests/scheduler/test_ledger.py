import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.scheduler.ledger import Capacity, KvLedger, Segment

CAPACITY = Capacity(tokens=1000, block_size=10)


def ledger() -> KvLedger:
    return KvLedger({"a": CAPACITY, "b": CAPACITY})


def test_a_trajectory_costs_whole_blocks() -> None:
    assert ledger().cost("a", (), 41) == 5


def test_siblings_on_one_engine_share_the_whole_blocks_of_their_prompt() -> None:
    kv = ledger()
    kv.hold("a", "g.0", (Segment("g", 35),), 35)
    assert kv.used("a") == 4
    assert kv.cost("a", (Segment("g", 35),), 35) == 1  # its own copy of the last, partial block
    assert kv.cost("b", (Segment("g", 35),), 35) == 4


def test_the_shared_prompt_stays_counted_until_the_last_sibling_leaves() -> None:
    kv = ledger()
    kv.hold("a", "g.0", (Segment("g", 30),), 40)
    kv.hold("a", "g.1", (Segment("g", 30),), 50)
    kv.release("g.0")
    assert kv.used("a") == 5
    kv.release("g.1")
    assert kv.used("a") == 0


def test_a_trajectory_cannot_be_counted_twice() -> None:
    kv = ledger()
    kv.hold("a", "g.0", (Segment("g", 10),), 10)
    with pytest.raises(ValueError, match="already counted on a"):
        kv.hold("b", "g.0", (Segment("g", 10),), 10)


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
        kv.hold(engine, id, (Segment(f"g{group}", prompt),), context)
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


def test_a_system_prompt_is_counted_once_for_all_groups_on_an_engine() -> None:
    kv = ledger()
    for number in range(3):
        kv.hold("a", f"g{number}.0", (Segment("system", 100), Segment(f"g{number}", 150)), 150)
    assert kv.used("a") == 10 + 3 * 5
    kv.release("g1.0")
    assert kv.used("a") == 10 + 2 * 5


def test_costs_say_of_every_engine_what_cost_says_of_one() -> None:
    kv = KvLedger({"a": CAPACITY, "b": Capacity(tokens=1600, block_size=16), "c": CAPACITY})
    shared = (Segment("system", 100), Segment("g", 155))
    kv.hold("a", "g.0", shared, 200)
    kv.hold("b", "other.0", (Segment("system", 100), Segment("other", 120)), 130)
    expected = [kv.cost(engine, shared, 301) * kv.block_size(engine) for engine in ("a", "b", "c")]
    assert kv.costs(shared, 301).tolist() == expected
    assert expected[0] < expected[1] < expected[2]


def test_growing_and_releasing_change_the_arrays() -> None:
    kv = ledger()
    kv.hold("b", "g.0", (Segment("g", 10),), 10)
    kv.grow("g.0", 31)
    assert kv.tokens.tolist() == [0, 40]
    assert kv.counted.tolist() == [0, 1]
    before = kv.changes
    kv.release("g.0")
    kv.release("g.0")
    assert kv.changes == before + 1
    assert kv.tokens.tolist() == kv.counted.tolist() == [0, 0]
    assert not kv._holders


def test_only_the_account_that_changes_says_so() -> None:
    kv = ledger()
    kv.hold("b", "g.0", (), 10)
    before = kv.changes_of("a"), kv.changes_of("b")
    kv.grow("g.0", 11)
    kv.release("g.0")
    kv.release("g.0")
    assert (kv.changes_of("a"), kv.changes_of("b")) == (before[0], before[1] + 2)


def test_what_siblings_that_describe_their_prompt_differently_hold_is_given_back_whole() -> None:
    kv = KvLedger({"a": Capacity(16_000, 16)})
    kv.hold("a", "g.0", (Segment("common", 320), Segment("g", 960)), 1200)
    kv.hold("a", "g.1", (Segment("g", 960),), 1200)
    assert kv.used("a") >= 75
    kv.release("g.0")
    kv.release("g.1")
    assert kv.used("a") == 0
    assert kv.tokens[0] == 0
