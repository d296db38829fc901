"""A Qwen3 with random weights, made on demand: real arithmetic for benchmarks, and nothing to download.

Invariant: the same shape and seed give the same bytes of weights. It writes nonsense, in the time that a
trained model of its shape would take. Knows nothing of engines.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

SPREAD = 0.02


class ModelShape(msgspec.Struct, frozen=True, kw_only=True):
    """The sizes of a Qwen3; the default has 34 million parameters, and prefill that takes its time on a CPU.

    ``head`` is the size of one attention head: vLLM's CPU build needs at least 32.
    """

    vocabulary: int = 8192
    hidden: int = 512
    intermediate: int = 1536
    layers: int = 8
    heads: int = 8
    kv_heads: int = 4
    head: int = 64
    max_context: int = 8192


def random_model(shape: ModelShape | None = None, *, seed: int = 0, cache: Path | None = None) -> Path:
    """The folder of the model; made at the first call, in ``cache`` (default: the user's cache folder)."""
    shape = shape or ModelShape()
    cache = cache or _user_cache()
    folder = cache / f"qwen3-{shape.hidden}x{shape.layers}-v{shape.vocabulary}-c{shape.max_context}-s{seed}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=cache))
        try:
            _write(made, shape, seed)
            made.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process may have been quicker
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return folder


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway" / "models"


def _write(folder: Path, shape: ModelShape, seed: int) -> None:
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models

    (folder / "config.json").write_bytes(msgspec.json.format(msgspec.json.encode(_config(shape))))
    tensors = dict(_tensors(shape, np.random.default_rng(seed)))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    words = {str(number): number for number in range(shape.vocabulary)}
    Tokenizer(models.WordLevel(words, unk_token="0")).save(str(folder / "tokenizer.json"))


def _config(shape: ModelShape) -> dict[str, object]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head,
        "max_position_embeddings": shape.max_context,
        "tie_word_embeddings": False,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "attention_bias": False,
        "torch_dtype": "float32",
    }


def _tensors(shape: ModelShape, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.standard_normal((rows, columns), dtype=np.float32) * np.float32(SPREAD)

    def ones(size: int) -> np.ndarray:
        return np.ones(size, dtype=np.float32)

    queries, keys = shape.heads * shape.head, shape.kv_heads * shape.head
    yield "model.embed_tokens.weight", matrix(shape.vocabulary, shape.hidden)
    yield "lm_head.weight", matrix(shape.vocabulary, shape.hidden)
    yield "model.norm.weight", ones(shape.hidden)
    for layer in (f"model.layers.{number}." for number in range(shape.layers)):
        yield layer + "input_layernorm.weight", ones(shape.hidden)
        yield layer + "post_attention_layernorm.weight", ones(shape.hidden)
        yield layer + "self_attn.q_norm.weight", ones(shape.head)
        yield layer + "self_attn.k_norm.weight", ones(shape.head)
        yield layer + "self_attn.q_proj.weight", matrix(queries, shape.hidden)
        yield layer + "self_attn.k_proj.weight", matrix(keys, shape.hidden)
        yield layer + "self_attn.v_proj.weight", matrix(keys, shape.hidden)
        yield layer + "self_attn.o_proj.weight", matrix(shape.hidden, queries)
        yield layer + "mlp.gate_proj.weight", matrix(shape.intermediate, shape.hidden)
        yield layer + "mlp.up_proj.weight", matrix(shape.intermediate, shape.hidden)
        yield layer + "mlp.down_proj.weight", matrix(shape.hidden, shape.intermediate)
