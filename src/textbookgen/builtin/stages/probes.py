"""The stage `probes`: replies of several models to the same prompts, next to each other, graded if a judge is given."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.annotations import Input, Label, Labels, Template
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import Diagnostic
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.message import Message
from textbookgen.api.reply_text import without_reasoning
from textbookgen.api.rows import ITEM_SCORES, report_table
from textbookgen.api.stage import Estimate, Resolver, StageInputs
from textbookgen.builtin.evaluation.answering import Generation, Question, each_answerer
from textbookgen.builtin.evaluation.figures import figures, item_scores
from textbookgen.builtin.evaluation.judging import GRADE_SCHEMA, ReplyEvaluator, ask_judge
from textbookgen.builtin.evaluation.request_estimates import tokens_of, total
from textbookgen.builtin.evaluation.side_by_side import quote, render_columns

_SCHEMA: dict[str, Any] = {
    "subject": pl.String,
    "item": pl.String,
    "category": pl.String,
    "prompt": pl.String,
    "good": pl.String,
    "reply": pl.String,
    "problem": pl.String,
    "ended": pl.Boolean,
}
_RUBRIC_TOKENS = 350.0  # of the judge's prompt, besides the probe and the reply


class Probe(BaseModel):
    """A prompt that all models get: its category, the text that models without a chat template continue, and what is good."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    category: str = ""
    prompt: str = Field(min_length=1)
    completion: str = ""
    good: str = ""

    @property
    def question(self) -> Question:
        """How models are asked."""
        text = self.completion or f"Question: {self.prompt}\nAnswer:"
        return Question(text, (Message("user", self.prompt),))


@lru_cache(maxsize=1)
def shipped_probes() -> tuple[Probe, ...]:
    """Return the 20 shipped probes."""
    text = files("textbookgen.builtin.evaluation").joinpath("probes.toml").read_text(encoding="utf-8")
    return tuple(Probe(**table) for table in tomllib.loads(text)["probe"])


class Probes(ReplyEvaluator):
    """Shows the replies of several models to the same prompts next to each other, as the reports on phi-1 and GPT-4 do.

    With a judge, each reply is graded from 1 to 10, alone and at temperature 0: `grade`, also by category. Twenty prompts are
    shipped: reasoning, instructions, theory of mind, code and safety.
    """

    name: ClassVar[str] = "probes"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field((), alias="from", description="stages above whose checkpoints reply")
    judge: Annotated[str | None, Label("teacher")] = Field(None, description="label of the teacher that grades the replies")
    judge_prompt: Annotated[str, Template] = Field(
        "evaluation/probe.md.j2", description="template of the judge's prompt, with `category`, `prompt`, `good` and `reply`"
    )
    probes: tuple[Probe, ...] = Field(
        default_factory=shipped_probes,
        min_length=1,
        description="tables with `prompt`, and optionally `category`, `good` (what a good reply does, for the judge) and "
        "`completion` (what models without a chat template continue); the 20 shipped ones unless given",
    )
    temperature: float = Field(0.0, ge=0, description="sampling temperature of the replies; 0 for greedy")

    def check(self) -> Iterable[Diagnostic]:
        """Report that no model replies."""
        if not self.inputs and not self.teachers:
            yield Diagnostic("from", "there is no model to reply", "name stages with checkpoints in `from`, or `teachers`")

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return the variables of the judge's prompt."""
        return {"category": "", "prompt": "", "good": "", "reply": ""}

    def estimate_requests(self, inputs: Mapping[str, Estimate], resolver: Resolver) -> Mapping[str, Estimate]:
        """Return a request per probe for each teacher that replies, and one per reply for the judge."""
        count, tokens = len(self.probes), tokens_of(probe.prompt for probe in self.probes)
        replying = Estimate(requests=count, tokens_in=tokens, tokens_out=count * self.reply_tokens)
        requests = dict.fromkeys(self.teachers, replying)
        if self.judge:
            models = len(self.inputs) + len(self.teachers)
            goods = tokens_of(probe.good for probe in self.probes)
            read = models * (tokens + goods + count * (_RUBRIC_TOKENS + self.max_tokens))
            judging = Estimate(requests=models * count, tokens_in=read, tokens_out=models * count * self.reply_tokens)
            requests[self.judge] = total([judging, requests.get(self.judge, Estimate())])
        return requests

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the grades; write every reply to `replies.parquet` and the page to `probes.md`."""
        replies = self._replies(inputs)
        if self.judge:
            replies = replies.hstack(self._grades(inputs, replies))
        write_frame(out / "replies.parquet", replies)
        write_text(out / "probes.md", "\n".join(self._page(replies)))
        if not self.judge:
            return report_table([])
        graded = replies.with_columns(benchmark=pl.lit("probes"))
        scores = item_scores(graded, ["grade"])
        write_frame(out / ITEM_SCORES, scores)
        by_category = graded.with_columns(benchmark=pl.concat_str(pl.lit("probes/"), "category"))
        return report_table([*figures(scores), *figures(item_scores(by_category, ["grade"]))])

    def _replies(self, inputs: StageInputs) -> pl.DataFrame:
        generation = Generation(1, self.temperature, self.max_tokens, inputs.seed, self.batch)
        rows: list[dict[str, Any]] = []
        with closing(each_answerer(inputs, self.teachers, self.chat, inputs.by_label("from", Checkpoint))) as answerers:
            for answerer in answerers:
                answers = answerer.answer([probe.question for probe in self.probes], generation)
                for number, (probe, (answer, *_)) in enumerate(zip(self.probes, answers, strict=True), 1):
                    shown = {"category": probe.category, "prompt": probe.prompt, "good": probe.good}
                    if not answerer.is_chat and probe.completion:
                        shown["prompt"] = probe.completion
                    said = {
                        "reply": without_reasoning(answer.text).strip("\n"),
                        "problem": answer.problem,
                        "ended": answer.ended,
                    }
                    rows.append({"subject": answerer.subject, "item": f"probe {number}", **shown, **said})
        return pl.DataFrame(rows, schema=_SCHEMA)

    def _grades(self, inputs: StageInputs, replies: pl.DataFrame) -> pl.DataFrame:
        """Return `grade` and `assessment` of each reply, null where the judge gave none."""
        variables = ("category", "prompt", "good", "reply")
        prompts = [
            inputs.render(self.judge_prompt, {name: row[name] or "" for name in variables})
            for row in replies.iter_rows(named=True)
        ]
        grades = ask_judge(inputs.teachers[str(self.judge)], prompts, GRADE_SCHEMA, "judge-probe", self.max_ungraded)
        return pl.DataFrame(
            {
                "grade": [float(grade["grade"]) if grade else None for grade in grades],
                "assessment": [grade["assessment"] if grade else None for grade in grades],
            },
            schema={"grade": pl.Float64, "assessment": pl.String},
        )

    def _page(self, replies: pl.DataFrame) -> Iterator[str]:
        """Yield the page: every prompt, with the replies in columns."""
        yield "## Side by side\n"
        for number, probe in enumerate(self.probes, 1):
            yield f"### {number}. {probe.category or 'prompt'}\n"
            yield f"{quote(probe.prompt)}\n"
            rows = replies.filter(pl.col("item") == f"probe {number}").to_dicts()
            shown = {row["subject"]: _shown(row) for row in rows}
            notes = {row["subject"]: _note(row) for row in rows}
            yield from render_columns(shown, notes)


def _shown(row: Mapping[str, Any]) -> str:
    """Return a reply for the page: marked where it was cut off, or the reason why there is none."""
    if row["problem"]:
        return f"(no reply: {row['problem']})"
    return f"{row['reply']} …" if row["ended"] is False else str(row["reply"])


def _note(row: Mapping[str, Any]) -> str:
    return "" if row.get("grade") is None else f"{row['grade']:g}: {row['assessment']}"
