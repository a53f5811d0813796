"""The stage `reasoning/score`: accuracy of models on problems with known answers, by place in a chain, digits or task."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Documents, Evaluator, Input, Labels, RunError, Runtime, StageInputs
from textbookgen.api.files import write_frame
from textbookgen.api.rows import ALL_ITEMS, ITEM_SCORES, report_table
from textbookgen_reasoning.arithmetic_format import Format, digit_accuracy
from textbookgen_reasoning.gym import gym_score


class CellScores(Evaluator):
    """Completes `reasoning.prompt` greedily with each checkpoint, and reports the accuracy in each `reasoning.cell`.

    The benchmark of the figures is the stage of the problems, their subset the cell. With places in a chain (LEGO) also a
    shortcut index: accuracy at the last place minus accuracy in the middle, which is positive if the end of a chain is guessed
    without resolving the chain. With sums and products also the digit accuracy.
    """

    name: ClassVar[str] = "score"
    version: ClassVar[int] = 3

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints to score")
    problems: Annotated[Labels, Input(Documents)] = Field(description="stages above with the problems")
    scoring: Literal["exact", "result", "gym"] = Field(
        "exact",
        description="`exact` compares the whole answer, ignoring white space; `result` only what follows the last `=`, so that "
        "errors in a scratchpad do not count; `gym` uses the scorer of reasoning-gym",
    )
    max_problems: int = Field(1_000, gt=0, description="maximum number of problems per cell; the first ones are used")
    max_tokens: int = Field(64, gt=0, description="maximum number of tokens of an answer")
    batch_size: Annotated[int, Runtime] = Field(64, gt=0, description="problems per request to the model")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the accuracy of each model, overall and by cell; write every answer to `answers.parquet`.

        Raises:
            RunError: There are no problems.
        """
        problems = inputs["problems"].scan().group_by("reasoning.cell", maintain_order=True).head(self.max_problems).collect()
        if problems.is_empty():
            raise RunError("there are no problems to score on", place="problems", hint="name a stage that generates problems")
        checkpoints = inputs.by_label("from", Checkpoint)
        answers = pl.concat([self._answer(label, item, problems, inputs) for label, item in checkpoints.items()])
        write_frame(out / "answers.parquet", answers)
        benchmark = ", ".join(self.problems)
        columns = {"benchmark": pl.lit(benchmark), "item": pl.col("id"), "metric": pl.lit("accuracy"), "value": pl.col("score")}
        write_frame(out / ITEM_SCORES, answers.select("subject", **columns))
        rows = [
            {"benchmark": benchmark, **row}
            for (subject,), of_subject in answers.group_by("subject", maintain_order=True)
            for row in summarize(str(subject), of_subject)
        ]
        return report_table(rows)

    def _answer(self, label: str, checkpoint: Checkpoint, problems: pl.DataFrame, inputs: StageInputs) -> pl.DataFrame:
        """Return the answers of one model with their scores."""
        answers: list[str] = []
        stop = stop_texts(problems["reasoning.answer"].to_list())
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            for batch in problems.iter_slices(self.batch_size):
                completions = model.complete(
                    batch["reasoning.prompt"].to_list(), max_tokens=self.max_tokens, stop=stop, seed=inputs.seed
                )
                answers += [samples[0] for samples in completions]
        rows = list(zip(problems.iter_rows(named=True), answers, strict=True))
        return problems.select("id", "reasoning.cell", "reasoning.prompt", "reasoning.answer").with_columns(
            subject=pl.lit(label),
            answer=pl.Series(answers, dtype=pl.String),
            score=pl.Series([self.score(row, answer) for row, answer in rows], dtype=pl.Float64),
            digits=pl.Series([_digit_score(row, answer) for row, answer in rows], dtype=pl.Float64),
            places=pl.Series([_place_scores(row, answer) for row, answer in rows], dtype=pl.List(pl.Float64)),
        )

    def score(self, row: dict[str, Any], answer: str) -> float:
        """Return the score of an answer to a problem, from 0 to 1."""
        expected = str(row["reasoning.answer"])
        match self.scoring:
            case "gym":
                return gym_score(row["reasoning.cell"], answer.strip(), expected.strip(), row["reasoning.metadata"])
            case "result":
                return float(_normalize(answer.rpartition("=")[2]) == _normalize(expected.rpartition("=")[2]))
            case _:
                return float(_normalize(answer) == _normalize(expected))


def summarize(subject: str, answers: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of the report for one model, without the benchmark.

    Args:
        subject: Label of the model.
        answers: Columns `reasoning.cell`, `score`, `digits` (null unless arithmetic) and `places` (null unless whole chains).
    """
    yield _metric(subject, "accuracy", answers["score"].to_list())
    cells = {
        str(cell): of_cell["score"].to_list()
        for (cell,), of_cell in sorted(answers.group_by("reasoning.cell"), key=lambda pair: pair[0])
    }
    yield from (_metric(subject, "accuracy", scores, cell) for cell, scores in cells.items())
    if digits := answers["digits"].drop_nulls().to_list():
        yield _metric(subject, "digit accuracy", digits)
    by_place = list(cells.values()) if all(cell.startswith("place ") for cell in cells) else []
    if not by_place and (chains := answers["places"].drop_nulls().to_list()):
        by_place = [[chain[at] for chain in chains if len(chain) > at] for at in range(max(map(len, chains)))]
        yield from (_metric(subject, "accuracy", scores, f"place {at:02d}") for at, scores in enumerate(by_place))
    if len(by_place) > 2:
        index = shortcut_index([sum(scores) / len(scores) for scores in by_place])
        yield {"subject": subject, "metric": "shortcut index", "value": index, "stderr": None, "n": len(by_place)}


def stop_texts(answers: Sequence[str]) -> tuple[str, ...]:
    """Return what ends an answer: a newline, and a separator if all answers end with it and none contains another."""
    last_characters = {answer.rstrip()[-1:] for answer in answers}
    (separator,) = last_characters if len(last_characters) == 1 else ("",)
    is_unique = separator in (";", ",") and all(answer.count(separator) == 1 for answer in answers)
    return ("\n", separator) if is_unique else ("\n",)


def shortcut_index(accuracy: Sequence[float]) -> float:
    """Return the accuracy at the end of a chain minus that in its middle: positive if ends are guessed by a shortcut."""
    return accuracy[-1] - accuracy[len(accuracy) // 2]


def _metric(subject: str, metric: str, values: Sequence[float], subset: str = ALL_ITEMS) -> dict[str, Any]:
    """Return a row of the report: the mean and its standard error."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
    figures = {"value": mean, "stderr": math.sqrt(variance / len(values)), "n": len(values)}
    return {"subject": subject, "metric": metric, "subset": subset, **figures}


def _digit_score(row: dict[str, Any], answer: str) -> float | None:
    """Return the share of correct digits as they are written; None for other than arithmetic."""
    if row.get("kind") != "arithmetic":
        return None
    plain = Format()
    expected = plain.parse_answer(str(row["reasoning.answer"]))
    return None if expected is None else digit_accuracy(expected, plain.parse_answer(answer))


def _place_scores(row: dict[str, Any], answer: str) -> list[float] | None:
    """Return, for a chain whose questions are answered together, whether each place is correct; None for other problems."""
    expected = dict(_ANSWERED_QUESTION.findall(str(row["reasoning.answer"])))
    if row.get("kind") != "lego" or not expected:
        return None
    actual = dict(_ANSWERED_QUESTION.findall(answer))
    variables = [variable for variable in row["reasoning.variables"] if variable in expected]
    return [float(actual.get(variable) == expected[variable]) for variable in variables]


def _normalize(text: str) -> str:
    return "".join(text.split()).rstrip(";,")


_ANSWERED_QUESTION = re.compile(r"\?\s*(\w+)\s*=\s*([^\s;,]+)")
