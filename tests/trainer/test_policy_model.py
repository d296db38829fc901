import math
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import headway
from headway.errors import HeadwayError, InputError
from headway.trainer.batch import Sample
from headway.trainer.loss import chosen
from headway.trainer.policy_model import OptimizerConfig, PolicyModel
from tests.engine.tiny_model import build_model

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
            logprobs = chosen(model(tokens).logits[0, :-1].log_softmax(-1), tokens[0, 1:]).tolist()
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


def test_the_figures_are_those_of_whole_logits_however_the_batch_is_cut() -> None:
    batch = samples()
    model = AutoModelForCausalLM.from_pretrained(TINY, dtype=torch.float32)
    differences, entropies = [], []
    for sample in batch:
        written = sample.rollout.mask.count(True)
        tokens = torch.tensor([sample.rollout.tokens])
        with torch.no_grad():
            predicted = model(tokens).logits[0, :-1].log_softmax(-1)[-written:]
        difference = chosen(predicted, tokens[0, -written:]) - torch.tensor(
            sample.rollout.logprobs[-written:]
        )
        differences.append(difference)
        entropies.append(-(predicted.exp() * predicted).sum(-1))
    difference, entropy = torch.cat(differences), torch.cat(entropies)
    for budget in (1, 40, 10_000):
        report = PolicyModel(TINY, OptimizerConfig(micro_batch_tokens=budget)).step(batch)
        assert report.tokens == len(difference)
        assert report.entropy == pytest.approx(float(entropy.mean()), rel=1e-4)
        assert report.logprob_max_abs_diff == pytest.approx(float(difference.abs().max()), rel=1e-4)
        assert report.ratio_max == pytest.approx(float(difference.exp().max()), rel=1e-3)
        assert report.mismatch_kl == pytest.approx(
            float((difference.exp() - 1 - difference).mean()), rel=1e-4
        )


def test_a_model_with_dropout_is_on_policy_too(tmp_path: Path) -> None:
    model = build_model(seed=0)
    model.config.attention_dropout = 0.5
    model.save_pretrained(tmp_path)
    batch = [
        Sample(msgspec.structs.replace(s.rollout, tokens=[t % 512 for t in s.rollout.tokens]), s.advantage)
        for s in samples()
    ]
    reports = [PolicyModel(tmp_path, OptimizerConfig()).step(batch) for _ in range(2)]
    assert reports[0] == reports[1]
    assert reports[0].grad_norm > 0


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
    assert (
        model.step(samples()).learning_rate == OptimizerConfig().learning_rate / 20
    )  # the first that counts


def test_what_is_not_a_number_is_reported_as_such() -> None:
    batch = samples()
    for broken in range(len(batch)):  # the largest of several micro-batches hides none
        unknown = msgspec.structs.replace(
            batch[broken].rollout, logprobs=[math.nan] * len(batch[broken].rollout.tokens)
        )
        spoilt = [*batch[:broken], Sample(unknown, 1.0), *batch[broken + 1 :]]
        report = PolicyModel(TINY, OptimizerConfig(micro_batch_tokens=1)).step(spoilt)
        assert report.skipped
        assert math.isnan(report.loss)
        assert math.isnan(report.ratio_max)
        assert math.isnan(report.logprob_max_abs_diff)


def test_files_wait_for_the_step_that_runs_in_another_thread(tmp_path: Path) -> None:
    model = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-2, warmup_steps=0))
    expected = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-2, warmup_steps=0))
    inside, go_on = threading.Event(), threading.Event()

    def stop_halfway(optimizer: torch.optim.Optimizer, args: object, kwargs: object) -> None:
        inside.set()
        assert go_on.wait(30)

    model._optimizer.register_step_pre_hook(stop_halfway)
    with ThreadPoolExecutor() as threads:
        step = threads.submit(model.step, samples())
        assert inside.wait(30)
        saving = threads.submit(model.save, tmp_path / "checkpoint")
        writing = threads.submit(model.write_weights, tmp_path / "weights.safetensors")
        assert not wait([saving, writing], timeout=0.2).done
        go_on.set()
        assert step.result() == expected.step(samples())
        wait([saving, writing])
    for file in (tmp_path / "weights.safetensors", tmp_path / "checkpoint" / "model.safetensors"):
        saved = load_file(file)
        assert all(torch.equal(saved[name], tensor) for name, tensor in expected._state().items())


def test_a_checkpoint_that_cannot_be_put_in_place_leaves_the_last_one(tmp_path: Path) -> None:
    model = PolicyModel(TINY, OptimizerConfig())
    model.save(tmp_path / "checkpoint")
    (tmp_path / "checkpoint.old").write_text("a file, where the old checkpoint would go")
    with pytest.raises(HeadwayError, match="checkpoint: cannot write the checkpoint"):
        model.save(tmp_path / "checkpoint")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint").num_parameters() > 1_000_000
    assert not (tmp_path / "checkpoint.partial").exists()


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
