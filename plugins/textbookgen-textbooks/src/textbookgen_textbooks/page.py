"""Textbook pages: prose alternating with runnable Python snippets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen.api.reply_code import parse_python, python_snippets
from textbookgen.api.reply_text import read_prose
from textbookgen_textbooks.page_facts import shown_facts


class Page(Generator):
    """Write textbook pages with code: phi-1's synthetic textbooks (arXiv 2306.11644, section 2.2).

    A page is Markdown and has at least one Python snippet that parses. Whether snippets run and print what the page says
    is for a filter to check (`accept`). Columns: `textbooks.topic`, `textbooks.audience`, both as drawn, and `textbooks.shown`:
    what was found by looking at the page, for coverage (`page_facts`).
    """

    name: ClassVar[str] = "page"
    task: ClassVar[str] = "page"
    kind: ClassVar[str] = "page"
    version: ClassVar[int] = 2

    prompt: Annotated[str, Template] = Field("phi1/page.md.j2", description="prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the page as one row.

        Raises:
            UnusableReply: the reply is empty, was cut off, or has no Python snippet that parses.
        """
        text = read_prose(reply)
        snippets = python_snippets(text)
        if not snippets:
            raise UnusableReply("the page has no code")
        if all(parse_python(snippet) is None for snippet in snippets):
            raise UnusableReply("no snippet of the page parses")
        columns = {name: None if draw.get(name) is None else str(draw[name]) for name in ("topic", "audience")}
        shown = json.dumps(shown_facts(text, draw), ensure_ascii=False)
        yield {"text": text, **{f"textbooks.{name}": value for name, value in columns.items()}, "textbooks.shown": shown}
