"""Asks for a page of a textbook: prose and runnable snippets, taking turns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen_textbooks.replies import parsed, prose, snippets


class Page(Generator):
    """Writes textbook pages with code, phi-1's synthetic textbooks (arXiv 2306.11644, section 2.2).

    A page is Markdown. It counts if it has a Python snippet that parses; whether snippets run and print what their
    comments say is a matter for a judge (`accept`). Columns: `textbooks.topic`, `textbooks.audience`.
    """

    name: ClassVar[str] = "page"
    task: ClassVar[str] = "page"
    kind: ClassVar[str] = "page"

    prompt: Annotated[str, Template] = Field("phi1/textbook.md.j2", description="name of the prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The page.

        Raises:
            UnusableReply: it is empty, was cut off, or has no Python snippet that parses.
        """
        text = prose(reply)
        result = snippets(text)
        if not result:
            raise UnusableReply("the page has no code")
        if all(parsed(item) is None for item in result):
            raise UnusableReply("no snippet of the page parses")
        yield {"text": text, "textbooks.topic": _text(draw, "topic"), "textbooks.audience": _text(draw, "audience")}


def _text(draw: Draw, name: str) -> str | None:
    value = draw.get(name)
    return None if value is None else str(value)
