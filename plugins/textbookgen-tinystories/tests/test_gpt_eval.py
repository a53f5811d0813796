"""GPT-Eval and overlap: completions, grades and copies come out as they were put in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from textbookgen_tinystories.completions import Beginnings, Completions
from textbookgen_tinystories.grades import Grades, GradeScores, Marks
from textbookgen_tinystories.overlap import Overlap, nearest_story, seen_anywhere, self_overlap, spoken

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError, UnusableReply
from textbookgen.api.stage import StageInputs
from textbookgen.api.teacher import Reply
from textbookgen.builtin.shipped_files import prompt_folders
from textbookgen.recipe.prompts import Prompts
from textbookgen.testing import documents, write_documents


class Model:
    """Goes on by counting how often it was asked."""

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


def test_each_beginning_is_gone_on_with_several_times(tmp_path: Path):
    stage = Completions(inputs="beginnings", checkpoint="model", samples=3, batch=7, seed=5)
    stage.prepare(StageInputs({"checkpoint": {"model": Checkpoint(tmp_path)}}, tmp_path, Resolver()))
    (beginnings,) = Beginnings().read()
    rows = stage.transform(beginnings)
    assert rows.height == rows["id"].n_unique() == 150
    first = rows.row(1, named=True)
    assert first["text"] == first["tinystories.beginning"] + first["tinystories.completion"]
    assert first["tinystories.completion"] == f" went on {len(beginnings['text'][0])} 1 5."
    assert first["parents"] == [beginnings["id"][0]]
    assert rows[30:60].equals(stage.transform(beginnings[10:20]))


class Ask:
    def __init__(self, grades: str) -> None:
        self.grades, self.asked = grades, []

    async def __call__(self, prompt, *, draw=None, task=None, sample=None, schema=None) -> Reply:
        self.asked.append((task, prompt, schema))
        return Reply(self.grades if task else "Well told.")

    def render(self, template, variables) -> str:
        return Prompts(prompt_folders()).render(template, variables)


DRAW = {"document": {"id": "a", "text": "The cat sat.", "tinystories.beginning": "The cat", "tinystories.completion": "sat."}}
MARKS = {"grammar": 7, "creativity": 3, "consistency": 9, "plot": 5, "age": "C"}


def test_a_story_is_assessed_in_words_and_then_graded():
    ask = Ask(f"Here: {json.dumps(MARKS)}")
    (row,) = asyncio.run(Grades(teacher="judge", inputs="stories").write(DRAW, ask))
    assert row == {
        "text": "The cat sat.",
        "tinystories.beginning": "The cat",
        "tinystories.completion": "sat.",
        **{f"tinystories.{name}": value for name, value in MARKS.items()},
        "tinystories.assessment": "Well told.",
    }
    (_, first, _), (task, talk, schema) = ask.asked
    assert "The cat *** sat." in first
    assert task == "grade-story"
    assert [turn.role for turn in talk] == ["user", "assistant", "user"]
    assert (talk[0].content, talk[1].content) == (first, "Well told.")
    assert schema == Marks.model_json_schema()


@pytest.mark.parametrize("grades", ["Good!", json.dumps({**MARKS, "plot": 11}), json.dumps({**MARKS, "age": "Z"}), "{"])
def test_grades_that_cannot_be_read_are_refused(grades: str):
    with pytest.raises(UnusableReply, match="grades"):
        asyncio.run(Grades(teacher="judge", inputs="stories").write(DRAW, Ask(grades)))


def test_scores_are_means_of_grades(tmp_path: Path):
    marks = {f"tinystories.{axis}": [4, 6, 8, 6] for axis in ("grammar", "creativity", "consistency", "plot")}
    flow = write_documents(tmp_path, documents(["a", "b", "c", "d"], **marks, **{"tinystories.age": ["A", "A", "C", "B"]}))
    found = GradeScores(inputs="graded").evaluate(StageInputs({"from": {"small": flow}}, tmp_path, Resolver()), tmp_path)
    figures = {row["metric"]: row for row in found.iter_rows(named=True)}
    assert figures["plot"]["value"] == 6.0
    assert figures["plot"]["stderr"] == pytest.approx((8 / 3 / 4) ** 0.5)
    assert figures["age group A"]["value"] == 0.5
    assert figures["age group F"]["value"] == 0.0
    with pytest.raises(RunError, match="no graded stories"):
        GradeScores(inputs="x").evaluate(
            StageInputs({"from": {"x": write_documents(tmp_path / "x")}}, tmp_path, Resolver()), tmp_path
        )


STORIES = {
    "copy": "The cat sat on the mat and slept.",
    "half": "The cat sat on my old red chair.",
    "new": "Seven blue whales sang very loud songs.",
    "short": "Hello",
}


def table(texts: dict[str, str]) -> pl.DataFrame:
    return spoken(pl.DataFrame({"id": list(texts), "text": list(texts.values())}))


def overlap(one: str, other: str, k: int) -> float:
    """R by sets, for comparison."""
    first, second = (
        {tuple(w[n : n + k]) for n in range(len(w) - k + 1)}
        for w in (one.lower().strip(".").split(), other.lower().strip(".").split())
    )
    return len(first & second) / len(first) if first else 0.0


TRAINING = {"t1": "The cat sat on the mat and slept. It was warm.", "t2": "The dog sat on a chair.", "t3": "Hello there"}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_nearest_stories_are_those_that_sets_find(k: int):
    parts = [table({"t1": TRAINING["t1"]}), table({"t2": TRAINING["t2"], "t3": TRAINING["t3"]})]
    found = {row["id"]: row for row in nearest_story(table(STORIES), iter(parts), k).iter_rows(named=True)}
    for name, story in STORIES.items():
        shares = {each: overlap(story, text.replace(".", ""), k) for each, text in TRAINING.items()}
        assert found[name]["r"] == pytest.approx(max(shares.values()))
        assert (
            found[name]["nearest"] is None
            if not max(shares.values())
            else shares[found[name]["nearest"]] == max(shares.values())
        )
    assert found["copy"]["r"] == 1.0


def test_stories_are_compared_with_each_other_and_not_with_themselves():
    found = dict(self_overlap(table({**STORIES, "twin": STORIES["new"]}), 2).select("id", "r").iter_rows())
    assert found["new"] == found["twin"] == 1.0
    assert found["copy"] == pytest.approx(3 / 7)
    assert found["short"] == 0.0


def test_what_was_seen_anywhere_counts_every_occurrence():
    stories = table({"a": "the cat sat. the cat sat. the bird flew"})
    assert seen_anywhere(stories, iter([table(TRAINING)]), 2) == pytest.approx(4 / 8)
    assert seen_anywhere(table({"a": "one"}), iter([table(TRAINING)]), 2) == 0.0


def test_figures_of_a_model_that_copies(tmp_path: Path):
    training = write_documents(tmp_path / "t", documents([TRAINING["t1"]]), documents([TRAINING["t2"]]))
    stories = documents(["The cat sat on the mat and slept.", "Blue whales sing. Blue whales sing blue whales sing."])
    stories = stories.with_columns(pl.Series("tinystories.completion", ["sat on the mat and slept.", None]))
    given = StageInputs(
        {"from": {"m": write_documents(tmp_path / "s", stories)}, "training": {"t": training}}, tmp_path, Resolver()
    )
    found = Overlap(inputs="m", training="t", lengths=(3,)).evaluate(given, tmp_path)
    figures = dict(zip(found["metric"], found["value"], strict=True))
    assert figures["R2 to the nearest training story"] == 0.5
    assert figures["R2 to the nearest training story, 95th percentile"] == 1.0
    assert figures["stories over 0.8 of one training story"] == 0.5
    assert figures["R2 to the nearest story of its own"] == 0.0
    assert figures["3-grams that occur in training"] == pytest.approx(4 / 11)
    assert figures["stories that repeat four words"] == 0.5
    assert pl.read_parquet(tmp_path / "overlap.parquet").height == 2
