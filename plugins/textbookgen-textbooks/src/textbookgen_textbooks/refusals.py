"""Refusals: chats and preference pairs that teach a model to admit what it does not know."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from textbookgen import Artifact, Ask, Chats, Draw, Pairs, Template, UnusableReply
from textbookgen.api.reply_text import read_message
from textbookgen_textbooks.concurrency import gather
from textbookgen_textbooks.json_replies import JUDGE_TEMPERATURE, ReplySchema, ask_json
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments, Selective
from textbookgen_textbooks.rows import chat_row, pair_row, question_of
from textbookgen_textbooks.seeding import draw_rng

_ATTEMPTS = 5.0  # per question: the default of `textbooks/attempts`

Verdict = Literal["correct", "incorrect", "uncertain"]


class AnswerCheck(ReplySchema):
    """Whether an answer agrees with the reference answer."""

    verdict: Verdict

    @field_validator("verdict", mode="before")
    @classmethod
    def _lower_case(cls, verdict: Any) -> Any:
        return verdict.strip().lower() if isinstance(verdict, str) else verdict


class BogusQuestion(ReplySchema):
    """A question that sounds answerable and is not, and how plausible it sounds, from 1 to 5."""

    question: str
    plausibility: int = Field(ge=1, le=5)


@dataclass(frozen=True)
class CheckedQuestion:
    """A question, its reference answer, and its attempts that are correct and incorrect; uncertain ones are in neither."""

    question: str
    answer: str
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """The share of correct attempts among those that could be checked."""
        return len(self.correct) / (len(self.correct) + len(self.incorrect))


class RefusalGenerator(NeedsDocuments, Selective, MultiRequest):
    """A generator that checks the attempts at a question, and asks for refusals."""

    task: ClassVar[str] = "refusal"

    prompt: Annotated[str, Template] = Field("phi4/refusal.md.j2", description="prompt template that asks for a refusal")
    check_prompt: Annotated[str, Template] = Field(
        "phi4/check-answer.md.j2", description="prompt template that compares an attempt with the reference answer"
    )

    def max_requests(self) -> float:
        """Return one check per attempt that `textbooks/attempts` makes by default, and a refusal."""
        return _ATTEMPTS + 1

    async def _check(self, draw: Draw, ask: Ask) -> CheckedQuestion:
        """The document's question with its attempts checked.

        Raises:
            UnusableReply: the document has no answer or no attempts, or every check is uncertain.
        """
        document, question = draw["document"], question_of(draw)
        answer, attempts = document.get("textbooks.answer"), document.get("textbooks.attempts")
        if not answer or not attempts:
            raise UnusableReply("the question has no answer or no attempts")
        verdicts = await gather(self._verdict(question, str(answer), attempt, ask) for attempt in attempts)
        checked = list(zip(attempts, verdicts, strict=True))
        correct = tuple(attempt for attempt, verdict in checked if verdict == "correct")
        incorrect = tuple(attempt for attempt, verdict in checked if verdict == "incorrect")
        if not correct and not incorrect:
            raise UnusableReply("no attempt could be checked")
        return CheckedQuestion(question, str(answer), correct, incorrect)

    async def _verdict(self, question: str, answer: str, attempt: str, ask: Ask) -> Verdict:
        variables = {"question": question, "reference_answer": answer, "attempt": attempt}
        check = await ask_json(ask, AnswerCheck, self.check_prompt, variables, "check-answer", JUDGE_TEMPERATURE)
        return check.verdict

    async def _refusal(self, question: str, is_bogus: bool, ask: Ask) -> str:
        variables = {"question": question, "is_bogus": is_bogus}
        return read_message(await ask(ask.render(self.prompt, variables), draw=variables), "assistant", "reply", "answer")


class RefusalChats(RefusalGenerator):
    """Write chats that answer what the model usually knows and refuse what it does not (phi-4, arXiv 2412.08905, A.1).

    From questions with `textbooks.answer` and `textbooks.attempts`: (question, answer) if the share of correct attempts is
    at least `min_accuracy_to_answer`; (question, refusal) if it is at most `max_accuracy_to_refuse`; and for a random
    `bogus_share` of them (bogus question, refusal), if the bogus question is plausible enough. Column
    `textbooks.response_type`: `answer`, `refusal` or `bogus-refusal`.
    """

    name: ClassVar[str] = "refusal-chats"
    version: ClassVar[int] = 2
    kind: ClassVar[str] = "refusal"
    output: ClassVar[type[Artifact] | None] = Chats

    bogus_prompt: Annotated[str, Template] = Field(
        "phi4/bogus-question.md.j2", description="prompt template that asks for a bogus question"
    )
    min_accuracy_to_answer: float = Field(
        0.75, ge=0, le=1, description="teach the answer if at least this share of attempts is correct"
    )
    max_accuracy_to_refuse: float = Field(
        0.25, ge=0, le=1, description="teach a refusal if at most this share of attempts is correct"
    )
    bogus_share: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the questions of which a bogus variant is refused as well",
    )
    min_plausibility: int = Field(3, ge=1, le=5, description="required plausibility of a bogus question")

    @model_validator(mode="after")
    def _check_order(self) -> RefusalChats:
        if self.max_accuracy_to_refuse >= self.min_accuracy_to_answer:
            raise ValueError("`max_accuracy_to_refuse` must be below `min_accuracy_to_answer`")
        return self

    def max_requests(self) -> float:
        """Return the checks and a refusal, and for `bogus_share` of the questions a bogus one and its refusal."""
        return super().max_requests() + 2 * self.bogus_share

    def max_documents(self) -> float:
        """Return one chat, and for `bogus_share` of the questions another."""
        return 1.0 + self.bogus_share

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return one or two chats.

        Raises:
            UnusableReply: nothing can be taught from this question.
        """
        checked = await self._check(draw, ask)
        rows = []
        if checked.accuracy >= self.min_accuracy_to_answer:
            rows.append(_chat(checked.question, checked.answer, "answer"))
        elif checked.accuracy <= self.max_accuracy_to_refuse:
            rows.append(_chat(checked.question, await self._refusal(checked.question, False, ask), "refusal"))
        if draw_rng(draw, self.seed, "bogus").random() < self.bogus_share:
            rows += await self._bogus_chats(checked, ask)
        if not rows:
            raise UnusableReply("the model is neither usually right nor usually wrong")
        return rows

    async def _bogus_chats(self, checked: CheckedQuestion, ask: Ask) -> list[dict[str, Any]]:
        """A chat that refuses a bogus variant of the question; none if the variant is implausible or unchanged."""
        variables = {"question": checked.question, "reference_answer": checked.answer}
        bogus = await ask_json(ask, BogusQuestion, self.bogus_prompt, variables, "bogus-question")
        question = bogus.question.strip()
        if bogus.plausibility < self.min_plausibility or question == checked.question:
            return []
        return [_chat(question, await self._refusal(question, True, ask), "bogus-refusal")]


class RefusalPairs(RefusalGenerator):
    """Write preference pairs of answers and refusals (phi-4, arXiv 2412.08905, A.1).

    From questions with `textbooks.answer` and `textbooks.attempts`: the reference answer over a refusal if an attempt is
    correct; a refusal over an incorrect attempt if there is one. Column `textbooks.response_type`, the type of the chosen
    reply: `answer` or `refusal`. The paper trains on the first 5 tokens of these replies only, which is a trainer's option.
    """

    name: ClassVar[str] = "refusal-pairs"
    kind: ClassVar[str] = "refusal"
    output: ClassVar[type[Artifact] | None] = Pairs

    def max_documents(self) -> float:
        """Return one pair for correct attempts and one for incorrect ones."""
        return 2.0

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return one or two pairs.

        Raises:
            UnusableReply: the question has no answer or attempts, or no attempt could be checked.
        """
        checked = await self._check(draw, ask)
        refusal = await self._refusal(checked.question, False, ask)
        prompt = [{"role": "user", "content": checked.question}]
        rows = []
        if checked.correct:
            rows.append({**pair_row(prompt, checked.answer, refusal), "textbooks.response_type": "answer"})
        if checked.incorrect:
            rows.append({**pair_row(prompt, refusal, checked.incorrect[0]), "textbooks.response_type": "refusal"})
        return rows


def _chat(question: str, answer: str, response_type: str) -> dict[str, Any]:
    return {**chat_row([{"role": "user", "content": question}], answer), "textbooks.response_type": response_type}
