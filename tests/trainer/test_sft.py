import math
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from headway.errors import HeadwayError, InputError
from headway.trainer.network import NetworkConfig
from headway.trainer.optimizer_config import OptimizerConfig
from headway.trainer.policy_model import PolicyModel
from headway.trainer.sft import SftConfig, SftStep, as_samples, fit
from headway.trainer.sft import batches as shuffled
from headway.trainer.sft_cold_start import ColdStartConfig, batches, cold_start, train_tokenizer
from headway.trainer.sft_run import SftRun
from headway.trainer.tokens import Example
from tests.engine.tiny_model import build_model

MINUTE = ColdStartConfig(
    steps=8,
    exercise_steps=2,
    batch_tokens=600,
    warmup_steps=2,
    width=64,
    layers=2,
    tokenizer_demonstrations=40,
)
SHORT = SftConfig(epochs=2, batch=3, learning_rate=1e-3, network=NetworkConfig(packing=False))
CHATS = [
    Example([(7 * i + j) % 500 for j in range(5 + i)], [j > 2 + i // 2 for j in range(5 + i)])
    for i in range(7)
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(MINUTE)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("untrained")
    build_model(seed=0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(out: Path) -> list[SftStep]:
    steps: list[SftStep] = []
    cold_start(out, config=MINUTE, on_step=steps.append)
    return steps


def losses(steps: list[SftStep]) -> list[float]:
    return [step.update.loss for step in steps]


def test_the_loss_falls_and_a_run_repeats_exactly(tmp_path: Path) -> None:
    first, second = run(tmp_path / "first"), run(tmp_path / "second")
    assert [step.step for step in first] == list(range(1, 9))
    assert losses(first)[1] < losses(first)[0]
    assert losses(first)[-1] < losses(first)[2]
    assert losses(first) == losses(second)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "second")]
    assert weights[0] == weights[1]
    assert (tmp_path / "first" / "tokenizer.json").is_file()


def test_a_batch_holds_at_most_its_tokens_and_nothing_is_seen_twice(tokenizer: Any) -> None:
    seen: set[tuple[int, ...]] = set()
    for batch in islice(batches(tokenizer, msgspec.structs.replace(MINUTE, steps=60)), 60):
        assert sum(len(example.ids) for example in batch) <= 600
        chats = [tuple(example.ids) for example in batch if len(example.ids) > 100]
        assert len(set(chats) - seen) == len(chats)
        seen.update(chats)


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


@pytest.mark.parametrize("packing", [True, False])
def test_loss_and_gradient_are_those_of_transformers_over_all_written_tokens(
    untrained: Path, packing: bool
) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(untrained, dtype=torch.float32)
    written = sum(sum(example.written) for example in CHATS)
    total = 0.0
    for example in CHATS:
        ids, mine = torch.tensor([list(example.ids)]), torch.tensor([list(example.written)])
        labels = torch.where(mine, ids, -100)
        loss = theirs(input_ids=ids, labels=labels).loss * (mine.sum() / written)
        loss.backward()
        total += loss.item()
    norm = torch.nn.utils.get_total_norm([p.grad for p in theirs.parameters()]).item()
    config = OptimizerConfig(loss="sft", micro_batch_tokens=20, network=NetworkConfig(packing=packing))
    ours = PolicyModel(untrained, config)
    assert ours.loss(as_samples(CHATS)) == pytest.approx(total, rel=1e-5)
    (step,) = fit(ours, [CHATS])
    assert step.update.loss == pytest.approx(total, rel=1e-5)
    assert step.update.grad_norm == pytest.approx(norm, rel=1e-4)
    assert (step.examples, step.tokens, step.update.tokens) == (
        7,
        sum(len(example.ids) for example in CHATS),
        written,
    )


def test_a_chat_in_which_the_model_wrote_nothing_changes_nothing(untrained: Path) -> None:
    silent = Example([5, 6, 7], [False] * 3)
    alone, beside = (
        next(fit(PolicyModel(untrained, OptimizerConfig(loss="sft")), [batch])).update
        for batch in (CHATS[:2], [*CHATS[:2], silent])
    )
    assert (beside.loss, beside.grad_norm) == (alone.loss, alone.grad_norm)


def test_data_has_no_figures_that_compare_with_an_engine(untrained: Path) -> None:
    update = next(fit(PolicyModel(untrained, OptimizerConfig(loss="sft", updates=2)), [CHATS])).update
    assert (update.updates, update.dropped, update.skipped) == (2, 0, False)
    assert update.ratio_max is update.mismatch_kl is update.logprob_max_abs_diff is None
    assert update.clip_fraction is update.bounded_share is update.masked_share is None
    assert update.entropy > 0


def test_training_that_is_not_finite_is_given_up(tmp_path: Path) -> None:
    broken = build_model(seed=0)
    with torch.no_grad():
        broken.model.norm.weight.fill_(math.inf)
    broken.save_pretrained(tmp_path)
    steps = fit(PolicyModel(tmp_path, SHORT.optimizer(7)), [CHATS] * 9)
    seen = []
    with pytest.raises(HeadwayError, match="step 3: the loss or its gradient was not finite in 3 steps"):
        seen += steps
    assert [step.update.skipped for step in seen] == [True] * 3


def test_an_epoch_shows_every_chat_once_in_an_order_of_its_own() -> None:
    steps = list(shuffled(range(7), SHORT))
    assert [len(batch) for batch in steps] == [3, 3, 1, 3, 3, 1]
    first, second = [*chain(*steps[:3])], [*chain(*steps[3:])]
    assert sorted(first) == sorted(second) == list(range(7))
    assert first != second
    assert steps != list(shuffled(range(7), msgspec.structs.replace(SHORT, seed=1)))
    assert list(shuffled(range(7), SHORT, done=4)) == steps[4:]


def test_the_schedule_is_a_warm_up_and_a_cosine_over_all_steps() -> None:
    config = SftConfig(epochs=3, batch=10).optimizer(examples=495)
    assert (config.warmup_steps, config.decay_steps) == (6, 144)
    assert config.learning_rate == 5e-6
    assert SftConfig(batch=10).optimizer(examples=3).decay_steps == 3


def test_a_run_that_was_cut_off_goes_on_bit_for_bit(untrained: Path, tmp_path: Path) -> None:
    def begin(name: str, *, resume: bool = False) -> SftRun:
        (tmp_path / name).mkdir(exist_ok=True)
        model = PolicyModel(untrained, SHORT.optimizer(len(CHATS)))
        return SftRun(
            model,
            CHATS,
            SHORT,
            folder=tmp_path / name,
            held_out=CHATS[:2],
            checkpoint_every=2,
            resume=resume,
        )

    def end(run: SftRun, name: str) -> list[dict[str, Any]]:
        list(run.run())
        run._model.write_weights(tmp_path / f"{name}.safetensors")
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [msgspec.json.decode(line) for line in lines]

    whole = end(begin("whole"), "whole")
    cut = begin("cut")
    for event in cut.run():
        if isinstance(event, SftStep) and event.step == 5:  # the last checkpoint is after 4
            break
    resumed = begin("cut", resume=True)
    assert resumed.progress.step == 4
    again = end(resumed, "cut")
    assert [(line["kind"], line["step"]) for line in again] == [
        (line["kind"], line["step"]) for line in whole
    ]
    assert [line.get("loss") for line in again] == [line.get("loss") for line in whole]
    ours, theirs = (load_file(tmp_path / f"{name}.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert resumed.progress.held_out[0].loss > resumed.progress.held_out[-1].loss
    assert [one.epoch for one in resumed.progress.held_out] == [0, 1, 2]

    other = PolicyModel(untrained, SHORT.optimizer(6))
    with pytest.raises(InputError, match="step-000006: the run was begun with another data, 7 chats"):
        SftRun(other, CHATS[1:], SHORT, folder=tmp_path / "cut", resume=True)


def test_a_run_without_a_checkpoint_begins_anew(untrained: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"kind": "step", "step": 1}\n')
    model = PolicyModel(untrained, SHORT.optimizer(len(CHATS)))
    run = SftRun(model, CHATS, SHORT, folder=tmp_path, resume=True)
    assert run.progress.step == 0
    assert (tmp_path / "metrics.jsonl").read_text() == ""
