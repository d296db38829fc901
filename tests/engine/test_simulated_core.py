import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.engine import Request, Sampling
from headway.engine.simulated import Hardware, StepTime
from headway.engine.simulated.core import Core
from headway.engine.simulated.turn import State, Turn, pseudo_answer
from tests.engine.simulated_reference import Reference

Arrivals = list[tuple[float, Request]]

STEP = StepTime(fixed=0.0103, prefill=0.00107, decode=0.00031, kv_read=1.3e-5, attention=1.7e-6)


def hardware(*, block_size: int = 4, max_batched_tokens: int = 64) -> Hardware:
    return Hardware(
        name="test",
        source="made up",
        measured=False,
        step=STEP,
        kv_tokens=1 << 20,
        block_size=block_size,
        max_batched_tokens=max_batched_tokens,
    )


def request(id: str, prompt: list[int], max_tokens: int, priority: int = 0) -> Request:
    return Request(id=id, prompt=prompt, sampling=Sampling(max_tokens=max_tokens), priority=priority)


class Player:
    """Plays requests on a core as an event loop does, and looks at its blocks after every change."""

    def __init__(self, core: Core, blocks: int) -> None:
        self.core = core
        self.blocks = blocks
        self.ended: dict[str, float] = {}
        self.turns: dict[str, Turn] = {}
        self.now = 0.0

    def submit(self, request: Request) -> Turn:
        turn = Turn(
            request,
            arrival=len(self.turns),
            submitted=self.now,
            limit=request.sampling.max_tokens,
            finish="length",
        )
        self.turns[request.id] = turn
        self.core.submit(turn, self.now)
        return turn

    def run(self, until: float = float("inf")) -> None:
        """Let time pass; ``inf`` stops where the core is idle."""
        while (due := self.core.due(self.now)) is not None and due < until:
            self.now = due
            self.look(self.core.advance(due))
        if until < float("inf"):
            self.now = until
            self.look(self.core.advance(until))

    def look(self, ended: list[Turn]) -> None:
        for turn in ended:
            assert turn.request.id not in self.ended
            self.ended[turn.request.id] = self.now
        stats = self.core.stats(self.now)
        assert 0 <= stats.kv_usage <= 1
        assert (stats.kv_usage == 0) <= (stats.running == 0)
        assert stats.running + stats.waiting == len(self.turns) - len(self.ended)

    def play(self, arrivals: Arrivals) -> None:
        for moment, request in arrivals:
            if moment > self.now:
                self.run(moment)
            self.submit(request)
        self.run()


@st.composite
def loads(draw: st.DrawFn) -> Arrivals:
    """Sessions of a few turns each, some with a prompt in common, at moments that no step ends at."""
    arrivals: Arrivals = []
    for number in range(draw(st.integers(1, 8))):
        kind, priority = draw(st.integers(0, 2)), draw(st.integers(0, 2))
        prompt = [kind * 100 + position for position in range(draw(st.integers(1, 30)))]
        moment = 0.0
        for turn in range(draw(st.integers(1, 3))):
            id, max_tokens = f"{number}.{turn}", draw(st.integers(1, 24))
            moment += draw(st.integers(0, 60)) * 0.0172739
            if len(prompt) + max_tokens > 64:
                break
            arrivals.append((moment, request(id, prompt, max_tokens, priority)))
            prompt = prompt + pseudo_answer(id, max_tokens) + [number] * draw(st.integers(0, 6))
    return sorted(arrivals, key=lambda arrival: arrival[0])


@settings(deadline=None, max_examples=300)
@given(
    arrivals=loads(),
    block_size=st.sampled_from([1, 4, 7]),
    spare=st.integers(0, 60),
    seats=st.integers(1, 6),
    budget=st.integers(6, 80),
)
def test_jumping_to_the_next_change_equals_stepping_one_by_one(
    arrivals: Arrivals, block_size: int, spare: int, seats: int, budget: int
) -> None:
    shape = hardware(block_size=block_size, max_batched_tokens=budget)
    blocks = -(-64 // block_size) + spare // block_size
    reference = Reference(shape, blocks, seats)
    expected = reference.play(arrivals)
    player = Player(Core(shape, blocks=blocks, max_num_seqs=seats), blocks)
    player.play(arrivals)
    stats = player.core.stats(player.now)
    assert (stats.steps, stats.preemptions) == (reference.steps, reference.preemptions)
    assert (stats.running, stats.waiting, stats.kv_usage) == (0, 0, 0)
    assert stats.generated_tokens == sum(request.sampling.max_tokens for _, request in arrivals)
    for id, outcome in expected.items():
        turn = player.turns[id]
        generation = turn.generation(player.now)
        assert player.ended[id] == pytest.approx(outcome.ended)
        assert (len(generation.tokens), generation.cached_tokens) == (outcome.written, outcome.cached)
        assert generation.preemptions == outcome.preemptions
        assert turn.submitted + generation.queue_s == pytest.approx(outcome.scheduled)
        assert turn.submitted + generation.first_token_s == pytest.approx(outcome.first_token)


@settings(deadline=None, max_examples=100)
@given(
    arrivals=loads(),
    meddling=st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["abort", "halt", "go on", "load"]))),
)
def test_whatever_happens_every_turn_ends_and_no_block_stays_in_use(
    arrivals: Arrivals, meddling: list[tuple[int, str]]
) -> None:
    runs = []
    for _ in range(2):
        player = Player(Core(hardware(block_size=4), blocks=20, max_num_seqs=3), 20)
        events: list[tuple[float, Request | str]] = [*arrivals, *((t * 0.0291, what) for t, what in meddling)]
        for moment, event in sorted(events, key=lambda event: event[0]):
            player.run(moment)
            meddle(player, event)
        player.core.go_on()
        player.run()
        stats = player.core.stats(player.now)
        assert (stats.running, stats.waiting, stats.kv_usage) == (0, 0, 0)
        assert set(player.ended) == {request.id for _, request in arrivals}
        for turn in player.turns.values():
            generation = turn.generation(player.now)
            assert len(generation.tokens) == len(generation.logprobs) == len(generation.versions)
            assert generation.versions == sorted(generation.versions)
            assert turn.aborted or len(generation.tokens) == turn.limit
        runs.append((stats, player.ended))
    assert runs[0] == runs[1]


def meddle(player: Player, event: Request | str) -> None:
    core = player.core
    if isinstance(event, Request):
        player.submit(event)
    elif event == "abort":
        running = [turn for turn in player.turns.values() if turn.state is not State.ENDED]
        for turn in running[:1]:
            player.look(core.abort(turn, player.now))
    elif event == "go on":
        core.go_on()
    else:
        core.halt(player.now)
        if event == "load" and core.due(player.now) is None:
            core.load(core.version + 1)


def core_of(blocks: int, *, seats: int = 8, budget: int = 1000) -> Player:
    return Player(Core(hardware(max_batched_tokens=budget), blocks=blocks, max_num_seqs=seats), blocks)


def test_a_resumed_turn_finds_what_its_trajectory_left() -> None:
    player = core_of(blocks=100)
    first = request("first", list(range(10)), 11)
    player.play([(0.0, first)])
    resumed = request("second", first.prompt + pseudo_answer("first", 11) + [7, 7], 1)
    player.submit(resumed)
    player.run()
    # The last token that was written has no KV: 20 of 21 tokens, five whole blocks.
    assert player.turns["second"].cached == 20


def test_siblings_that_start_together_share_their_prompt() -> None:
    player = core_of(blocks=100)
    prompt = list(range(16))
    for number in range(4):
        player.submit(request(str(number), prompt, 5))
    player.run(0.0)
    assert [player.turns[str(number)].cached for number in range(4)] == [0, 12, 12, 12]
    # Four blocks of the prompt, with the last one computed anew by each and then shared.
    assert player.core.stats(0.0).kv_usage == 4 / 100


def test_what_was_released_first_is_evicted_first_from_its_tail() -> None:
    player = core_of(blocks=9)
    old, young = list(range(100, 116)), list(range(200, 212))
    player.play([(0.0, request("old", old, 1)), (1.0, request("young", young, 1))])
    player.play([(2.0, request("other", list(range(300, 312)), 1))])
    # Seven of nine blocks were cached: the other turn took the empty ones and the old one's last. So does the
    # young one now with the old one's third.
    player.play([(3.0, request("young again", [*young, 1], 1)), (4.0, request("old again", [*old, 1], 1))])
    assert player.turns["young again"].cached == 12
    assert player.turns["old again"].cached == 8


def test_the_last_running_turn_by_priority_and_arrival_is_preempted() -> None:
    player = core_of(blocks=12)
    for id, priority in (("urgent", 0), ("patient", 5), ("late", 0)):
        player.submit(request(id, [len(player.turns) * 50 + position for position in range(8)], 24, priority))
    player.run()
    preemptions = {id: turn.preemptions for id, turn in player.turns.items()}
    assert preemptions["urgent"] == 0
    assert preemptions["patient"] >= 1
    assert player.ended["urgent"] < player.ended["patient"]


def test_a_long_prompt_is_prefilled_in_chunks_while_others_write() -> None:
    player = core_of(blocks=1000, budget=50)
    player.submit(request("writer", [1, 2, 3], 40))
    player.run(0.02)
    player.submit(request("reader", list(range(500, 700)), 1))
    player.run()
    # 49 tokens a step beside the one decode: five steps for 200 tokens.
    assert player.turns["reader"].preemptions == 0
    assert player.core.stats(player.now).steps == 40


def test_an_arrival_that_cannot_start_does_not_cut_a_jump() -> None:
    player = core_of(blocks=1000, seats=1)
    player.submit(request("running", [1, 2, 3], 100))
    player.run(0.02)
    due = player.core.due(player.now)
    player.submit(request("waiting", [4, 5, 6], 1))
    assert player.core.due(player.now) == due


def test_statistics_between_changes_are_those_of_the_last_whole_step() -> None:
    player = core_of(blocks=1000)
    player.submit(request("one", list(range(20)), 50))
    seen = []
    while not player.ended:
        player.run(player.now + 0.001)
        seen.append(player.core.stats(player.now))
    assert [stats.steps for stats in seen] == sorted(stats.steps for stats in seen)
    assert {stats.steps for stats in seen} == set(range(51))
    assert all(stats.generated_tokens == stats.steps for stats in seen)
    held = {(stats.generated_tokens, round(stats.kv_usage * 1000)) for stats in seen if 0 < stats.steps < 50}
    assert all(blocks == -(-(19 + written) // 4) for written, blocks in held)
