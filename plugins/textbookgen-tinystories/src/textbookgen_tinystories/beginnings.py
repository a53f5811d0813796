"""Beginnings of stories, for models to complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Estimate, Source, document_id

_TOKENS = 40.0  # per beginning


class Beginnings(Source):
    """Read fifty beginnings of stories that stop in mid-sentence, or given ones.

    TinyStories (arXiv 2305.07759, section 3) has models complete about fifty hand-written beginnings; these are ours.
    """

    name: ClassVar[str] = "beginnings"

    beginnings: tuple[str, ...] = Field((), description="beginnings; by default the plugin's fifty")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate the size of the beginnings."""
        count = len(self._texts())
        return Estimate(documents=count, tokens=_TOKENS * count)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield one frame with one beginning per row, of kind `beginning`."""
        texts = self._texts()
        ids = [document_id("beginning", text) for text in texts]
        yield pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String}).with_columns(
            kind=pl.lit("beginning")
        )

    def _texts(self) -> list[str]:
        if self.beginnings:
            return list(self.beginnings)
        text = files("textbookgen_tinystories").joinpath("lists/beginnings.txt").read_text(encoding="utf-8")
        return [line for line in text.splitlines() if line and not line.startswith("#")]
