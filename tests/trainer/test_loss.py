import torch

from headway.trainer.batch import Sample, micro_batches
from headway.trainer.loss import ClipConfig, policy_loss, token_logprobs

from .records import rollout

CLIP = ClipConfig(low=0.2, high=0.28)


def test_logprobs_are_those_of_the_next_token() -> None:
    logits = torch.randn(2, 5, 7)
    tokens = torch.randint(7, (2, 5))
    reference = torch.log_softmax(logits, -1)
    logprobs = token_logprobs(logits, tokens)
    for b in range(2):
        for t in range(4):
            assert torch.isclose(logprobs[b, t], reference[b, t, tokens[b, t + 1]])


def reference_loss(logprobs, behaviour, advantage, mask, tokens):
    """The formula of DAPO, eq. 8, token by token."""
    total = torch.zeros(())
    for b in range(mask.shape[0]):
        for t in range(mask.shape[1]):
            if mask[b, t]:
                ratio = torch.exp(logprobs[b, t] - behaviour[b, t])
                clipped = torch.clamp(ratio, 0.8, 1.28)
                total = total - torch.minimum(ratio * advantage[b, 0], clipped * advantage[b, 0])
    return total / tokens


def test_values_and_gradients_are_those_of_the_formula() -> None:
    torch.manual_seed(0)
    behaviour = -torch.rand(4, 9) * 2
    mask = torch.rand(4, 9) < 0.6
    advantage = torch.randn(4, 1)
    ours = (behaviour + torch.randn(4, 9) * 0.4).requires_grad_()
    theirs = ours.detach().clone().requires_grad_()
    tokens = int(mask.sum())
    policy_loss(ours, behaviour, advantage, mask, tokens=tokens, clip=CLIP).backward()
    reference_loss(theirs, behaviour, advantage, mask, tokens).backward()
    assert ours.grad is not None
    assert theirs.grad is not None
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-7)
    assert (ours.grad[~mask] == 0).all()


def test_padding_that_is_not_finite_does_not_leak_into_the_loss() -> None:
    logprobs = torch.tensor([[-1.0, float("-inf")]], requires_grad=True)
    mask = torch.tensor([[True, False]])
    loss = policy_loss(logprobs, torch.zeros(1, 2), torch.ones(1, 1), mask, tokens=1, clip=CLIP)
    loss.backward()
    assert torch.isfinite(loss)
    assert logprobs.grad is not None
    assert torch.isfinite(logprobs.grad).all()


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
                    token_logprobs(table[batch.tokens], batch.tokens),
                    batch.behaviour,
                    batch.advantage,
                    batch.mask,
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
