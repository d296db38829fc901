"""What each rank of ``test_distributed.py`` does, under torchrun, and one rank alone for comparison.

What a rank saw goes to ``seen-N.pickle`` in the folder that it is started with.
"""

import math
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file

from headway.errors import HeadwayError
from headway.trainer.batch import Sample
from headway.trainer.network import NetworkConfig
from headway.trainer.optimizer_config import OptimizerConfig
from headway.trainer.policy_model import PolicyModel
from headway.trainer.ranks import Ranks, from_environment

from .records import rollout

PLAIN = OptimizerConfig(learning_rate=1e-3, warmup_steps=2, micro_batch_tokens=60, max_grad_norm=0.02)
CONFIGS = {
    "dapo": PLAIN,
    "several_updates": msgspec.structs.replace(PLAIN, updates=3, loss="grpo"),
    "kl_checkpointed": msgspec.structs.replace(
        PLAIN, kl=0.1, network=NetworkConfig(activation_checkpointing=True)
    ),
}


def batch(step: int, count: int = 9) -> list[Sample]:
    """Rollouts of very different lengths; the last wrote nothing."""
    records = [
        rollout(
            prompt=2 + i % 3,
            written=1 + (i * 7 + step) % 29 if i < 8 else 0,
            vocabulary=512,
            seed=100 * step + i,
            id=f"g{step}.{i}",
        )
        for i in range(count)
    ]
    return [Sample(record, 1.0 if i % 3 else -1.5) for i, record in enumerate(records)]


def train(folder: Path, config: OptimizerConfig, out: Path, ranks: Ranks, *, count: int = 9) -> list[Any]:
    """Five steps; the weights are in ``out``, the reports returned."""
    model = PolicyModel(folder, config, ranks=ranks)
    reports = [model.step(batch(step, count), version=3) for step in range(5)]
    model.write_weights(out)
    return reports


def resume(folder: Path, checkpoint: Path, out: Path, ranks: Ranks) -> dict[str, Any]:
    """Three steps after a checkpoint of two."""
    model = PolicyModel(folder, PLAIN, ranks=ranks)
    extra = model.load_checkpoint(checkpoint)
    for step in (2, 3, 4):
        model.step(batch(step))
    model.write_weights(out)
    return extra


def begin(folder: Path, checkpoint: Path, ranks: Ranks) -> None:
    """Two steps, and a checkpoint."""
    model = PolicyModel(folder, PLAIN, ranks=ranks)
    for step in (0, 1):
        model.step(batch(step))
    model.save_checkpoint(checkpoint, {"ranks": ranks.size})


def _error(action: Any) -> str:
    try:
        action()
    except HeadwayError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def _not_finite(folder: Path, work: Path, ranks: Ranks) -> list[bool]:
    """A step is skipped for one rollout's sake, which one rank has; the next is not."""
    model = PolicyModel(folder, PLAIN, ranks=ranks)
    model.step(batch(0))
    model.write_weights(work / "before.safetensors")
    broken = batch(1)
    broken[3] = Sample(broken[3].rollout, math.nan)
    skipped = model.step(broken).skipped
    model.write_weights(work / "after.safetensors")
    before, after = load_file(work / "before.safetensors"), load_file(work / "after.safetensors")
    same = all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    return [skipped, same, model.step(batch(1)).skipped]


def run(work: Path, ranks: Ranks) -> None:
    tied, untied = work / "tied", work / "untied"
    seen: dict[str, Any] = {name: train(tied, c, work / name, ranks) for name, c in CONFIGS.items()}
    seen["one_rollout"] = train(tied, PLAIN, work / "one_rollout", ranks, count=1)
    seen["not_finite"] = _not_finite(tied, work, ranks)

    model = PolicyModel(untied, PLAIN, ranks=ranks)
    model.save(work / "saved")
    seen["own"] = sum(parameter.to_local().numel() for parameter in model._model.parameters())
    seen["different"] = _error(lambda: model.step(batch(ranks.rank)))
    seen["nowhere"] = _error(lambda: model.write_weights(work / "nowhere" / "weights"))
    seen["no_checkpoint"] = _error(lambda: model.load_checkpoint(work / "nowhere"))
    seen["not_json"] = _error(lambda: model.save_checkpoint(work / "unkept", {"rank": object()}))

    begin(tied, work / "two", ranks)
    seen["two_to_two"] = resume(tied, work / "two", work / "two_to_two", ranks)
    seen["one_to_two"] = resume(tied, work / "one", work / "one_to_two", ranks)
    (work / f"seen-{ranks.rank}.pickle").write_bytes(pickle.dumps(seen))


if __name__ == "__main__":
    torch.set_num_threads(1)
    together = from_environment()
    run(Path(sys.argv[1]), together)
    together.leave()
    os._exit(0)  # see Ranks.leave
