"""Scores models by the calls they make: exact, carried out, and not made where none is right."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Diagnostic, Documents, Evaluator, Input, Labels, RunError, Runtime, StageInputs
from textbookgen_api.calling import call_or_none, same_call, same_result


class CallScores(Evaluator):
    """Has each checkpoint answer requests, and compares its calls with the right ones.

    Reported: exact match (same function, equal arguments, in whatever order), over all and by case; execution match, if
    `implementation` names the functions; precision and recall of `decline()` and of `clarify(...)`; seconds a request.
    """

    name: ClassVar[str] = "score"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints are scored")
    requests: Annotated[Labels, Input(Documents)] = Field(description="stages above whose requests are asked")
    question: str = Field(
        "Request: {request}\nCall:",
        description="how a request is put; no blank at its end, since tokens often begin with theirs",
    )
    implementation: str | None = Field(
        None, description="module whose functions carry calls out, such as `shop.api`; safe to call with any arguments"
    )
    max_tokens: int = Field(96, gt=0, description="tokens of a call at most")
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="requests that are asked at once")

    def check(self) -> Iterator[Diagnostic]:
        """Whether the question asks, and the implementation is there."""
        if "{request}" not in self.question:
            yield Diagnostic("question", "does not hold {request}, so nothing would be asked")
        if self.implementation is not None:
            try:
                self.functions()
            except RunError as error:
                yield Diagnostic("implementation", error.problem, error.hint)

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions that carry calls out; none without `implementation`.

        Raises:
            RunError: the module cannot be imported.
        """
        if self.implementation is None:
            return {}
        try:
            module = importlib.import_module(self.implementation)
        except ImportError as error:
            raise RunError(f"the module '{self.implementation}' cannot be imported: {error}") from error
        return {name: each for name, each in vars(module).items() if callable(each) and not name.startswith("_")}

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The figures; `calls.parquet` keeps every answer."""
        requests = inputs["requests"].scan().collect()
        if requests.is_empty():
            raise RunError("there are no requests to ask", place="requests")
        functions = self.functions()
        told = [self._told(label, flow, requests, functions, inputs) for label, flow in inputs.by_label("from").items()]
        calls = pl.concat([each for each, _ in told])
        calls.write_parquet(out / "calls.parquet")
        rows = [row for each, seconds in told for row in figures(each, seconds, bool(functions))]
        return pl.DataFrame(rows, schema=_FIGURES)

    def _told(
        self,
        label: str,
        checkpoint: Any,
        requests: pl.DataFrame,
        functions: Mapping[str, Callable[..., Any]],
        inputs: StageInputs,
    ) -> tuple[pl.DataFrame, float]:
        """One model's answers with what they are worth, and the seconds a request took."""
        prompts = [self.question.replace("{request}", each) for each in requests["api.request"]]
        answers: list[str] = []
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            started = time.perf_counter()
            for at in range(0, len(prompts), self.batch):
                some = prompts[at : at + self.batch]
                answers += [
                    each[0] for each in model.complete(some, max_tokens=self.max_tokens, stop=("\n",), seed=inputs.seed)
                ]
            seconds = (time.perf_counter() - started) / len(prompts)
        rows = [
            _compared(label, row, answer, functions)
            for row, answer in zip(requests.iter_rows(named=True), answers, strict=True)
        ]
        return pl.DataFrame(rows, infer_schema_length=None), seconds


def _compared(label: str, row: Mapping[str, Any], answer: str, functions: Mapping[str, Callable[..., Any]]) -> dict[str, Any]:
    """One answer beside the right call."""
    wanted, got = call_or_none(row["api.call"]), call_or_none(answer)
    executed = same_result(wanted, got, functions) if row["api.case"] == "call" else None
    return {
        "subject": label,
        "case": row["api.case"],
        "request": row["api.request"],
        "wanted": row["api.call"],
        "answer": answer,
        "made": got.function if got else "",
        "exact": same_call(wanted, got, json.loads(row["api.defaults"] or "{}")),
        "executed": executed,
    }


def figures(calls: pl.DataFrame, seconds: float | None = None, executed: bool = False) -> Iterator[dict[str, Any]]:
    """The figures of one model from its answers (`subject`, `case`, `made`, `exact`, `executed`)."""
    subject = str(calls["subject"][0])
    yield _share(subject, "exact call", calls["exact"].to_list())
    for (case,), each in sorted(calls.group_by("case"), key=lambda pair: pair[0]):
        yield _share(subject, f"exact call, {case}", each["exact"].to_list())
    if executed and (run := calls["executed"].drop_nulls().to_list()):
        yield _share(subject, "execution match", run)
    for function, case in (("decline", "outside"), ("clarify", "missing")):
        right = calls["case"] == case
        made = calls["made"] == function
        if made.any():
            yield _share(subject, f"{function} precision", right.filter(made).to_list())
        if right.any():
            yield _share(subject, f"{function} recall", made.filter(right).to_list())
    if seconds is not None:
        yield {"subject": subject, "metric": "seconds a request", "value": seconds, "stderr": None, "n": calls.height}


def _share(subject: str, metric: str, hits: Sequence[bool]) -> dict[str, Any]:
    share = sum(hits) / len(hits)
    return {
        "subject": subject,
        "metric": metric,
        "value": share,
        "stderr": (share * (1 - share) / len(hits)) ** 0.5,
        "n": len(hits),
    }


_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "stderr": pl.Float64, "n": pl.Int64}
