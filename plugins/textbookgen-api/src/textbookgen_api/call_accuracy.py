"""Call accuracy: exact calls, equal results, and the calls not made where none is right."""

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
from textbookgen.api.files import write_frame
from textbookgen.api.rows import report_table
from textbookgen_api.calls import equal_calls, equal_results, parse_call_or_none

Functions = Mapping[str, Callable[..., Any]]


class CallAccuracy(Evaluator):
    """Have each checkpoint answer requests, and compare its calls with the expected ones.

    Reported: exact calls (same function, equal arguments in any order), overall and by case; equal results, if
    `implementation` has the functions; precision and recall of `decline()` and `clarify(...)`; and seconds per request.
    """

    name: ClassVar[str] = "call-accuracy"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="checkpoints to score")
    requests: Annotated[Labels, Input(Documents)] = Field(description="earlier stages of the requests to answer")
    question: str = Field(
        "Request: {request}\nCall:",
        description="prompt of a request; it should not end with a blank, since tokens often begin with one",
    )
    implementation: str | None = Field(
        None,
        description="module whose functions execute calls, such as `shop.api`; each must be safe with any arguments",
    )
    max_tokens: int = Field(96, gt=0, description="maximum length of a call in tokens")
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="requests per batch")

    def check(self) -> Iterator[Diagnostic]:
        """Yield a problem if the question has no request in it, or the implementation cannot be imported."""
        if "{request}" not in self.question:
            yield Diagnostic("question", "does not contain {request}")
        if self.implementation is not None:
            try:
                self.functions()
            except RunError as error:
                yield Diagnostic("implementation", error.problem, error.hint)

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the functions that execute calls, by name; none without `implementation`.

        Raises:
            RunError: the module cannot be imported.
        """
        if self.implementation is None:
            return {}
        try:
            module = importlib.import_module(self.implementation)
        except ImportError as error:
            raise RunError(f"cannot import the module '{self.implementation}': {error}") from error
        return {name: item for name, item in vars(module).items() if callable(item) and not name.startswith("_")}

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures; `calls.parquet` has every answer.

        Raises:
            RunError: there are no requests.
        """
        requests = inputs["requests"].scan().collect()
        if requests.is_empty():
            raise RunError("there are no requests to answer", place="requests")
        functions = self.functions()
        frames: list[pl.DataFrame] = []
        rows: list[dict[str, Any]] = []
        for label, checkpoint in inputs.by_label("from").items():
            answers, seconds = self._answers(checkpoint, requests, inputs)
            compared = [
                compare_answer(label, request, answer, functions)
                for request, answer in zip(requests.iter_rows(named=True), answers, strict=True)
            ]
            frames.append(pl.DataFrame(compared, schema=_CALLS))
            rows += figures(frames[-1], seconds, bool(functions))
        write_frame(out / "calls.parquet", pl.concat(frames))
        return report_table(rows)

    def _answers(self, checkpoint: Any, requests: pl.DataFrame, inputs: StageInputs) -> tuple[list[str], float]:
        """One model's answers, and the seconds per request."""
        prompts = [self.question.replace("{request}", request) for request in requests["api.request"]]
        answers: list[str] = []
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            started = time.perf_counter()
            for start in range(0, len(prompts), self.batch):
                batch = prompts[start : start + self.batch]
                completions = model.complete(batch, max_tokens=self.max_tokens, stop=("\n",), seed=inputs.seed)
                answers += [samples[0] for samples in completions]
            seconds = (time.perf_counter() - started) / len(prompts)
        return answers, seconds


_CALLS: dict[str, pl.DataType] = {
    "subject": pl.String(),
    "case": pl.String(),
    "request": pl.String(),
    "expected": pl.String(),
    "answer": pl.String(),
    "function": pl.String(),
    "exact": pl.Boolean(),
    "equal_result": pl.Boolean(),
}


def compare_answer(subject: str, request: Mapping[str, Any], answer: str, functions: Functions) -> dict[str, Any]:
    """Return one answer beside the expected call.

    Args:
        subject: label of the model.
        request: a row of `api/requests`.
        answer: what the model wrote.
        functions: functions that execute calls, by name; without any, results are not compared.

    Returns:
        A row with `function` (of the call made; empty if the answer is not a call), `exact`, and `equal_result` (null for
        requests that must not be answered by a call).
    """
    expected, made = parse_call_or_none(request["api.call"]), parse_call_or_none(answer)
    return {
        "subject": subject,
        "case": request["api.case"],
        "request": request["api.request"],
        "expected": request["api.call"],
        "answer": answer,
        "function": made.function if made else "",
        "exact": equal_calls(expected, made, json.loads(request["api.defaults"] or "{}")),
        "equal_result": equal_results(expected, made, functions) if request["api.case"] == "call" else None,
    }


def figures(calls: pl.DataFrame, seconds: float, executed: bool) -> Iterator[dict[str, Any]]:
    """Yield report rows for the answers of one model.

    Args:
        calls: rows of `compare_answer`, at least one.
        seconds: mean time per request.
        executed: whether results were compared.
    """
    subject = str(calls["subject"][0])
    yield _share(subject, "exact call", calls["exact"].to_list())
    for (case,), rows in sorted(calls.group_by("case"), key=lambda pair: pair[0]):
        yield _share(subject, f"exact call, {case}", rows["exact"].to_list())
    if executed and (results := calls["equal_result"].drop_nulls().to_list()):
        yield _share(subject, "equal result", results)
    for function, case in (("decline", "outside"), ("clarify", "missing")):
        right, made = calls["case"] == case, calls["function"] == function
        if made.any():
            yield _share(subject, f"{function} precision", right.filter(made).to_list())
        if right.any():
            yield _share(subject, f"{function} recall", made.filter(right).to_list())
    yield {"subject": subject, "metric": "seconds per request", "value": seconds, "stderr": None, "n": calls.height}


def _share(subject: str, metric: str, hits: Sequence[bool]) -> dict[str, Any]:
    share = sum(hits) / len(hits)
    stderr = (share * (1 - share) / len(hits)) ** 0.5
    return {"subject": subject, "metric": metric, "value": share, "stderr": stderr, "n": len(hits)}
