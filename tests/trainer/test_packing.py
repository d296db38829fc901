"""Rows hold several rollouts; what is computed for each is what would be computed for it alone."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, BloomConfig, BloomForCausalLM, LlamaConfig, LlamaForCausalLM

import headway
from headway.errors import InputError
from headway.scheduler import Chat
from headway.scheduler.hermes import PYTHON_TOOL
from headway.trainer.batch import MicroBatch, Sample, micro_batches, split
from headway.trainer.demonstrations import Mix, demonstrations
from headway.trainer.loss import chosen
from headway.trainer.network import NetworkConfig, load_network, predictions
from headway.trainer.packing import pack
from headway.trainer.tokens import encode
from tests.engine.tiny_model import build_model

from .records import rollout

CPU = torch.device("cpu")


def cut(samples: list[Sample], budget: int, *, packing: bool = True) -> list[MicroBatch]:
    return list(micro_batches(samples, token_budget=budget, device=CPU, packing=packing))


def uneven(count: int = 24) -> list[Sample]:
    return [
        Sample(rollout(prompt=2 + i % 5, written=1 + (i * 7) % 23, seed=i, id=f"g1.{i}"), float(i - 9))
        for i in range(count)
    ]


@given(lengths=st.lists(st.integers(1, 60), max_size=60), width=st.integers(0, 120))
def test_every_sequence_is_in_one_row_and_no_row_is_overfull(lengths: list[int], width: int) -> None:
    rows = pack(lengths, width)
    assert Counter(index for row in rows for index in row) == Counter(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= width or len(row) == 1 for row in rows)


@given(lengths=st.lists(st.integers(1, 60), min_size=2, max_size=60), width=st.integers(60, 120))
def test_no_two_rows_would_fit_into_one(lengths: list[int], width: int) -> None:
    """So that at least half of all rows but one is used, whatever the lengths."""
    fills = sorted(sum(lengths[i] for i in row) for row in pack(lengths, width))
    assert len(fills) < 2 or fills[0] + fills[1] > width


@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=30),
    budget=st.integers(1, 200),
    packing=st.booleans(),
)
def test_every_rollout_is_in_one_micro_batch_and_only_one_rollout_can_be_over_the_budget(
    lengths: list[int], budget: int, packing: bool
) -> None:
    samples = [
        Sample(rollout(prompt=1, written=n - 1, seed=i, id=f"g.{i}"), 1.0) for i, n in enumerate(lengths)
    ]
    batches = cut(samples, budget, packing=packing)
    assert sum(batch.used for batch in batches) == sum(lengths)
    assert sum(len(batch.targets) for batch in batches) == sum(n - 1 for n in lengths)
    for batch in batches:
        assert batch.tokens.numel() <= max(budget, *lengths, 0)
        assert int(batch.mask.sum()) == len(batch.targets)
    if not packing:
        assert all(len(batch.tokens) == len(batch.segments.lengths) for batch in batches)


def test_positions_begin_anew_with_each_rollout_and_with_the_padding() -> None:
    samples = [Sample(rollout(prompt=2, written=n - 2, id=f"g1.{n}"), 1.0) for n in (9, 6, 5, 4)]
    (batch,) = cut(samples, 32)
    assert batch.positions.tolist() == [[*range(6), *range(5), *range(2)], [*range(9), *range(4)]]


def test_what_is_known_of_a_token_is_that_of_its_rollout() -> None:
    by_advantage = {sample.advantage: sample.rollout for sample in uneven()}
    for batch in cut(uneven(), 120):
        assert batch.tokens.roll(-1, dims=1)[batch.mask].tolist() == batch.targets.tolist()
        for index, length in enumerate(batch.segments.lengths.int().tolist()):
            here = batch.segments.of == index
            (advantage,) = set(batch.advantage[here].tolist())
            record = by_advantage[advantage]
            assert length == record.generated
            assert batch.targets[here].tolist() == record.tokens[record.prompt :]
            assert batch.behaviour[here].tolist() == pytest.approx(record.logprobs[record.prompt :])


def llama() -> Any:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("make", [lambda: build_model(seed=0), llama], ids=["qwen3", "llama"])
def test_packed_and_alone_have_the_same_values_and_gradients(make: Any, attention: str) -> None:
    model = make()
    model.set_attn_implementation(attention)
    samples = uneven()

    def result(batches: list[MicroBatch]) -> tuple[dict[float, list[float]], list[torch.Tensor]]:
        model.zero_grad()
        values: dict[float, list[float]] = {}
        for batch in batches:
            logprobs = chosen(predictions(model, batch, NetworkConfig()), batch.targets)
            (logprobs * batch.advantage / 300).sum().backward()
            for index in range(len(batch.segments.lengths)):
                here = batch.segments.of == index
                values[float(batch.advantage[here][0])] = logprobs[here].tolist()
        return values, [parameter.grad.clone() for parameter in model.parameters()]

    packed, gradients = result(cut(samples, 200))
    alone, expected = result(cut(samples, 1))
    assert max(len(batch.segments.lengths) / len(batch.tokens) for batch in cut(samples, 200)) > 2
    assert packed.keys() == alone.keys()
    for key in packed:
        assert packed[key] == pytest.approx(alone[key], abs=2e-6, rel=1e-6)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert float((ours - theirs).abs().max()) <= 1e-6 * max(1.0, float(theirs.abs().max()))


def test_what_stands_before_a_rollout_in_its_row_has_no_influence_on_it() -> None:
    model = build_model(seed=0)
    one, other = (
        [Sample(rollout(written=9, seed=seed, id="a"), 1.0), Sample(rollout(written=5, seed=7, id="b"), -1.0)]
        for seed in (1, 2)
    )
    seen = []
    for samples in (one, other):
        (batch,) = cut(samples, 1000)
        assert len(batch.tokens) == 1
        seen.append(predictions(model, batch, NetworkConfig())[batch.advantage < 0])
    assert torch.equal(seen[0], seen[1])


@pytest.mark.parametrize("budget", [2048, 8192, 32768])
def test_nine_tenths_of_what_is_computed_on_chats_like_the_demos_are_tokens(budget: int) -> None:
    folder = Path(headway.__file__).parent / "trainer" / "tiny_policy"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chat = Chat(tokenizer, [PYTHON_TOOL])
    lengths = [len(encode(tokenizer, chat, shown).ids) for shown in islice(demonstrations(Mix(), 5), 72)]
    samples = [Sample(rollout(prompt=100, written=n - 100, id=f"g1.{i}"), 1.0) for i, n in enumerate(lengths)]
    batches = cut(samples, budget)
    assert sum(batch.used for batch in batches) >= 0.9 * sum(batch.tokens.numel() for batch in batches)


def test_a_model_whose_layers_mix_rollouts_is_refused_unless_each_has_its_own_row(tmp_path: Path) -> None:
    """Its attention takes its distances from the mask, not from positions."""
    BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_layer=2, n_head=2)).save_pretrained(
        tmp_path
    )
    with pytest.raises(InputError, match="mix the rollouts of one row; set `packing` to false"):
        load_network(tmp_path, NetworkConfig(), CPU)
    model = load_network(tmp_path, NetworkConfig(packing=False), CPU)
    samples = [Sample(rollout(prompt=2, written=1 + i, vocabulary=64, seed=i), float(i)) for i in range(5)]
    (batch,) = cut(samples, 1000, packing=False)
    (shortest,) = cut(samples[:1], 1000, packing=False)
    config = NetworkConfig(packing=False)
    together = predictions(model, batch, config)[batch.advantage == 0]
    torch.testing.assert_close(together, predictions(model, shortest, config))


@given(count=st.integers(1, 40), parts=st.integers(1, 50))
def test_a_split_has_every_sample_once_in_parts_of_about_the_same_number(count: int, parts: int) -> None:
    samples = uneven(count)
    found = split(samples, parts)
    assert [sample for part in found for sample in part] == samples
    assert len(found) == min(parts, count)
    assert max(map(len, found)) - min(map(len, found)) <= 1
