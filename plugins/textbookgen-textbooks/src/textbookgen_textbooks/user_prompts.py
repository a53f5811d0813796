"""Messages that users might send to an assistant: prompts for chats and preference pairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen.api.reply_text import read_message


class UserPrompts(Generator):
    """Write user messages for `textbooks/best-of-n` and `textbooks/preferences` to answer.

    phi-4's finetuning prompts (arXiv 2412.08905, section 4) are public and synthetic ones; the paper does not say how the
    synthetic ones were made. Here a persona and a topic are drawn (Persona Hub's idea, arXiv 2406.20094). Columns:
    `textbooks.topic`, `textbooks.persona`.
    """

    name: ClassVar[str] = "user-prompts"
    task: ClassVar[str] = "user-prompt"
    kind: ClassVar[str] = "question"

    prompt: Annotated[str, Template] = Field("phi4/user-prompt.md.j2", description="prompt template")
    max_words: int = Field(200, gt=0, description="reject longer messages")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the message as one row.

        Raises:
            UnusableReply: the reply is empty, was cut off, or has more than `max_words` words.
        """
        text = read_message(reply, "message", "user", "user message")
        if len(text.split()) > self.max_words:
            raise UnusableReply("the message is too long")
        yield {"text": text, **{f"textbooks.{name}": draw.get(name) for name in ("topic", "persona")}}
