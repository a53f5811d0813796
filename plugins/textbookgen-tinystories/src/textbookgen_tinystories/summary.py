"""Asks for a summary of each story, for the headers of instructions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Documents, Draw, Generator, Input, Labels, Reply, Template, UnusableReply
from textbookgen_tinystories.story import told


class Summary(Generator):
    """Writes a summary beside each story that flows in, as the column `tinystories.summary`; the story stays as it is.

    TinyStories-Instruct (arXiv 2305.07759) had its summaries written from the finished stories too.
    """

    name: ClassVar[str] = "summary"
    task: ClassVar[str] = "summary"
    kind: ClassVar[str] = "story"

    prompt: Annotated[str, Template] = Field("tinystories/summary.md.j2", description="name of the prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="stages above whose stories are summed up"
    )
    most_words: int = Field(60, gt=0, description="a longer summary is refused")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The story with its summary.

        Raises:
            UnusableReply: the reply is empty, was cut off, or is longer than `most_words`.
        """
        summary = " ".join(told(reply).split()).removeprefix("Summary:").strip()
        if len(summary.split()) > self.most_words:
            raise UnusableReply("the summary is too long")
        story = draw["document"]
        own = {name: story[name] for name in ("tinystories.words", "tinystories.features") if story.get(name) is not None}
        yield {"text": story["text"], "tinystories.summary": summary, **own}
