import pytest
import torch

from headway.trainer.batch import Sample, micro_batches
from headway.trainer.loss import ClipConfig, chosen, policy_loss

from .records import rollout

CLIP = ClipConfig(low=0.2, high=0.28)


def test_logprobs_are_those_of_the_targets() -> None:
    predicted = torch.randn(5, 7).log_softmax(-1)
    targets = torch.randint(7, (5,))
    assert chosen(predicted, targets).tolist() == [
        predicted[i, target].item() for i, target in enumerate(targets)
    ]


def reference_loss(logprobs, behaviour, advantage, tokens):
    """The formula of DAPO, eq. 8, token by token."""
    total = torch.zeros(())
    for i in range(len(logprobs)):
        ratio = torch.exp(logprobs[i] - behaviour[i])
        clipped = torch.clamp(ratio, 0.8, 1.28)
        total = total - torch.minimum(ratio * advantage[i], clipped * advantage[i])
    return total / tokens


def test_values_and_gradients_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    behaviour = -torch.rand(40) * 2
    advantage = torch.randn(40)
    ours = (behaviour + torch.randn(40) * 0.4).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    value = policy_loss(ours, behaviour, advantage, tokens=60, clip=CLIP)
    reference = reference_loss(theirs, behaviour, advantage, tokens=60)
    value.backward()
    reference.backward()
    assert torch.allclose(value, reference, atol=1e-7)
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)


def test_the_loss_does_not_depend_on_how_the_batch_is_cut() -> None:
    torch.manual_seed(1)
    table = torch.randn(50, 50)
    samples = [
        Sample(rollout(prompt=2 + i % 3, written=3 + i, seed=i), advantage=(-1.0) ** i) for i in range(7)
    ]
    tokens = sum(sample.rollout.generated for sample in samples)

    def total(budget: int) -> tuple[float, int]:
        batches = list(micro_batches(samples, token_budget=budget, device=torch.device("cpu")))
        loss = sum(
            float(
                policy_loss(
                    chosen(table[batch.tokens[:, :-1]][batch.mask].log_softmax(-1), batch.targets),
                    batch.behaviour,
                    batch.advantage,
                    tokens=tokens,
                    clip=CLIP,
                )
            )
            for batch in batches
        )
        return loss, len(batches)

    (whole, one), (cut, many) = total(10_000), total(20)
    assert one == 1
    assert many > 3
    assert abs(whole - cut) < 1e-6


def test_every_model_written_token_is_in_exactly_one_micro_batch() -> None:
    samples = [Sample(rollout(written=1 + i, seed=i), advantage=1.0) for i in range(20)]
    batches = list(micro_batches(samples, token_budget=64, device=torch.device("cpu")))
    assert sum(int(batch.mask.sum()) for batch in batches) == sum(s.rollout.generated for s in samples)
    assert all(batch.tokens.numel() <= 64 for batch in batches)


def test_what_is_known_of_the_written_tokens_is_in_the_order_of_the_mask() -> None:
    samples = [Sample(rollout(prompt=2 + i, written=3, seed=i, id=f"g1.{i}"), float(i)) for i in range(3)]
    (batch,) = micro_batches(samples, token_budget=1000, device=torch.device("cpu"))
    assert batch.targets.tolist() == [token for s in samples for token in s.rollout.tokens[-3:]]
    assert batch.behaviour.tolist() == pytest.approx([p for s in samples for p in s.rollout.logprobs[-3:]])
    assert batch.advantage.tolist() == [0.0] * 3 + [1.0] * 3 + [2.0] * 3


def test_the_cut_does_not_depend_on_the_order_in_which_samples_come() -> None:
    samples = [Sample(rollout(written=4, seed=i, id=f"g{i}.0"), advantage=1.0) for i in range(9)]
    cuts = [
        [batch.tokens.tolist() for batch in micro_batches(order, token_budget=30, device=torch.device("cpu"))]
        for order in (samples, samples[::-1])
    ]
    assert cuts[0] == cuts[1]
