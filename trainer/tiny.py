"""The tokenizer and the untrained model of the tiny policy that the repository ships.

A byte-level BPE that keeps every digit apart, a ChatML template with a short Hermes system prompt, and a
Qwen3 of about 1.1 million parameters whose head size vLLM's CPU attention supports. Invariant: the same
texts give the same tokenizer, the same seed the same weights. Knows nothing of training.
"""

from collections.abc import Iterable
from typing import Any

import torch

VOCABULARY = 896
CONTEXT = 1024

_END_OF_TEXT, _START, _END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# Visible to the model and to the parser, so not special: each is one token that decoding keeps.
_TAGS = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<answer>", "</answer>")

_CHAT_TEMPLATE = r"""{%- set system = messages[0].content if messages[0].role == 'system' else '' -%}
{%- if tools or system -%}
{{- '<|im_start|>system\n' + system -}}
{%- if tools -%}
{{- ('\n\n' if system else '') + 'Solve the problem with these tools:\n<tools>\n' -}}
{%- for tool in tools -%}{{- (tool | tojson) + '\n' -}}{%- endfor -%}
{{- '</tools>\nCall: <tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>\n' -}}
{{- 'Answer: <answer>\\boxed{...}</answer>' -}}
{%- endif -%}
{{- '<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
{%- if not (loop.first and message.role == 'system') -%}
{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""


def untrained_tokenizer() -> Any:
    """Return the tokenizer with bytes and tags only: enough to render chats."""
    return build_tokenizer([], size=len(_TAGS))


def build_tokenizer(texts: Iterable[str], size: int = VOCABULARY) -> Any:
    """Train the tokenizer on rendered chats and attach the chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(_TAGS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[_END_OF_TEXT, _START, _END],
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    bpe.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in _TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=_END,
        pad_token=_END_OF_TEXT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=_CHAT_TEMPLATE,
    )


def build_model(tokenizer: Any, seed: int, *, width: int = 128, layers: int = 5) -> Any:
    """Return an untrained Qwen3 for this tokenizer, in float32 and in training mode."""
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 64,
        head_dim=32,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=True,
        dtype=torch.float32,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model.train()
