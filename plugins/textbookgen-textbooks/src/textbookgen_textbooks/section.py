"""Sections of general textbooks, varied by persona or by an unrelated passage."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Ask, Documents, Draw, Generator, Input, Labels, Reply, Template, UnusableReply
from textbookgen_textbooks.seeding import draw_rng
from textbookgen_textbooks.text_replies import read_prose


class Section(Generator):
    """Write sections of textbooks about the world: phi-1.5's synthetic data (arXiv 2309.05463).

    phi-1.5 put samples of web text into its prompts for diversity. Input documents are such passages (a random window of
    `passage_length` characters each) or, with `documents_are = "topic"`, what each section is about, such as the concepts of
    `textbooks/taxonomy`: then the discipline of the topic replaces a drawn domain. Columns: `textbooks.topic`,
    `textbooks.domain`, `textbooks.audience`.
    """

    name: ClassVar[str] = "section"
    task: ClassVar[str] = "section"
    kind: ClassVar[str] = "section"

    prompt: Annotated[str, Template] = Field("phi15/section.md.j2", description="prompt template")
    inputs: Annotated[Labels, Input(Documents)] = Field(
        (), alias="from", description="earlier stages whose documents are passages or topics"
    )
    documents_are: Literal["passage", "topic"] = Field(
        "passage", description="what an input document is: an unrelated passage for diversity, or the topic"
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
        yield {"text": text, **{f"textbooks.{name}": draw.get(name) for name in ("topic", "domain", "audience")}}

    def _variables(self, draw: Draw) -> dict[str, Any]:
        """The draw with what the input document contributes."""
        variables = {"persona": None, "passage": None, **draw}
        document = draw.get("document")
        if document is None:
            return variables
        if self.documents_are == "passage":
            return {**variables, "passage": text_window(str(document["text"]), self.passage_length, draw)}
        course = [document.get(f"textbooks.{level}") for level in ("discipline", "subject", "session")]
        return {
            **variables,
            "topic": document.get("textbooks.topic") or document["text"],
            "domain": course[0],
            "course": " > ".join(str(name) for name in course if name),
        }


def text_window(text: str, length: int, draw: Draw) -> str:
    """Return at most `length` characters of a text from a place that the draw determines, starting at a word."""
    if len(text) <= length:
        return text.strip()
    start = draw_rng(draw, "window").randrange(len(text) - length + 1)
    window = text[start : start + length]
    if start and not text[start - 1].isspace():
        window = window.partition(" ")[2] or window
    return window.strip()
