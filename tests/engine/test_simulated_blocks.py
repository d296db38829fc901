import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.engine.simulated.blocks import BlockPool, Node

SIZE = 3

sequences = st.lists(st.integers(0, 1), min_size=SIZE, max_size=24)


def write(pool: BlockPool, tokens: list[int]) -> Node:
    """Hold what is cached of ``tokens``, and cache the rest of its whole blocks."""
    whole = len(tokens) // SIZE * SIZE
    match = pool.match(tokens, whole)
    node = pool.hold(match)
    pool.take((whole - match.tokens) // SIZE)
    return pool.cache(node, tokens[match.tokens : whole])


def cached_blocks(pool: BlockPool) -> int:
    blocks, nodes = 0, [pool.root]
    while nodes:
        node = nodes.pop()
        blocks += len(node.tokens) // SIZE
        nodes += node.children.values()
    return blocks


@settings(deadline=None)
@given(st.lists(sequences, max_size=12), sequences)
def test_the_longest_cached_prefix_is_found(written: list[list[int]], wanted: list[int]) -> None:
    pool = BlockPool(1000, SIZE)
    prefixes = set()
    for tokens in written:
        pool.release(write(pool, tokens))
        prefixes |= {tuple(tokens[:end]) for end in range(SIZE, len(tokens) + 1, SIZE)}
    limit = len(wanted) // SIZE * SIZE
    expected = max((end for end in range(0, limit + 1, SIZE) if tuple(wanted[:end]) in prefixes), default=0)
    match = pool.match(wanted, limit)
    assert (match.tokens, match.idle) == (expected, expected // SIZE)
    assert cached_blocks(pool) == len(prefixes)


@settings(deadline=None)
@given(st.lists(st.tuples(sequences, st.booleans()), max_size=40))
def test_no_block_is_lost_or_used_twice(steps: list[tuple[list[int], bool]]) -> None:
    pool = BlockPool(24, SIZE)
    held: list[tuple[Node, list[int]]] = []
    for tokens, releases in steps:
        if releases and held:
            pool.release(held.pop(0)[0])
        elif pool.free >= len(tokens) // SIZE + 1:
            held.append((write(pool, tokens), tokens))
        prefixes = {tuple(known[:end]) for _, known in held for end in range(SIZE, len(known) + 1, SIZE)}
        assert pool.used == len(prefixes)
        assert cached_blocks(pool) <= pool.size
        assert all(pool.match(known, len(known)).tokens == len(known) // SIZE * SIZE for _, known in held)
    for node, _ in held:
        pool.release(node)
    assert pool.used == 0
    pool.take(pool.size)
    assert cached_blocks(pool) == 0


def test_more_blocks_than_are_free_are_never_given() -> None:
    pool = BlockPool(4, SIZE)
    pool.take(3)
    with pytest.raises(RuntimeError, match="2 blocks taken of 1 free"):
        pool.take(2)
