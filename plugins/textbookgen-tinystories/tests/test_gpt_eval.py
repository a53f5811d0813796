"""GPT-Eval: beginnings are completed, completions graded, and grades averaged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random

import polars as pl
import pytest
from textbookgen_procedural.tasks import TASKS
from textbookgen_tinystories.beginnings import Beginnings
from textbookgen_tinystories.completions import Completions
from textbookgen_tinystories.cut_stories import CutStories
from textbookgen_tinystories.grade_scores import GradeScores
from textbookgen_tinystories.grades import Grades, StoryGrades, read_grades

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError, UnusableReply
from textbookgen.api.rows import ITEM_SCORES
from textbookgen.api.stage import StageInputs
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import Prompts
from textbookgen.testing import documents, write_documents


class Model:
    """Completes with the length of the prompt, the number of the sample and the seed."""

    def complete(self, prompts: Sequence[str], *, samples: int, seed: int, temperature: float, **_: object) -> list[list[str]]:
        assert temperature == 1.0
        return [[f" went on {len(prompt)} {sample} {seed}." for sample in range(samples)] for prompt in prompts]

    def close(self) -> None:
        pass


class Resolver:
    def model(self, checkpoint: Path) -> Model:
        return Model()


def test_beginnings_stop_in_the_middle_and_differ():
    (frame,) = Beginnings().read()
    assert frame.height == frame["id"].n_unique() == 50
    assert not frame["text"].str.contains(r"[.!?\"]$").any()
    (own,) = Beginnings(beginnings=("The cat",)).read()
    assert own["text"].to_list() == ["The cat"]


def test_each_beginning_is_completed_several_times(tmp_path: Path):
    stage = Completions(inputs="beginnings", checkpoint="model", samples=3, batch=7, seed=5)
    stage.prepare(StageInputs({"checkpoint": {"model": Checkpoint(tmp_path)}}, tmp_path, Resolver()))
    (beginnings,) = Beginnings().read()
    rows = stage.transform(beginnings)
    assert rows.height == rows["id"].n_unique() == 150
    first = rows.row(1, named=True)
    assert first["text"] == first["tinystories.beginning"] + first["tinystories.completion"]
    assert first["tinystories.completion"] == f" went on {len(beginnings['text'][0])} 1 5."
    assert first["parents"] == [beginnings["id"][0]]
    cut = beginnings.with_columns(pl.lit(" the end").alias("tinystories.original"), pl.lit("").alias("tinystories.prompt"))
    assert set(stage.transform(cut[:2])["tinystories.original"]) == {" the end"}
    assert rows[30:60].equals(stage.transform(beginnings[10:20]))


class Ask:
    def __init__(self, grades: str) -> None:
        self.grades, self.requests = grades, []

    async def __call__(self, prompt, *, draw=None, task=None, sample=None, schema=None) -> Reply:
        self.requests.append((task, prompt, schema))
        return Reply(self.grades if task else "Well written.")

    def render(self, template, variables) -> str:
        return Prompts(prompt_folders()).render(template, variables)


DRAW = {"document": {"id": "a", "text": "The cat sat.", "tinystories.beginning": "The cat", "tinystories.completion": "sat."}}
GRADES = {"grammar": 7, "creativity": 3, "consistency": 9, "plot": 5, "age": "C"}


def test_a_story_is_assessed_in_words_and_then_graded():
    ask = Ask(f"Here: {json.dumps(GRADES)}")
    (row,) = asyncio.run(Grades(teacher="judge", inputs="stories").generate(DRAW, ask))
    assert row == {
        "text": "The cat sat.",
        "tinystories.beginning": "The cat",
        "tinystories.completion": "sat.",
        "tinystories.original": None,
        "tinystories.instruction_following": None,
        **{f"tinystories.{name}": value for name, value in GRADES.items()},
        "tinystories.assessment": "Well written.",
    }
    (_, first, _), (task, messages, schema) = ask.requests
    assert "The cat *** sat." in first
    assert task == "grade-story"
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert (messages[0].content, messages[1].content) == (first, "Well written.")
    assert schema == StoryGrades.model_json_schema()


@pytest.mark.parametrize("grades", ["Good!", json.dumps({**GRADES, "plot": 11}), json.dumps({**GRADES, "age": "Z"}), "{"])
def test_grades_that_cannot_be_read_are_rejected(grades: str):
    with pytest.raises(UnusableReply, match="grades"):
        asyncio.run(Grades(teacher="judge", inputs="stories").generate(DRAW, Ask(grades)))


def test_a_story_for_instructions_is_shown_with_them_and_graded_for_them():
    header = "Words: dig, boat, red\nFeatures: Dialogue\nStory:\n\n"
    story = '"Let us dig," said Ben. The boat was red.'
    row = {"id": "a", "text": header + story, "tinystories.beginning": header, "tinystories.completion": story}
    ask = Ask(json.dumps({**GRADES, "instruction_following": 9}))
    (graded,) = asyncio.run(Grades(teacher="judge", inputs="stories").generate({"document": row}, ask))
    assert graded["tinystories.instruction_following"] == 9
    (_, first, _), (_, messages, schema) = ask.requests
    assert "Words: dig, boat, red\nFeatures: Dialogue" in first and "***" not in first
    assert "instruction_following" in messages[2].content and "instruction_following" in schema["required"]
    with pytest.raises(UnusableReply, match="grades"):
        asyncio.run(Grades(teacher="judge", inputs="stories").generate({"document": row}, Ask(json.dumps(GRADES))))


@pytest.mark.parametrize(
    ("story", "low", "high"),
    [
        ('"Let us dig," said Ben. The red boat was there.', 10, 10),
        ("Ben dug a hole. The boat was blue.", 5, 6),
        ("A cat.", 1, 1),
    ],
)
def test_the_embedded_judge_grades_instructions(story: str, low: int, high: int):
    header = "Words: dig, boat, red\nFeatures: Dialogue\nStory:\n\n"
    row = {"id": "a", "text": header + story, "tinystories.beginning": header, "tinystories.completion": story}

    class Embedded(Ask):
        async def __call__(self, prompt, *, draw=None, task=None, **_) -> Reply:
            return Reply(TASKS[task or "assess-story"](Random(0), draw))

    (graded,) = asyncio.run(Grades(teacher="judge", inputs="stories").generate({"document": row}, Embedded("")))
    assert low <= graded["tinystories.instruction_following"] <= high


def test_stories_are_cut_between_words():
    stage = CutStories(inputs="stories", share=0.5)
    rows = stage.transform(documents(["One two three four.", "Word"]))
    assert rows.select("text", "tinystories.original").rows() == [("One two three", " four.")]


def test_scores_are_means_of_grades(tmp_path: Path):
    grades = {f"tinystories.{criterion}": [4, 6, 8, 6] for criterion in ("grammar", "creativity", "consistency", "plot")}
    flow = write_documents(tmp_path, documents(["a", "b", "c", "d"], **grades, **{"tinystories.age": ["A", "A", "C", "B"]}))
    report = GradeScores(inputs="graded").evaluate(StageInputs({"from": {"small": flow}}, tmp_path, Resolver()), tmp_path)
    figures = {row["metric"]: row for row in report.iter_rows(named=True)}
    assert figures["plot"]["value"] == 6.0
    assert figures["plot"]["stderr"] == pytest.approx((8 / 3 / 4) ** 0.5)
    assert figures["age group A"]["value"] == 0.5
    assert figures["age group F"]["value"] == 0.0
    assert set(report["benchmark"]) == {"gpt-eval"}
    items = pl.read_parquet(tmp_path / ITEM_SCORES)
    assert items.filter(metric="plot")["value"].to_list() == [4, 6, 8, 6]
    assert pl.read_parquet(tmp_path / "grades.parquet")["subject"].unique().to_list() == ["small"]
    assert "grammar 8, creativity 8" in (tmp_path / "graded_stories.md").read_text()
    with pytest.raises(RunError, match="no graded stories"):
        GradeScores(inputs="x").evaluate(
            StageInputs({"from": {"x": write_documents(tmp_path / "x")}}, tmp_path, Resolver()), tmp_path
        )


@pytest.mark.parametrize(
    "reply",
    [
        f"```json\n{json.dumps(GRADES)}\n```",
        f"I grade {{strictly}}.\n\n**Grades:** {json.dumps(GRADES)}\nThe student seems to be six.",
        f"{json.dumps({**GRADES, 'plot': 1})}\nOn second thought:\n{json.dumps({**GRADES, 'reason': 'x'})}",
    ],
    ids=["code fence", "text with braces", "second thoughts"],
)
def test_grades_are_read_in_the_styles_of_real_models(reply: str):
    assert read_grades(Reply(reply)).model_dump() == GRADES
