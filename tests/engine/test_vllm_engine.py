import itertools
from pathlib import Path

import pytest

from headway.engine import Engine, Fleet, Request, Sampling
from headway.errors import InputError
from tests.engine.contract import EngineContract, turn
from tests.engine.tiny_model import build_model, save_weights

_versions = itertools.count(1)


@pytest.fixture
def engine(fleet: Fleet) -> Engine:
    return fleet.engines[0]


@pytest.fixture
def version() -> int:
    return next(_versions)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_weights(tmp_path_factory.mktemp("weights") / "same.safetensors", build_model(seed=0))


@pytest.mark.vllm
@pytest.mark.asyncio(loop_scope="session")
class TestVllmEngine(EngineContract):
    async def test_a_stop_token_ends_the_turn_and_is_part_of_it(self, engine: Engine) -> None:
        free = await engine.generate(turn(max_tokens=16))
        stop = free.tokens[5]
        request = turn(max_tokens=16)
        sampling = Sampling(max_tokens=16, temperature=0.0, stop_token_ids=(stop,))
        stopped = await engine.generate(Request(id=request.id, prompt=request.prompt, sampling=sampling))
        assert stopped.finish_reason == "stop"
        assert stopped.tokens == free.tokens[: free.tokens.index(stop) + 1]

    async def test_weights_of_another_model_are_refused_and_the_engine_goes_on(
        self, engine: Engine, tmp_path: Path
    ) -> None:
        untied = save_weights(tmp_path / "other.safetensors", build_model(seed=0, layers=1))
        with pytest.raises(InputError, match=r"layers\.1\..* is missing"):
            await engine.update_weights(untied, 10_000)
        assert 10_000 not in (await engine.generate(turn())).versions

    async def test_engines_of_a_fleet_differ_in_their_seed_only(self, fleet: Fleet) -> None:
        first, second = fleet.engines
        sampled = [(await engine.generate(turn(temperature=1.0))).tokens for engine in (first, second)]
        greedy = [(await engine.generate(turn())).tokens for engine in (first, second)]
        assert sampled[0] != sampled[1]
        assert greedy[0] == greedy[1]

    @pytest.mark.parametrize("token", [512, -1])
    async def test_a_token_that_the_model_lacks_is_refused(self, engine: Engine, token: int) -> None:
        request = turn()
        wrong = Request(id=request.id, prompt=[*request.prompt, token], sampling=request.sampling)
        with pytest.raises(InputError, match=f"has token {token}, and the model has tokens 0 to 511"):
            await engine.generate(wrong)
        await engine.generate(turn())

    async def test_sampling_that_makes_no_sense_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InputError, match="temperature must be non-negative"):
            await engine.generate(turn(temperature=-1.0))
        await engine.generate(turn())
