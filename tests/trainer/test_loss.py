"""The losses against their formulas, one token at a time; ``test_parity_trl.py`` has the rest."""

import math
from typing import Any

import msgspec
import pytest
import torch

from headway.trainer.importance import ImportanceConfig, importance_weights
from headway.trainer.loss import BatchSize, ClipConfig, LossConfig, chosen, k3, policy_loss
from headway.trainer.segments import Segments

from .records import rollout

LENGTHS = [8, 5, 1, 6]
SIZE = BatchSize(tokens=60, rollouts=9)
EXACT = ImportanceConfig(level="off")


class Batch:
    """Twenty tokens of four rollouts, whose ratios go well beyond the clip."""

    def __init__(self) -> None:
        torch.manual_seed(1)
        lengths = torch.tensor(LENGTHS)
        self.anchor = -torch.rand(20) * 2
        self.behaviour = self.anchor + torch.randn(20) * 0.4
        self.logprobs = (self.anchor + torch.randn(20) * 0.8).requires_grad_()
        self.reference = self.anchor + torch.randn(20) * 0.2
        self.advantage = torch.tensor([1.0, -0.7, 0.4, -1.2]).repeat_interleave(lengths)
        self.segments = Segments(torch.arange(4).repeat_interleave(lengths), lengths.float())

    def loss(self, config: LossConfig, *, size: BatchSize = SIZE, **changed: Any) -> Any:
        given = {"anchor": self.anchor, "reference": self.reference, "behaviour": self.behaviour, **changed}
        return policy_loss(
            self.logprobs, advantage=self.advantage, segments=self.segments, size=size, config=config, **given
        )

    def gradient(self, value: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(value, self.logprobs, retain_graph=True)
        return gradient


def test_logprobs_are_those_of_the_targets() -> None:
    predicted = torch.randn(5, 7).log_softmax(-1)
    targets = torch.randint(7, (5,))
    assert chosen(predicted, targets).tolist() == [
        predicted[i, target].item() for i, target in enumerate(targets)
    ]


def test_the_default_is_the_clipped_token_mean_of_dapo() -> None:
    batch = Batch()
    total = torch.zeros(())
    for i in range(20):
        ratio = torch.exp(batch.logprobs[i] - batch.anchor[i])
        weight = min(math.exp(batch.anchor[i] - batch.behaviour[i]), 2.0)
        clipped = torch.clamp(ratio, 0.8, 1.28)
        total = total - torch.minimum(ratio * batch.advantage[i], clipped * batch.advantage[i]) * weight
    expected = total / SIZE.tokens
    found = batch.loss(LossConfig()).loss
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(batch.gradient(found), batch.gradient(expected))


def test_on_policy_the_gradient_is_that_of_the_policy_gradient() -> None:
    batch = Batch()
    found = batch.loss(LossConfig(importance=EXACT), anchor=None).loss
    torch.testing.assert_close(batch.gradient(found), -batch.advantage / SIZE.tokens)


@pytest.mark.parametrize(
    ("loss", "share"),
    [
        ("dapo", lambda length: 1 / 60),
        ("cispo", lambda length: 1 / 60),
        ("grpo", lambda length: 1 / (9 * length)),
        ("dr_grpo", lambda length: 1 / (9 * 50)),
    ],
)
def test_each_kind_gives_a_token_its_share_of_the_whole_batch(loss: Any, share: Any) -> None:
    batch = Batch()
    found = batch.loss(LossConfig(loss=loss, loss_length=50, importance=EXACT), anchor=None).loss
    shares = torch.tensor([share(length) for length in LENGTHS for _ in range(length)])
    torch.testing.assert_close(batch.gradient(found), -batch.advantage * shares)


def test_sft_is_the_token_mean_of_the_log_probability_whoever_sampled_the_tokens() -> None:
    batch = Batch()
    unknown = torch.full((20,), math.nan)
    terms = batch.loss(LossConfig(loss="sft"), behaviour=unknown, anchor=None)
    torch.testing.assert_close(terms.loss, -(batch.advantage * batch.logprobs).sum() / SIZE.tokens)
    torch.testing.assert_close(batch.gradient(terms.loss), -batch.advantage / SIZE.tokens)
    assert terms.low is terms.high is terms.weights is terms.kl is None


def test_gspo_takes_one_ratio_for_a_rollout_the_geometric_mean_of_its_tokens() -> None:
    batch = Batch()
    clip = ClipConfig(low=0.1, high=0.1)
    total = torch.zeros(())
    for i, length in enumerate(LENGTHS):
        here = batch.segments.of == i
        ratio = torch.exp((batch.logprobs[here] - batch.anchor[here]).sum() / length)
        advantage = batch.advantage[here][0]
        total = total - torch.minimum(ratio * advantage, ratio.clamp(0.9, 1.1) * advantage)
    expected = total / SIZE.rollouts
    found = batch.loss(LossConfig(loss="gspo", clip=clip, importance=EXACT)).loss
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(batch.gradient(found), batch.gradient(expected))


def test_cispo_keeps_the_gradient_of_every_token_and_bounds_its_weight() -> None:
    batch = Batch()
    found = batch.loss(LossConfig(loss="cispo", clip=ClipConfig(high=0.1), importance=EXACT)).loss
    ratio = (batch.logprobs - batch.anchor).exp().detach()
    assert (ratio > 1.1).any()
    expected = -ratio.clamp(max=1.1) * batch.advantage / SIZE.tokens
    torch.testing.assert_close(batch.gradient(found), expected)


def test_the_dual_clip_ends_the_gradient_of_a_bad_token_that_became_likely_and_only_that() -> None:
    batch = Batch()
    plain, dual = (
        batch.gradient(batch.loss(LossConfig(clip=ClipConfig(dual=bound))).loss) for bound in (None, 1.3)
    )
    reached = ((batch.logprobs - batch.anchor).exp() > 1.3) & (batch.advantage < 0)
    assert reached.any()
    assert (plain[reached] != 0).all()
    assert (dual[reached] == 0).all()
    assert torch.equal(plain[~reached], dual[~reached])


def test_the_tokens_counted_as_clipped_are_those_without_a_gradient() -> None:
    batch = Batch()
    for loss in ("dapo", "grpo"):
        terms = batch.loss(LossConfig(loss=loss))
        assert terms.low.any()
        assert terms.high.any()
        assert torch.equal(batch.gradient(terms.loss) == 0, terms.low | terms.high)


def test_the_anchor_can_be_what_the_engines_sampled_from() -> None:
    batch = Batch()
    engine = batch.loss(LossConfig(anchor="engine"))
    assert (engine.weights.values == 1).all()
    torch.testing.assert_close(
        engine.loss, batch.loss(LossConfig(importance=EXACT), anchor=batch.behaviour).loss
    )


def test_kl_is_k3_whose_ratio_makes_its_gradient_that_of_the_divergence() -> None:
    """Over all tokens that the policy could have sampled, with their probabilities."""
    logits = torch.randn(6, generator=torch.manual_seed(2)).requires_grad_()
    reference = torch.randn(6).log_softmax(-1)
    logprobs = logits.log_softmax(-1)
    (exact,) = torch.autograd.grad((logprobs.exp() * (logprobs - reference)).sum(), logits, retain_graph=True)
    for unbiased in (True, False):
        terms = policy_loss(
            logprobs,
            behaviour=logprobs.detach(),
            advantage=torch.zeros(6),
            segments=Segments(torch.arange(6), torch.ones(6)),
            size=BatchSize(1, 1),
            config=LossConfig(kl=1.0, unbiased_kl=unbiased),
            reference=reference,
        )
        assert terms.kl is not None
        torch.testing.assert_close(terms.kl, k3(reference - logprobs))
        (each,) = torch.autograd.grad(terms.loss, logprobs, retain_graph=True)
        (found,) = torch.autograd.grad(
            (each * logprobs.exp().detach() * logprobs).sum(), logits, retain_graph=True
        )
        assert torch.allclose(found, exact, atol=1e-6) == unbiased


def test_kl_without_a_reference_is_an_error() -> None:
    with pytest.raises(ValueError, match="`kl` needs the reference's log-probabilities"):
        Batch().loss(LossConfig(kl=0.1), reference=None)


def test_two_ranks_that_divide_by_the_sum_of_their_sizes_have_the_gradient_of_one() -> None:
    batch = Batch()
    first = batch.segments.of < 2
    for loss in ("dapo", "grpo", "dr_grpo", "gspo", "cispo"):
        config = LossConfig(loss=loss, loss_length=9, kl=0.1)
        whole = batch.loss(config, size=BatchSize(20, 4)).loss
        parts = torch.zeros(())
        sizes = []
        for rank, here in enumerate((first, ~first)):
            lengths = batch.segments.lengths[2 * rank : 2 * rank + 2]
            sizes.append(BatchSize(int(here.sum()), 2))
            parts = (
                parts
                + policy_loss(
                    batch.logprobs[here],
                    behaviour=batch.behaviour[here],
                    advantage=batch.advantage[here],
                    segments=Segments(batch.segments.of[here] - 2 * rank, lengths),
                    size=BatchSize(20, 4),
                    config=config,
                    anchor=batch.anchor[here],
                    reference=batch.reference[here],
                ).loss
            )
        assert sum(size.tokens for size in sizes) == 20
        torch.testing.assert_close(batch.gradient(parts), batch.gradient(whole))


def test_the_size_counts_what_is_masked_later() -> None:
    assert BatchSize.of([rollout(written=4), rollout(written=7)]) == BatchSize(tokens=11, rollouts=2)
    batch = Batch()
    masking = ImportanceConfig(method="mask", high=1.2)
    found = batch.loss(LossConfig(importance=masking), anchor=batch.logprobs.detach())
    kept = ~found.weights.bounded
    assert 0 < kept.sum() < 20
    ratio = (batch.logprobs - batch.behaviour).exp().detach()
    expected = torch.where(kept, -batch.advantage * ratio / SIZE.tokens, 0.0)
    torch.testing.assert_close(batch.gradient(found.loss), expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ImportanceConfig(), [1.5, 2.0, 0.5, 0.8]),
        (ImportanceConfig(low=0.6), [1.5, 2.0, 0.6, 0.8]),
        (ImportanceConfig(method="mask", low=0.6), [1.5, 0.0, 0.0, 0.8]),
        (ImportanceConfig(level="sequence", high=None), [4.5, 4.5, 0.4, 0.4]),
        (ImportanceConfig(level="sequence", high=3.0), [3.0, 3.0, 0.4, 0.4]),
        (ImportanceConfig(level="sequence", method="mask", high=3.0), [0.0, 0.0, 0.4, 0.4]),
        (ImportanceConfig(level="off"), [1.0, 1.0, 1.0, 1.0]),
        (ImportanceConfig(sequence_high=2.0), [0.0, 0.0, 0.5, 0.8]),  # geometric means: 2.12 and 0.63
        (ImportanceConfig(sequence_low=0.64), [1.5, 2.0, 0.0, 0.0]),
        (ImportanceConfig(level="off", sequence_low=0.6, sequence_high=2.2), [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_importance_weights_are_bounded_ratios(config: ImportanceConfig, expected: list[float]) -> None:
    """Two rollouts of two tokens, with the ratios 1.5, 3 and 0.5, 0.8."""
    behaviour = torch.tensor([-1.0, -2.0, -0.5, -3.0])
    anchor = behaviour + torch.tensor([1.5, 3.0, 0.5, 0.8]).log()
    segments = Segments(torch.tensor([0, 0, 1, 1]), torch.tensor([2.0, 2.0]))
    found = importance_weights(anchor.requires_grad_(), behaviour, segments, config)
    assert found.values.tolist() == pytest.approx(expected)
    assert not found.values.requires_grad


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: ClipConfig(high=0.5, dual=1.5), r"`dual` \(1.5\) must be more than 1 \+ `high` \(1.5\)"),
        (
            lambda: ImportanceConfig(low=1.5),
            r"`low` \(1.5\) and `high` \(2.0\) must have 1, no mismatch, between",
        ),
        (lambda: LossConfig(loss="dr_grpo"), r"dr_grpo needs `loss_length`"),
        (lambda: LossConfig(loss="sft", kl=0.1), r"`loss` sft has no `kl`"),
        (
            lambda: msgspec.convert({"importance": {"sequence_high": 0.9}}, LossConfig),
            r"`sequence_low` \(None\) and `sequence_high` \(0.9\) must have 1",
        ),
    ],
)
def test_a_loss_that_makes_no_sense_is_refused(make: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        make()
