"""Asks for stories that a small child understands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply


class Story(Generator):
    """Writes stories with words and features that were drawn (TinyStories, arXiv 2305.07759, section 2).

    Columns: `tinystories.words` (the words that must occur: verb, noun, adjective), `tinystories.features`.
    """

    name: ClassVar[str] = "story"
    task: ClassVar[str] = "story"
    kind: ClassVar[str] = "story"

    prompt: Annotated[str, Template] = Field("tinystories/story.md.j2", description="name of the prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The story.

        Raises:
            UnusableReply: the reply is empty or was cut off.
        """
        words = [str(draw[part]) for part in ("verb", "noun", "adjective") if draw.get(part)]
        yield {"text": told(reply), "tinystories.words": words, "tinystories.features": list(draw.get("features", ()))}


def told(reply: Reply) -> str:
    """The text of a reply that is text and nothing else, ending in one newline.

    Raises:
        UnusableReply: the reply is empty or was cut off.
    """
    if reply.finish == "length":
        raise UnusableReply("the reply was cut off")
    text = "\n".join(line.rstrip() for line in reply.text.strip().splitlines())
    if not text:
        raise UnusableReply("the reply is empty")
    return text + "\n"
