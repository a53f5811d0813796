"""Who answers in an evaluation: a checkpoint that completes text, a checkpoint in its chat template, or a teacher."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.errors import TextbookgenError
from textbookgen.api.message import Message
from textbookgen.api.model import Model
from textbookgen.api.stage import StageInputs
from textbookgen.api.teacher import Request
from textbookgen.api.teacher_client import TeacherClient
from textbookgen.builtin.chat_prompts import read_chat_template
from textbookgen.builtin.evaluation.chat_models import TextChatModel, TokenChatModel, open_chat_model

#: The option `chat` of evaluations: whether checkpoints are asked in their chat template.
ChatMode = Literal["auto"] | bool
_SEED_STRIDE = 1_000_000  # more samples than are taken of one answer
#: The task of questions, for teachers that are programs; they find the text in `draw["question"]`.
TASK = "answer"


@dataclass(frozen=True)
class Question:
    """What is asked: models without a chat template continue `text`, all others reply to `turns`."""

    text: str
    turns: tuple[Message, ...]


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        text: the answer; empty if there is none.
        problem: why there is none, such as a refusal of the provider; empty if there is one.
        ended: whether it ended before the token limit; None if that is not known.
    """

    text: str
    problem: str = ""
    ended: bool | None = None


@dataclass(frozen=True)
class Generation:
    """How answers are generated: samples of each, sampling temperature, length in tokens, seed, and questions per batch."""

    samples: int
    temperature: float
    max_tokens: int
    seed: int
    batch: int


class Answerer(Protocol):
    """A model that answers questions. `is_chat` says whether it is asked as a chat; `subject` is its name in reports."""

    @property
    def subject(self) -> str:
        """Its name in reports: a label."""
        ...

    @property
    def is_chat(self) -> bool:
        """Whether it replies to `Question.turns`, rather than continuing `Question.text`."""
        ...

    @property
    def scoring_model(self) -> Model | None:
        """What computes likelihoods; None if nothing can."""
        ...

    def answer(self, questions: Sequence[Question], generation: Generation, stop: Sequence[str] = ()) -> list[list[Answer]]:
        """Return the answers to each question, `samples` each. `stop` ends the completion of a text, but not a reply."""
        ...


@dataclass(frozen=True)
class CompletingModel:
    """A checkpoint that continues texts."""

    subject: str
    model: Model
    is_chat: bool = False

    @property
    def scoring_model(self) -> Model:
        """The model itself."""
        return self.model

    def answer(self, questions: Sequence[Question], generation: Generation, stop: Sequence[str] = ()) -> list[list[Answer]]:
        """Return the continuations; every batch has its own seed."""
        answers: list[list[Answer]] = []
        for start in range(0, len(questions), generation.batch):
            texts = self.model.complete(
                [question.text for question in questions[start : start + generation.batch]],
                max_tokens=generation.max_tokens,
                temperature=generation.temperature,
                stop=stop,
                samples=generation.samples,
                seed=generation.seed + start,
            )
            answers += [[Answer(text) for text in each] for each in texts]
        return answers


@dataclass(frozen=True)
class ChattingModel:
    """A checkpoint that replies in its chat template."""

    subject: str
    model: TokenChatModel | TextChatModel
    is_chat: bool = True

    @property
    def scoring_model(self) -> Model:
        """The model itself, without its chat template: given answers are scored as those of other models."""
        return self.model.model

    def answer(self, questions: Sequence[Question], generation: Generation, stop: Sequence[str] = ()) -> list[list[Answer]]:
        """Return the replies; every batch has its own seed."""
        answers: list[list[Answer]] = []
        for start in range(0, len(questions), generation.batch):
            replies = self.model.reply(
                [question.turns for question in questions[start : start + generation.batch]],
                generation.max_tokens,
                generation.temperature,
                generation.seed + start,
                generation.samples,
            )
            answers += [[Answer(text, ended=ended) for text, ended in each] for each in replies]
        return answers


@dataclass(frozen=True)
class AnsweringTeacher:
    """A teacher, whose own table limits the length of its replies."""

    client: TeacherClient
    is_chat: bool = True
    scoring_model: None = None

    @property
    def subject(self) -> str:
        """The label of the teacher."""
        return self.client.label

    def answer(self, questions: Sequence[Question], generation: Generation, stop: Sequence[str] = ()) -> list[list[Answer]]:
        """Return the replies; a request that the teacher refuses has an empty answer and the reason as its problem."""
        requests = [
            Request(
                question.turns,
                task=TASK,
                draw={"question": question.turns[-1].content},
                sample=generation.seed * _SEED_STRIDE + sample,
                temperature=generation.temperature,
            )
            for question in questions
            for sample in range(generation.samples)
        ]
        outcomes = iter(self.client.ask(requests))
        return [[_answer(next(outcomes)) for _ in range(generation.samples)] for _ in questions]


def _answer(outcome: object) -> Answer:
    if isinstance(outcome, TextbookgenError):
        return Answer("", outcome.problem)
    text, finish = getattr(outcome, "text", ""), getattr(outcome, "finish", "stop")
    return Answer(text, "ended by a content filter" if finish == "filter" else "", ended=finish != "length")


@contextmanager
def open_answerer(label: str, checkpoint: Checkpoint, inputs: StageInputs, chat: ChatMode) -> Iterator[Answerer]:
    """Open a checkpoint as what answers, and close it.

    Args:
        label: the label of the stage that wrote it.
        checkpoint: the checkpoint.
        inputs: the inputs of the evaluation.
        chat: whether it is asked in its chat template; `auto` if it has one.
    """
    model = inputs.resolver.model(checkpoint.path)
    try:
        if (read_chat_template(checkpoint.path) is not None) if chat == "auto" else chat:
            yield ChattingModel(label, open_chat_model(model, checkpoint.path))
        else:
            yield CompletingModel(label, model)
    finally:
        model.close()


def each_answerer(
    inputs: StageInputs, teachers: Sequence[str], chat: ChatMode, checkpoints: Mapping[str, Checkpoint]
) -> Generator[Answerer, None, None]:
    """Yield the checkpoints, one open at a time, and then the teachers with these labels."""
    for label, checkpoint in checkpoints.items():
        with open_answerer(label, checkpoint, inputs, chat) as answerer:
            yield answerer
    for label in teachers:
        yield AnsweringTeacher(inputs.teachers[label])
