import math
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import headway
from headway.errors import HeadwayError, InputError
from headway.trainer.batch import Sample
from headway.trainer.importance import ImportanceConfig
from headway.trainer.loss import BatchSize, chosen
from headway.trainer.network import NetworkConfig
from headway.trainer.policy_model import OptimizerConfig, PolicyModel
from headway.trainer.step_report import Totals
from tests.engine.tiny_model import build_model

from .records import rollout, untimed

CPU = torch.device("cpu")
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


def small() -> list[Sample]:
    """Samples for the model of 512 tokens."""
    return [
        Sample(msgspec.structs.replace(s.rollout, tokens=[t % 512 for t in s.rollout.tokens]), s.advantage)
        for s in samples()
    ]


def test_on_policy_the_ratio_is_one_and_the_logprob_difference_is_rounding() -> None:
    report = PolicyModel(TINY, OptimizerConfig()).step(on_policy(TINY))
    assert report.logprob_max_abs_diff < 1e-4
    assert report.ratio_max == pytest.approx(1.0, abs=1e-4)
    assert report.mismatch_kl < 1e-6
    assert (report.clip_fraction, report.clip_low, report.clip_high) == (0, 0, 0)
    assert (report.bounded_share, report.masked_share, report.dropped, report.updates) == (0, 0, 0, 1)
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
        assert 0.4 < report.token_efficiency <= 1


def test_a_model_with_dropout_is_on_policy_too(tmp_path: Path) -> None:
    model = build_model(seed=0)
    model.config.attention_dropout = 0.5
    model.save_pretrained(tmp_path)
    reports = [PolicyModel(tmp_path, OptimizerConfig()).step(small()) for _ in range(2)]
    assert untimed(reports[0]) == untimed(reports[1])
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


def test_a_reset_optimiser_is_a_new_one_on_the_weights_as_they_are(tmp_path: Path) -> None:
    config = OptimizerConfig(learning_rate=1e-3, warmup_steps=4)
    model = PolicyModel(TINY, config)
    for _ in range(3):
        model.step(samples())
    model.save(tmp_path / "stage")
    model.reset_optimizer()
    fresh = PolicyModel(tmp_path / "stage", config)
    for _ in range(2):
        ours, theirs = model.step(samples()), fresh.step(samples())
        assert untimed(ours) == untimed(theirs)
    assert ours.learning_rate == pytest.approx(5e-4)
    assert all(torch.equal(fresh._state()[name], tensor) for name, tensor in model._state().items())


def test_only_matrices_decay() -> None:
    config = OptimizerConfig(learning_rate=1e-2, warmup_steps=0, weight_decay=0.5)
    model = PolicyModel(TINY, config)
    before = {name: tensor.clone() for name, tensor in model._state().items()}
    silent = [Sample(sample.rollout, 0.0) for sample in samples()]
    assert not model.step(silent).skipped
    for name, tensor in model._state().items():
        torch.testing.assert_close(tensor, before[name] * (0.995 if tensor.ndim > 1 else 1.0))


def test_the_time_of_a_step_is_told_and_the_share_that_computed_nothing() -> None:
    started = time.perf_counter()
    report = PolicyModel(TINY, OptimizerConfig(updates=2)).step(samples())
    assert 0 < report.compute_seconds < report.seconds < time.perf_counter() - started
    assert report.overhead == pytest.approx(1 - report.compute_seconds / report.seconds)


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
        spoilt = [*batch[:broken], Sample(batch[broken].rollout, math.nan), *batch[broken + 1 :]]
        report = PolicyModel(TINY, OptimizerConfig(micro_batch_tokens=1)).step(spoilt)
        assert report.skipped
        assert math.isnan(report.loss)
        assert math.isnan(report.grad_norm)


def test_a_model_that_overflows_is_reported_as_such(tmp_path: Path) -> None:
    model = build_model(seed=0)
    with torch.no_grad():
        model.model.norm.weight.fill_(1e38)
    model.save_pretrained(tmp_path)
    report = PolicyModel(tmp_path, OptimizerConfig(network=NetworkConfig(packing=False))).step(small())
    assert report.skipped
    assert math.isnan(report.ratio_max)
    assert math.isnan(report.logprob_max_abs_diff)
    assert math.isnan(report.mismatch_kl)


def test_rollouts_without_finite_logprobs_are_left_out_and_counted() -> None:
    batch = samples()
    unknown = [math.nan] * len(batch[2].rollout.tokens)
    spoilt = [*batch]
    spoilt[2] = Sample(msgspec.structs.replace(batch[2].rollout, logprobs=unknown), batch[2].advantage)
    left = [*batch[:2], *batch[3:]]
    whole, part = (BatchSize.of(sample.rollout for sample in some).tokens for some in (batch, left))
    report = PolicyModel(TINY, OptimizerConfig()).step(spoilt)
    expected = PolicyModel(TINY, OptimizerConfig()).step(left)
    assert (report.dropped, report.skipped) == (1, False)
    # It still counts in what the loss divides by.
    assert report.grad_norm == pytest.approx(expected.grad_norm * part / whole)
    assert report.entropy == expected.entropy


def test_a_first_step_can_be_skipped_without_a_warmup() -> None:
    report = PolicyModel(TINY, OptimizerConfig(warmup_steps=0)).step([Sample(rollout(), math.nan)])
    assert (report.skipped, report.learning_rate) == (True, OptimizerConfig().learning_rate)


@pytest.mark.parametrize("broken", [{"logprobs": [math.nan] * 11}, {"mask": [False] * 11}])
def test_a_batch_of_which_nothing_is_left_is_skipped(broken: dict[str, Any]) -> None:
    model = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-2, warmup_steps=0))
    model.step(samples())  # so that the optimiser has a momentum
    before = [parameter.clone() for parameter in model._model.parameters()]
    record = msgspec.structs.replace(rollout(prompt=5, written=6), **broken)
    report = model.step([Sample(record, 1.0)])
    assert (report.skipped, report.updates) == (True, 0)
    assert all(torch.equal(a, b) for a, b in zip(before, model._model.parameters(), strict=True))


def test_a_broken_record_is_an_error_and_nothing_is_changed() -> None:
    model = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-2, warmup_steps=0))
    batch = samples()
    batch[3] = Sample(msgspec.structs.replace(batch[3].rollout, logprobs=[]), 1.0)
    before = [parameter.clone() for parameter in model._model.parameters()]
    with pytest.raises(InputError, match=r"rollout g1.0 has no logprobs"):
        model.step(batch)
    assert all(torch.equal(a, b) for a, b in zip(before, model._model.parameters(), strict=True))


def test_the_report_says_how_old_the_tokens_are_where_the_version_is_told() -> None:
    batch = samples()
    batch[0] = Sample(msgspec.structs.replace(batch[0].rollout, versions=[-1] * 5 + [0, 1, 2, 3, 4, 5]), 1.0)
    report = PolicyModel(TINY, OptimizerConfig()).step(batch, version=5)
    tokens = report.tokens
    assert report.staleness_max == 5
    assert report.staleness_mean == pytest.approx((15 + 3 * (tokens - 6)) / tokens)
    silent = PolicyModel(TINY, OptimizerConfig()).step(batch)
    assert (silent.staleness_mean, silent.staleness_max) == (None, None)


def test_the_report_says_what_importance_weights_did() -> None:
    batch = on_policy(TINY)
    lowered = [
        p - 1.0 if m else 0.0 for p, m in zip(batch[1].rollout.logprobs, batch[1].rollout.mask, strict=True)
    ]
    batch[1] = Sample(msgspec.structs.replace(batch[1].rollout, logprobs=lowered), 1.0)
    importance = ImportanceConfig(high=2.0, sequence_high=2.5)
    report = PolicyModel(TINY, OptimizerConfig(importance=importance)).step(batch)
    assert report.bounded_share == pytest.approx(7 / report.tokens)
    assert report.masked_share == pytest.approx(1 / 6)
    assert report.ratio_max == pytest.approx(math.e, rel=1e-3)
    assert report.mismatch_kl == pytest.approx((math.e - 2) * 7 / report.tokens, rel=1e-3)


def test_later_updates_on_a_batch_take_their_ratio_to_the_weights_that_it_began_with() -> None:
    config = OptimizerConfig(learning_rate=1e-3, warmup_steps=0, updates=3)
    model = PolicyModel(TINY, config)
    batch = on_policy(TINY)
    report = model.step(batch)
    assert report.updates == 3
    one = msgspec.structs.replace(config, updates=1)
    by_hand = PolicyModel(TINY, one)
    anchors = [by_hand._anchors(batch[start : start + 2], Totals(CPU)) for start in (0, 2, 4)]
    for start in (0, 2, 4):
        part = batch[start : start + 2]
        size = BatchSize.of(sample.rollout for sample in part)
        by_hand._update(part, size, anchors[start // 2] if start else None, Totals(CPU))
    assert all(torch.equal(by_hand._state()[name], tensor) for name, tensor in model._state().items())
    fresh = PolicyModel(TINY, one)
    for start in (0, 2, 4):
        fresh.step(batch[start : start + 2])
    assert any(not torch.equal(fresh._state()[name], tensor) for name, tensor in model._state().items())


def test_a_divergence_from_the_reference_is_reported_and_has_a_gradient(tmp_path: Path) -> None:
    moved = PolicyModel(TINY, OptimizerConfig(learning_rate=1e-3, warmup_steps=0))
    moved.step(on_policy(TINY))
    moved.save(tmp_path / "moved")
    silent = [Sample(sample.rollout, 0.0) for sample in samples()]
    at_home = PolicyModel(TINY, OptimizerConfig(kl=0.1)).step(silent)
    away = PolicyModel(tmp_path / "moved", OptimizerConfig(kl=0.1, reference=str(TINY))).step(silent)
    assert at_home.kl == pytest.approx(0.0, abs=1e-9)
    assert away.kl is not None
    assert away.kl > 1e-5
    assert away.grad_norm > 100 * at_home.grad_norm
    assert PolicyModel(TINY, OptimizerConfig()).step(silent).kl is None


@pytest.mark.parametrize("precision", ["mixed", "bfloat16"])
def test_in_bfloat16_the_figures_are_near_those_in_float32(precision: Any) -> None:
    exact = PolicyModel(TINY, OptimizerConfig()).step(on_policy(TINY))
    config = OptimizerConfig(network=NetworkConfig(precision=precision))
    model = PolicyModel(TINY, config)
    report = model.step(on_policy(TINY))
    assert {str(tensor.dtype) for tensor in model._state().values()} == {
        "torch.float32" if precision == "mixed" else "torch.bfloat16"
    }
    assert report.entropy == pytest.approx(exact.entropy, rel=0.02)
    assert report.grad_norm == pytest.approx(exact.grad_norm, rel=0.1)
    assert 1e-4 < report.logprob_max_abs_diff < 0.5


def test_with_activation_checkpointing_layers_are_computed_twice_with_the_same_result() -> None:
    plain, frugal = (
        PolicyModel(TINY, OptimizerConfig(network=NetworkConfig(activation_checkpointing=on)))
        for on in (False, True)
    )
    calls = Counter[str]()
    for name, model in (("plain", plain), ("frugal", frugal)):
        for layer in model._model.model.layers:
            layer.mlp.register_forward_pre_hook(lambda *_, name=name: calls.update([name]))
    assert untimed(plain.step(samples())) == untimed(frugal.step(samples()))
    assert all(torch.equal(plain._state()[name], tensor) for name, tensor in frugal._state().items())
    assert calls["frugal"] == 2 * calls["plain"]


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
        assert untimed(step.result()) == untimed(expected.step(samples()))
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
