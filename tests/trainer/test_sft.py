from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from headway.errors import InputError
from headway.trainer.sft import (
    ColdStartConfig,
    SftStep,
    batches,
    cold_start,
    pad,
    train_tokenizer,
    written_loss,
)
from headway.trainer.tiny import build_model
from headway.trainer.tokens import Example

MINUTE = ColdStartConfig(
    steps=8,
    exercise_steps=2,
    batch_tokens=600,
    warmup_steps=2,
    width=64,
    layers=2,
    tokenizer_demonstrations=40,
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(MINUTE)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(out: Path) -> list[SftStep]:
    steps: list[SftStep] = []
    cold_start(out, config=MINUTE, on_step=lambda step, model: steps.append(step))
    return steps


def test_the_loss_falls_and_a_run_repeats_exactly(tmp_path: Path) -> None:
    first, second = run(tmp_path / "first"), run(tmp_path / "second")
    assert [step.step for step in first] == list(range(1, 9))
    assert first[1].loss < first[0].loss
    assert first[-1].loss < first[2].loss
    assert [step.loss for step in first] == [step.loss for step in second]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]


def test_a_batch_holds_at_most_its_tokens_and_nothing_is_seen_twice(tokenizer: Any) -> None:
    seen: set[tuple[int, ...]] = set()
    for batch in islice(batches(tokenizer, msgspec.structs.replace(MINUTE, steps=60)), 60):
        assert sum(len(example.ids) for example in batch) <= 600
        chats = [tuple(example.ids) for example in batch if len(example.ids) > 100]
        assert len(set(chats) - seen) == len(chats)
        seen.update(chats)


def test_only_written_tokens_carry_a_label() -> None:
    batch = [Example([5, 6, 7, 8], [False, True, False, True]), Example([5, 9], [False, True])]
    ids, labels = pad(batch)
    assert ids.tolist() == [[5, 6, 7, 8], [5, 9, 0, 0]]
    assert labels.tolist() == [[-100, 6, -100, 8], [-100, 9, -100, -100]]


def test_the_loss_is_the_models_own_whatever_the_padding(tokenizer: Any) -> None:
    model = build_model(tokenizer, 0, width=64, layers=2)
    long = Example([5, 6, 7, 8, 9], [False, True, False, True, True])
    short = Example([5, 9], [False, True])
    ids, labels = pad([long, short])
    together = written_loss(model, ids, labels)
    alone = [
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
        for ids, labels in (pad([long]), pad([short]))
    ]
    assert together.item() == pytest.approx((3 * alone[0].item() + alone[1].item()), rel=1e-5)


def test_what_others_wrote_has_no_gradient(tokenizer: Any) -> None:
    model = build_model(tokenizer, 0, width=64, layers=2)
    ids, labels = pad([Example([5, 6, 7], [False, False, False]), Example([5, 6, 7], [False, True, False])])
    written_loss(model, ids, labels).backward()
    with_silent = model.lm_head.weight.grad.clone()
    model.zero_grad()
    ids, labels = pad([Example([5, 6, 7], [False, True, False])])
    written_loss(model, ids, labels).backward()
    torch.testing.assert_close(with_silent, model.lm_head.weight.grad)


def test_a_run_shorter_than_its_exercises_is_all_exercises(tokenizer: Any) -> None:
    short = list(batches(tokenizer, msgspec.structs.replace(MINUTE, steps=3, exercise_steps=9)))
    assert len(short) == 3
    assert all(len(example.ids) < 100 for batch in short for example in batch)


def test_what_cannot_work_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="at least one"):
        cold_start(tmp_path / "out", config=msgspec.structs.replace(MINUTE, steps=0))
    with pytest.raises(InputError, match="cannot make the model folder"):
        cold_start(tmp_path / "file" / "out", config=MINUTE)
