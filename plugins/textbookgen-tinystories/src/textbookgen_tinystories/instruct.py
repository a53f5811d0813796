"""Instructions made from stories: a random subset of a story's properties in random order, then the story."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Artifact, Chats, Documents, Estimate, Input, Labels, Transform, document_id
from textbookgen.api.artifacts import MESSAGES
from textbookgen_tinystories.records import FIELDS, Record

HeaderField = Literal["Features", "Words", "Summary", "Random sentence"]

_SENTENCE = re.compile(r"[^.!?\s][^.!?\n]*[.!?]+[\"'\u201d\u2019]*")


class Instruct(Transform):
    """Write TinyStories-Instruct records (arXiv 2305.07759): a header, the line `Story:`, and the story.

    A header can have `Features` and `Words` (columns of `tinystories/story`), `Summary` (column of `tinystories/summary`) and
    `Random sentence` (a sentence of the story). Each record draws a subset of the fields that the story has a value for, and
    their order. The paper uses all four; how it drew subsets is not published.
    """

    name: ClassVar[str] = "instruct"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="earlier stages whose stories become records")
    records: int = Field(1, gt=0, description="records per story, each with its own header")
    min_fields: int = Field(1, ge=0, le=4, description="minimum number of header fields, where the story has values for them")
    fields: tuple[HeaderField, ...] = Field(
        ("Features", "Words", "Summary", "Random sentence"), min_length=1, description="fields that a header can have"
    )
    seed: int = Field(0, description="seed of the headers")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate `records` records per story; None if the number of stories is unknown."""
        source = inputs.get("from", Estimate())
        if source.documents is None or source.tokens is None:
            return None
        return Estimate(documents=source.documents * self.records, tokens=source.tokens * self.records * 1.2)

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return `records` rows per story, of kind `instruct`; the column `tinystories.fields` lists the header's fields."""
        rows = [self._row(row, number) for row in docs.iter_rows(named=True) for number in range(self.records)]
        schema = {"id": pl.String(), "kind": pl.String(), "parents": pl.List(pl.String()), **self._content_schema()}
        return pl.DataFrame(rows, schema={**schema, "tinystories.fields": pl.List(pl.String())})

    def _row(self, story: dict[str, Any], number: int) -> dict[str, Any]:
        record = self._record(story, Random(f"{self.seed}/{story['id']}/{number}"))
        return {
            "id": document_id("tinystories", self.name, story["id"], self.seed, number),
            "kind": "instruct",
            "parents": [story["id"]],
            **self._content(record),
            "tinystories.fields": [field for field, _ in record.header],
        }

    def _record(self, story: dict[str, Any], rng: Random) -> Record:
        values = {field: value for field, value in field_values(story, rng).items() if field in self.fields}
        count = rng.randint(min(self.min_fields, len(values)), len(values))
        header = tuple((field, values[field]) for field in rng.sample(list(values), count))
        return Record(header, str(story["text"]).strip())

    def _content_schema(self) -> dict[str, Any]:
        """The columns that hold the record, which depend on the output artifact."""
        return {"text": pl.String(), "tinystories.prompt": pl.String()}

    def _content(self, record: Record) -> dict[str, Any]:
        return {"text": str(record), "tinystories.prompt": f"{record.instruction()}\n" if record.header else ""}


class InstructChats(Instruct):
    """Write the same records as chats: the user's message is the header, the assistant's is the story."""

    name: ClassVar[str] = "instruct-chats"
    output: ClassVar[type[Artifact] | None] = Chats

    min_fields: int = Field(1, ge=1, le=4, description="minimum number of header fields, where the story has values for them")

    def _content_schema(self) -> dict[str, Any]:
        return {"messages": MESSAGES}

    def _content(self, record: Record) -> dict[str, Any]:
        turns = (("user", record.instruction().strip()), ("assistant", record.story))
        return {"messages": [{"role": role, "content": content} for role, content in turns]}


def quotable_sentences(story: str) -> list[str]:
    """Return the sentences of a story on one line each, with at least three words and no unclosed quotation marks."""
    sentences = (match.group().strip() for match in _SENTENCE.finditer(story))
    return [sentence for sentence in sentences if len(sentence.split()) > 2 and _has_closed_quotes(sentence)]


def _has_closed_quotes(sentence: str) -> bool:
    return sentence.count('"') % 2 == 0 and sentence.count("\u201c") == sentence.count("\u201d")


def field_values(story: dict[str, Any], rng: Random) -> dict[str, str]:
    """Return the header fields that a story has values for; the random sentence is drawn."""
    sentences = quotable_sentences(str(story["text"]))
    values = {
        "Features": ", ".join(story.get("tinystories.features") or ()),
        "Words": ", ".join(story.get("tinystories.words") or ()),
        "Summary": " ".join(str(story.get("tinystories.summary") or "").split()),
        "Random sentence": rng.choice(sentences) if sentences else "",
    }
    return {field: values[field] for field in FIELDS if values[field]}
