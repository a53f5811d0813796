"""Makes instructions from stories: a random part of what is known of a story, in random order, then the story."""

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

_SENTENCE = re.compile(r"[^.!?\s][^.!?\n]*[.!?]+[\"'\u201d\u2019]*")


class Instruct(Transform):
    """Writes TinyStories-Instruct records (arXiv 2305.07759): a header, the line `Story:`, and the story.

    What a header can hold: `Features` and `Words` (from the columns of `tinystories/story`), `Summary` (from
    `tinystories/summary`), and `Random sentence`, one of the story's own. Each record draws a subset of those that are
    known and their order. The paper asked for all four kinds; how it drew subsets is not told.
    """

    name: ClassVar[str] = "instruct"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="stages above whose stories are asked for")
    records: int = Field(1, gt=0, description="records made of each story, each with a header of its own")
    fewest_fields: int = Field(1, ge=0, le=4, description="a header has at least so many fields, where so many are known")
    fields: tuple[Literal["Features", "Words", "Summary", "Random sentence"], ...] = Field(
        ("Features", "Words", "Summary", "Random sentence"), min_length=1, description="what a header may hold"
    )
    seed: int = Field(0, description="another seed draws other headers")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """As many as flow in, times `records`."""
        inflow = inputs.get("from", Estimate())
        if inflow.documents is None or inflow.tokens is None:
            return None
        return Estimate(documents=inflow.documents * self.records, tokens=inflow.tokens * self.records * 1.2)

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """One or more records a story, as documents of kind `instruct`."""
        rows = [self._row(row, n) for row in docs.iter_rows(named=True) for n in range(self.records)]
        schema = {"id": pl.String(), "kind": pl.String(), "parents": pl.List(pl.String()), **self._content()}
        return pl.DataFrame(rows, schema={**schema, "tinystories.fields": pl.List(pl.String())})

    def _row(self, row: dict[str, Any], n: int) -> dict[str, Any]:
        rng = Random(f"{self.seed}/{row['id']}/{n}")
        record = self._record(row, rng)
        return {
            "id": document_id("tinystories", self.name, row["id"], self.seed, n),
            "kind": "instruct",
            "parents": [row["id"]],
            **self._written(record),
            "tinystories.fields": [field for field, _ in record.header],
        }

    def _record(self, row: dict[str, Any], rng: Random) -> Record:
        known = {field: text for field, text in _known(row, rng).items() if field in self.fields}
        count = rng.randint(min(self.fewest_fields, len(known)), len(known))
        return Record(tuple((field, known[field]) for field in rng.sample(list(known), count)), str(row["text"]).strip())

    def _content(self) -> dict[str, Any]:
        return {"text": pl.String(), "tinystories.prompt": pl.String()}

    def _written(self, record: Record) -> dict[str, Any]:
        return {"text": str(record), "tinystories.prompt": f"{record.instruction()}\n" if record.header else ""}


class InstructChats(Instruct):
    """The same records as chats, for trainers that learn the answer only: the header asks, the story answers."""

    name: ClassVar[str] = "instruct-chats"
    output: ClassVar[type[Artifact] | None] = Chats

    fewest_fields: int = Field(1, ge=1, le=4, description="a header has at least so many fields, where so many are known")

    def _content(self) -> dict[str, Any]:
        return {"messages": MESSAGES}

    def _written(self, record: Record) -> dict[str, Any]:
        turns = (("user", record.instruction().strip()), ("assistant", record.story))
        return {"messages": [{"role": role, "content": content} for role, content in turns]}


def sentences(story: str) -> list[str]:
    """The sentences of a story that stand on one line and have at least three words and no speech that goes on elsewhere."""
    result = (item.group().strip() for item in _SENTENCE.finditer(story))
    return [item for item in result if len(item.split()) > 2 and _closed(item)]


def _closed(sentence: str) -> bool:
    return sentence.count('"') % 2 == 0 and sentence.count("\u201c") == sentence.count("\u201d")


def _known(row: dict[str, Any], rng: Random) -> dict[str, str]:
    """What a header can say of a story, by field; one of its sentences is drawn."""
    own = sentences(str(row["text"]))
    texts = {
        "Features": ", ".join(row.get("tinystories.features") or ()),
        "Words": ", ".join(row.get("tinystories.words") or ()),
        "Summary": " ".join(str(row.get("tinystories.summary") or "").split()),
        "Random sentence": rng.choice(own) if own else "",
    }
    return {field: texts[field] for field in FIELDS if texts[field]}
