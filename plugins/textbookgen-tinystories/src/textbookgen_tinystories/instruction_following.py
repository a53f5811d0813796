"""Instruction following: the share of required words that a model's stories contain."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Documents, Evaluator, Input, Labels, RunError, Runtime, StageInputs
from textbookgen.api.files import write_frame
from textbookgen.api.rows import REPORT_SCHEMA
from textbookgen_tinystories.records import Record
from textbookgen_tinystories.report_rows import mean_row
from textbookgen_tinystories.vocabulary import contains_word, text_words, tokens


class InstructionFollowing(Evaluator):
    """Have each model write stories for headers of required words, and count the words that they contain, in any form.

    Headers are those of TinyStories-Instruct (arXiv 2305.07759). The chance level is reported too: the words of the next
    header, counted in the same stories. A model trained without headers gets the same ones, and should be at chance level.
    """

    name: ClassVar[str] = "instruction-following"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(
        alias="from", description="earlier stages whose checkpoints are tested"
    )
    stories: Annotated[str, Input(Documents)] = Field(
        description="earlier stage of stories outside the training data, whose required words make the headers"
    )
    max_stories: int = Field(200, gt=1, description="number of headers per model, taken from the first stories")
    max_tokens: int = Field(256, gt=0, description="maximum length of a story in tokens")
    temperature: float = Field(1.0, ge=0, description="sampling temperature; 0 is greedy")
    seed: int = Field(0, description="seed of the sampling")
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="stories per batch")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures; `stories.parquet` has every story with its required words.

        Raises:
            RunError: there are fewer than two stories with required words.
        """
        stories = inputs["stories"].scan().select("tinystories.words").head(self.max_stories).collect()
        headers: list[list[str]] = stories["tinystories.words"].to_list()
        if len(headers) < 2:
            raise RunError("fewer than two stories have required words", place="stories")
        completions = {label: self._complete(artifact, headers, inputs) for label, artifact in inputs.by_label("from").items()}
        records = [
            {"subject": label, "words": words, "story": story}
            for label, texts in completions.items()
            for words, story in zip(headers, texts, strict=True)
        ]
        write_frame(out / "stories.parquet", pl.DataFrame(records))
        rows = []
        for label, texts in completions.items():
            rows.append(mean_row(label, "required words included", share_included(texts, headers)))
            rows.append(mean_row(label, "included by chance", share_included(texts, [*headers[1:], headers[0]])))
        return pl.DataFrame(rows, schema=REPORT_SCHEMA)

    def _complete(self, checkpoint: Any, headers: Sequence[Sequence[str]], inputs: StageInputs) -> list[str]:
        """One story per header."""
        prompts = [Record((("Words", ", ".join(words)),), "").instruction() + "\n" for words in headers]
        stories: list[str] = []
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            for start in range(0, len(prompts), self.batch):
                batch = model.complete(
                    prompts[start : start + self.batch],
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    seed=self.seed + start,
                )
                stories += [samples[0] for samples in batch]
        return stories


def share_included(stories: Sequence[str], required: Sequence[Sequence[str]]) -> list[float]:
    """Return for each story the share of its required words that it contains in any form."""
    shares = []
    for story, words in zip(stories, required, strict=True):
        present = text_words(tokens(story))
        shares.append(sum(contains_word(word, present) for word in words) / max(len(words), 1))
    return shares
