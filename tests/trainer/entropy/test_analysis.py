"""The analysis, of real rollouts of the scheduler and of numbers whose answer is known."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import headway.trainer
from headway.errors import InputError
from headway.scheduler import Chat, Rollout
from headway.trainer.entropy import EntropyModel, Measured, Place, analyse, places
from headway.trainer.entropy.forward import batches
from headway.trainer.entropy.page import entropy_page
from tests.trainer.entropy.test_places import write
from tests.trainer.records import rollout
from tests.trainer.scripted_rollouts import scripted_rollouts

TINY = Path(headway.trainer.__file__).parent / "tiny_policy"


@pytest.fixture(scope="module")
def recorded() -> tuple[list[Rollout], Chat]:
    return asyncio.run(scripted_rollouts())


@pytest.fixture(scope="module")
def model() -> EntropyModel:
    return EntropyModel(TINY)


def test_entropies_are_those_of_the_models_distributions(
    recorded: tuple[list[Rollout], Chat], model: EntropyModel
) -> None:
    """Against the definition, one rollout at a time, in double precision."""
    rollouts, _ = recorded
    measured = model.measure(rollouts)
    reference = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float64).eval()
    for record, found in zip(rollouts, measured, strict=True):
        with torch.no_grad():
            logits = reference(input_ids=torch.tensor([record.tokens])).logits[0]
        chances = torch.distributions.Categorical(logits=logits)
        written = [t for t, model_wrote in enumerate(record.mask) if model_wrote]
        expected = [float(chances.entropy()[t - 1]) for t in written]
        drawn = [float(chances.logits[t - 1, record.tokens[t]]) for t in written]
        assert found.entropy == pytest.approx(expected, abs=2e-4)
        assert found.logprob == pytest.approx(drawn, abs=2e-3)


def test_what_is_measured_does_not_depend_on_the_batch(
    recorded: tuple[list[Rollout], Chat], model: EntropyModel
) -> None:
    rollouts, _ = recorded
    together = {found.rollout.id: found.entropy for found in model.measure(rollouts)}
    for budget in (1, 400, 10**9):
        cut = list(batches(rollouts, budget))
        assert sorted(record.id for batch in cut for record in batch) == sorted(r.id for r in rollouts)
        assert all(len(b) == 1 or len(b) * max(len(r.tokens) for r in b) <= budget for b in cut)
        for found in [one for batch in cut for one in model.measure(batch)]:
            assert found.entropy == pytest.approx(together[found.rollout.id], abs=1e-4)


def test_real_rollouts_are_reported_in_full(
    recorded: tuple[list[Rollout], Chat], model: EntropyModel
) -> None:
    rollouts, chat = recorded

    def piece(token: int) -> str:
        return chat.transcript([token])

    measured = model.measure(rollouts)
    report = analyse(measured, piece, first=4)
    assert (
        report.tokens == sum(record.generated for record in rollouts) == sum(p.tokens for p in report.places)
    )
    assert sum(place.top_tokens for place in report.places) == round(0.2 * report.tokens)
    assert sum(place.share for place in report.places) == pytest.approx(1)
    assert sum(place.top_share for place in report.places) == pytest.approx(1)
    assert {place.place for place in report.places} == set(Place)
    after = next(place for place in report.places if place.place == Place.AFTER_TOOL)
    assert after.tokens == 4 * sum(max(len(record.turns) - 1, 0) for record in rollouts)
    page = entropy_page("entropy <of> it", report, measured[:2], piece)
    assert "entropy &lt;of&gt; it" in page
    assert page.count("<pre>") == 3
    assert "<svg" in page
    assert 'class="high"' in page
    assert "&lt;tool_call&gt;" in page


def test_shares_lift_and_frequent_tokens_are_those_of_the_highest_entropies() -> None:
    """Ten tokens, the highest two: one of the four in code, one of the six elsewhere."""
    record, pieces = write(
        [['<tool_call>{"code": "', "a", "b", "a", "b", '"}</tool_call>', "x", "y", "x", "y"]]
    )
    entropy = [0.0, 0.9, 0.1, 0.2, 0.1, 0.0, 0.0, 0.8, 0.0, 0.0]
    report = analyse([Measured(record, entropy, [0.0] * 10)], pieces.__getitem__, first=0)
    said = {place.place: place for place in report.places}
    assert report.threshold == 0.8
    assert report.entropy == pytest.approx(0.21)
    code, elsewhere = said[Place.CODE], said[Place.ELSEWHERE]
    assert (code.tokens, code.top_tokens, code.share, code.top_share) == (4, 1, 0.4, 0.5)
    assert code.lift == pytest.approx(1.25)
    assert [(one.text, one.count, one.entropy) for one in code.frequent] == [("a", 1, 0.9)]
    assert (elsewhere.tokens, elsewhere.top_tokens) == (4, 1)
    assert said[Place.CALL].lift == 0.0


def test_everything_is_high_where_the_share_is_all() -> None:
    record, pieces = write([["a", "b", "c"]])
    report = analyse([Measured(record, [1.0, 0.0, 2.0], [-1.0] * 3)], pieces.__getitem__, top=1.0, first=0)
    assert [(place.place, place.lift) for place in report.places] == [(Place.ELSEWHERE, 1.0)]
    assert report.logprob_mean_abs_diff == 1.0


def test_a_place_that_is_drawn_at_random_has_a_lift_of_one() -> None:
    rng = np.random.default_rng(0)
    many = [write([["<answer>", *["5"] * 20, "</answer>", *["x"] * 30]])[0] for _ in range(200)]
    pieces = write([["<answer>", *["5"] * 20, "</answer>", *["x"] * 30]])[1]
    measured = [Measured(record, rng.random(52).tolist(), [0.0] * 52) for record in many]
    for place in analyse(measured, pieces.__getitem__, first=8).places:
        assert place.lift == pytest.approx(1, abs=0.12)


def test_tokens_that_the_model_has_not_are_an_error_that_says_so(model: EntropyModel) -> None:
    with pytest.raises(InputError, match=r"rollout g1.0: token \d+ is none of the model's 832"):
        model.measure([rollout(vocabulary=100_000, seed=3)])


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot load a model"):
        EntropyModel(tmp_path)


def test_places_fit_the_tokens_of_real_rollouts(recorded: tuple[list[Rollout], Chat]) -> None:
    rollouts, chat = recorded
    record = rollouts[1]  # a failed call, one that works, an answer
    found = places(record, lambda token: chat.transcript([token]), first=0)
    written = [token for token, model in zip(record.tokens, record.mask, strict=True) if model]

    def text(place: Place) -> str:
        return chat.transcript([t for t, where in zip(written, found, strict=True) if where == place])

    assert text(Place.CODE).startswith("print(1201*57")
    assert text(Place.CODE).count("print(") == 2
    assert "68458" in text(Place.ANSWER)
    assert "The call failed. " in text(Place.ELSEWHERE)
