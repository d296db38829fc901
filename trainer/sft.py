"""The supervised cold start: from nothing to a policy that calls its tool, often wrongly.

Invariants: only tokens that the model itself would write carry loss, averaged over the batch; every
demonstration is seen once; the same configuration and thread count give the same weights. Training ends
after a number of steps, never after a time, because the copying of digits forms late.
Knows nothing of rewards or engines.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import torch

from headway.errors import InputError
from headway.scheduler.chat import Chat
from headway.scheduler.hermes import PYTHON_TOOL

from .demonstrations import Mix, demonstrations
from .exercises import exercises
from .tiny import build_model, build_tokenizer, untrained_tokenizer
from .tokens import Example, encode

_SHORTEST_ROW = 0.75  # of the longest row that it is padded to
_IGNORED = -100  # the label without loss, by torch's convention


class ColdStartConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the cold start trains, on what, and for how long."""

    seed: int = 0
    steps: int = 1800
    exercise_steps: int = 150
    batch_tokens: int = 2400
    learning_rate: float = 1e-3
    warmup_steps: int = 50
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    width: int = 128
    layers: int = 5
    tokenizer_demonstrations: int = 2000
    mix: Mix = Mix()


class SftStep(msgspec.Struct, frozen=True):
    """The figures of one optimiser step; the loss is a mean over written tokens, in nats."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    tokens: int
    written_tokens: int
    seconds: float


class ColdStartSummary(msgspec.Struct, frozen=True):
    """What a whole cold start cost and where it ended."""

    parameters: int
    steps: int
    tokens: int
    final_loss: float
    seconds: float


OnStep = Callable[[SftStep, Any], None]


def cold_start(
    out: Path, *, config: ColdStartConfig | None = None, on_step: OnStep | None = None
) -> ColdStartSummary:
    """Train the tiny policy from scratch and save it as a model folder.

    ``on_step`` gets the figures and the model of every step. Raises ``InputError`` before any work where
    there is no step to take or the folder cannot be made.
    """
    config = config or ColdStartConfig()
    if config.steps < 1:
        raise InputError(f"steps is {config.steps}; the cold start needs at least one")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot make the model folder: {error.strerror}") from error
    started = time.perf_counter()
    tokenizer = train_tokenizer(config)
    model = build_model(tokenizer, config.seed, width=config.width, layers=config.layers)
    figures = []
    for figure in train(model, batches(tokenizer, config), config):
        figures.append(figure)
        if on_step is not None:
            on_step(figure, model)
    save_policy(out, model, tokenizer)
    last = figures[-20:]
    return ColdStartSummary(
        parameters=sum(p.numel() for p in model.parameters()),
        steps=len(figures),
        tokens=sum(figure.tokens for figure in figures),
        final_loss=sum(f.loss * f.written_tokens for f in last) / sum(f.written_tokens for f in last),
        seconds=time.perf_counter() - started,
    )


def train_tokenizer(config: ColdStartConfig) -> Any:
    """Return a tokenizer trained on chats of the configured mix."""
    draft = untrained_tokenizer()
    chat = Chat(draft, [PYTHON_TOOL])
    sample = islice(demonstrations(config.mix, config.seed), config.tokenizer_demonstrations)
    return build_tokenizer(draft.decode(encode(draft, chat, shown).ids) for shown in sample)


def examples(tokenizer: Any, config: ColdStartConfig) -> Iterator[Example]:
    """Yield tokenised demonstrations without end."""
    chat = Chat(tokenizer, [PYTHON_TOOL])
    for shown in demonstrations(config.mix, config.seed):
        yield encode(tokenizer, chat, shown)


def practice(tokenizer: Any, config: ColdStartConfig) -> Iterator[Example]:
    """Yield tokenised copying exercises without end."""
    chat = Chat(tokenizer)
    for shown in exercises(config.seed):
        yield encode(tokenizer, chat, shown)


def batches(tokenizer: Any, config: ColdStartConfig) -> Iterator[list[Example]]:
    """Yield one batch for each step: exercises first, then demonstrations."""
    exercised = min(config.exercise_steps, config.steps)
    yield from islice(_batches(practice(tokenizer, config), config.batch_tokens), exercised)
    yield from islice(_batches(examples(tokenizer, config), config.batch_tokens), config.steps - exercised)


def train(model: Any, source: Iterator[list[Example]], config: ColdStartConfig) -> Iterator[SftStep]:
    """Train in place, one optimiser step for each value yielded."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=config.learning_rate,
        betas=(0.9, 0.98),
    )
    for step, batch in enumerate(source, 1):
        started = time.perf_counter()
        rate = _learning_rate(step, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        written = sum(sum(example.written) for example in batch)
        loss = 0.0
        for rows in _micro_batches(batch):
            part = written_loss(model, *pad(rows)) / written
            part.backward()  # type: ignore[no-untyped-call]
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        yield SftStep(
            step=step,
            loss=loss,
            learning_rate=rate,
            grad_norm=norm.item(),
            tokens=sum(len(example.ids) for example in batch),
            written_tokens=written,
            seconds=time.perf_counter() - started,
        )


def pad(batch: list[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and labels, both (examples, longest) and padded on the right.

    Attention is causal, so what is on the right needs no mask; labels are -100 wherever there is no loss.
    """
    longest = max(len(example.ids) for example in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    labels = torch.full((len(batch), longest), _IGNORED)
    for row, example in enumerate(batch):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        labels[row, :length] = torch.where(torch.tensor(example.written), ids[row, :length], _IGNORED)
    return ids, labels


def written_loss(model: Any, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the summed cross-entropy of the labelled tokens, computing logits only where they are needed."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    here = targets != _IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[here]), targets[here], reduction="sum")


def save_policy(out: Path, model: Any, tokenizer: Any) -> None:
    """Write the model and its tokenizer as one Hugging Face folder."""
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out, safe_serialization=True)
    tokenizer.save_pretrained(out)
    _name_portably(out / "tokenizer_config.json")


def _name_portably(tokenizer_config: Path) -> None:
    """Name the tokenizer's class as every version of transformers knows it, not as version 5 renamed it."""
    config = json.loads(tokenizer_config.read_text())
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config.pop("backend", None)
    tokenizer_config.write_text(json.dumps(config, indent=2) + "\n")


def _learning_rate(step: int, config: ColdStartConfig) -> float:
    """Linear warm-up, then a cosine down to a hundredth."""
    if step <= config.warmup_steps:
        return config.learning_rate * step / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    return config.learning_rate * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def _batches(source: Iterator[Example], budget: int) -> Iterator[list[Example]]:
    """Cut the stream into batches of at most ``budget`` tokens, padding not counted."""
    batch: list[Example] = []
    tokens = 0
    for example in source:
        if batch and tokens + len(example.ids) > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(example)
        tokens += len(example.ids)


def _micro_batches(batch: list[Example]) -> Iterator[list[Example]]:
    """Group examples of about the same length, so that little is computed for padding."""
    rows: list[Example] = []
    for example in sorted(batch, key=lambda example: len(example.ids)):
        if rows and len(example.ids) * _SHORTEST_ROW > len(rows[0].ids):
            yield rows
            rows = []
        rows.append(example)
    yield rows
