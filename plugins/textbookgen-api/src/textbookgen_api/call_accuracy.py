"""Call accuracy: exact calls, equal results, and the calls not made where none is right."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Checkpoint, Diagnostic, Documents, Evaluator, Input, Labels, RunError, Runtime, StageInputs
from textbookgen.api.files import write_frame
from textbookgen.api.rows import REPORT_SCHEMA
from textbookgen_api.calls import equal_plans, equal_results, parse_plan_or_none
from textbookgen_api.references import number_words, resolve_references

Functions = Mapping[str, Callable[..., Any]]


@dataclass(frozen=True)
class Answers:
    """What one model or teacher answered.

    Attributes:
        texts: an answer for each request.
        seconds: mean time per request.
        cost_usd: mean cost per request; None for models, whose cost is the machine's.
    """

    texts: Sequence[str]
    seconds: float
    cost_usd: float | None = None


class CallAccuracy(Evaluator):
    """Have each checkpoint answer requests, and compare its calls with the expected ones; teachers' answers likewise.

    Reported: exact calls (same functions in the same order, equal arguments in any order, the same results passed on), overall,
    by case and by stage of requests; equal results, if `implementation` has the functions; precision and recall of
    `decline()` and `clarify(...)`; seconds per request; and for teachers the cost per 1,000 requests. `calls.parquet` has
    every answer, `calls.md` some wrong ones.
    """

    name: ClassVar[str] = "call-accuracy"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Checkpoint, Documents)] = Field(
        alias="from", description="checkpoints to score, and stages `api/answers` with the answers of teachers"
    )
    requests: Annotated[Labels, Input(Documents)] = Field(description="earlier stages of the requests to answer")
    question: str = Field(
        "Request: {request}\nCall:",
        description="prompt of a request for checkpoints, optionally with {application}; it should not end with a blank, since "
        "tokens often begin with one",
    )
    references: bool = Field(
        False,
        description="number the words of requests for checkpoints, and put the words back that answers refer to, as "
        "`api/word-references` writes them",
    )
    implementation: str | None = Field(
        None,
        description="module whose functions execute calls, such as `shop.api`; each must be safe with any arguments",
    )
    max_tokens: int = Field(192, gt=0, description="maximum length of an answer in tokens")
    examples: int = Field(10, ge=0, description="wrong answers of each model to show in the report")
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
        """Return the figures; write every answer to `calls.parquet`, and some wrong ones to `calls.md`.

        Raises:
            RunError: there are no requests, or a teacher has not answered any of them.
        """
        tables = inputs.by_label("requests", Documents)
        requests = pl.concat(
            [table.scan().select(pl.lit(label).alias("source"), "id", *_REQUEST).collect() for label, table in tables.items()]
        )
        if requests.is_empty():
            raise RunError("there are no requests to answer", place="requests")
        functions = self.functions()
        frames: list[pl.DataFrame] = []
        rows: list[dict[str, Any]] = []
        for label, subject in inputs.by_label("from").items():
            asked = requests
            if isinstance(subject, Documents):
                asked, answers = _given_answers(label, subject, requests)
            else:
                answers = self._ask(subject, requests, inputs)
            compared = [
                compare_answer(label, request, answer, functions)
                for request, answer in zip(asked.iter_rows(named=True), answers.texts, strict=True)
            ]
            frames.append(pl.DataFrame(compared, schema=_CALLS))
            rows += figures(frames[-1], answers.seconds, bool(functions), answers.cost_usd)
        write_frame(out / "calls.parquet", pl.concat(frames))
        (out / "calls.md").write_text("\n".join(self._wrong_answers(frames)), encoding="utf-8")
        return pl.DataFrame(rows, schema=REPORT_SCHEMA)

    def _ask(self, checkpoint: Any, requests: pl.DataFrame, inputs: StageInputs) -> Answers:
        """The answers of one checkpoint."""
        prompts = [
            self.question.replace("{application}", application or "").replace(
                "{request}", number_words(request) if self.references else request
            )
            for request, application in requests.select("api.request", "api.application").iter_rows()
        ]
        answers: list[str] = []
        with closing(inputs.resolver.model(checkpoint.path)) as model:
            started = time.perf_counter()
            for start in range(0, len(prompts), self.batch):
                batch = prompts[start : start + self.batch]
                completions = model.complete(batch, max_tokens=self.max_tokens, stop=("\n",), seed=inputs.seed)
                answers += [samples[0] for samples in completions]
            seconds = (time.perf_counter() - started) / len(prompts)
        if self.references:
            answers = [resolve_references(*pair) for pair in zip(requests["api.request"], answers, strict=True)]
        return Answers(answers, seconds)

    def _wrong_answers(self, frames: Sequence[pl.DataFrame]) -> Iterator[str]:
        if not self.examples:
            return
        yield "## Wrong answers\n"
        for calls in frames:
            yield f"### {calls['subject'][0]}\n" if not calls.is_empty() else ""
            for row in calls.filter(~pl.col("exact")).head(self.examples).iter_rows(named=True):
                yield f"- {row['request']}\n  - expected: `{row['expected']}`\n  - answer: `{' '.join(row['answer'].split())}`"
            yield ""


_REQUEST = ("api.request", "api.call", "api.case", "api.defaults", "api.application")
_CALLS: dict[str, pl.DataType] = {
    "subject": pl.String(),
    "source": pl.String(),
    "case": pl.String(),
    "request": pl.String(),
    "expected": pl.String(),
    "answer": pl.String(),
    "function": pl.String(),
    "exact": pl.Boolean(),
    "equal_result": pl.Boolean(),
}


def _given_answers(label: str, table: Documents, requests: pl.DataFrame) -> tuple[pl.DataFrame, Answers]:
    """The requests that a teacher answered (all, unless it answered a sample), and its answers.

    Answers are matched by the request's text and call, since ids of answers are their own.

    Raises:
        RunError: the table has no answers, or none to these requests.
    """
    frame = table.scan()
    if "api.answer" not in frame.collect_schema():
        raise RunError(f"'{label}' has no answers", place="from", hint="name a stage `api/answers`, or a checkpoint")
    replies = frame.select("api.request", "api.call", "api.answer", "api.seconds", "api.cost_usd").collect()
    both = requests.join(
        replies.unique(["api.request", "api.call"], keep="first"), on=["api.request", "api.call"], maintain_order="left"
    )
    if both.is_empty():
        raise RunError(f"'{label}' has no answers to these requests", place="from", hint="give it the same stages in `from`")
    seconds, cost = (float(both[name].mean() or 0.0) for name in ("api.seconds", "api.cost_usd"))  # type: ignore[arg-type]
    return both, Answers(both["api.answer"].to_list(), seconds, cost)


def compare_answer(subject: str, request: Mapping[str, Any], answer: str, functions: Functions) -> dict[str, Any]:
    """Return one answer beside the expected call.

    Args:
        subject: label of the model.
        request: a row of `api/requests`, with the label of its stage as `source`.
        answer: what the model wrote.
        functions: functions that execute calls, by name; without any, results are not compared.

    Returns:
        A row with `function` (of the calls made, joined by ` + `; empty if the answer is not a call), `exact`, and
        `equal_result` (null for requests that must not be answered by a call).
    """
    expected, made = parse_plan_or_none(request["api.call"]), parse_plan_or_none(answer)
    is_call = request["api.case"] in ("call", "plan")
    return {
        "subject": subject,
        "source": request.get("source"),
        "case": request["api.case"],
        "request": request["api.request"],
        "expected": request["api.call"],
        "answer": answer,
        "function": " + ".join(call.function for call in made) if made else "",
        "exact": equal_plans(expected, made, json.loads(request["api.defaults"] or "{}")),
        "equal_result": equal_results(expected, made, functions) if is_call else None,
    }


def figures(calls: pl.DataFrame, seconds: float, executed: bool, cost_usd: float | None = None) -> Iterator[dict[str, Any]]:
    """Yield report rows for the answers of one model.

    Args:
        calls: rows of `compare_answer`, at least one.
        seconds: mean time per request.
        executed: whether results were compared.
        cost_usd: mean cost per request of a teacher.
    """
    subject = str(calls["subject"][0])
    yield _share(subject, "exact call", calls["exact"].to_list())
    if calls["source"].n_unique() > 1:
        for (source,), rows in calls.group_by("source", maintain_order=True):
            yield _share(subject, f"exact call of {source}", rows["exact"].to_list())
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
    if cost_usd is not None:
        value = 1_000 * cost_usd
        yield {"subject": subject, "metric": "US dollars per 1,000 requests", "value": value, "stderr": None, "n": calls.height}


def _share(subject: str, metric: str, hits: Sequence[bool]) -> dict[str, Any]:
    share = sum(hits) / len(hits)
    stderr = (share * (1 - share) / len(hits)) ** 0.5
    return {"subject": subject, "metric": metric, "value": share, "stderr": stderr, "n": len(hits)}
