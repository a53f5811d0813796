"""Instruction following: how well a model's stories do what each field of a header asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Documents, Evaluator, Input, Labels, RunError, Runtime, StageInputs
from textbookgen.api.files import write_frame
from textbookgen.api.rows import report_table
from textbookgen_tinystories.features import content_stems, shows_feature
from textbookgen_tinystories.instruct import HeaderField, field_values
from textbookgen_tinystories.records import Record
from textbookgen_tinystories.report_rows import mean_row
from textbookgen_tinystories.vocabulary import contains_word, text_words, tokens


class InstructionFollowing(Evaluator):
    """Have each model write stories for headers of one field, and measure whether they do what the field asks for.

    Headers are those of TinyStories-Instruct (arXiv 2305.07759). Words count in any form, features by cues on the surface
    (`features.shows_feature`), a sentence word for word, a summary by its content words: the share of them that the story
    contains, and the share of the story's that the summary has. Each figure has its chance level: the same stories measured
    by the next header. A model trained without headers gets the same ones, and should be at chance level.
    """

    name: ClassVar[str] = "instruction-following"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(
        alias="from", description="earlier stages whose checkpoints are tested"
    )
    stories: Annotated[str, Input(Documents)] = Field(
        description="earlier stage of stories outside the training data, whose words, features, sentences and summaries make "
        "the headers"
    )
    fields: tuple[HeaderField, ...] = Field(
        ("Features", "Words", "Summary", "Random sentence"),
        min_length=1,
        description="fields that are tested, each in separate headers, where stories have values for them",
    )
    max_stories: int = Field(200, gt=1, description="number of headers per model and field, taken from the first stories")
    max_tokens: int = Field(256, gt=0, description="maximum length of a story in tokens")
    temperature: float = Field(1.0, ge=0, description="sampling temperature; 0 is greedy")
    seed: int = Field(0, description="seed of the sampling and of the random sentences")
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="stories per batch")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures; `stories.parquet` has every story with its field and what the field asked for.

        Raises:
            RunError: fewer than two stories have a value for any of the fields.
        """
        asked = self._asked(inputs["stories"].scan().head(self.max_stories).collect())
        records, rows = [], []
        for label, artifact in inputs.by_label("from").items():
            for field, values in asked.items():
                stories = self._complete(artifact, field, values, inputs)
                records += [
                    {"subject": label, "field": field, "asked": value, "story": story}
                    for value, story in zip(values, stories, strict=True)
                ]
                rows += _field_rows(label, field, values, stories)
        write_frame(out / "stories.parquet", pl.DataFrame(records))
        return report_table(rows)

    def _asked(self, stories: pl.DataFrame) -> dict[str, list[str]]:
        """The values of each field that at least two stories have."""
        rng = Random(self.seed)
        values = [field_values(row, rng) for row in stories.iter_rows(named=True)]
        asked: dict[str, list[str]] = {field: [value[field] for value in values if field in value] for field in self.fields}
        asked = {field: items for field, items in asked.items() if len(items) > 1}
        if not asked:
            raise RunError(f"fewer than two stories have a value for {', '.join(self.fields)}", place="stories")
        return asked

    def _complete(self, checkpoint: Any, field: str, values: Sequence[str], inputs: StageInputs) -> list[str]:
        """One story per header."""
        prompts = [Record(((field, value),), "").instruction() + "\n" for value in values]
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


Measure = Callable[[str, str], float]


def _field_rows(label: str, field: str, values: Sequence[str], stories: Sequence[str]) -> list[dict[str, Any]]:
    """Two rows per measure of a field: by the header of each story, and by the header of another one."""
    others = [*values[1:], values[0]]
    rows = []
    for metric, measure in _MEASURES[field].items():
        rows.append(mean_row(label, metric, [measure(value, story) for value, story in zip(values, stories, strict=True)]))
        chance = [measure(value, story) for value, story in zip(others, stories, strict=True)]
        rows.append(mean_row(label, f"{metric}, by chance", chance))
    return rows


def share_of_words(asked: str, story: str) -> float:
    """Return the share of the words of a header, separated by commas, that a story contains in any form."""
    present = text_words(tokens(story))
    words = _items(asked)
    return sum(contains_word(word, present) for word in words) / max(len(words), 1)


def share_of_features(asked: str, story: str) -> float:
    """Return the share of the features of a header, separated by commas, that a story shows."""
    features = _items(asked)
    return sum(shows_feature(feature, story) for feature in features) / max(len(features), 1)


def contains_sentence(asked: str, story: str) -> float:
    """Return 1.0 if a story contains a sentence word for word, else 0.0; line breaks count as spaces."""
    return float(" ".join(asked.split()) in " ".join(story.split()))


def summary_recall(asked: str, story: str) -> float:
    """Return the share of a summary's content words that a story contains."""
    summary = content_stems(asked)
    return len(summary & content_stems(story)) / max(len(summary), 1)


def summary_precision(asked: str, story: str) -> float:
    """Return the share of a story's content words that the summary has."""
    in_story = content_stems(story)
    return len(content_stems(asked) & in_story) / max(len(in_story), 1)


_MEASURES: Mapping[str, Mapping[str, Measure]] = {
    "Words": {"required words included": share_of_words},
    "Features": {"required features shown": share_of_features},
    "Random sentence": {"required sentence included": contains_sentence},
    "Summary": {"summary's words in the story": summary_recall, "story's words in the summary": summary_precision},
}


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
