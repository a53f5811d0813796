"""Conversations as plain-text prompts, for models that complete text and are not given token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textbookgen.api.cards import CheckpointCard
from textbookgen.api.message import Message
from textbookgen.training.chat_template import chat_environment

#: A private-use character that no template contains: it marks where a message's content was written.
_MARKER = "\ue000"


def read_chat_template(folder: Path) -> str | None:
    """Return the chat template on a checkpoint's card, in the language of transformers' `chat_template`; None without one."""
    if not (folder / CheckpointCard.file_name).is_file():
        return None
    chat = CheckpointCard.read(folder).chat
    return chat.template if chat else None


def render_chat(messages: Sequence[Message], template: str | None) -> tuple[str, str]:
    """Return a conversation as a prompt for the assistant's next words, and the text that ends its turn.

    If the last message is the assistant's, the prompt ends with it, to be continued.

    Args:
        messages: the conversation.
        template: the chat template; None joins the messages by blank lines, and no text ends a turn.
    """
    if template is None:
        return "\n\n".join(message.content for message in messages), ""
    compiled = chat_environment().from_string(template)
    prefix = messages[-1].content if messages[-1].role == "assistant" else ""
    history = [{"role": message.role, "content": message.content} for message in (messages[:-1] if prefix else messages)]

    def render(turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
        return compiled.render(messages=turns, add_generation_prompt=add_generation_prompt, bos_token="", eos_token="")

    complete = render([*history, {"role": "assistant", "content": _MARKER}], add_generation_prompt=False)
    return render(history, add_generation_prompt=True) + prefix, complete.rpartition(_MARKER)[2].strip()
