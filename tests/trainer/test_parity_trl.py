"""Loss, gradient and advantages are those of TRL, on the same rollouts and the same weights.

TRL's trainer scores fixed rollouts (old log-probabilities, importance ratios, advantages) and computes its
loss; ours goes the way of a real step, from records to packed rows. Off policy the weights move between
scoring and loss, and the probabilities that sampled the tokens differ from both.
"""

import copy
import itertools
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from headway.scheduler import Rollout
from headway.trainer.batch import MicroBatch, Sample, micro_batches
from headway.trainer.importance import ImportanceConfig, importance_weights
from headway.trainer.loss import BatchSize, ClipConfig, LossConfig, chosen, policy_loss
from headway.trainer.network import NetworkConfig, predictions
from headway.trainer.roc import advantages
from headway.trainer.tiny import build_model, untrained_tokenizer

from .records import rollout

with warnings.catch_warnings():  # of a vLLM that it has not been tried with; none is used here
    warnings.simplefilter("ignore")
    import datasets
    import trl
    from trl.trainer.utils import add_fused_lm_head, split_tensor_dict

CPU = torch.device("cpu")
REWARDS = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
GROUP = 4
LENGTH = 40  # what Dr. GRPO divides by
KL = {"no KL": {}, "KL": {"kl": 0.04}, "plain KL": {"kl": 0.04, "unbiased_kl": False}}
CLOSE = 1e-6

KINDS = ["dapo", "bnpo", "grpo", "dr_grpo", "gspo", "cispo"]
CLIPS = {
    "on-policy": ClipConfig(),
    "symmetric": ClipConfig(low=0.2, high=0.2),
    "clip-higher": ClipConfig(low=0.2, high=0.28),
    "two-sided": ClipConfig(low=0.2, high=0.28, dual=1.4),
}
MODES = {
    "off": ImportanceConfig(level="off"),
    "token_truncate": ImportanceConfig(high=1.5),
    "token_mask": ImportanceConfig(method="mask", low=0.7, high=1.5),
    "sequence_truncate": ImportanceConfig(level="sequence", low=0.5, high=2.0),
    "sequence_mask": ImportanceConfig(level="sequence", method="mask", low=0.5, high=2.0),
}


def records(model: Any) -> list[Rollout]:
    """Rollouts of different lengths, with observations in between, sampled by something near the model."""
    rng = random.Random(3)
    made = []
    for i, reward in enumerate(REWARDS):
        prompt = 4 + i % 3
        record = rollout(
            prompt=prompt, written=8 + 4 * (i % 4), reward=reward, id=f"g.{i}", vocabulary=256, seed=i
        )
        observed = range(prompt + 2, prompt + 4 + i % 3)
        mask = [written and t not in observed for t, written in enumerate(record.mask)]
        with torch.no_grad():
            logits = model(torch.tensor([record.tokens])).logits[0, :-1]
        exact = [0.0, *chosen(logits.log_softmax(-1), torch.tensor(record.tokens[1:])).tolist()]
        near = [p + rng.gauss(0, 0.4) if written else 0.0 for p, written in zip(exact, mask, strict=True)]
        made.append(msgspec.structs.replace(record, mask=mask, logprobs=near))
    return made


def moved(model: Any, by: float, seed: int) -> Any:
    other = copy.deepcopy(model)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(by * parameter.std() * torch.randn_like(parameter))
    return other


class Weights:
    """The weights that scored the rollouts, those that the loss is of, and those of the reference."""

    def __init__(self, tokenizer: Any) -> None:
        self.scoring = build_model(tokenizer, 0, width=64, layers=2)
        with torch.no_grad():
            for parameter in self.scoring.parameters():
                if parameter.ndim > 1:
                    parameter.mul_(4)  # predictions that are not all alike
        self.training = moved(self.scoring, 0.05, seed=1)
        self.reference = moved(self.scoring, 0.05, seed=2)
        self.rollouts = records(self.scoring)


class Theirs:
    """TRL's trainer, with rollouts of ours in place of generation."""

    def __init__(self, tokenizer: Any, weights: Weights, folder: Path) -> None:
        self.weights = weights
        self.reference = copy.deepcopy(weights.reference)
        add_fused_lm_head(self.reference)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            args = trl.GRPOConfig(
                output_dir=str(folder),
                per_device_train_batch_size=len(REWARDS),
                num_generations=GROUP,
                max_completion_length=LENGTH,
                report_to="none",
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
            )
            self.trainer = trl.GRPOTrainer(
                model=copy.deepcopy(weights.scoring),
                reward_funcs=lambda completions, **_: REWARDS,
                args=args,
                train_dataset=datasets.Dataset.from_dict({"prompt": ["?"] * len(REWARDS)}),
                processing_class=tokenizer,
                rollout_func=self._rollouts,
            )

    def _rollouts(self, prompts: Any, trainer: Any) -> dict[str, Any]:
        rollouts = self.weights.rollouts
        return {
            "prompt_ids": [r.tokens[: r.prompt] for r in rollouts],
            "completion_ids": [r.tokens[r.prompt :] for r in rollouts],
            "logprobs": [r.logprobs[r.prompt :] for r in rollouts],
            "env_mask": [[int(m) for m in r.mask[r.prompt :]] for r in rollouts],
        }

    def scored(self, config: LossConfig, mode: str, *, on_policy: bool, kind: str, parts: int = 1) -> Any:
        """Set the trainer to a case, and let it score the rollouts."""
        trainer = self.trainer
        trainer.loss_type = "grpo" if kind == "gspo" else kind
        trainer.importance_sampling_level = "sequence" if kind == "gspo" else "token"
        clip = config.clip
        assert clip is not None
        trainer.epsilon_low = clip.low
        trainer.epsilon_high = 1 + clip.high if kind == "cispo" else clip.high
        trainer.args.delta = clip.dual
        trainer.beta, trainer.ref_model = config.kl, self.reference
        trainer.args.use_bias_correction_kl = config.unbiased_kl
        trainer.use_vllm = trainer.vllm_importance_sampling_correction = mode != "off"
        trainer._last_loaded_step = trainer.state.global_step
        trainer.vllm_importance_sampling_mode = mode
        trainer.vllm_importance_sampling_clip_min = config.importance.low
        trainer.vllm_importance_sampling_clip_max = config.importance.high
        trainer.num_iterations = 1 if on_policy else 2  # with 2 it keeps the old log-probabilities
        trainer.args.steps_per_generation = trainer.args.gradient_accumulation_steps = parts
        trainer.current_gradient_accumulation_steps = parts
        trainer.model.load_state_dict(self.weights.scoring.state_dict())
        return trainer._generate_and_score_completions([{"prompt": "?"}] * len(REWARDS))

    def loss(self, inputs: Any, *, on_policy: bool, parts: int = 1) -> tuple[float, list[torch.Tensor]]:
        model = self.trainer.model
        if not on_policy:
            model.load_state_dict(self.weights.training.state_dict())
        model.zero_grad()
        total = 0.0
        for part in split_tensor_dict(inputs, parts):
            loss = self.trainer._compute_loss(model, part)
            loss.backward()
            total += loss.item()
        return total, [parameter.grad.clone() for parameter in model.parameters()]


class Ours:
    """The functions of a step, on micro-batches of packed rows."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        values = [a for i in range(0, len(REWARDS), GROUP) for a in advantages(REWARDS[i : i + GROUP], 1e-4)]
        self.samples = [Sample(r, a) for r, a in zip(weights.rollouts, values, strict=True)]

    def loss(
        self, config: LossConfig, *, on_policy: bool, budget: int = 90, parts: int = 1, own_size: bool = False
    ) -> tuple[float, list[torch.Tensor]]:
        """``own_size``: each part of the batch divides by its own size, as bnpo does."""
        model = self.weights.scoring if on_policy else self.weights.training
        model.zero_grad()
        total = 0.0
        step = len(self.samples) // parts
        for start in range(0, len(self.samples), step):
            part = self.samples[start : start + step]
            size = BatchSize.of(sample.rollout for sample in (part if own_size else self.samples))
            if own_size:
                size = BatchSize(size.tokens * parts, size.rollouts * parts)
            for batch in micro_batches(part, token_budget=budget, device=CPU):
                loss = policy_loss(
                    logprobs_of(model, batch),
                    behaviour=batch.behaviour,
                    advantage=batch.advantage,
                    segments=batch.segments,
                    size=size,
                    config=config,
                    anchor=None if on_policy else logprobs_of(self.weights.scoring, batch).detach(),
                    reference=logprobs_of(self.weights.reference, batch).detach(),
                ).loss
                loss.backward()
                total += loss.item()
        return total, [parameter.grad.clone() for parameter in model.parameters()]


def logprobs_of(model: Any, batch: MicroBatch) -> torch.Tensor:
    return chosen(predictions(model, batch, NetworkConfig()), batch.targets)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """More would only wait for each other over tensors as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(untrained_tokenizer())


@pytest.fixture(scope="module")
def theirs(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    return Theirs(untrained_tokenizer(), weights, tmp_path_factory.mktemp("trl"))


@pytest.fixture(scope="module")
def ours(weights: Weights) -> Ours:
    return Ours(weights)


def config_of(kind: str, clip: str, mode: str, kl: str) -> LossConfig:
    """bnpo is dapo where the batch is one piece."""
    return LossConfig(
        loss="dapo" if kind == "bnpo" else kind,
        clip=CLIPS[clip],
        loss_length=LENGTH,
        **KL[kl],
        importance=MODES[mode],
    )


def differences(
    one: tuple[float, Sequence[torch.Tensor]], other: tuple[float, Sequence[torch.Tensor]]
) -> tuple[float, float]:
    gradients = zip(one[1], other[1], strict=True)
    return abs(one[0] - other[0]), max(float((a - b).abs().max()) for a, b in gradients)


CASES = [
    *itertools.product(KINDS, CLIPS, MODES, ["no KL", "KL"]),
    *itertools.product(KINDS, CLIPS, ["token_truncate"], ["plain KL"]),
]


@pytest.mark.parametrize(("kind", "clip", "mode", "kl"), CASES)
def test_the_loss_and_its_gradient_are_those_of_trl(
    theirs: Theirs, ours: Ours, kind: str, clip: str, mode: str, kl: str
) -> None:
    config = config_of(kind, clip, mode, kl)
    on_policy = clip == "on-policy"
    expected = theirs.loss(theirs.scored(config, mode, on_policy=on_policy, kind=kind), on_policy=on_policy)
    value, gradient = differences(ours.loss(config, on_policy=on_policy), expected)
    assert largest(expected[1]) > 1e-3
    assert value <= CLOSE
    assert gradient <= CLOSE


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_accumulation_gives_what_trl_accumulates(
    theirs: Theirs, ours: Ours, kind: str, mode: str
) -> None:
    config = config_of(kind, "two-sided", mode, "KL")
    inputs = theirs.scored(config, mode, on_policy=False, kind=kind, parts=4)
    expected = theirs.loss(inputs, on_policy=False, parts=4)
    mine = ours.loss(config, on_policy=False, budget=40, parts=4, own_size=kind == "bnpo")
    assert max(differences(mine, expected)) <= CLOSE
    if kind != "bnpo":  # the one whose loss depends on the cut
        assert max(differences(ours.loss(config, on_policy=False), expected)) <= CLOSE
    else:
        assert max(differences(ours.loss(config, on_policy=False), expected)) > 100 * CLOSE


@pytest.mark.parametrize("scaled", [True, False])
def test_advantages_are_those_of_trl(theirs: Theirs, ours: Ours, scaled: bool) -> None:
    theirs.trainer.scale_rewards = "group" if scaled else "none"
    inputs = theirs.scored(config_of("dapo", "on-policy", "off", "no KL"), "off", on_policy=True, kind="dapo")
    theirs.trainer.scale_rewards = "group"
    groups = [REWARDS[i : i + GROUP] for i in range(0, len(REWARDS), GROUP)]
    mine = [value for rewards in groups for value in advantages(rewards, 1e-4, scaled=scaled)]
    assert inputs["advantages"].tolist() == pytest.approx(mine, abs=CLOSE)


def test_the_cases_reach_every_branch_of_the_loss(ours: Ours, weights: Weights) -> None:
    (batch,) = micro_batches(ours.samples, token_budget=10_000, device=CPU)
    old, new = (logprobs_of(model, batch).detach() for model in (weights.scoring, weights.training))
    ratio = (new - old).exp()
    assert ((ratio < 0.8) & (batch.advantage < 0)).any()
    assert ((ratio > 1.28) & (batch.advantage > 0)).any()
    assert ((ratio > 1.4) & (batch.advantage < 0)).any()
    for config in list(MODES.values())[1:]:
        found = importance_weights(old, batch.behaviour, batch.segments, config)
        assert 0 < found.bounded.sum() < len(old)


def largest(gradients: Sequence[torch.Tensor]) -> float:
    return max(float(gradient.abs().max()) for gradient in gradients)
