"""Beginnings of stories, and how trained models go on: what GPT-Eval is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import (
    Checkpoint,
    Documents,
    Estimate,
    Input,
    Labels,
    Resolver,
    Runtime,
    Source,
    StageInputs,
    Transform,
    document_id,
)


class Beginnings(Source):
    """Fifty beginnings of stories that stop in the middle of a sentence, or your own.

    TinyStories (arXiv 2305.07759, section 3) has models complete about fifty hand-written beginnings; these are ours.
    """

    name: ClassVar[str] = "beginnings"

    beginnings: tuple[str, ...] = Field((), description="beginnings of your own; the plugin's fifty unless given")

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """The beginnings, at about forty tokens each."""
        count = len(self.beginnings or _beginnings())
        return Estimate(documents=count, tokens=40.0 * count)

    def read(self) -> Iterator[pl.DataFrame]:
        """The beginnings, one a row."""
        texts = list(self.beginnings or _beginnings())
        ids = [document_id("beginning", text) for text in texts]
        yield pl.DataFrame({"id": ids, "text": texts}, schema={"id": pl.String, "text": pl.String}).with_columns(
            kind=pl.lit("beginning")
        )


class Completions(Transform):
    """Has a trained model go on from each beginning, several times.

    The paper takes ten completions of each at temperature 1. The text is beginning and completion in a row; columns
    `tinystories.beginning`, `tinystories.completion`.
    """

    name: ClassVar[str] = "completions"

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="stages above whose beginnings are gone on with"
    )
    checkpoint: Annotated[Labels, Input(Checkpoint)] = Field(description="stage above whose model goes on")
    samples: int = Field(10, gt=0, description="completions of each beginning")
    temperature: float = Field(1.0, ge=0, description="how freely the model writes; 0 is greedy, and all samples are alike")
    max_tokens: int = Field(256, gt=0, description="tokens of a completion at most")
    stop: tuple[str, ...] = Field(("<|endoftext|>",), description="texts that end a completion")
    seed: int = Field(0, description="another seed gives other completions")
    batch: Annotated[int, Runtime] = Field(16, gt=0, description="beginnings that are completed at once")

    _doors: Resolver = PrivateAttr()
    _path: Path = PrivateAttr()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """`samples` for each beginning, as long as they may be."""
        beginnings = inputs.get("from", Estimate()).documents
        if beginnings is None:
            return None
        return Estimate(documents=beginnings * self.samples, tokens=beginnings * self.samples * self.max_tokens)

    def prepare(self, inputs: StageInputs) -> None:
        """Remembers where the model is."""
        self._doors = inputs.resolver
        self._path = inputs["checkpoint"].path

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """The stories, `samples` for each beginning."""
        rows: list[dict[str, Any]] = []
        with closing(self._doors.model(self._path)) as model:
            for some in docs.iter_slices(self.batch):
                result = model.complete(
                    some["text"].to_list(),
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    stop=self.stop,
                    samples=self.samples,
                    seed=self.seed,
                )
                for row, completions in zip(some.iter_rows(named=True), result, strict=True):
                    rows += [self._row(row, number, completion) for number, completion in enumerate(completions)]
        return pl.DataFrame(rows, schema=_SCHEMA)

    def _row(self, row: dict[str, Any], number: int, completion: str) -> dict[str, Any]:
        return {
            "id": document_id("completion", self._path.name, self.model_dump_json(exclude={"batch"}), row["id"], number),
            "text": row["text"] + completion,
            "kind": "story",
            "parents": [row["id"]],
            "tinystories.beginning": row["text"],
            "tinystories.completion": completion,
        }


def _beginnings() -> list[str]:
    text = files("textbookgen_tinystories").joinpath("lists/beginnings.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "text": pl.String(),
    "kind": pl.String(),
    "parents": pl.List(pl.String()),
    "tinystories.beginning": pl.String(),
    "tinystories.completion": pl.String(),
}
