"""The stage `multi-turn`: conversations of several turns with models, each reply graded by a judge, as in MT-bench."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from textbookgen.api.annotations import Input, Label, Labels, Template
from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import Diagnostic, MissingRequirement, RunError
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.message import Message
from textbookgen.api.reply_text import without_reasoning
from textbookgen.api.rows import ITEM_SCORES, report_table
from textbookgen.api.stage import Estimate, Resolver, StageInputs
from textbookgen.builtin.evaluation.answering import Answer, Answerer, Generation, Question, each_answerer
from textbookgen.builtin.evaluation.figures import figures, item_scores
from textbookgen.builtin.evaluation.judging import GRADE_SCHEMA, ReplyEvaluator, ask_judge
from textbookgen.builtin.evaluation.published import published_models, published_rows, render_published
from textbookgen.builtin.evaluation.request_estimates import tokens_of, total
from textbookgen.builtin.evaluation.side_by_side import quote, render_columns

#: Sampling temperatures by category, as in MT-bench; 0.7 for other categories.
TEMPERATURES = {
    "writing": 0.7,
    "roleplay": 0.7,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
    "stem": 0.1,
    "humanities": 0.1,
    "arena-hard-200": 0.0,
}
_OTHER_TEMPERATURE = 0.7
_RUBRIC_TOKENS = 300.0  # of the judge's prompt, besides the conversation

_SCHEMA: dict[str, Any] = {
    "subject": pl.String,
    "item": pl.String,
    "category": pl.String,
    "turn": pl.Int64,
    "messages": pl.List(pl.Struct({"role": pl.String, "content": pl.String})),
    "reference": pl.String,
    "reply": pl.String,
    "problem": pl.String,
    "ended": pl.Boolean,
}


class TurnsQuestion(BaseModel):
    """A conversation to be led: the user's messages, and right answers to them where there are any."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    category: str = ""
    turns: tuple[str, ...] = Field(min_length=1)
    reference: tuple[str, ...] = ()

    @field_validator("reference", mode="before")
    @classmethod
    def _none_is_empty(cls, value: Any) -> Any:
        return value or ()

    @property
    def temperature(self) -> float:
        """The sampling temperature of its category."""
        return TEMPERATURES.get(self.category, _OTHER_TEMPERATURE)


def shipped_questions() -> list[TurnsQuestion]:
    """Return the 16 shipped conversations of two turns."""
    text = files("textbookgen.builtin.evaluation").joinpath("two_turn_questions.toml").read_text(encoding="utf-8")
    return [TurnsQuestion(**table) for table in tomllib.loads(text)["question"]]


class MultiTurn(ReplyEvaluator):
    """Leads conversations of several turns with each model; a judge grades each reply from 1 to 10 at temperature 0.

    `turn_1` and `turn_2` are the mean grades of the turns, `grade` their mean over conversations, also by category. Questions,
    temperatures by category and grades are of the form of MT-bench (Zheng et al. 2023, arXiv 2306.05685); figures of another
    judge or another prompt cannot be compared with published ones.
    """

    name: ClassVar[str] = "multi-turn"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field((), alias="from", description="stages above whose checkpoints reply")
    judge: Annotated[str, Label("teacher")] = Field(description="label of the teacher that grades the replies")
    judge_prompt: Annotated[str, Template] = Field(
        "evaluation/turn.md.j2", description="template of the judge's prompt, with `messages` and `reference`"
    )
    questions: str | None = Field(
        None,
        description="file of questions, JSON Lines as MT-bench's question.jsonl, with `category`, `turns` and optionally "
        "`reference`; the 16 shipped ones unless given",
    )
    temperature: float | None = Field(
        None, ge=0, description="sampling temperature of the replies; unless given, that of the category as in MT-bench"
    )
    max_items: int | None = Field(None, gt=0, description="use only the first N conversations")
    published: tuple[str, ...] = Field((), description="models whose published figures are columns beside the measured ones")
    examples: int = Field(2, ge=0, description="conversations to show in the report, with every model's replies")

    @property
    def benchmark(self) -> str:
        """What reports call it."""
        return "two-turn chat" if self.questions is None else "mt-bench"

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """Limit `max_items`."""
        return options | {"max_items": min(options.get("max_items", limit), limit)}

    def check(self) -> Iterable[Diagnostic]:
        """Report that no model replies, a missing file, and unknown models in `published`."""
        if not self.inputs and not self.teachers:
            yield Diagnostic("from", "there is no model to reply", "name stages with checkpoints in `from`, or `teachers`")
        if self.questions and not Path(self.questions).is_file():
            yield MissingRequirement(
                "questions", f"there is no file '{self.questions}'", "the path is relative to the current folder"
            )
        for name in self.published:
            if name not in published_models():
                yield Diagnostic("published", f"no figures of '{name}' are shipped", f"known: {', '.join(published_models())}")

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return the variables of the judge's prompt."""
        return {"messages": [], "reference": ""}

    def estimate_requests(self, inputs: Mapping[str, Estimate], resolver: Resolver) -> Mapping[str, Estimate]:
        """Return a request per turn for each teacher that replies, and one per reply for the judge."""
        try:
            questions = self._questions()
        except RunError:  # the file is missing, which is reported elsewhere
            return {}
        turns = sum(len(question.turns) for question in questions)
        said = tokens_of(text for question in questions for text in question.turns)
        before = sum(range(max(len(question.turns) for question in questions))) * len(questions) * self.reply_tokens
        replying = Estimate(requests=turns, tokens_in=1.5 * said + before, tokens_out=turns * self.reply_tokens)
        requests = dict.fromkeys(self.teachers, replying)
        models = len(self.inputs) + len(self.teachers)
        read = models * (1.5 * said + before + turns * (_RUBRIC_TOKENS + self.reply_tokens))
        judging = Estimate(requests=models * turns, tokens_in=read, tokens_out=models * turns * self.reply_tokens)
        requests[self.judge] = total([judging, requests.get(self.judge, Estimate())])
        return requests

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the grades; write every reply with its grade to `replies.parquet`, and some to `conversations.md`."""
        questions = self._questions()
        rows: list[dict[str, Any]] = []
        with closing(each_answerer(inputs, self.teachers, self.chat, inputs.by_label("from", Checkpoint))) as answerers:
            for answerer in answerers:
                rows += self._talk(answerer, questions, inputs.seed)
        replies = pl.DataFrame(rows, schema=_SCHEMA)
        replies = replies.hstack(self._grades(inputs, replies))
        write_frame(out / "replies.parquet", replies)
        write_text(out / "conversations.md", "\n".join(self._page(replies, questions)))
        scores = self._scores(replies)
        write_frame(out / ITEM_SCORES, scores)
        categories = replies.select("item", "category").unique()
        grades = scores.filter(pl.col("metric") == "grade").join(categories, on="item", maintain_order="left")
        by_category = grades.with_columns(benchmark=pl.concat_str("benchmark", pl.lit("/"), "category")).drop("category")
        measured = [*figures(scores), *figures(by_category)]
        if self.published:
            write_text(out / "published.md", render_published(self.published, measured))
        return report_table([*measured, *published_rows(self.published, measured)])

    def _questions(self) -> list[TurnsQuestion]:
        """Return the conversations.

        Raises:
            RunError: the file cannot be read.
        """
        if self.questions is None:
            return shipped_questions()[: self.max_items]
        try:
            lines = Path(self.questions).read_text(encoding="utf-8").splitlines()
            questions = [TurnsQuestion(**json.loads(line)) for line in lines if line.strip()][: self.max_items]
        except (OSError, ValueError, TypeError, ValidationError) as error:
            hint = "each line is an object with `category` and `turns`, a list of texts"
            raise RunError(f"cannot read '{self.questions}': {error}", place="questions", hint=hint) from error
        if not questions:
            raise RunError(f"'{self.questions}' has no questions", place="questions")
        return questions

    def _talk(self, answerer: Answerer, questions: Sequence[TurnsQuestion], seed: int) -> Iterator[dict[str, Any]]:
        """Yield a row per reply of one model; each turn contains the conversation before it."""
        histories: list[list[Message]] = [[] for _ in questions]
        for turn in range(max(len(question.turns) for question in questions)):
            asked = [at for at, question in enumerate(questions) if turn < len(question.turns)]
            for at in asked:
                histories[at].append(Message("user", questions[at].turns[turn]))
            answers = self._replies(answerer, questions, histories, asked, seed)
            for at in asked:
                question, answer = questions[at], answers[at]
                reply = without_reasoning(answer.text).strip()
                yield {
                    "subject": answerer.subject,
                    "item": f"conversation {at + 1}",
                    "category": question.category,
                    "turn": turn + 1,
                    "messages": [{"role": message.role, "content": message.content} for message in histories[at]],
                    "reference": question.reference[turn] if turn < len(question.reference) else "",
                    "reply": reply,
                    "problem": answer.problem,
                    "ended": answer.ended,
                }
                histories[at].append(Message("assistant", reply))

    def _replies(
        self,
        answerer: Answerer,
        questions: Sequence[TurnsQuestion],
        histories: Sequence[Sequence[Message]],
        asked: Sequence[int],
        seed: int,
    ) -> dict[int, Answer]:
        """Return the next reply in each of these conversations, those of one temperature together."""
        temperatures = {at: questions[at].temperature if self.temperature is None else self.temperature for at in asked}
        replies: dict[int, Answer] = {}
        for temperature in sorted(set(temperatures.values())):
            group = [at for at in asked if temperatures[at] == temperature]
            generation = Generation(1, temperature, self.max_tokens, seed, self.batch)
            texts = [Question(_as_text(histories[at]), tuple(histories[at])) for at in group]
            answers = answerer.answer(texts, generation, ("\nUser:",))
            replies |= {at: answer for at, (answer, *_) in zip(group, answers, strict=True)}
        return replies

    def _grades(self, inputs: StageInputs, replies: pl.DataFrame) -> pl.DataFrame:
        """Return `grade` and `assessment` of each reply, null where the judge gave none."""
        prompts = [
            inputs.render(
                self.judge_prompt,
                {
                    "messages": [*row["messages"], {"role": "assistant", "content": row["reply"] or "(empty)"}],
                    "reference": row["reference"],
                },
            )
            for row in replies.iter_rows(named=True)
        ]
        grades = ask_judge(inputs.teachers[self.judge], prompts, GRADE_SCHEMA, "judge-turn", self.max_ungraded)
        return pl.DataFrame(
            {
                "grade": [float(grade["grade"]) if grade else None for grade in grades],
                "assessment": [grade["assessment"] if grade else None for grade in grades],
            },
            schema={"grade": pl.Float64, "assessment": pl.String},
        )

    def _scores(self, replies: pl.DataFrame) -> pl.DataFrame:
        """Return the grade of each turn of each conversation, and their mean."""
        named = replies.with_columns(benchmark=pl.lit(self.benchmark))
        turns = [
            item_scores(rows.rename({"grade": f"turn_{turn}"}), [f"turn_{turn}"])
            for (turn,), rows in named.group_by("turn", maintain_order=True)
        ]
        mean = named.group_by("subject", "benchmark", "item", maintain_order=True).agg(pl.col("grade").mean())
        return pl.concat([*turns, item_scores(mean, ["grade"])])

    def _page(self, replies: pl.DataFrame, questions: Sequence[TurnsQuestion]) -> Iterator[str]:
        """Yield some conversations, with the replies of all models in columns."""
        if not self.examples:
            return
        yield "## Conversations\n"
        for number, question in enumerate(questions[: self.examples], 1):
            yield f"### {number}. {question.category or 'conversation'}\n"
            for turn, text in enumerate(question.turns, 1):
                yield f"{quote(text)}\n"
                rows = replies.filter((pl.col("item") == f"conversation {number}") & (pl.col("turn") == turn)).to_dicts()
                said = {row["subject"]: row["reply"] or f"(no reply: {row['problem'] or 'empty'})" for row in rows}
                grades = {row["subject"]: _note(row) for row in rows}
                yield from render_columns(said, grades)


def _note(row: Mapping[str, Any]) -> str:
    return "" if row["grade"] is None else f"{row['grade']:g}: {row['assessment']}"


def _as_text(history: Sequence[Message]) -> str:
    """Return a conversation as a text that a model without a chat template continues."""
    names = {"user": "User", "assistant": "Assistant"}
    return "".join(f"{names.get(message.role, message.role)}: {message.content}\n" for message in history) + "Assistant:"
