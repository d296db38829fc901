"""A model small enough to start in seconds, with random weights and a tokenizer of its own."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

VOCABULARY = 512
MAX_CONTEXT = 1024


def build_model(*, seed: int, tied: bool = True, layers: int = 2) -> Qwen3ForCausalLM:
    """Weights that differ really between seeds: their greedy answers part at the first tokens."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=MAX_CONTEXT,
        tie_word_embeddings=tied,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    return Qwen3ForCausalLM(config).to(torch.float32).eval()


def save_model(folder: Path, model: Qwen3ForCausalLM) -> Path:
    model.save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {"<|endoftext|>": 0} | {letter: number for number, letter in enumerate(alphabet, start=1)}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>").save_pretrained(folder)
    return folder


def save_weights(file: Path, model: Qwen3ForCausalLM) -> Path:
    """As a trainer hands them over: one file, Hugging Face names, a tied head left out."""
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    save_file(tensors, file)
    return file


def logprobs_of(model: Qwen3ForCausalLM, prompt: list[int], tokens: list[int]) -> list[float]:
    """What a trainer recomputes for ``tokens`` after ``prompt``."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    picked = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(tokens)[:, None])
    return picked[:, 0].tolist()
