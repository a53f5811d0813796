"""Honesty about what a model does not know: answers, refusals, and refusals of bogus questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from textbookgen import Artifact, Ask, Chats, Draw, Pairs, Template, UnusableReply
from textbookgen_textbooks.forms import Form, filled
from textbookgen_textbooks.kinds import AboutDocuments, Selective, SeveralTurns
from textbookgen_textbooks.preferences import pair_row
from textbookgen_textbooks.questions import question_of
from textbookgen_textbooks.replies import prose
from textbookgen_textbooks.together import samples, side_by_side

_ATTEMPTS = 5.0  # at each question, as `Attempts` makes them unless told otherwise


class Attempts(AboutDocuments, SeveralTurns):
    """Has a model answer each question several times, and writes its answers beside it as `textbooks.attempts`.

    Name the model that is to learn (a checkpoint, say) as the teacher here, and a stronger one in the stages that judge.
    """

    name: ClassVar[str] = "attempts"
    task: ClassVar[str] = "attempt"
    kind: ClassVar[str] = "question"

    prompt: Annotated[str, Template] = Field("phi4/attempt.md.j2", description="name of the prompt template")
    samples: int = Field(5, gt=0, description="answers asked for each question")

    def requests(self) -> float:
        """One a sample."""
        return float(self.samples)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The question with the attempts at it.

        Raises:
            UnusableReply: every attempt was refused or empty.
        """
        full = {**draw, "question": question_of(draw)}
        replies = await samples(ask, ask.render(self.prompt, full), self.samples, full, self.task)
        attempts = [reply.text.strip() for reply in replies if reply.text.strip()]
        if not attempts:
            raise UnusableReply("there is no attempt at an answer")
        document = draw["document"]
        own = {name: value for name, value in document.items() if name.startswith("textbooks.") and value is not None}
        return [{**own, "text": document["text"], "textbooks.attempts": attempts}]


class Check(Form):
    """Whether an answer agrees with the key."""

    verdict: Literal["true", "false", "uncertain"]


class Bogus(Form):
    """A question that sounds right and has no answer, and how plausible it sounds, 1 to 5."""

    question: str
    plausibility: int = Field(ge=1, le=5)


@dataclass(frozen=True)
class Known:
    """A question, its right answer, and the attempts at it that were right and wrong (uncertain ones are neither)."""

    question: str
    answer: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def share(self) -> float:
        """The share of right attempts; 0 if none can be told."""
        return len(self.right) / max(len(self.right) + len(self.wrong), 1)


class _Honesty(AboutDocuments, Selective, SeveralTurns):
    """What the two stages have in common: how attempts are checked and refusals asked for."""

    task: ClassVar[str] = "refusal"

    prompt: Annotated[str, Template] = Field("phi4/refusal.md.j2", description="prompt template that asks for a refusal")
    check_prompt: Annotated[str, Template] = Field(
        "phi4/check-answer.md.j2", description="prompt template that checks an answer by the key"
    )

    def requests(self) -> float:
        """A check of each attempt, of which there are as many as `textbooks/attempts` makes, and a refusal."""
        return _ATTEMPTS + 1

    async def _known(self, draw: Draw, ask: Ask) -> Known:
        """What the attempts at the document's question were worth.

        Raises:
            UnusableReply: the document has no key or no attempts, or no attempt can be told right or wrong.
        """
        document, question = draw["document"], question_of(draw)
        answer, attempts = document.get("textbooks.answer"), document.get("textbooks.attempts")
        if not answer or not attempts:
            raise UnusableReply("the question has no answer or no attempts")
        verdicts = await side_by_side(self._checked(question, str(answer), item, ask) for item in attempts)
        right, wrong = (
            tuple(item for item, said in zip(attempts, verdicts, strict=True) if said == wanted) for wanted in ("true", "false")
        )
        if not right and not wrong:
            raise UnusableReply("no attempt can be told right or wrong")
        return Known(question, str(answer), right, wrong)

    async def _checked(self, question: str, answer: str, attempt: str, ask: Ask) -> str:
        facts = {"question": question, "answer": answer, "attempt": attempt}
        return (await filled(ask, Check, self.check_prompt, facts, "check-answer")).verdict

    async def _refusal(self, question: str, bogus: bool, ask: Ask) -> str:
        facts = {"question": question, "bogus": bogus}
        return prose(await ask(ask.render(self.prompt, facts), draw=facts)).strip()


class HonestChats(_Honesty):
    """Writes chats that answer what the model usually knows and refuse what it does not (phi-4, arXiv 2412.08905, A.1).

    From questions with `textbooks.answer` and `textbooks.attempts`: (question, answer) if the share of right attempts is at
    least `usually_right`, (question, refusal) if it is at most `usually_wrong`; and always (bogus question, refusal), where
    the bogus question is plausible enough. Column `textbooks.lesson`: `answer`, `refusal` or `bogus`.
    """

    name: ClassVar[str] = "refusal-chats"
    kind: ClassVar[str] = "honesty"
    output: ClassVar[type[Artifact] | None] = Chats

    bogus_prompt: Annotated[str, Template] = Field(
        "phi4/bogus.md.j2", description="prompt template that asks for a bogus question"
    )
    usually_right: float = Field(0.75, ge=0, le=1, description="share of right attempts from which on the answer is taught")
    usually_wrong: float = Field(0.25, ge=0, le=1, description="share of right attempts up to which a refusal is taught")
    bogus: bool = Field(True, description="also teach to refuse a bogus variant of each question")
    least_plausibility: int = Field(3, ge=1, le=5, description="how plausible a bogus question must be")

    def requests(self) -> float:
        """As above, and with `bogus` another question and its refusal."""
        return super().requests() + 2 * self.bogus

    def written(self) -> float:
        """A chat, and with `bogus` another."""
        return 1.0 + self.bogus

    @model_validator(mode="after")
    def _apart(self) -> HonestChats:
        if self.usually_wrong >= self.usually_right:
            raise ValueError("`usually_wrong` must be below `usually_right`")
        return self

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """One or two chats.

        Raises:
            UnusableReply: nothing can be taught from this question.
        """
        known = await self._known(draw, ask)
        rows = []
        if known.share >= self.usually_right:
            rows.append(_chat(known.question, known.answer, "answer"))
        elif known.share <= self.usually_wrong:
            rows.append(_chat(known.question, await self._refusal(known.question, False, ask), "refusal"))
        if self.bogus:
            rows += await self._bogus(known, ask)
        if not rows:
            raise UnusableReply("the model is neither usually right nor usually wrong")
        return rows

    async def _bogus(self, known: Known, ask: Ask) -> list[dict[str, Any]]:
        facts = {"question": known.question, "answer": known.answer}
        made = await filled(ask, Bogus, self.bogus_prompt, facts, "bogus-question")
        if made.plausibility < self.least_plausibility or made.question.strip() == known.question:
            return []
        return [_chat(made.question.strip(), await self._refusal(made.question.strip(), True, ask), "bogus")]


class HonestPairs(_Honesty):
    """Writes preferences for honesty (phi-4, arXiv 2412.08905, A.1).

    From questions with `textbooks.answer` and `textbooks.attempts`: the right answer over a refusal if the model is
    sometimes right; a refusal over a wrong attempt if it is sometimes wrong. Column `textbooks.lesson`: `answer` or
    `refusal`. The paper trains on the first 5 tokens of a reply only, which is the trainer's matter.
    """

    name: ClassVar[str] = "refusal-pairs"
    kind: ClassVar[str] = "honesty"
    output: ClassVar[type[Artifact] | None] = Pairs

    def written(self) -> float:
        """One for what is right, one for what is wrong."""
        return 2.0

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """One or two preferences.

        Raises:
            UnusableReply: nothing can be taught from this question.
        """
        known = await self._known(draw, ask)
        refusal = await self._refusal(known.question, False, ask)
        asked = [{"role": "user", "content": known.question}]
        rows = []
        if known.right:
            rows.append({**pair_row(asked, known.answer, refusal), "textbooks.lesson": "answer"})
        if known.wrong:
            rows.append({**pair_row(asked, refusal, known.wrong[0]), "textbooks.lesson": "refusal"})
        return rows


def _chat(question: str, answer: str, lesson: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "textbooks.lesson": lesson}
