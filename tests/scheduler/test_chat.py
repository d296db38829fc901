from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from headway.errors import InputError
from headway.scheduler.chat import Chat
from headway.scheduler.hermes import PYTHON_TOOL, system_prompt
from headway.scheduler.task import Message

QUESTION = [Message("user", "What is 2 + 2?")]

NO_SYSTEM_ROLE = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "[{{ m.role }}]{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


def byte_tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>")
    tokenizer.chat_template = template
    return tokenizer


def test_a_template_that_explains_tools_is_used_as_it_is(tiny_chat: Chat) -> None:
    prompt = tiny_chat.transcript(tiny_chat.prompt(QUESTION))
    assert "<tools>" in prompt
    assert system_prompt([PYTHON_TOOL]) not in prompt
    assert prompt.endswith("<|im_start|>assistant\n")


def test_an_observation_continues_the_sampled_turn_as_the_template_would_render_it(tiny_chat: Chat) -> None:
    prompt = tiny_chat.prompt(QUESTION)
    end = tiny_chat.observation("", after=[])[0]
    turn = [*tiny_chat._encode("I call."), end]
    ids = prompt + turn + tiny_chat.observation("4", after=turn)
    whole = [{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": "I call."}]
    rendered = tiny_chat._render([*whole, {"role": "user", "content": "4"}], True)
    assert tiny_chat.transcript(ids) == rendered


def test_a_turn_cut_off_before_its_end_token_gets_one(tiny_chat: Chat) -> None:
    turn = tiny_chat._encode("I was cut")
    assert tiny_chat.observation("4", after=turn)[0] in tiny_chat.stop_token_ids


def test_the_stop_tokens_are_those_that_close_a_turn(tiny_chat: Chat) -> None:
    assert tiny_chat.transcript(tiny_chat.stop_token_ids) in ("<|im_end|>", "<|endoftext|><|im_end|>")


def test_a_template_without_tools_gets_the_agents_own_instructions() -> None:
    chat = Chat(
        byte_tokenizer(NO_SYSTEM_ROLE.replace("raise_exception('no system role')", "''")), [PYTHON_TOOL]
    )
    prompt = chat.transcript(chat.prompt(QUESTION))
    assert prompt.startswith("[system]" + system_prompt([PYTHON_TOOL]))


def test_a_template_without_a_system_role_gets_them_in_the_first_message() -> None:
    chat = Chat(byte_tokenizer(NO_SYSTEM_ROLE), [PYTHON_TOOL])
    prompt = chat.transcript(chat.prompt(QUESTION))
    assert prompt.startswith("[user]" + system_prompt([PYTHON_TOOL]))
    assert prompt.endswith("What is 2 + 2?<|end|>[assistant]")


def test_a_base_model_without_a_template_gets_a_plain_one() -> None:
    chat = Chat(byte_tokenizer(None), [PYTHON_TOOL])
    assert chat.transcript(chat.prompt(QUESTION)).endswith("User: What is 2 + 2?\n\nAssistant:")
    assert "User: 4" in chat.transcript(chat.observation("4", after=[]))


def test_a_folder_without_a_tokenizer_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(InputError, match=str(tmp_path)):
        Chat.load(tmp_path)
