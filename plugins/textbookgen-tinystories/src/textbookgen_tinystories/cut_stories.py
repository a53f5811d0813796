"""Stories cut in the middle, so that a model completes the first part and its ending can be compared with the original one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Documents, Estimate, Input, Labels, Transform, document_id

_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "text": pl.String(),
    "kind": pl.String(),
    "parents": pl.List(pl.String()),
    "tinystories.original": pl.String(),
}


class CutStories(Transform):
    """Cut each story between two words: the text is its first part, of kind `beginning`; `tinystories.original` is the rest.

    TinyStories (arXiv 2305.07759, section 4.1) cuts training stories in the middle and compares how models continue them with
    the original endings.
    """

    name: ClassVar[str] = "cut-stories"

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="earlier stages whose stories are cut")
    share: float = Field(0.4, gt=0, lt=1, description="share of a story's characters that becomes its beginning")
    max_stories: int = Field(50, gt=0, description="the first N stories of each part are cut, and the others left out")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate one beginning per story; None if the number of stories is unknown."""
        source = inputs.get("from", Estimate())
        if source.documents is None or source.tokens is None:
            return None
        count = min(source.documents, self.max_stories)
        return Estimate(documents=count, tokens=self.share * source.tokens * count / max(source.documents, 1))

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return one row per story of three words or more."""
        rows = []
        for story in docs.head(self.max_stories).iter_rows(named=True):
            text = str(story["text"]).strip()
            place = text.find(" ", int(self.share * len(text)))
            if place > 0:
                rows.append(
                    {
                        "id": document_id("tinystories", self.name, story["id"], self.share),
                        "text": text[:place],
                        "kind": "beginning",
                        "parents": [story["id"]],
                        "tinystories.original": text[place:],
                    }
                )
        return pl.DataFrame(rows, schema=_SCHEMA)
