"""Scores of models with known answers, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from textbookgen_reasoning.arithmetic import Arithmetic
from textbookgen_reasoning.arithmetic_format import Format
from textbookgen_reasoning.groups import group
from textbookgen_reasoning.lego import Lego
from textbookgen_reasoning.puzzles import parse_puzzle, solve
from textbookgen_reasoning.score import CellScores, shortcut_index, stop_texts

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError
from textbookgen.api.rows import ITEM_SCORES
from textbookgen.api.stage import StageInputs
from textbookgen.testing import write_documents


class Solver:
    """A model that answers by a function of the prompt."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.closed = False

    def complete(
        self, prompts: Sequence[str], *, max_tokens: int, stop: Sequence[str] = (), seed: int = 0, **_: object
    ) -> list[list[str]]:
        answers = [self.answer(prompt) for prompt in prompts]
        for end in stop:
            answers = [each.partition(end)[0] for each in answers]
        return [[each] for each in answers]

    def close(self) -> None:
        self.closed = True


class Resolver:
    def __init__(self, model: Solver) -> None:
        self._model = model

    def model(self, checkpoint: Path) -> Solver:
        return self._model


def score(folder: Path, source, answer, **options: object) -> dict[str, float]:
    problems = write_documents(folder, *source.read())
    model = Solver(answer)
    inputs = StageInputs({"from": {"model": Checkpoint(folder)}, "problems": {"probe": problems}}, folder, Resolver(model))
    metrics = CellScores(inputs="model", problems="probe", batch_size=7, **options).evaluate(inputs, folder)
    assert model.closed
    assert set(metrics["subject"]) == {"model"}
    assert set(metrics["benchmark"]) == {"probe"}
    items = pl.read_parquet(folder / ITEM_SCORES)
    assert items["value"].mean() == pytest.approx(metrics["value"][0])
    assert items.select("item", "metric").n_unique() == len(items)
    names = [
        metric if subset == "all" else f"{metric} {subset}" for metric, subset in metrics.select("metric", "subset").rows()
    ]
    return dict(zip(names, metrics["value"], strict=True))


def value(prompt: str) -> str:
    clauses, _, variable = prompt.rpartition("?")
    return solve(parse_puzzle(clauses, group("Z2"), "symbols").clauses, group("Z2"))[variable.rstrip("=")]


def test_a_solver_is_fully_accurate_without_a_shortcut(tmp_path: Path):
    source = Lego(count=40, variables=5, supervised=5, layout="each")
    metrics = score(tmp_path, source, lambda prompt: f"{value(prompt)}; and more")
    assert metrics == {"accuracy": 1.0, **{f"accuracy place {n:02d}": 1.0 for n in range(5)}, "shortcut index": 0.0}


def test_a_model_that_knows_only_the_ends_has_a_shortcut_index(tmp_path: Path):
    def answer(prompt: str) -> str:
        clauses = {c.variable: c for c in parse_puzzle(prompt.rpartition("?")[0], group("Z2"), "symbols").clauses}
        variable = prompt.rpartition("?")[2].rstrip("=")
        depth = 0
        while clauses[variable].of is not None:
            variable, depth = clauses[variable].of, depth + 1
        return value(prompt) if depth in (0, 4) else "?"

    metrics = score(tmp_path, Lego(count=40, variables=5, supervised=5, layout="each"), answer)
    assert [metrics[f"accuracy place {n:02d}"] for n in range(5)] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert metrics["shortcut index"] == 1.0
    assert metrics["accuracy"] == pytest.approx(0.4)
    answers = pl.read_parquet(tmp_path / "answers.parquet")
    assert answers.height == 200


def test_sums_are_scored_by_cell_and_digit(tmp_path: Path):
    def answer(prompt: str) -> str:
        problem, _ = Format().parse(prompt + "0")
        wrong = 1 if problem.a > 9 else 0
        return " ".join(str(problem.result + wrong)) + "\nnext"

    metrics = score(tmp_path, Arithmetic(count=200, min_digits=1, max_digits=2), answer)
    assert metrics["accuracy 1x1"] == metrics["accuracy 1x2"] == 1.0
    assert metrics["accuracy 2x1"] == metrics["accuracy 2x2"] == 0.0
    assert 0.6 < metrics["digit accuracy"] < 0.9


def test_scoring_by_result_ignores_the_scratchpad(tmp_path: Path):
    source = Arithmetic(count=20, max_digits=3, scratchpad="recursive")

    def answer(prompt: str) -> str:
        problem, _ = Format().parse(prompt + "0")
        return f"who knows = {problem.result}\n"

    assert score(tmp_path, source, answer, scoring="result")["accuracy"] == 1.0
    assert score(tmp_path, source, answer)["accuracy"] == 0.0


def test_exact_scoring_accepts_a_correct_scratchpad(tmp_path: Path):
    source = Arithmetic(count=20, max_digits=3, scratchpad="recursive")
    answers = {
        row["reasoning.prompt"]: row["reasoning.answer"] for frame in source.read() for row in frame.iter_rows(named=True)
    }
    assert score(tmp_path, source, lambda prompt: answers[prompt] + "and more")["accuracy"] == 1.0


def test_a_separator_is_a_stop_text_only_if_unique():
    assert stop_texts(["+1;", "-1;"]) == ("\n", ";")
    assert stop_texts(["1 ,", "0 ,"]) == ("\n", ",")
    assert stop_texts(["?a=+1; ?b=-1;"]) == ("\n",)
    assert stop_texts(["12\n", "1;"]) == ("\n",)


def test_max_problems_limits_each_cell_and_no_problems_is_an_error(tmp_path: Path):
    source = Lego(count=40, variables=3, supervised=3, layout="each")
    score(tmp_path, source, value, max_problems=5)
    assert pl.read_parquet(tmp_path / "answers.parquet").height == 15
    empty = StageInputs(
        {"from": {}, "problems": {"probe": write_documents(tmp_path, next(source.read()).clear())}},
        tmp_path,
        Resolver(Solver(value)),
    )
    with pytest.raises(RunError, match="no problems"):
        CellScores(inputs="model", problems="probe").evaluate(empty, tmp_path)


def test_shortcut_index():
    assert shortcut_index([1.0, 0.5, 0.9]) == pytest.approx(0.4)
