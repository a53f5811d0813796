"""Whether models do what a header asks: how many of the words it requires their stories hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Documents, Evaluator, Input, Labels, RunError, Runtime, StageInputs, Table
from textbookgen_tinystories.records import Record
from textbookgen_tinystories.words import forms_found, said_in, tokens


class InstructionFollowing(Evaluator):
    """Has each model tell a story by a header of required words, as TinyStories-Instruct does (arXiv 2305.07759), and
    counts the words that it holds, in any form.

    Beside it stands the share found by chance: the words of the next header, looked for in the same stories. A model that
    was trained without headers is shown the same ones, and should be at chance.
    """

    name: ClassVar[str] = "instruction-following"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints are asked")
    stories: Annotated[str, Input(Documents)] = Field(
        description="stage above whose stories, not trained on, lend their required words"
    )
    most_stories: int = Field(200, gt=1, description="headers that each model is asked, the first ones")
    max_tokens: int = Field(256, gt=0, description="tokens of a story at most")
    temperature: float = Field(1.0, ge=0, description="0 takes the likeliest token, 1 draws as the model believes")
    seed: int = Field(0, description="another seed draws other stories")
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="stories that are told at once")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The figures; `stories.parquet` keeps every story with its required words."""
        table = inputs["stories"]
        assert isinstance(table, Table)
        asked = table.scan().select("tinystories.words").head(self.most_stories).collect()["tinystories.words"].to_list()
        if len(asked) < 2:
            raise RunError("there are no stories with required words to ask for", place="stories")
        told = {label: self._told(flow, asked, inputs) for label, flow in inputs.by_label("from").items()}
        pl.DataFrame(
            [
                {"subject": label, "words": words, "story": story}
                for label, each in told.items()
                for words, story in zip(asked, each, strict=True)
            ]
        ).write_parquet(out / "stories.parquet")
        rows = []
        for label, each in told.items():
            rows.append(_figure(label, "required words found", included(each, asked)))
            rows.append(_figure(label, "found by chance", included(each, [*asked[1:], asked[0]])))
        return pl.DataFrame(rows, schema=_FIGURES)

    def _told(self, checkpoint: Any, asked: Sequence[Sequence[str]], inputs: StageInputs) -> list[str]:
        """A story for each header."""
        headers = [Record((("Words", ", ".join(words)),), "").instruction() + "\n" for words in asked]
        told: list[str] = []
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            for at in range(0, len(headers), self.batch):
                result = model.complete(
                    headers[at : at + self.batch], max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed + at
                )
                told += [each[0] for each in result]
        return told


def included(stories: Sequence[str], required: Sequence[Sequence[str]]) -> list[float]:
    """For each story, the share of its required words that it holds in any form."""
    shares = []
    for story, words in zip(stories, required, strict=True):
        said = said_in(tokens(story))
        shares.append(sum(bool(forms_found(word, said)) for word in words) / max(len(words), 1))
    return shares


def _figure(subject: str, metric: str, values: Sequence[float]) -> dict[str, Any]:
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return {"subject": subject, "metric": metric, "value": mean, "stderr": math.sqrt(spread / len(values)), "n": len(values)}


_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "stderr": pl.Float64, "n": pl.Int64}
