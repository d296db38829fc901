"""The simulated engine once more, slowly: every step, every turn and every block one by one.

A block is the tuple of all tokens up to its end, so that two blocks are the same if and only if they hold the
same prefix. Shares with the engine under test nothing but the requests and the formula of a step.
"""

import msgspec

from headway.engine import Request
from headway.engine.simulated import Hardware
from headway.engine.simulated.turn import pseudo_answer

Block = tuple[int, ...]


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a turn, in seconds since the start."""

    ended: float = 0.0
    written: int = 0
    cached: int = -1
    preemptions: int = 0
    scheduled: float = -1.0
    first_token: float = -1.0


class _Turn:
    def __init__(self, request: Request, arrived: float, number: int) -> None:
        self.request = request
        self.arrived = arrived
        self.order = (request.priority, number)
        self.outcome = Outcome()
        self.kv = 0
        self.blocks: list[Block] = []  # those that others may share
        self.own = 0
        self.chunk = 0
        self.decodes = False

    @property
    def tokens(self) -> list[int]:
        return self.request.prompt + pseudo_answer(self.request.id, self.outcome.written)


class Reference:
    """Plays turns that arrive at given times, in the order of their arrival."""

    def __init__(self, hardware: Hardware, blocks: int, seats: int) -> None:
        self.hardware, self.size, self.seats = hardware, hardware.block_size, seats
        self.empty = blocks
        self.holders: dict[Block, int] = {}
        self.idle: dict[Block, None] = {}
        self.running: list[_Turn] = []
        self.waiting: list[_Turn] = []
        self.steps = self.preemptions = 0

    def play(self, arrivals: list[tuple[float, Request]]) -> dict[str, Outcome]:
        """Every turn's outcome by its request's id."""
        coming = [_Turn(request, moment, number) for number, (moment, request) in enumerate(arrivals)]
        turns = list(coming)
        now = 0.0
        while coming or self.waiting or self.running:
            if not self.waiting and not self.running:
                now = max(now, coming[0].arrived)
            while coming and coming[0].arrived <= now:
                self.waiting.append(coming.pop(0))
            now += self._step(now)
            self._finish(now)
        return {turn.request.id: turn.outcome for turn in turns}

    def _step(self, now: float) -> float:
        """Plan one step; gives its seconds."""
        before = self.preemptions
        while self._free() < self._decode_blocks():
            self._preempt()
        for turn in sorted(self.running, key=lambda turn: turn.order):
            if turn.decodes or turn not in self.running:
                continue
            chunk = min(self._budget(), len(turn.tokens) - turn.kv)
            if chunk <= 0:
                break
            while turn in self.running and self._free() - self._decode_blocks() < self._new(turn, chunk):
                self._preempt()
            if turn not in self.running:
                break
            self._prefill(turn, chunk)
        if self.preemptions == before:
            self._admit(now)
        decoding = self._decoding()
        return self.hardware.step.seconds(
            prefill=sum(turn.chunk for turn in self.running),
            decode=len(decoding),
            kv_read=sum(turn.kv + 1 for turn in decoding),
            attention=sum(turn.chunk * (turn.kv + turn.chunk / 2) for turn in self.running),
        )

    def _admit(self, now: float) -> None:
        while self.waiting and self._budget() > 0 and len(self.running) < self.seats:
            turn = min(self.waiting, key=lambda turn: turn.order)
            tokens, hit = turn.tokens, 0
            while hit + self.size < len(tokens) and tuple(tokens[: hit + self.size]) in self.holders:
                hit += self.size
            blocks = [tuple(tokens[:end]) for end in range(self.size, hit + 1, self.size)]
            revived = sum(self.holders[block] == 0 for block in blocks)
            needed = -(-len(tokens) // self.size) - len(blocks) + revived
            if needed > self._free() - self._decode_blocks():
                break
            self.waiting.remove(turn)
            self.running.append(turn)
            for block in blocks:
                self._hold(turn, block)
            turn.kv = hit
            if turn.outcome.scheduled < 0:
                turn.outcome.scheduled, turn.outcome.cached = now, hit
            self._prefill(turn, min(self._budget(), len(tokens) - hit))

    def _prefill(self, turn: _Turn, chunk: int) -> None:
        for _ in range(self._new(turn, chunk)):
            self._take(turn)
        self._cache(turn, turn.kv + chunk)
        turn.chunk = chunk

    def _finish(self, now: float) -> None:
        self.steps += 1
        for turn in self._decoding():
            for _ in range(self._new(turn, 1)):
                self._take(turn)
            turn.kv += 1
            turn.outcome.written += 1
        for turn in self.running:
            if turn.chunk:
                turn.kv, turn.chunk = turn.kv + turn.chunk, 0
                if turn.kv == len(turn.tokens):
                    turn.decodes = True
                    turn.outcome.written += 1
                    if turn.outcome.first_token < 0:
                        turn.outcome.first_token = now
        for turn in [
            turn for turn in self.running if turn.outcome.written == turn.request.sampling.max_tokens
        ]:
            turn.outcome.ended = now
            self._leave(turn)

    def _preempt(self) -> None:
        turn = max(self.running, key=lambda turn: turn.order)
        turn.outcome.preemptions += 1
        self.preemptions += 1
        self._leave(turn)
        self.waiting.append(turn)

    def _leave(self, turn: _Turn) -> None:
        self.running.remove(turn)
        self._cache(turn, turn.kv)
        self.empty += turn.own
        for block in reversed(turn.blocks):
            self.holders[block] -= 1
            if self.holders[block] == 0:
                self.idle[block] = None
        turn.kv, turn.own, turn.blocks, turn.decodes = 0, 0, [], False

    def _cache(self, turn: _Turn, kv: int) -> None:
        tokens = turn.tokens
        for end in range((len(turn.blocks) + 1) * self.size, kv + 1, self.size):
            block = tuple(tokens[:end])
            known = block in self.holders
            self._hold(turn, block)
            turn.own -= 1
            self.empty += known  # its copy is not needed

    def _hold(self, turn: _Turn, block: Block) -> None:
        self.idle.pop(block, None)
        self.holders[block] = self.holders.get(block, 0) + 1
        turn.blocks.append(block)

    def _take(self, turn: _Turn) -> None:
        if self.empty == 0:
            block = next(iter(self.idle))
            del self.idle[block], self.holders[block]
            self.empty += 1
        self.empty -= 1
        turn.own += 1

    def _new(self, turn: _Turn, tokens: int) -> int:
        return -(-(turn.kv + tokens) // self.size) - -(-turn.kv // self.size)

    def _budget(self) -> int:
        used = len(self._decoding()) + sum(turn.chunk for turn in self.running)
        return self.hardware.max_batched_tokens - used

    def _free(self) -> int:
        return self.empty + len(self.idle)

    def _decoding(self) -> list[_Turn]:
        return [turn for turn in self.running if turn.decodes]

    def _decode_blocks(self) -> int:
        return sum(self._new(turn, 1) for turn in self._decoding())
