"""The supervised cold start: from nothing to a policy that calls its tool, often wrongly.

Invariants: every demonstration is seen once; the same configuration and thread count give the same weights.
Training ends after a number of steps, never after a time, because the copying of digits forms late.
Knows nothing of rewards or engines.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from headway.errors import InputError
from headway.scheduler.chat import Chat
from headway.scheduler.hermes import PYTHON_TOOL

from .demonstrations import Mix, demonstrations
from .exercises import exercises
from .network import NetworkConfig
from .optimizer_config import OptimizerConfig
from .policy_model import PolicyModel
from .sft import SftStep, fit
from .tiny import build_model, build_tokenizer, untrained_tokenizer
from .tokens import Example, encode

_PASS_TOKENS = 1000  # of a forward pass: rows of about the same length, and little padding


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

    @property
    def optimizer(self) -> OptimizerConfig:
        """A linear warm-up, then a cosine down to a hundredth."""
        return OptimizerConfig(
            loss="sft",
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            decay_steps=max(1, self.steps - self.warmup_steps),
            decay_to=0.01,
            betas=(0.9, 0.98),
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            micro_batch_tokens=_PASS_TOKENS,
            # On a CPU bounds between the chats of one row cost more time than padding does.
            network=NetworkConfig(packing=False),
        )


class ColdStartSummary(msgspec.Struct, frozen=True):
    """What a whole cold start cost and where it ended; the loss is a mean over written tokens, in nats."""

    parameters: int
    steps: int
    tokens: int
    final_loss: float
    seconds: float


OnStep = Callable[[SftStep], None]


def cold_start(
    out: Path, *, config: ColdStartConfig | None = None, on_step: OnStep | None = None
) -> ColdStartSummary:
    """Train the tiny policy from scratch and save it as a model folder.

    ``on_step`` gets the figures of every step. Raises ``InputError`` before any work where there is no step
    to take or the folder cannot be made.
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
    network = build_model(tokenizer, config.seed, width=config.width, layers=config.layers)
    with tempfile.TemporaryDirectory(prefix="headway-untrained-") as untrained:
        save_policy(Path(untrained), network, tokenizer)
        model = PolicyModel(Path(untrained), config.optimizer)
        figures = []
        for figure in fit(model, batches(tokenizer, config)):
            figures.append(figure)
            if on_step is not None:
                on_step(figure)
        model.save(out)
    last = [figure.update for figure in figures[-20:]]
    return ColdStartSummary(
        parameters=network.num_parameters(),
        steps=len(figures),
        tokens=sum(figure.tokens for figure in figures),
        final_loss=sum(u.loss * u.tokens for u in last) / sum(u.tokens for u in last),
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
