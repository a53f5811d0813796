"""Scores models on problems with known answers, cell by cell: by place in a chain, by digits, by task."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Annotated, Any, ClassVar, Literal

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Documents, Evaluator, Input, Labels, RunError, Runtime, StageInputs
from textbookgen_reasoning.arithmetic import Format, digit_accuracy
from textbookgen_reasoning.gym import gym_score


class CellScores(Evaluator):
    """Has each checkpoint complete `reasoning.prompt` greedily, and counts right answers in each `reasoning.cell`.

    `exact` compares with `reasoning.answer`, white space aside; `result` compares only what stands behind the last `=`,
    so that a scratchpad may go wrong; `gym` asks reasoning-gym's scorer. For places in a chain (LEGO) a shortcut index is
    reported too: accuracy at the last place minus accuracy in the middle, which is above 0 if the end is guessed without
    following the chain. For sums and products the share of right digits is reported too.
    """

    name: ClassVar[str] = "score"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints are scored")
    problems: Annotated[Labels, Input(Documents)] = Field(description="stages above whose problems are asked")
    by: Literal["exact", "result", "gym"] = Field("exact", description="when an answer is right")
    most_problems: int = Field(1_000, gt=0, description="problems asked of each cell at most, the first ones")
    max_tokens: int = Field(64, gt=0, description="tokens of an answer at most")
    batch: Annotated[int, Runtime] = Field(64, gt=0, description="problems that are asked at once")

    def evaluate(self, inputs: StageInputs, out: Any) -> pl.DataFrame:
        """Accuracy in each cell and over all; `answers.parquet` keeps every answer."""
        problems = inputs["problems"].scan().group_by("reasoning.cell", maintain_order=True).head(self.most_problems).collect()
        if problems.is_empty():
            raise RunError("there are no problems to ask", place="problems")
        answers = pl.concat([self._asked(label, flow, problems, inputs) for label, flow in inputs.by_label("from").items()])
        answers.write_parquet(out / "answers.parquet")
        rows = [
            row for (subject,), each in answers.group_by("subject", maintain_order=True) for row in figures(str(subject), each)
        ]
        return pl.DataFrame(rows, schema=_FIGURES)

    def _asked(self, label: str, checkpoint: Any, problems: pl.DataFrame, inputs: StageInputs) -> pl.DataFrame:
        """One model's answers, with what each is worth."""
        answers: list[str] = []
        stop = ends(problems["reasoning.answer"].to_list())
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            for some in problems.iter_slices(self.batch):
                result = model.complete(
                    some["reasoning.prompt"].to_list(), max_tokens=self.max_tokens, stop=stop, seed=inputs.seed
                )
                answers += [each[0] for each in result]
        worth = [self.worth(row, answer) for row, answer in zip(problems.iter_rows(named=True), answers, strict=True)]
        digits = [_digits(row, answer) for row, answer in zip(problems.iter_rows(named=True), answers, strict=True)]
        places = [_places(row, answer) for row, answer in zip(problems.iter_rows(named=True), answers, strict=True)]
        return problems.select("id", "reasoning.cell", "reasoning.prompt", "reasoning.answer").with_columns(
            subject=pl.lit(label),
            answer=pl.Series(answers, dtype=pl.String),
            worth=pl.Series(worth, dtype=pl.Float64),
            digits=pl.Series(digits, dtype=pl.Float64),
            places=pl.Series(places, dtype=pl.List(pl.Float64)),
        )

    def worth(self, row: dict[str, Any], answer: str) -> float:
        """What an answer is worth, from 0 to 1."""
        wanted = str(row["reasoning.answer"])
        match self.by:
            case "gym":
                return gym_score(row["reasoning.cell"], answer.strip(), wanted.strip(), row["reasoning.metadata"])
            case "result":
                return float(_bare(answer.rpartition("=")[2]) == _bare(wanted.rpartition("=")[2]))
            case _:
                return float(_bare(answer) == _bare(wanted))


def figures(subject: str, answers: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """The figures of one model from its answers: `reasoning.cell`, `worth`, for numbers `digits`, for whole chains `places`."""
    yield _figure(subject, "accuracy", answers["worth"].to_list())
    cells = {
        str(cell): each["worth"].to_list()
        for (cell,), each in sorted(answers.group_by("reasoning.cell"), key=lambda pair: pair[0])
    }
    yield from (_figure(subject, f"accuracy {cell}", worth) for cell, worth in cells.items())
    digits = answers["digits"].drop_nulls().to_list()
    if digits:
        yield _figure(subject, "right digits", digits)
    chain = list(cells.values()) if all(cell.startswith("place ") for cell in cells) else []
    if not chain and (places := answers["places"].drop_nulls().to_list()):
        chain = [[each[at] for each in places if len(each) > at] for at in range(max(map(len, places)))]
        yield from (_figure(subject, f"accuracy place {at:02d}", worth) for at, worth in enumerate(chain))
    if len(chain) > 2:
        index = shortcut_index([sum(worth) / len(worth) for worth in chain])
        yield {"subject": subject, "metric": "shortcut index", "value": index, "stderr": None, "n": len(chain)}


def ends(answers: Sequence[str]) -> tuple[str, ...]:
    """What ends an answer: a newline, and the mark that all answers end with and hold nowhere else, if there is one."""
    marks = {answer.rstrip()[-1:] for answer in answers}
    (mark,) = marks if len(marks) == 1 else ("",)
    once = mark in (";", ",") and all(answer.count(mark) == 1 for answer in answers)
    return ("\n", mark) if once else ("\n",)


def shortcut_index(accuracy: Sequence[float]) -> float:
    """Accuracy at the end of a chain minus accuracy in its middle: above 0 if ends are guessed without following the chain."""
    return accuracy[-1] - accuracy[len(accuracy) // 2]


def _figure(subject: str, metric: str, values: Sequence[float]) -> dict[str, Any]:
    mean = sum(values) / len(values)
    spread = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
    return {"subject": subject, "metric": metric, "value": mean, "stderr": math.sqrt(spread / len(values)), "n": len(values)}


def _digits(row: dict[str, Any], answer: str) -> float | None:
    """The share of right digits, read off as written; None for what is no number."""
    if row.get("kind") != "arithmetic":
        return None
    plain = Format()
    wanted = plain.answer(str(row["reasoning.answer"]))
    return None if wanted is None else digit_accuracy(wanted, plain.answer(answer))


def _places(row: dict[str, Any], answer: str) -> list[float] | None:
    """Of a chain asked about as a whole: at each place, whether the answer is right."""
    wanted = dict(_ANSWERED.findall(str(row["reasoning.answer"])))
    if row.get("kind") != "lego" or not wanted:
        return None
    said = dict(_ANSWERED.findall(answer))
    return [float(said.get(variable) == wanted[variable]) for variable in row["reasoning.variables"] if variable in wanted]


def _bare(text: str) -> str:
    return "".join(text.split()).rstrip(";,")


_ANSWERED = re.compile(r"\?\s*(\w+)\s*=\s*([^\s;,]+)")
_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "stderr": pl.Float64, "n": pl.Int64}
