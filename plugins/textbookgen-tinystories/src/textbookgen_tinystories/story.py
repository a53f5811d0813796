"""Stories that a small child understands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template
from textbookgen.api.reply_text import read_plain_text


class Story(Generator):
    """Write stories with drawn words and features (TinyStories, arXiv 2305.07759, section 2).

    Columns: `tinystories.words` (the required verb, noun and adjective), `tinystories.features`.
    """

    name: ClassVar[str] = "story"
    task: ClassVar[str] = "story"
    kind: ClassVar[str] = "story"

    prompt: Annotated[str, Template] = Field("tinystories/story.md.j2", description="prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the story as one row.

        Raises:
            UnusableReply: the reply is empty or was cut off.
        """
        words = [str(draw[part]) for part in ("verb", "noun", "adjective") if draw.get(part)]
        features = list(draw.get("features", ()))
        yield {"text": read_plain_text(reply), "tinystories.words": words, "tinystories.features": features}
