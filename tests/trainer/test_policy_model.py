import math
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import headway
from headway.errors import HeadwayError, InputError
from headway.trainer.batch import Sample
from headway.trainer.loss import token_logprobs
from headway.trainer.policy_model import OptimizerConfig, PolicyModel

from .records import rollout

TINY = Path(headway.__file__).parent / "trainer" / "tiny_policy"


def samples(model: PolicyModel | None = None) -> list[Sample]:
    return [
        Sample(rollout(prompt=5, written=6 + i, vocabulary=800, seed=i), advantage=1.0 if i % 2 else -1.0)
        for i in range(6)
    ]


def on_policy(folder: Path) -> list[Sample]:
    """The same samples, with the behaviour logprobs that the weights in the folder would have given."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    result = []
    for sample in samples():
        tokens = torch.tensor([sample.rollout.tokens])
        with torch.no_grad():
            logprobs = token_logprobs(model(tokens).logits, tokens)[0].tolist()
        masked = [p if m else 0.0 for p, m in zip([0.0, *logprobs], sample.rollout.mask, strict=True)]
        result.append(Sample(msgspec.structs.replace(sample.rollout, logprobs=masked), sample.advantage))
    return result


def test_on_policy_the_ratio_is_one_and_the_logprob_difference_is_rounding() -> None:
    report = PolicyModel(TINY, OptimizerConfig()).step(on_policy(TINY))
    assert report.logprob_max_abs_diff < 1e-4
    assert report.ratio_max == pytest.approx(1.0, abs=1e-4)
    assert report.mismatch_kl < 1e-6
    assert report.clip_fraction == 0
    assert report.entropy > 0
    assert not report.skipped


def test_a_step_makes_good_tokens_likelier_and_bad_ones_less_likely() -> None:
    model = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-4, warmup_steps=0))
    batch = on_policy(TINY)
    model.step(batch)
    again = model.step(batch)
    assert again.loss < 0  # the surrogate of the first update, seen after it
    assert again.logprob_max_abs_diff > 1e-4


def test_the_learning_rate_warms_up_linearly() -> None:
    model = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-5, warmup_steps=4))
    rates = [model.step(on_policy(TINY)).learning_rate for _ in range(5)]
    assert rates == pytest.approx([2.5e-6, 5e-6, 7.5e-6, 1e-5, 1e-5])


def test_a_step_that_is_not_finite_changes_nothing_and_says_so(tmp_path: Path) -> None:
    model = PolicyModel(TINY, OptimizerConfig())
    model.write_weights(tmp_path / "before.safetensors")
    broken = [Sample(sample.rollout, math.nan) for sample in samples()]
    assert model.step(broken).skipped
    model.write_weights(tmp_path / "after.safetensors")
    before, after = load_file(tmp_path / "before.safetensors"), load_file(tmp_path / "after.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_checkpoint_is_a_model_folder_that_loads_with_the_trained_weights(tmp_path: Path) -> None:
    model = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-3, warmup_steps=0))
    model.step(on_policy(TINY))
    for _ in range(2):  # a second one replaces the first
        model.save(tmp_path / "checkpoint")
    model.write_weights(tmp_path / "weights.safetensors")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint", dtype=torch.float32).state_dict()
    for name, tensor in load_file(tmp_path / "weights.safetensors").items():
        assert torch.equal(saved[name], tensor)
    assert (tmp_path / "checkpoint" / "tokenizer.json").is_file()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_weights_that_cannot_be_written_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    model = PolicyModel(TINY, OptimizerConfig())
    with pytest.raises(HeadwayError, match=r"nowhere/w.safetensors: cannot write the weights"):
        model.write_weights(tmp_path / "nowhere" / "w.safetensors")


def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        PolicyModel(tmp_path, OptimizerConfig())
