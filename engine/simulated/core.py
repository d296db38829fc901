"""What vLLM's V1 scheduler and a GPU do with turns, as a function of time: continuous batching.

In each step every decoding turn writes one token; what is left of the token budget goes to the prefills
under way, then to waiting turns by priority and arrival, as long as a turn's whole context fits the free
blocks. When blocks run out, the running turn that is last in that order is preempted and recomputed later.
While nothing is prefilled, all steps until the next change of the batch are one jump.
Invariants: the last token of a context is always computed; turns come and go between steps only; blocks
in use are those of running turns. Synchronous, and knows nothing of event loops: the caller tells the time.
"""

import heapq
from bisect import bisect_left, insort

from ..protocol import EngineStats
from .blocks import BlockPool, Match
from .decoding import Decoding
from .hardware import Hardware
from .stretch import Stretch
from .turn import State, Turn


class Core:
    """One engine. Call ``advance`` when ``due``, and before telling it of anything that happens."""

    def __init__(self, hardware: Hardware, *, blocks: int, max_num_seqs: int) -> None:
        self.halted = False
        self.version = 0
        self._hardware = hardware
        self._max_num_seqs = max_num_seqs
        self._pool = BlockPool(blocks, hardware.block_size)
        self._decoding = Decoding(hardware.block_size)
        self._prefilling: list[Turn] = []
        self._running: list[tuple[tuple[int, int], Turn]] = []  # sorted
        self._waiting: list[tuple[tuple[int, int], Turn]] = []  # a heap, with turns that ended meanwhile
        self._waiting_turns = 0
        self._stretch: Stretch | None = None
        self._aborted: list[Turn] = []
        self._generated = self._prompt_tokens = self._cached_tokens = self._preemptions = 0

    def due(self, now: float) -> float | None:
        """When the engine next changes: ``now`` where it can start a step at once, None where it is idle."""
        if self._stretch is not None:
            return self._stretch.end
        return now if self._can_step() else None

    def advance(self, now: float) -> list[Turn]:
        """Take all steps that are over by ``now`` and start the next one; gives the turns that ended."""
        ended: list[Turn] = []
        moment = now
        while self._stretch is None or self._stretch.end <= now:
            if self._stretch is not None:
                moment = self._stretch.end
                ended += self._finish(self._stretch)
            if not self._can_step():
                break
            self._stretch = self._plan(moment)
        return ended

    def submit(self, turn: Turn, now: float) -> None:
        """Take in a turn; it is scheduled with the next step that has room for it."""
        self._wait(turn)
        has_seat = len(self._running) < self._max_num_seqs
        if self._stretch is not None and has_seat and self._next_waiting() is turn:
            self._stretch.cut(now)

    def abort(self, turn: Turn, now: float) -> list[Turn]:
        """End a turn; one that runs leaves with the step under way. Gives what ended at once."""
        if turn.state is State.ENDED or turn.aborted:
            return []
        turn.aborted = True
        if turn.state is State.WAITING:
            turn.state = State.ENDED
            self._waiting_turns -= 1
            return [turn]
        self._aborted.append(turn)
        if self._stretch is None:
            return self._remove_aborted()
        self._stretch.cut(now)
        return []

    def halt(self, now: float) -> None:
        """Take no step after the one under way until ``go_on``."""
        self.halted = True
        if self._stretch is not None:
            self._stretch.cut(now)

    def go_on(self) -> None:
        """Take steps again."""
        self.halted = False

    def load(self, version: int) -> None:
        """Take on new weights between two steps: nothing stays cached, and what runs starts over."""
        if self._stretch is not None:
            raise RuntimeError("weights were loaded in the middle of a step")
        while self._running:
            self._preempt()
        self._pool.clear()
        self.version = version

    def stats(self, now: float) -> EngineStats:
        """The account after the last step that is over by ``now``."""
        steps = self._stretch.completed(now) if self._stretch and not self._stretch.chunks else 0
        return EngineStats(
            steps=self._decoding.steps + steps,
            running=len(self._running),
            waiting=self._waiting_turns,
            kv_usage=(self._pool.used + self._decoding.blocks(steps)) / self._pool.size,
            generated_tokens=self._generated + steps * len(self._decoding),
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self._cached_tokens,
            preemptions=self._preemptions,
        )

    def _can_step(self) -> bool:
        return not self.halted and (self._waiting_turns > 0 or bool(self._running))

    def _plan(self, now: float) -> Stretch:
        """Decide on the next step, or on all steps until the batch changes."""
        before = self._preemptions
        self._make_room(0)
        chunks = self._continue_prefills()
        if self._preemptions == before:
            chunks += self._admit(now, self._budget - sum(count for _, count in chunks))
        changes = bool(chunks) or self._preemptions > before
        return self._stretch_of(now, chunks, steps=1 if changes else self._steps_to_change())

    def _stretch_of(self, now: float, chunks: list[tuple[Turn, int]], steps: int) -> Stretch:
        step, decoding = self._hardware.step, self._decoding
        first = step.seconds(
            prefill=sum(count for _, count in chunks),
            decode=len(decoding),
            kv_read=decoding.context,
            attention=sum(count * (turn.kv + count / 2) for turn, count in chunks),
        )
        growth = step.kv_read * len(decoding)
        return Stretch(start=now, steps=steps, first=first, growth=growth, chunks=chunks)

    def _steps_to_change(self) -> int:
        if not len(self._decoding):
            raise RuntimeError("an engine with turns found nothing to compute")
        return self._decoding.affordable(self._decoding.steps_left(), self._pool.free)

    @property
    def _budget(self) -> int:
        """Prefill tokens that fit the next step."""
        return self._hardware.max_batched_tokens - len(self._decoding)

    @property
    def _room(self) -> int:
        """Blocks that the decoding turns leave in the next step."""
        return self._pool.free - self._decoding.blocks(1)

    def _make_room(self, blocks: int, turn: Turn | None = None) -> bool:
        """Preempt until so many blocks are free; false where ``turn``, which wants them, had to go itself."""
        while self._room < blocks:
            if self._preempt() is turn:
                return False
        return True

    def _continue_prefills(self) -> list[tuple[Turn, int]]:
        chunks: list[tuple[Turn, int]] = []
        for turn in sorted(self._prefilling, key=lambda turn: turn.order):
            if turn.state is not State.PREFILLING:
                continue  # preempted to make room for one before it
            count = min(self._budget - sum(count for _, count in chunks), turn.target - turn.kv)
            if count <= 0 or not self._make_room(self._blocks(turn.kv + count) - self._blocks(turn.kv), turn):
                break
            self._take(turn, count)
            chunks.append((turn, count))
        return chunks

    def _admit(self, now: float, budget: int) -> list[tuple[Turn, int]]:
        chunks: list[tuple[Turn, int]] = []
        while budget > 0 and len(self._running) < self._max_num_seqs:
            turn = self._next_waiting()
            if turn is None:
                break
            size = self._hardware.block_size
            match = self._pool.match(turn.tokens(), (turn.target - 1) // size * size)
            if self._blocks(turn.target) - match.tokens // size + match.idle > self._room:
                break
            self._start(turn, match, now)
            count = min(budget, turn.target - turn.kv)
            self._take(turn, count)
            chunks.append((turn, count))
            budget -= count
        return chunks

    def _start(self, turn: Turn, match: Match, now: float) -> None:
        heapq.heappop(self._waiting)
        self._waiting_turns -= 1
        turn.state = State.PREFILLING
        turn.node = self._pool.hold(match)
        turn.kv = turn.cached_kv = match.tokens
        if turn.queue_s is None:
            turn.queue_s, turn.cached = now - turn.submitted, match.tokens
        self._prefilling.append(turn)
        insort(self._running, (turn.order, turn))

    def _take(self, turn: Turn, count: int) -> None:
        """Take the blocks of a chunk; whole ones can be shared from this step on."""
        self._pool.take(self._blocks(turn.kv + count) - self._blocks(turn.kv))
        self._cache(turn, turn.kv + count)

    def _cache(self, turn: Turn, kv: int) -> None:
        whole = kv - kv % self._hardware.block_size
        assert turn.node is not None
        if whole > turn.cached_kv:
            turn.node = self._pool.cache(turn.node, turn.slice(turn.cached_kv, whole))
            turn.cached_kv = whole

    def _finish(self, stretch: Stretch) -> list[Turn]:
        """Take in the steps of a stretch; gives the turns that ended with it."""
        self._stretch = None
        self._generated += stretch.steps * len(self._decoding)
        self._pool.take(self._decoding.blocks(stretch.steps))
        self._decoding.advance(stretch.steps)
        for turn, count in stretch.chunks:
            turn.kv += count
            if turn.kv == turn.target:
                self._start_decoding(turn, stretch.end)
        ended = self._decoding.ended()
        for turn in ended:
            self._leave(turn, State.ENDED)
        return ended + self._remove_aborted()

    def _start_decoding(self, turn: Turn, now: float) -> None:
        self._prefilling.remove(turn)
        self._decoding.add(turn)
        self._generated += 1
        if turn.first_token_s is None:
            turn.first_token_s = now - turn.submitted
            self._prompt_tokens += len(turn.request.prompt)
            self._cached_tokens += turn.cached or 0

    def _remove_aborted(self) -> list[Turn]:
        """Those that ended with their last step anyway have ended already."""
        turns = [turn for turn in self._aborted if turn.state is not State.ENDED]
        for turn in turns:
            self._leave(turn, State.ENDED)
        self._aborted.clear()
        return turns

    def _preempt(self) -> Turn:
        """Send the running turn that comes last back to the queue; it will be computed anew."""
        turn = self._running[-1][1]
        self._leave(turn, State.WAITING)
        turn.preemptions += 1
        self._preemptions += 1
        self._wait(turn)
        return turn

    def _leave(self, turn: Turn, state: State) -> None:
        """Take a turn out of the batch; its whole blocks stay cached until somebody needs them."""
        if turn.state is State.DECODING:
            turn.spans.append((self.version, self._decoding.remove(turn)))
        else:
            self._prefilling.remove(turn)
        turn.state = state
        del self._running[bisect_left(self._running, turn.order, key=lambda entry: entry[0])]
        self._cache(turn, turn.kv)
        assert turn.node is not None
        self._pool.give(self._blocks(turn.kv - turn.cached_kv))
        self._pool.release(turn.node)
        turn.node, turn.kv, turn.cached_kv = None, 0, 0

    def _wait(self, turn: Turn) -> None:
        heapq.heappush(self._waiting, (turn.order, turn))
        self._waiting_turns += 1

    def _next_waiting(self) -> Turn | None:
        while self._waiting and self._waiting[0][1].state is not State.WAITING:
            heapq.heappop(self._waiting)
        return self._waiting[0][1] if self._waiting else None

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self._hardware.block_size)
