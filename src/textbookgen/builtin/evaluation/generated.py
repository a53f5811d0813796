"""Answers that models write: of items of benchmarks, executed or compared with the solution, and pass@k."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.hashing import document_id
from textbookgen.api.reply_text import without_reasoning
from textbookgen.api.stage import Filter
from textbookgen.builtin.evaluation.answering import Answer, Answerer, Generation
from textbookgen.builtin.evaluation.figures import item_scores
from textbookgen.builtin.evaluation.final_numbers import (
    extract_flexible,
    extract_strict,
    final_number,
    matches_exactly,
    same_number,
)
from textbookgen.builtin.evaluation.item_questions import ask_item
from textbookgen.builtin.evaluation.replied_code import replied_program

#: Programs that are executed together; tests of a benchmark may be long, and are attached to this many at once.
_PROGRAMS = 256

_SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "subject": pl.String,
    "benchmark": pl.String,
    "item": pl.String,
    "sample": pl.Int64,
    "asked": pl.String,
    "completion": pl.String,
    "text": pl.String,
    "answer": pl.String,
    "solution": pl.String,
    "problem": pl.String,
    "ended": pl.Boolean,
    "equal": pl.Boolean,
    "strict_match": pl.Boolean,
    "flexible_extract": pl.Boolean,
}


def answer_items(
    answerer: Answerer, benchmark: str, items: Sequence[BenchmarkItem], stop: Sequence[str], generation: Generation
) -> pl.DataFrame:
    """Return every answer to some items, one per row.

    Columns: `asked` (what the model read), `completion` (what it wrote), `text` (the program or text that is judged), `answer`
    (the number it gives, if one is asked for), `problem` (why there is no answer), `ended` (before the token limit; null if
    unknown), `equal` (to the solution), and for numbers `strict_match` and `flexible_extract` as in lm-evaluation-harness.
    """
    questions = [ask_item(item) for item in items]
    asked = [question.turns[-1].content if answerer.is_chat else question.text for question in questions]
    answers = answerer.answer(questions, generation, stop)
    rows = [
        {
            "id": document_id(answerer.subject, benchmark, item.id, sample),
            "subject": answerer.subject,
            "benchmark": benchmark,
            "item": item.id,
            "sample": sample,
            "asked": text,
            **_read(item, answer, answerer.is_chat),
        }
        for item, text, each in zip(items, asked, answers, strict=True)
        for sample, answer in enumerate(each)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _read(item: BenchmarkItem, answer: Answer, is_chat: bool) -> dict[str, Any]:
    """Return what is read in an answer."""
    text = without_reasoning(answer.text) if is_chat else answer.text
    row: dict[str, Any] = {"completion": answer.text, "problem": answer.problem, "ended": answer.ended}
    row["solution"] = item.solution
    if item.tests:
        program = replied_program(text, item.prompt, item.entry_point) if is_chat else item.prompt + text
        return row | {"text": program if not answer.problem else ""}
    if item.compare == "number":
        number = final_number(text)
        strict = extract_strict(text, item.answer_pattern) if item.answer_pattern else None
        return row | {
            "text": text,
            "answer": None if number is None else f"{float(number):.12g}",
            "equal": same_number(number, item.solution),
            "strict_match": matches_exactly(strict, item.solution),
            "flexible_extract": matches_exactly(extract_flexible(text), item.solution),
        }
    plain = " ".join(text.split())
    return row | {
        "text": item.prompt + text,
        "equal": plain in {" ".join(each.split()) for each in (item.solution, *item.aliases)},
    }


def judge(answers: pl.DataFrame, items: Sequence[BenchmarkItem], runner: Filter | None) -> pl.DataFrame:
    """Return the answers with `passed`, `reason` and, where there are tests of another benchmark, `base_passed`.

    Args:
        answers: rows of `answer_items`.
        items: the items, with their tests.
        runner: executes programs with their tests; None if no item has any.
    """
    tests = {item.id: item.tests for item in items if item.tests}
    base = {item.id: item.base_tests for item in items if item.base_tests}
    verdicts = _execute(answers, tests, runner)
    joined = answers.join(verdicts, on="id", how="left", maintain_order="left")
    has_base = pl.col("item").is_in(list(base))
    failed = joined.filter(has_base & ~pl.col("keep"))  # what passes all tests passes these
    base_passed = [*joined.filter("keep")["id"], *_execute(failed, base, runner).filter("keep")["id"]] if base else []
    return joined.with_columns(
        passed=pl.coalesce("keep", "equal"),
        reason=pl.coalesce(_problem(), "reason"),
        base_passed=pl.when(has_base).then(pl.col("id").is_in(base_passed)),
    ).drop("keep", "equal")


def _problem() -> pl.Expr:
    return pl.when(pl.col("problem") != "").then(pl.col("problem")).cast(pl.String)


def _execute(answers: pl.DataFrame, tests: Mapping[str, str], runner: Filter | None) -> pl.DataFrame:
    """Return `id`, `keep` and `reason` of the answers to items with tests; a missing answer fails."""
    verdicts = [pl.DataFrame(schema={"id": pl.String, "keep": pl.Boolean, "reason": pl.String})]
    chosen = answers.filter(pl.col("item").is_in(list(tests))).select("id", "item", "text", "problem")
    for rows in chosen.iter_slices(_PROGRAMS):
        programs = rows.filter(pl.col("problem") == "")
        if len(programs) and runner is not None:
            own = pl.Series("textbooks.tests", [tests[item] for item in programs["item"]], dtype=pl.String)
            verdicts.append(runner.decide(programs.with_columns(own)).select("id", "keep", "reason"))
        verdicts.append(rows.filter(pl.col("problem") != "").select("id", keep=pl.lit(False), reason=pl.col("problem")))
    return pl.concat(verdicts)


def pass_rates(answers: pl.DataFrame, ks: Sequence[int]) -> pl.DataFrame:
    """Return the scores of each item (see `textbookgen.api.rows.ITEM_SCORE_SCHEMA`).

    pass@k for each k; `base_pass@k` with the tests of the benchmark that is extended; and the shares of answers that
    lm-evaluation-harness counts as right, where a number is asked for.
    """
    counts = answers.group_by("subject", "benchmark", "item", maintain_order=True).agg(
        pl.col("passed", "base_passed").sum(),
        pl.col("strict_match", "flexible_extract").cast(pl.Float64).mean(),
        samples=pl.len(),
        has_base=pl.col("base_passed").is_not_null().any(),
    )
    columns: list[pl.Series] = []
    for name, passed, known in (("pass", "passed", None), ("base_pass", "base_passed", "has_base")):
        for k in ks:
            rates = [
                pass_at_k(k, row["samples"], row[passed]) if known is None or row[known] else None
                for row in counts.iter_rows(named=True)
            ]
            columns.append(pl.Series(f"{name}@{k}", rates, dtype=pl.Float64))
    metrics = [column.name for column in columns]
    return item_scores(counts.with_columns(columns), [*metrics, "strict_match", "flexible_extract"])


def pass_at_k(k: int, samples: int, passed: int) -> float:
    """Return the probability that at least one of k completions passes: unbiased, and numerically stable.

    Args:
        k: completions that are tried, at most `samples`.
        samples: completions that were sampled.
        passed: how many of them passed.
    """
    if samples - passed < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / n for n in range(samples - passed + 1, samples + 1))


def render_completions(completions: pl.DataFrame, count: int) -> Iterator[str]:
    """Yield Markdown with this many completions of the last model that passed, and as many that failed."""
    if not count or not len(completions):
        return
    last = completions.filter(pl.col("subject") == completions["subject"][-1])
    yield f"## Examples from {last['subject'][0]}\n"
    for passed, heading in ((True, "passed"), (False, "failed")):
        for row in last.filter(pl.col("passed") == passed).head(count).iter_rows(named=True):
            reason = f" ({row['reason']})" if row["reason"] else ""
            answer = f", the answer is {row['solution']}" if row["strict_match"] is not None else ""
            language = "python" if row["strict_match"] is None else "text"
            yield f"{row['item']}, {heading}{reason}{answer}:\n\n{_fence(row['text'].rstrip(), language)}\n"


def _fence(text: str, language: str) -> str:
    """Return a code block whose marks do not occur in it."""
    marks = "```"
    while marks in text:
        marks += "`"
    return f"{marks}{language}\n{text}\n{marks}"
