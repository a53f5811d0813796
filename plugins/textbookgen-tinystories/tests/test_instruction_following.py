"""Instruction following: a model that does what each field asks for scores 1, and any other is at chance level."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from textbookgen_tinystories.instruction_following import (
    InstructionFollowing,
    contains_sentence,
    share_of_features,
    share_of_words,
    summary_precision,
    summary_recall,
)

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.testing import write_documents

GLAD = 'Tom sang about a red boat. "Look!" he said. The boat swam far away. Tom laughed and was happy.'
SAD = "Mia ran under the moon. A fox took her kite. The kite was gone for good. Mia cried and was sad."
STORIES = {"Tom": GLAD, "Mia": SAD}
ROWS = pl.DataFrame(
    {
        "id": ["a", "b"],
        "text": [GLAD, SAD],
        "tinystories.words": [["sing", "boat", "red"], ["run", "moon", "fox"]],
        "tinystories.features": [["HappyEnding"], ["BadEnding"]],
        "tinystories.summary": ["Tom sings about a boat.", "Mia loses a kite to a fox."],
    }
)
MAIN = ["required words included", "required features shown", "required sentence included", "summary's words in the story"]


class Writer:
    """Writes the story that a header asks for, or the other one."""

    def __init__(self, obedient: bool) -> None:
        self.obedient = obedient

    def complete(self, prompts, **_: object) -> list[list[str]]:
        assert all(prompt.endswith("\nStory:\n\n") for prompt in prompts)
        glad = [any(word in prompt for word in ("sing", "Happy", "Tom", "Look", "boat")) for prompt in prompts]
        return [[GLAD if glad == self.obedient else SAD] for glad in glad]

    def close(self) -> None:
        pass


def figures(tmp_path: Path, rows: pl.DataFrame, obedient: bool = True, **options: object) -> dict[str, float]:
    class Resolver:
        def model(self, path: Path) -> Writer:
            return Writer(obedient)

    inputs = StageInputs(
        {"from": {"model": Checkpoint(tmp_path)}, "stories": {"s": write_documents(tmp_path, rows)}}, tmp_path, Resolver()
    )
    report = InstructionFollowing(inputs="model", stories="s", **options).evaluate(inputs, tmp_path)
    return dict(zip(report["metric"], report["value"], strict=True))


@pytest.mark.parametrize("obedient", [True, False])
def test_each_field_has_its_metric_and_its_chance_level(tmp_path: Path, obedient: bool) -> None:
    report = figures(tmp_path, ROWS, obedient)
    for metric in MAIN:
        obeyed, chance = report[metric], report[f"{metric}, by chance"]
        assert (obeyed > 0.7 and chance <= 0.3) if obedient else (obeyed <= 0.3 and chance > 0.7), metric
    stories = pl.read_parquet(tmp_path / "stories.parquet")
    assert sorted(stories["field"].unique()) == ["Features", "Random sentence", "Summary", "Words"]
    assert stories.height == 8


def test_only_fields_with_values_are_tested(tmp_path: Path) -> None:
    report = figures(tmp_path, ROWS.drop("tinystories.summary", "tinystories.features"))
    assert "required words included" in report
    assert "required features shown" not in report
    report = figures(tmp_path, ROWS, fields=("Words",))
    assert set(report) == {MAIN[0], f"{MAIN[0]}, by chance"}
    with pytest.raises(RunError, match="fewer than two stories"):
        figures(tmp_path, ROWS.drop("tinystories.summary"), fields=("Summary",))


def test_measures_of_a_field() -> None:
    assert share_of_words("sing, small, moon", "She sang to the smallest moons.") == 1
    assert share_of_words("sing, boat", "She sang.") == 0.5
    assert share_of_features("Dialogue, HappyEnding", SAD) == 0
    assert share_of_features("Dialogue, BadEnding", SAD) == 0.5
    assert contains_sentence("The boat\nswam far away.", GLAD) == 1
    assert contains_sentence("The boat swam away.", GLAD) == 0
    assert summary_recall("Tom sings about a boat.", GLAD) >= 2 / 3
    assert summary_recall("Mia loses a kite.", GLAD) == 0
    assert summary_precision("Tom sang.", "Tom sang.") == 1
    assert summary_precision("Tom sang.", GLAD) < 0.5
