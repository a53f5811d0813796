"""The stage `honesty`: whether models answer questions correctly, abstain, or are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Label, Labels, Opens, Template
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.message import Message
from textbookgen.api.reply_text import without_reasoning
from textbookgen.api.rows import ITEM_SCORES, report_table
from textbookgen.api.stage import Estimate, Resolver, StageInputs
from textbookgen.builtin.evaluation.answering import Answerer, Generation, Question, each_answerer
from textbookgen.builtin.evaluation.figures import figures, item_scores
from textbookgen.builtin.evaluation.judging import ReplyEvaluator, ask_judge
from textbookgen.builtin.evaluation.published import published_models, published_rows, render_published
from textbookgen.builtin.evaluation.request_estimates import estimate_questions, total
from textbookgen.builtin.evaluation.short_answer_grades import grade_short_answer

#: The labels of a judge, and the metric that counts each.
LABELS = {"correct": "correct", "abstained": "abstained", "incorrect": "wrong"}
SHARES = ("correct", "abstained", "wrong")
LABEL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["reason", "label"],
    "properties": {"reason": {"type": "string"}, "label": {"type": "string", "enum": list(LABELS)}},
}

_SCHEMA: dict[str, Any] = {
    "subject": pl.String,
    "benchmark": pl.String,
    "item": pl.String,
    "asked": pl.String,
    "answer": pl.String,
    "aliases": pl.List(pl.String),
    "reply": pl.String,
    "problem": pl.String,
}
_RUBRIC_TOKENS = 420.0  # of the judge's prompt, besides question and reply


class Honesty(ReplyEvaluator):
    """Asks questions with known answers, and counts correct answers, abstentions and wrong answers (as SimpleQA does).

    `correct_given_attempted` is the share of correct answers among those that were given, and `f_score` its harmonic mean with
    `correct` (Wei et al. 2024, arXiv 2411.04368). A judge grades by the known answer, at temperature 0; without a
    judge, an answer is correct if it contains a known answer word for word, which misses paraphrases.
    """

    name: ClassVar[str] = "honesty"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field((), alias="from", description="stages above whose checkpoints answer")
    benchmarks: Annotated[tuple[str, ...], Opens("benchmark")] = Field(
        min_length=1,
        description="questions with short answers, such as simpleqa@FILE or file@FILE?prompt=question&solution=answer",
    )
    judge: Annotated[str | None, Label("teacher")] = Field(None, description="label of the teacher that grades the answers")
    judge_prompt: Annotated[str, Template] = Field(
        "evaluation/honesty.md.j2",
        description="template of the judge's prompt, with `question`, `answer`, `aliases` and `reply`",
    )
    instruction: str = Field(
        "", description='text before each question, such as "If you do not know the answer, say so."; none unless given'
    )
    published: tuple[str, ...] = Field((), description="models whose published figures are columns beside the measured ones")
    temperature: float = Field(0.0, ge=0, description="sampling temperature of the answers; 0 for greedy")
    max_items: int | None = Field(None, gt=0, description="use only the first N questions of each benchmark")
    examples: int = Field(3, ge=0, description="answers of the last model to show in the report, of each kind")

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """Limit `max_items`."""
        return options | {"max_items": min(options.get("max_items", limit), limit)}

    def check(self) -> Iterable[Diagnostic]:
        """Report that no model answers, and unknown models in `published`."""
        if not self.inputs and not self.teachers:
            yield Diagnostic("from", "there is no model to answer", "name stages with checkpoints in `from`, or `teachers`")
        for name in self.published:
            if name not in published_models():
                yield Diagnostic("published", f"no figures of '{name}' are shipped", f"known: {', '.join(published_models())}")

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return the variables of the judge's prompt."""
        return {"question": "", "answer": "", "aliases": [], "reply": ""}

    def estimate_requests(self, inputs: Mapping[str, Estimate], resolver: Resolver) -> Mapping[str, Estimate]:
        """Return a request per question for each teacher that answers, and one per answer for the judge."""
        if not self.teachers and not self.judge:
            return {}
        asked = total(
            estimate_questions(resolver.benchmark(name), self.max_items, 1, self.reply_tokens) for name in self.benchmarks
        )
        requests = dict.fromkeys(self.teachers, asked)
        if self.judge:
            models = len(self.inputs) + len(self.teachers)
            count = models * asked.requests
            read = models * asked.tokens_in + count * (_RUBRIC_TOKENS + min(self.max_tokens, self.reply_tokens))
            judging = Estimate(requests=count, tokens_in=read, tokens_out=count * self.reply_tokens)
            requests[self.judge] = total([judging, requests.get(self.judge, Estimate())])
        return requests

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the figures; write every answer with its label to `answers.parquet`, and some to `answers.md`."""
        answers = self._answers(inputs)
        answers = answers.hstack(self._judged(inputs, answers) if self.judge else _matched(answers))
        write_frame(out / "answers.parquet", answers)
        write_text(out / "answers.md", "\n".join(self._render(answers)))
        graded = answers.drop_nulls("label").with_columns(
            (pl.col("label") == name).cast(pl.Float64).alias(name) for name in SHARES
        )
        scores = item_scores(graded, SHARES)
        write_frame(out / ITEM_SCORES, scores)
        rows = [*figures(scores), *_derived(graded)]
        if self.published:
            write_text(out / "published.md", render_published(self.published, rows))
        return report_table([*rows, *published_rows(self.published, rows)])

    def _answers(self, inputs: StageInputs) -> pl.DataFrame:
        tables: list[pl.DataFrame] = []
        benchmarks = [inputs.resolver.benchmark(name) for name in self.benchmarks]
        questions = {
            benchmark.name: [item for item in islice(benchmark.items(), self.max_items) if isinstance(item, BenchmarkItem)]
            for benchmark in benchmarks
        }
        for name, items in questions.items():
            if not items:
                raise RunError(f"benchmark '{name}' has no questions to be answered in words", place="benchmarks")
        with closing(each_answerer(inputs, self.teachers, self.chat, inputs.by_label("from", Checkpoint))) as answerers:
            for answerer in answerers:
                for benchmark in benchmarks:
                    tables.append(self._ask(answerer, benchmark.name, questions[benchmark.name], benchmark.stop, inputs.seed))
        return pl.concat(tables)

    def _ask(
        self, answerer: Answerer, benchmark: str, items: Sequence[BenchmarkItem], stop: Sequence[str], seed: int
    ) -> pl.DataFrame:
        generation = Generation(1, self.temperature, self.max_tokens, seed, self.batch)
        before = f"{self.instruction.strip()}\n\n" if self.instruction.strip() else ""
        questions = [
            Question(before + item.prefix + item.prompt, (Message("user", before + (item.question or item.prompt)),))
            for item in items
        ]
        rows = []
        for item, (answer, *_) in zip(items, answerer.answer(questions, generation, stop), strict=True):
            rows.append(
                {
                    "subject": answerer.subject,
                    "benchmark": benchmark,
                    "item": item.id,
                    "asked": item.question or item.prompt,
                    "answer": item.solution,
                    "aliases": list(item.aliases),
                    "reply": without_reasoning(answer.text).strip(),
                    "problem": answer.problem,
                }
            )
        return pl.DataFrame(rows, schema=_SCHEMA)

    def _judged(self, inputs: StageInputs, answers: pl.DataFrame) -> pl.DataFrame:
        """Return `label` and `reason` by the judge; an empty reply is an abstention, and is not asked about."""
        rows = answers.to_dicts()
        said = [at for at, row in enumerate(rows) if row["reply"]]
        prompts = [
            inputs.render(
                self.judge_prompt,
                {
                    "question": rows[at]["asked"],
                    "answer": rows[at]["answer"],
                    "aliases": rows[at]["aliases"],
                    "reply": rows[at]["reply"],
                },
            )
            for at in said
        ]
        grades = ask_judge(inputs.teachers[str(self.judge)], prompts, LABEL_SCHEMA, "judge-answer", self.max_ungraded)
        labels: list[str | None] = ["abstained"] * len(rows)
        reasons: list[str | None] = ["there is no reply"] * len(rows)
        for at, grade in zip(said, grades, strict=True):
            labels[at], reasons[at] = (LABELS[grade["label"]], grade["reason"]) if grade else (None, None)
        return pl.DataFrame({"label": labels, "reason": reasons}, schema={"label": pl.String, "reason": pl.String})

    def _render(self, answers: pl.DataFrame) -> Iterator[str]:
        """Yield Markdown with some answers of the last model, of each kind."""
        if not self.examples:
            return
        last = answers.filter(pl.col("subject") == answers["subject"][-1])
        yield f"## Answers of {last['subject'][0]}\n"
        for label in SHARES:
            for row in last.filter(pl.col("label") == label).head(self.examples).iter_rows(named=True):
                reply = " ".join(row["reply"].split()) or f"(no reply: {row['problem'] or 'empty'})"
                yield f"- {label}: {' '.join(row['asked'].split())} → {reply[:300]} (known: {row['answer']})"
        yield ""


def _matched(answers: pl.DataFrame) -> pl.DataFrame:
    """Return `label` and an empty `reason` by comparison with the known answers."""
    labels = [
        grade_short_answer(row["reply"], [row["answer"], *row["aliases"]])
        for row in answers.select("reply", "answer", "aliases").iter_rows(named=True)
    ]
    return pl.DataFrame({"label": labels, "reason": None}, schema={"label": pl.String, "reason": pl.String})


def _derived(graded: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the share of correct answers among those given, and the F-score, of each model and benchmark."""
    for (subject, benchmark), rows in graded.group_by("subject", "benchmark", maintain_order=True):
        common = {"subject": subject, "benchmark": benchmark}
        attempted = rows.filter(pl.col("label") != "abstained").with_columns(correct_given_attempted=pl.col("correct"))
        yield from figures(item_scores(attempted, ["correct_given_attempted"]))
        correct, attempts = float(rows["correct"].sum()), len(attempted)
        # 2PR / (P + R) with P = correct / attempts and R = correct / all
        yield common | {"metric": "f_score", "value": 2 * correct / (attempts + len(rows)), "n": len(rows)}
