"""The KV blocks of one engine: which are in use, which hold a cached prefix, and which go first.

A prefix tree whose nodes are runs of whole blocks. Whoever holds a node holds its parents too.
Invariants: blocks in use, empty ones and cached ones that nobody holds add up to the pool; nodes that nobody
holds are kept in the order of their release, tails before heads, so the one released longest ago is a leaf.
As in vLLM, empty blocks are taken before cached ones. Unlike vLLM, no block is cached twice: who writes what
is cached already goes on with the cached block. Knows nothing of turns, steps or time.
"""

from collections import OrderedDict
from typing import NamedTuple

Key = tuple[int, ...]


class Node:
    """A run of cached blocks that have the same holders. The root has no tokens and no parent."""

    __slots__ = ("children", "holders", "parent", "tokens")

    def __init__(self, tokens: list[int], parent: "Node | None", holders: int = 0) -> None:
        self.tokens = tokens
        self.parent = parent
        self.holders = holders
        self.children: dict[Key, Node] = {}


class Match(NamedTuple):
    """The longest cached prefix: ``tokens`` of it, the last ``partial`` of them from ``node``'s start.

    ``idle`` of its blocks nobody holds yet: holding it takes so many from the free ones.
    """

    node: Node
    partial: int
    tokens: int
    idle: int


class BlockPool:
    """``size`` blocks of ``block_size`` tokens; ``free`` of them are empty or cached without a holder."""

    def __init__(self, size: int, block_size: int) -> None:
        self.size = size
        self.block_size = block_size
        self.clear()

    def clear(self) -> None:
        """Forget everything cached. Nothing may be held."""
        self.root = Node([], None)
        self.free = self._empty = self.size
        self._idle: OrderedDict[Node, None] = OrderedDict()

    @property
    def used(self) -> int:
        """Blocks that somebody holds."""
        return self.size - self.free

    def match(self, tokens: list[int], limit: int) -> Match:
        """The longest cached prefix of ``tokens`` that is no longer than ``limit``; changes nothing."""
        node, found, same = self.root, 0, 0
        while found + self.block_size <= limit:
            child = node.children.get(self._key(tokens, found))
            if child is None:
                break
            node, same = child, self._shared(child.tokens, tokens, found, limit)
            found += same
            if same < len(child.tokens):
                break
        return Match(node, same, found, self._idle_blocks(node, same))

    def hold(self, match: Match) -> Node:
        """Hold a prefix that was just matched; gives the node at its end."""
        node = match.node
        if match.partial < len(node.tokens):
            node = self._split(node, match.partial)
        step: Node | None = node
        while step is not None and step.parent is not None:
            self._add_holder(step)
            step = step.parent
        return node

    def take(self, count: int) -> None:
        """Take free blocks for new tokens: empty ones, then the cached ones that were released first."""
        if count > self.free:
            raise RuntimeError(f"{count} blocks taken of {self.free} free ones")
        self.free -= count
        self._empty -= count
        while self._empty < 0:
            self._evict(-self._empty)

    def give(self, count: int) -> None:
        """Give back blocks that were taken and not cached."""
        self.free += count
        self._empty += count

    def cache(self, node: Node, tokens: list[int]) -> Node:
        """Cache whole blocks, taken before, behind the held ``node``; gives the held node at their end."""
        start = 0
        while start < len(tokens):
            child = node.children.get(self._key(tokens, start))
            if child is None:
                return self._append(node, tokens[start:] if start else tokens)
            same = self._shared(child.tokens, tokens, start, len(tokens))
            node = self._split(child, same) if same < len(child.tokens) else child
            self._add_holder(node)
            self.give(same // self.block_size)
            start += same
        return node

    def release(self, node: Node) -> None:
        """Stop holding ``node`` and its parents; what nobody else holds may be evicted, tails first."""
        step: Node | None = node
        while step is not None and step.parent is not None:
            step.holders -= 1
            if step.holders == 0:
                self._idle[step] = None
                self.free += len(step.tokens) // self.block_size
            step = step.parent

    def _append(self, node: Node, tokens: list[int]) -> Node:
        if node.holders == 1 and not node.children and node.parent is not None:
            node.tokens += tokens  # its only holder is the one who appends
            return node
        child = Node(tokens, node, holders=1)
        node.children[self._key(tokens, 0)] = child
        return child

    def _add_holder(self, node: Node) -> None:
        if node.holders == 0:
            self._idle.pop(node, None)  # the upper part of a node just split has no place in it yet
            self.free -= len(node.tokens) // self.block_size
        node.holders += 1

    def _split(self, node: Node, length: int) -> Node:
        """Cut a node in two and give the upper part; ``node`` becomes the lower one and keeps its place."""
        assert node.parent is not None
        upper = Node(node.tokens[:length], node.parent, node.holders)
        node.parent.children[self._key(node.tokens, 0)] = upper
        node.tokens = node.tokens[length:]
        node.parent = upper
        upper.children[self._key(node.tokens, 0)] = node
        return upper

    def _evict(self, count: int) -> None:
        """Make up to ``count`` blocks empty, all from the node that was released first."""
        node = next(iter(self._idle))
        assert node.parent is not None
        if node.children:
            raise RuntimeError("a cached prefix was to be evicted before what follows it")
        blocks = len(node.tokens) // self.block_size
        if blocks > count:
            del node.tokens[(blocks - count) * self.block_size :]
        else:
            del self._idle[node], node.parent.children[self._key(node.tokens, 0)]
        self._empty += min(blocks, count)

    def _idle_blocks(self, node: Node, partial: int) -> int:
        length, idle = partial, 0
        step: Node | None = node
        while step is not None and step.parent is not None and step.holders == 0:
            idle += length
            step = step.parent
            length = len(step.tokens)
        return idle // self.block_size

    def _key(self, tokens: list[int], start: int) -> Key:
        return tuple(tokens[start : start + self.block_size])

    def _shared(self, cached: list[int], tokens: list[int], start: int, limit: int) -> int:
        """How many leading tokens of ``cached`` are those from ``start`` on, in whole blocks; the first is.

        Slices are compared at C speed, and by identity first; a difference is found by bisection.
        """
        size = self.block_size
        most = min(len(cached), (limit - start) // size * size)
        if tokens[start : start + most] == (cached if most == len(cached) else cached[:most]):
            return most
        low, high = size, most
        while high - low > size:
            middle = low + (high - low) // (2 * size) * size
            if tokens[start + low : start + middle] == cached[low:middle]:
                low = middle
            else:
                high = middle
        return low
