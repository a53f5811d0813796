"""Completions: how a trained model continues given beginnings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import Checkpoint, Documents, Estimate, Input, Labels, Resolver, Runtime, StageInputs, Transform, document_id

_SCHEMA: dict[str, pl.DataType] = {
    "id": pl.String(),
    "text": pl.String(),
    "kind": pl.String(),
    "parents": pl.List(pl.String()),
    "tinystories.beginning": pl.String(),
    "tinystories.completion": pl.String(),
    "tinystories.original": pl.String(),
}


class Completions(Transform):
    """Have a trained model complete each beginning several times.

    The paper takes ten completions each at temperature 1. The text is the beginning with its completion; columns
    `tinystories.beginning`, `tinystories.completion`, and `tinystories.original` of stages that cut stories. What is completed
    of a record of `tinystories/instruct` is its header, so that the completion is a whole story.
    """

    name: ClassVar[str] = "completions"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", description="earlier stages whose beginnings are completed"
    )
    checkpoint: Annotated[Labels, Input(Checkpoint)] = Field(description="earlier stage whose model completes them")
    samples: int = Field(10, gt=0, description="completions per beginning")
    temperature: float = Field(1.0, ge=0, description="sampling temperature; 0 is greedy, and makes all samples equal")
    max_tokens: int = Field(256, gt=0, description="maximum length of a completion in tokens")
    stop: tuple[str, ...] = Field(("<|endoftext|>",), description="strings that end a completion")
    seed: int = Field(0, description="seed of the sampling")
    batch: Annotated[int, Runtime] = Field(16, gt=0, description="beginnings per batch")

    _resolver: Resolver = PrivateAttr()
    _path: Path = PrivateAttr()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the number of completions and their maximum length; None if the number of beginnings is unknown."""
        beginnings = inputs.get("from", Estimate()).documents
        if beginnings is None:
            return None
        return Estimate(documents=beginnings * self.samples, tokens=beginnings * self.samples * self.max_tokens)

    def prepare(self, inputs: StageInputs) -> None:
        """Store what is needed to load the model."""
        self._resolver = inputs.resolver
        self._path = inputs["checkpoint"].path

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return `samples` completed stories per beginning."""
        rows: list[dict[str, Any]] = []
        with closing(self._resolver.model(self._path)) as model:
            for batch in docs.iter_slices(self.batch):
                prompts = _prompts(batch)
                completions = model.complete(
                    prompts,
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    stop=self.stop,
                    samples=self.samples,
                    seed=self.seed,
                )
                for row, prompt, texts in zip(batch.iter_rows(named=True), prompts, completions, strict=True):
                    rows += [self._row(row, prompt, number, text) for number, text in enumerate(texts)]
        return pl.DataFrame(rows, schema=_SCHEMA)

    def _row(self, beginning: dict[str, Any], prompt: str, number: int, completion: str) -> dict[str, Any]:
        options = self.model_dump_json(exclude={"batch"})
        return {
            "id": document_id("completion", self._path.name, options, beginning["id"], number),
            "text": prompt + completion,
            "kind": "story",
            "parents": [beginning["id"]],
            "tinystories.beginning": prompt,
            "tinystories.completion": completion,
            "tinystories.original": beginning.get("tinystories.original"),
        }


def _prompts(rows: pl.DataFrame) -> list[str]:
    """The header of each record that has one, or else the text."""
    if "tinystories.prompt" not in rows.columns:
        return rows["text"].to_list()
    return (
        rows.select(pl.when(pl.col("tinystories.prompt") != "").then("tinystories.prompt").otherwise("text"))
        .to_series()
        .to_list()
    )
