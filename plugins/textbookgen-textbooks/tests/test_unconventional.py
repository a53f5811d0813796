"""The unconventional evaluation: problems follow from their steps, execution finds the steps done, and grades agree with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from textbookgen_procedural.tasks import TASKS
from textbookgen_sandbox.stages.tests_pass import PassingTests
from textbookgen_textbooks.composed_problems import draw_problem, shorter_chains, solution_of
from textbookgen_textbooks.exercise import Exercise
from textbookgen_textbooks.solutions import Solutions, judge_solutions
from textbookgen_textbooks.step_chains import StepChains, run_steps
from textbookgen_textbooks.step_problems import StepProblems, problem_row
from textbookgen_textbooks.understanding import UnderstandingGrades
from textbookgen_textbooks.understanding_scores import UnderstandingScores, rank_correlation

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.rows import ITEM_SCORES
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.stage import StageInputs
from textbookgen.api.teacher import Reply
from textbookgen.testing import documents, write_documents

PROBLEMS = 50
SOLVED = 20  # with four solutions each


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> PassingTests:
    runner = PassingTests()
    runner.prepare(StageInputs({}, tmp_path_factory.mktemp("sandbox"), None))  # type: ignore[arg-type]
    return runner


def solutions_of_known_quality() -> list[dict[str, Any]]:
    """Four solutions of each problem: right ones, and some that leave out steps or do something else."""
    rows, rng = [], Random(11)
    for number in range(SOLVED):
        problem = draw_problem(4, 6, rng)
        parts = list(shorter_chains(problem.steps))
        chosen = [rng.choice(parts) for _ in range(2)]
        bodies = [solution_of(problem.steps), *map(solution_of, chosen)]
        argument = problem.prompt.partition("(")[2].partition(":")[0]
        bodies.append(
            rng.choice(["    pass\n", f"    return {argument}\n", "    return [[\n", "    x = 1\n    return x + 1\n"])
        )
        for place, body in enumerate(bodies):
            identity = f"{number}/{place}"
            row = {**problem_row(problem), "id": identity, "text": problem.prompt + body, "parents": []}
            rows.append({**row, "kind": "solution", "textbooks.completion": body})
    return rows


@pytest.fixture(scope="module")
def judged(runner: PassingTests) -> pl.DataFrame:
    return judge_solutions(solutions_of_known_quality(), runner)


def test_problems_need_every_step_and_their_solutions_pass(runner: PassingTests):
    (frame,) = StepProblems().read()
    assert frame.height == frame["textbooks.entry_point"].n_unique() == PROBLEMS
    assert runner.decide(frame)["keep"].all()
    for row in frame.iter_rows(named=True):
        assert row["text"].startswith(row["textbooks.prompt"])
        assert all(step in row["textbooks.prompt"] for step in row["textbooks.steps"])
        assert row["textbooks.tests"].count("assert ") == len(row["textbooks.inputs"]) == 6
    assert frame.equals(next(iter(StepProblems().read())))
    assert not set(frame["id"]) & set(next(iter(StepProblems(seed=1).read()))["id"])


def test_execution_finds_how_many_steps_a_solution_does(judged: pl.DataFrame):
    places = judged.with_columns(place=pl.col("id").str.split("/").list.last().cast(pl.Int64))
    assert (places.filter(place=0)["textbooks.steps_done"] == 1.0).all()
    assert places.filter(place=0)["textbooks.passed"].all()
    partial = places.filter(pl.col("place").is_in([1, 2]))["textbooks.steps_done"]
    assert not (partial == 1.0).any() and (partial > 0).all()
    assert (places.filter(place=3)["textbooks.steps_done"] <= 0.25).mean() > 0.9  # type: ignore[operator]


def test_a_right_beginning_counts_though_the_rest_is_wrong(runner: PassingTests):
    rows = []
    for number in range(6):
        problem = draw_problem(4, 4, Random(number))
        *lines, last = solution_of(problem.steps).splitlines(keepends=True)
        bodies = {
            "wrong last": [*lines, "    return None\n"],
            "error at the end": [*lines, "    return result + undefined\n"],
            "no return": lines,
            "wrong first": [lines[0].replace("result =", "unused ="), *lines[1:], last],
        }
        for kind, body in bodies.items():
            row = {**problem_row(problem), "id": f"{kind}/{number}", "text": problem.prompt + "".join(body), "parents": []}
            rows.append({**row, "kind": "solution", "textbooks.completion": "".join(body)})
    judged = judge_solutions(rows, runner).with_columns(case=pl.col("id").str.split("/").list.first())
    assert not judged["textbooks.passed"].any()
    for kind in ("wrong last", "error at the end", "no return"):
        assert judged.filter(case=kind)["textbooks.steps_done"].to_list() == [0.75] * 6, kind
    assert judged.filter(case="wrong first")["textbooks.steps_done"].max() < 0.75  # type: ignore[operator]


@pytest.mark.parametrize(("noise", "low", "high"), [(0.0, 0.97, 1.0), (1.0, 0.85, 0.99), (40.0, -0.4, 0.6)])
def test_the_rank_correlation_tells_good_graders_from_bad_ones(judged: pl.DataFrame, noise: float, low: float, high: float):
    rng, truth = Random(5), judged["textbooks.steps_done"].to_list()
    grades = [min(10, max(0, round(10 * value + rng.gauss(0, noise)))) for value in truth]
    correlation = rank_correlation(grades, truth)
    assert correlation is not None and low <= correlation <= high
    assert rank_correlation([5] * len(truth), truth) is None
    assert rank_correlation([10 - grade for grade in grades], truth) == pytest.approx(-correlation)


class Ask:
    """Lets the embedded teacher reply, and keeps what it was shown."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []

    async def __call__(self, prompt: str, *, draw: Any, task: str, **_: Any) -> Reply:
        assert "textbooks." not in prompt
        self.shown.append(draw)
        return Reply(TASKS[task](Random(0), draw))

    def render(self, template: str, variables: Any) -> str:
        from textbookgen.builtin.shipped_files import prompt_folders
        from textbookgen.recipe.prompts import Prompts

        return Prompts(prompt_folders()).render(template, variables)


def graded(judged: pl.DataFrame, ask: Ask) -> pl.DataFrame:
    stage = UnderstandingGrades(teacher="judge", inputs="solutions")
    return pl.DataFrame(
        [row for each in judged.iter_rows(named=True) for row in asyncio.run(stage.generate({"document": each}, ask))],
        infer_schema_length=None,
    )


def test_the_embedded_grader_agrees_with_execution_and_does_not_see_it(judged: pl.DataFrame, tmp_path: Path):
    ask = Ask()
    table = graded(judged, ask)
    assert not any("steps_done" in str(draw) or "assert " in json.dumps(draw, default=str) for draw in ask.shown)
    correlation = rank_correlation(table["textbooks.grade"].to_list(), table["textbooks.steps_done"].to_list())
    assert correlation is not None and correlation >= 0.8
    flow = write_documents(tmp_path / "m", table.with_columns(id=pl.Series(map(str, range(table.height)))))
    stage = UnderstandingScores(inputs="m")
    report = stage.evaluate(StageInputs({"from": {"m": flow}}, tmp_path, None), tmp_path)  # type: ignore[arg-type]
    figures = {row["metric"]: row for row in report.iter_rows(named=True)}
    assert figures["rank correlation with steps done"]["value"] == pytest.approx(correlation)
    assert figures["pass@1"]["value"] == pytest.approx(judged["textbooks.passed"].mean())
    assert figures["understanding"]["n"] == SOLVED
    assert set(report["benchmark"]) == {"unconventional"}
    items = pl.read_parquet(tmp_path / ITEM_SCORES)
    assert items.height == 3 * SOLVED
    assert items.filter(metric="understanding")["value"].mean() == pytest.approx(figures["understanding"]["value"])
    assert pl.read_parquet(tmp_path / "grades.parquet").height == judged.height
    assert "Grade 10 of 10; passes" in (tmp_path / "graded_solutions.md").read_text()


@pytest.mark.parametrize(
    "reply",
    [
        '```json\n{"evaluation": "It sorts. It forgets to add.", "grade": 4}\n```',
        'Let me see {the steps}.\n\n{"evaluation": "Half of it.", "grade": 4, "confidence": "high"}',
        '{"evaluation": "draft", "grade": 9}\nOn reflection:\n{"evaluation": "Two of five steps.", "grade": 4}',
    ],
)
def test_grades_are_read_in_the_styles_of_real_models(judged: pl.DataFrame, reply: str):
    class Scripted(Ask):
        async def __call__(self, prompt: str, **_: Any) -> Reply:
            return Reply(reply)

    (row,) = graded(judged[:1], Scripted()).iter_rows(named=True)
    assert row["textbooks.grade"] == 4


def test_a_model_solves_problems_and_is_executed(runner: PassingTests, tmp_path: Path):
    (frame,) = StepProblems(count=4).read()
    bodies = {row["textbooks.prompt"]: row["text"].removeprefix(row["textbooks.prompt"]) for row in frame.iter_rows(named=True)}

    class Model:
        def complete(self, prompts: list[str], *, samples: int, **_: Any) -> list[list[str]]:
            return [[bodies[prompt], "    return None\n"][:samples] for prompt in prompts]

        def close(self) -> None:
            pass

    class Resolver:
        def model(self, path: Path) -> Model:
            return Model()

        def filter(self, name: Any) -> PassingTests:
            return PassingTests()

    stage = Solutions(inputs="problems", checkpoint="model", samples=2, batch=3)
    stage.prepare(StageInputs({"checkpoint": {"model": Checkpoint(tmp_path)}}, tmp_path, Resolver()))  # type: ignore[arg-type]
    rows = stage.transform(frame)
    assert rows["textbooks.passed"].to_list() == [True, False] * 4
    assert rows["textbooks.steps_done"].to_list() == [1.0, 0.0] * 4
    assert rows["id"].n_unique() == 8


def test_the_embedded_teacher_writes_exercises_that_do_the_steps(runner: PassingTests):
    stage, rows = Exercise(teacher="author", sampler="chains", count=1), []
    for number in range(30):
        draw = StepChains().draw(number, Random(number), AcceptedStats())
        (row,) = stage.parse(draw, Reply(TASKS["exercise"](Random(number), draw)))
        assert row["textbooks.entry_point"] == draw["function_name"]
        assert all(result in row["textbooks.tests"] for _, result in draw["examples"])
        rows.append(row)
    table = documents([row["text"] for row in rows], **{"textbooks.tests": [row["textbooks.tests"] for row in rows]})
    verdicts = runner.decide(table)
    assert verdicts["keep"].all(), verdicts.filter(~pl.col("keep"))


def test_step_code_does_what_the_instruction_says():
    problem = draw_problem(4, 4, Random(3))
    for value in problem.inputs:
        result: Any = value
        for step in problem.steps:
            result = run_steps([step], result)
        assert result == run_steps(problem.steps, value)
