"""The policy that the repository ships."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

import headway.trainer
from headway.scheduler import Chat, Message
from headway.scheduler.hermes import PYTHON_TOOL

SHIPPED = Path(headway.trainer.__file__).parent / "tiny_policy"


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForCausalLM.from_pretrained(SHIPPED, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat.load(SHIPPED, [PYTHON_TOOL])


def test_the_shipped_model_has_one_to_two_million_finite_parameters(model: Any) -> None:
    assert 1_000_000 < model.num_parameters() < 2_000_000
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_its_template_shows_the_tools_once_and_briefly(chat: Chat) -> None:
    ids = chat.prompt([Message("user", "What is 12 times 34?")])
    text = chat.transcript(ids)
    assert text.count("<tools>") == 1
    assert json.dumps(PYTHON_TOOL) in text
    assert text.endswith("<|im_start|>user\nWhat is 12 times 34?<|im_end|>\n<|im_start|>assistant\n")
    assert len(ids) < 140


def test_its_template_keeps_a_system_message(chat: Chat) -> None:
    text = chat.transcript(chat.prompt([Message("system", "Be brief."), Message("user", "Hello")]))
    assert text.startswith("<|im_start|>system\nBe brief.\n\n")
    assert text.count("<|im_start|>system") == 1


def test_a_turn_ends_with_the_one_stop_token(model: Any, chat: Chat) -> None:
    assert chat.stop_token_ids == (model.config.eos_token_id,)
    assert chat.transcript(chat.stop_token_ids) == "<|im_end|>"
