"""Between chat messages and token ids, exact: what a model wrote is never tokenised again.

The first prompt is rendered whole by the model's chat template; everything after it is appended. What
stands between two model turns (the end of the turn, the observation, the next generation prompt) is read
off the template with a placeholder in the model's place, so any template works. Knows nothing of
engines or scheduling.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headway.errors import InputError

from .hermes import system_prompt
from .task import Message

_PLACEHOLDER = "\u2063model turn\u2063"  # a string that no template rewrites and no observation contains

# For base models without a chat template.
_PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m.role.capitalize() }}: {{ m.content }}"
    "{{ eos_token if m.role == 'assistant' else '' }}\n\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)


class Chat:
    """Renders the chats of one model, with its tools, to token ids."""

    def __init__(self, tokenizer: Any, tools: Sequence[dict[str, Any]] = ()) -> None:
        self._tokenizer = tokenizer
        self.tools = list(tools)
        if not tokenizer.chat_template:
            tokenizer.chat_template = _PLAIN_TEMPLATE
        self._template_shows_tools = bool(self.tools) and self._shows_tools()
        self.stop_token_ids = self._find_stop_tokens()

    @classmethod
    def load(cls, model: Path, tools: Sequence[dict[str, Any]] = ()) -> "Chat":
        """Load the tokenizer of a model folder; raises ``InputError`` where there is none."""
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(model), local_files_only=True)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{model}: cannot load a tokenizer from this folder: {reason}") from error
        if not tokenizer.encode("a", add_special_tokens=False):
            raise InputError(f"{model}: no tokenizer in this folder (its vocabulary is empty); save it there")
        return cls(tokenizer, tools)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of the first prompt, up to where the model starts to write."""
        return self._encode(self._render([{"role": m.role, "content": m.content} for m in messages], True))

    def observation(self, content: str, after: Sequence[int]) -> list[int]:
        """Return the ids that follow the model turn ``after`` and show it ``content`` as a user message.

        The end-of-turn token that the model may already have sampled is not repeated.
        """
        ids = self._encode(self._after_turn(content))
        return ids[1:] if after and ids and after[-1] == ids[0] else ids

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of model-written tokens, without special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def transcript(self, ids: Sequence[int]) -> str:
        """Return the text of any tokens, special tokens included."""
        return str(self._tokenizer.decode(list(ids)))

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False, verbose=False))

    def _after_turn(self, content: str) -> str:
        turns = [("user", "-"), ("assistant", _PLACEHOLDER), ("user", content)]
        text = self._render([{"role": role, "content": text} for role, text in turns], True)
        return text[text.index(_PLACEHOLDER) + len(_PLACEHOLDER) :]

    def _render(self, messages: list[dict[str, str]], generate: bool) -> str:
        tools = self.tools if self._template_shows_tools else None
        if self.tools and not self._template_shows_tools:
            messages = _with_system(messages, system_prompt(self.tools))
        return self._apply(messages, tools, generate)

    def _apply(
        self, messages: list[dict[str, str]], tools: list[dict[str, Any]] | None, generate: bool
    ) -> str:
        try:
            text = self._tokenizer.apply_chat_template(
                messages, tools=tools, add_generation_prompt=generate, tokenize=False
            )
        except Exception as error:  # a template's own raise_exception
            if messages[0]["role"] != "system":
                raise InputError(f"the model's chat template rejects this chat: {error}") from error
            return self._apply(_without_system(messages), tools, generate)
        return str(text)

    def _shows_tools(self) -> bool:
        """Whether the template itself explains the Hermes tool format to the model."""
        text = self._apply([{"role": "user", "content": "-"}], self.tools, True)
        return "<tool_call>" in text and str(self.tools[0]["function"]["name"]) in text

    def _find_stop_tokens(self) -> tuple[int, ...]:
        """The end-of-sequence token, and the token with which the template closes a model turn."""
        stops = {self._tokenizer.eos_token_id} - {None}
        closing = self._encode(self._after_turn("-"))[:1]
        return tuple(sorted(stops | (set(closing) & set(self._tokenizer.all_special_ids))))


def _with_system(messages: list[dict[str, str]], text: str) -> list[dict[str, str]]:
    if messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """Move a system message into the first user message, for templates that have no place for it."""
    system, first, *rest = messages
    return [{"role": first["role"], "content": f"{system['content']}\n\n{first['content']}"}, *rest]
