"""Scores: a model whose truth is known gets the marks it deserves, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from textbookgen_reasoning.arithmetic import Format
from textbookgen_reasoning.chains import read, solve
from textbookgen_reasoning.groups import group
from textbookgen_reasoning.lego import Lego
from textbookgen_reasoning.score import CellScores, ends, shortcut_index
from textbookgen_reasoning.sums import Arithmetic

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import RunError
from textbookgen.api.stage import StageInputs
from textbookgen.testing import write_documents


class Solver:
    """A model that solves a prompt by a function of it."""

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


def measured(folder: Path, source, answer, **options: object) -> dict[str, float]:
    flow = write_documents(folder, *source.read())
    model = Solver(answer)
    given = StageInputs({"from": {"model": Checkpoint(folder)}, "problems": {"probe": flow}}, folder, Resolver(model))
    figures = CellScores(inputs="model", problems="probe", batch=7, **options).evaluate(given, folder)
    assert model.closed
    assert set(figures["subject"]) == {"model"}
    return dict(zip(figures["metric"], figures["value"], strict=True))


def value(prompt: str) -> str:
    clauses, _, variable = prompt.rpartition("?")
    return solve(read(clauses, group("Z2"), "symbols").clauses, group("Z2"))[variable.rstrip("=")]


def test_a_solver_has_all_right_and_takes_no_shortcut(tmp_path: Path):
    source = Lego(count=40, variables=5, supervised=5, layout="each")
    figures = measured(tmp_path, source, lambda prompt: f"{value(prompt)}; and more")
    assert figures == {"accuracy": 1.0, **{f"accuracy place {n:02d}": 1.0 for n in range(5)}, "shortcut index": 0.0}


def test_a_model_that_knows_only_the_ends_shows_its_shortcut(tmp_path: Path):
    def answer(prompt: str) -> str:
        clauses = {c.variable: c for c in read(prompt.rpartition("?")[0], group("Z2"), "symbols").clauses}
        variable = prompt.rpartition("?")[2].rstrip("=")
        depth = 0
        while clauses[variable].of is not None:
            variable, depth = clauses[variable].of, depth + 1
        return value(prompt) if depth in (0, 4) else "?"

    figures = measured(tmp_path, Lego(count=40, variables=5, supervised=5, layout="each"), answer)
    assert [figures[f"accuracy place {n:02d}"] for n in range(5)] == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert figures["shortcut index"] == 1.0
    assert figures["accuracy"] == pytest.approx(0.4)
    answers = pl.read_parquet(tmp_path / "answers.parquet")
    assert answers.height == 200


def test_sums_are_scored_by_cell_and_digit(tmp_path: Path):
    def answer(prompt: str) -> str:
        problem, _ = Format().read(prompt + "0")
        wrong = 1 if problem.a > 9 else 0
        return " ".join(str(problem.result + wrong)) + "\nnext"

    figures = measured(tmp_path, Arithmetic(count=200, fewest_digits=1, most_digits=2), answer)
    assert figures["accuracy 1x1"] == figures["accuracy 1x2"] == 1.0
    assert figures["accuracy 2x1"] == figures["accuracy 2x2"] == 0.0
    assert 0.6 < figures["right digits"] < 0.9


def test_the_result_alone_may_count(tmp_path: Path):
    source = Arithmetic(count=20, most_digits=3, scratchpad="recursive")

    def answer(prompt: str) -> str:
        problem, _ = Format().read(prompt + "0")
        return f"who knows = {problem.result}\n"

    assert measured(tmp_path, source, answer, by="result")["accuracy"] == 1.0
    assert measured(tmp_path, source, answer)["accuracy"] == 0.0


def test_a_right_scratchpad_counts_whole(tmp_path: Path):
    source = Arithmetic(count=20, most_digits=3, scratchpad="recursive")
    right = {row["reasoning.prompt"]: row["reasoning.answer"] for frame in source.read() for row in frame.iter_rows(named=True)}
    assert measured(tmp_path, source, lambda prompt: right[prompt] + "and more")["accuracy"] == 1.0


def test_answers_end_with_a_mark_only_if_they_hold_no_other():
    assert ends(["+1;", "-1;"]) == ("\n", ";")
    assert ends(["1 ,", "0 ,"]) == ("\n", ",")
    assert ends(["?a=+1; ?b=-1;"]) == ("\n",)
    assert ends(["12\n", "1;"]) == ("\n",)


def test_most_problems_bounds_each_cell_and_no_problems_is_an_error(tmp_path: Path):
    source = Lego(count=40, variables=3, supervised=3, layout="each")
    measured(tmp_path, source, value, most_problems=5)
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
