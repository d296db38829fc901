import random

from headway.scheduler.common_prefixes import KINDS, CommonPrefixes
from headway.scheduler.ledger import Capacity, KvLedger, Segment

SYSTEM = [7] * 320


def question(number: int, tokens: int = 64) -> list[int]:
    """A group's own part; no two begin alike."""
    return [1000 + number] * tokens


def test_the_first_group_of_its_kind_is_counted_apart() -> None:
    assert CommonPrefixes().segments("g1", SYSTEM + question(1)) == (Segment("g1", 384),)


def test_from_the_second_group_on_the_system_prompt_is_one_segment_for_all() -> None:
    prefixes = CommonPrefixes()
    prefixes.segments("g1", SYSTEM + question(1))
    second, third = (prefixes.segments(f"g{n}", SYSTEM + question(n)) for n in (2, 3))
    assert [segment.end for segment in second] == [320, 384]
    assert second[0] == third[0]
    assert [second[1].key, third[1].key] == ["g2", "g3"]


def test_siblings_get_the_segments_of_their_group() -> None:
    prefixes = CommonPrefixes()
    prefixes.segments("g1", SYSTEM + question(1))
    first = prefixes.segments("g2", SYSTEM + question(2))
    assert prefixes.segments("g2", SYSTEM + question(2)) == first
    assert prefixes.segments("g1", SYSTEM + question(1)) == (Segment("g1", 384),)


def test_prompts_with_nothing_in_common_share_nothing() -> None:
    prefixes = CommonPrefixes()
    for number in range(3):
        assert prefixes.segments(f"g{number}", question(number)) == (Segment(f"g{number}", 64),)


def test_a_prompt_that_another_begins_with_is_shared_whole() -> None:
    prefixes = CommonPrefixes()
    prefixes.segments("g1", SYSTEM)
    common, own = prefixes.segments("g2", SYSTEM + question(2))
    assert (common.end, own.end) == (320, 384)


def test_mixed_kinds_of_prompts_share_within_their_kind_only() -> None:
    prefixes = CommonPrefixes()
    kinds = [[kind] * 320 for kind in range(KINDS)]
    for number, kind in enumerate(kinds):
        prefixes.segments(f"first{number}", kind + question(number))
    segments = [
        prefixes.segments(f"g{turn}.{number}", kind + question(1000 + 10 * turn + number))
        for turn in range(3)
        for number, kind in enumerate(kinds)
    ]
    assert all(len(found) == 2 and found[0].end == 320 for found in segments)
    assert len({found[0] for found in segments}) == KINDS


def test_on_an_engine_the_system_prompt_costs_at_most_one_more_than_once() -> None:
    prefixes = CommonPrefixes()
    ledger = KvLedger({"a": Capacity(1 << 16, 16)})
    for number in range(10):
        prompt = SYSTEM + question(number)
        ledger.hold("a", f"g{number}.0", prefixes.segments(f"g{number}", prompt), len(prompt))
    assert ledger.used("a") * 16 == 2 * 320 + 10 * 64


def test_questions_that_begin_alike_by_chance_still_share_the_system_prompt() -> None:
    rng = random.Random(0)
    prefixes = CommonPrefixes()
    ledger = KvLedger({"a": Capacity(1 << 16, 16)})
    for number in range(40):
        prompt = SYSTEM + [1, 2, 3, 4][: rng.randint(0, 4)] + question(number)
        ledger.hold("a", f"g{number}.0", prefixes.segments(f"g{number}", prompt), len(prompt))
    apart = 40 * (64 + 16)  # each its own question, in whole blocks
    assert ledger.used("a") * 16 - apart <= 2 * 320


def test_only_so_many_groups_and_kinds_are_remembered() -> None:
    prefixes = CommonPrefixes()
    for number in range(3000):
        prefixes.segments(f"g{number}", SYSTEM + question(number))
    assert len(prefixes._groups) == 1024
    assert len(prefixes._kinds) <= KINDS
