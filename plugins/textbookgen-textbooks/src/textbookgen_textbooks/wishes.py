"""Asks what somebody would ask an assistant: prompts for chats and preferences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen_textbooks.replies import prose


class Wishes(Generator):
    """Writes messages that people might send to an assistant, for `textbooks/best-of-n` and `textbooks/preferences` to answer.

    phi-4's finetuning prompts (arXiv 2412.08905, section 4) are public and synthetic ones; how the latter came about is not
    told. Here a persona and a topic are given (Persona Hub's idea, arXiv 2406.20094). Columns: `textbooks.topic`,
    `textbooks.persona`.
    """

    name: ClassVar[str] = "user-prompts"
    task: ClassVar[str] = "wish"
    kind: ClassVar[str] = "question"

    prompt: Annotated[str, Template] = Field("phi4/wish.md.j2", description="name of the prompt template")
    most_words: int = Field(200, gt=0, description="a longer message is refused")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The message.

        Raises:
            UnusableReply: it is empty, was cut off, or is longer than `most_words`.
        """
        text = prose(reply).strip().strip('"\u201c\u201d').strip()
        if not text:
            raise UnusableReply("the reply is empty")
        if len(text.split()) > self.most_words:
            raise UnusableReply("the message is too long")
        yield {"text": text, **{f"textbooks.{name}": draw.get(name) for name in ("topic", "persona")}}
