"""Sections of general textbooks, varied by persona or by an unrelated passage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Generator, Input, Labels, Reply, Template, UnusableReply
from textbookgen.api.reply_text import read_prose
from textbookgen_textbooks.seeding import draw_rng


class Section(Generator):
    """Write sections of textbooks about the world: phi-1.5's synthetic data (arXiv 2309.05463).

    The topic comes from the sampler: `textbooks/section-topics`, or `textbooks/taxonomy-topics`, which gives the path above
    the topic, an audience and a style too. phi-1.5 put samples of web text into its prompts for diversity: input documents are
    such passages (a random window of `passage_length` characters each), or the sampler `passages` draws them. Columns:
    `textbooks.topic`, `textbooks.course` (the path), `textbooks.domain`, `textbooks.audience`, `textbooks.style`.
    """

    name: ClassVar[str] = "section"
    task: ClassVar[str] = "section"
    kind: ClassVar[str] = "section"
    version: ClassVar[int] = 2

    prompt: Annotated[str, Template] = Field("phi15/section.md.j2", description="prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        (), alias="from", description="earlier stages whose documents are passages for diversity"
    )
    passage_length: int = Field(1_000, gt=0, description="maximum length of a passage in the prompt, in characters")
    min_words: int = Field(100, ge=0, description="reject shorter sections")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return one section."""
        variables = self._variables(draw)
        return self.parse(variables, await ask(ask.render(self.prompt, variables), draw=variables))

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the section as one row.

        Raises:
            UnusableReply: the reply is empty, was cut off, or has fewer than `min_words` words.
        """
        text = read_prose(reply)
        if len(text.split()) < self.min_words:
            raise UnusableReply("the section is too short")
        facts = {name: draw.get(name) for name in ("topic", "course", "domain", "audience", "style")}
        facts["domain"] = draw.get("domain") or draw.get("discipline")
        yield {"text": text, **{f"textbooks.{name}": value for name, value in facts.items()}}

    def _variables(self, draw: Draw) -> dict[str, Any]:
        """The draw, with a passage from the input document."""
        variables = {"persona": None, "passage": None, **draw}
        document = draw.get("document")
        if document is not None:
            variables["passage"] = text_window(str(document["text"]), self.passage_length, draw)
        return variables


def text_window(text: str, length: int, draw: Draw) -> str:
    """Return at most `length` characters of a text from a place that the draw determines, starting at a word."""
    if len(text) <= length:
        return text.strip()
    start = draw_rng(draw, "window").randrange(len(text) - length + 1)
    window = text[start : start + length]
    if start and not text[start - 1].isspace():
        window = window.partition(" ")[2] or window
    return window.strip()
