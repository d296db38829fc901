"""The neural network: from a folder, and what it predicts where a model-written token stands.

Invariants: dropout is off, or these probabilities would be another policy's than the engines sampled from;
rollouts in one row do not see each other, and a model that cannot keep them apart is refused. Knows nothing
of losses.
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from headway.errors import InputError

from .batch import MicroBatch
from .ranks import ALONE, Ranks
from .sharding import layers, shard

_PROBE = 8  # tokens
_APART = (
    1e-3  # of the prediction's norm: an influence is more in an untrained model, even; there should be none
)


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the network is held and run.

    ``precision``: ``mixed`` computes in bfloat16 with weights in float32; ``bfloat16`` has the weights in it,
    too, where the small steps of reinforcement learning are mostly rounded away. ``activation_checkpointing``
    computes layers twice to keep less in memory. ``packing``: several rollouts to a row. ``attention``: an
    implementation by its name in transformers (None: its choice); the flash ones tell rollouts apart in a
    batch of one row only, so they need ``packing`` off.
    """

    precision: Literal["float32", "mixed", "bfloat16"] = "float32"
    activation_checkpointing: bool = False
    packing: bool = True
    attention: str | None = None


def load_network(folder: Path, config: NetworkConfig, device: torch.device, ranks: Ranks = ALONE) -> Any:
    """Return the model of a folder, in evaluation mode, through which gradients flow all the same.

    Of several ranks each gets its share of it.
    """
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, attn_implementation=config.attention
        )
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{folder}: cannot load a model: {str(error).splitlines()[0]}") from error
    model.eval()
    if ranks.size > 1:
        shard(model, device, ranks.size)
    else:
        model.to(device)
    if config.packing and not _keeps_apart(model, device):
        raise InputError(f"{folder}: its layers mix the rollouts of one row; set `packing` to false")
    if config.activation_checkpointing:
        _checkpoint_layers(model)
    return model


def predictions(model: Any, batch: MicroBatch, config: NetworkConfig) -> Tensor:
    """Log-probabilities in float32 of every token in place of each of the N written ones, [N, V].

    Logits, the widest tensors of a step, are computed for these only.
    """
    positions = {"position_ids": batch.positions} if config.packing else {}
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _, inputs: (inputs[0][batch.mask],))
    try:
        with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=config.precision == "mixed"):
            output = model(input_ids=batch.tokens, use_cache=False, **positions)
    finally:
        hook.remove()
    logits: Tensor = output.logits
    return logits.float().log_softmax(-1)


def _checkpoint_layers(model: Any) -> None:
    """Compute each layer again in the backward pass.

    Transformers' own switch works in training mode only, where dropout is on.
    """
    for layer in layers(model):
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


@torch.no_grad()
def _keeps_apart(model: Any, device: torch.device) -> bool:
    """Whether what stands before a sequence in its row has no influence on it."""
    before = torch.arange(1, 2 * _PROBE + 1, device=device).view(2, _PROBE)
    tokens = torch.cat([before, before[:1].expand(2, -1)], dim=1)
    positions = torch.arange(_PROBE, device=device).repeat(2, 2)
    logits = model(input_ids=tokens, position_ids=positions, use_cache=False).logits[:, _PROBE:].float()
    return bool((logits[0] - logits[1]).norm() <= _APART * logits[0].norm())
