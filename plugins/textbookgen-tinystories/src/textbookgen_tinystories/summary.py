"""Summaries of stories, for the headers of instructions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Documents, Draw, Generator, Input, Labels, Reply, Template, UnusableReply
from textbookgen.api.reply_text import read_plain_text

_LABEL = re.compile(r"\A(?:#{1,6} +)?[*_]{0,3}summary[*_]{0,3}[ \t]*:?[*_]{0,3}\s*(?=\S)", re.IGNORECASE)


class Summary(Generator):
    """Add a summary to each input story as the column `tinystories.summary`; the story itself is unchanged.

    TinyStories-Instruct (arXiv 2305.07759) also had its summaries written from the finished stories.
    """

    name: ClassVar[str] = "summary"
    task: ClassVar[str] = "summary"
    kind: ClassVar[str] = "story"

    prompt: Annotated[str, Template] = Field("tinystories/summary.md.j2", description="prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="earlier stages whose stories are summarized"
    )
    max_words: int = Field(60, gt=0, description="reject longer summaries")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the story with its summary as one row.

        Raises:
            UnusableReply: the reply is empty, was cut off, or has more than `max_words` words.
        """
        summary = " ".join(_LABEL.sub("", read_plain_text(reply)).split())
        if len(summary.split()) > self.max_words:
            raise UnusableReply("the summary is too long")
        story = draw["document"]
        columns = {name: story[name] for name in ("tinystories.words", "tinystories.features") if story.get(name) is not None}
        yield {"text": story["text"], "tinystories.summary": summary, **columns}
