"""Asks for a section of a general textbook, varied by an unrelated passage or a persona."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Generator, Input, Labels, Reply, Template, UnusableReply
from textbookgen_textbooks.replies import prose
from textbookgen_textbooks.together import chance


class Section(Generator):
    """Writes sections of textbooks about the world, phi-1.5's synthetic data (arXiv 2309.05463).

    phi-1.5 put samples of web text into its prompts for diversity. Here documents that flow in are such passages (a window
    of `passage_length` characters, drawn) or, with `documents_are = "topic"`, what each section is about: the tree of
    `textbooks/taxonomy`, say. Columns: `textbooks.topic`, `textbooks.domain`, `textbooks.audience`.
    """

    name: ClassVar[str] = "section"
    task: ClassVar[str] = "section"
    kind: ClassVar[str] = "section"

    prompt: Annotated[str, Template] = Field("phi15/section.md.j2", description="name of the prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        (), alias="from", description="stages above whose documents are passages or topics"
    )
    documents_are: Literal["passage", "topic"] = Field(
        "passage", description="what a document that flows in is: a passage to vary the angle by, or the topic"
    )
    passage_length: int = Field(1_000, gt=0, description="characters of a passage that the teacher is shown")
    fewest_words: int = Field(100, ge=0, description="a shorter section is refused")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """One section."""
        full = self._full(draw)
        return self.parse(full, await ask(ask.render(self.prompt, full), draw=full))

    def _full(self, draw: Draw) -> dict[str, Any]:
        """The draw with what its document stands for."""
        document = draw.get("document")
        full = {"persona": None, "passage": None, **draw}
        if document is None:
            return full
        if self.documents_are == "topic":
            return {**full, "topic": document.get("textbooks.topic") or document["text"]}
        return {**full, "passage": window(str(document["text"]), self.passage_length, draw)}

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The section.

        Raises:
            UnusableReply: it is empty, was cut off, or is shorter than `fewest_words`.
        """
        text = prose(reply)
        if len(text.split()) < self.fewest_words:
            raise UnusableReply("the section is too short")
        yield {"text": text, **{f"textbooks.{name}": draw.get(name) for name in ("topic", "domain", "audience")}}


def window(text: str, length: int, draw: Draw) -> str:
    """A piece of a text, at most so many characters, from a place that belongs to the draw; it starts at a word."""
    if len(text) <= length:
        return text.strip()
    start = chance(draw, "window").randrange(len(text) - length + 1)
    piece = text[start : start + length]
    if start and not text[start - 1].isspace():
        piece = piece.partition(" ")[2] or piece
    return piece.strip()
