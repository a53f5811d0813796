"""Several replies to one prompt, graded together by a judge: the basis of best-of-n and of preference pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Ask, Chats, Documents, Draw, Input, Labels, Message, Template, UnusableReply
from textbookgen_textbooks.concurrency import sample_replies
from textbookgen_textbooks.json_replies import JUDGE_TEMPERATURE, ReplySchema, ask_json
from textbookgen_textbooks.mixins import MultiRequest, Selective
from textbookgen_textbooks.rows import Messages
from textbookgen_textbooks.seeding import draw_rng

_MAX_REPLIES = 26  # one letter each


class ReplyGrades(ReplySchema):
    """The judge's grades of one reply, each from 1 to 5; `label` is the letter the reply was shown under."""

    label: str
    faults: str
    accuracy: int = Field(ge=1, le=5)
    style: int = Field(ge=1, le=5)
    detail: int = Field(ge=1, le=5)


class Comparison(ReplySchema):
    """The judge's comparison of all replies in words, then their grades."""

    comparison: str
    replies: list[ReplyGrades]


@dataclass(frozen=True)
class Candidate:
    """A reply and its grades, each from 1 to 5."""

    text: str
    accuracy: int
    style: int
    detail: int

    @property
    def overall(self) -> float:
        """The mean of the three grades."""
        return (self.accuracy + self.style + self.detail) / 3


class GradedReplies(Selective, MultiRequest):
    """A generator that asks for several replies to each prompt and has them graded together."""

    task: ClassVar[str] = "candidate"

    prompt: Annotated[str, Template] = Field(
        "phi4/candidate.md.j2", description="prompt template that asks for one reply to a question; unused for chats"
    )
    grade_prompt: Annotated[str, Template] = Field(
        "phi4/grade-replies.md.j2", description="prompt template that grades all replies at once"
    )
    inputs: Annotated[Labels, Input(Documents, Chats)] = Field(
        alias="from", min_length=1, description="earlier stages whose questions or chats are answered"
    )
    samples: int = Field(
        4, ge=2, le=_MAX_REPLIES, description="replies per prompt, unless the document has some in `textbooks.attempts`"
    )

    def max_requests(self) -> float:
        """Return one request per reply, and one for the grades."""
        return 1.0 + self.samples

    async def _graded_candidates(self, prompt: Messages, draw: Draw, ask: Ask) -> list[Candidate]:
        """The different replies to a prompt with their grades, in the order they were sampled.

        The judge sees them in random order, since judges favour positions.

        Raises:
            UnusableReply: there are fewer than two different replies, or the judge omits one.
        """
        texts = list(dict.fromkeys(await self._reply_texts(prompt, draw, ask)))[:_MAX_REPLIES]
        if len(texts) < 2:
            raise UnusableReply("there are no two different replies")
        shuffled = draw_rng(draw, self.seed, "shown").sample(texts, len(texts))
        by_label = {chr(ord("A") + place): text for place, text in enumerate(shuffled)}
        variables = {
            "messages": prompt,
            "replies": [{"label": label, "text": text} for label, text in by_label.items()],
        }
        comparison = await ask_json(ask, Comparison, self.grade_prompt, variables, "grade-replies", JUDGE_TEMPERATURE)
        grades = {item.label.upper().replace("REPLY", "").strip(" :*."): item for item in comparison.replies}
        if not grades.keys() >= by_label.keys():
            raise UnusableReply("the judge omits a reply")
        graded = {text: grades[label] for label, text in by_label.items()}
        return [Candidate(text, graded[text].accuracy, graded[text].style, graded[text].detail) for text in texts]

    async def _reply_texts(self, prompt: Messages, draw: Draw, ask: Ask) -> list[str]:
        """The replies that the document has, or else sampled ones, without empty and cut-off ones."""
        document = draw["document"]
        if document.get("textbooks.attempts"):
            return [str(text).strip() for text in document["textbooks.attempts"] if str(text).strip()]
        request: Any = [Message(message["role"], message["content"]) for message in prompt]
        if not document.get("messages"):
            request = ask.render(self.prompt, {**draw, "question": prompt[-1]["content"]})
        replies = await sample_replies(ask, request, self.samples, {**draw, "messages": prompt}, self.task)
        return [reply.text.strip() for reply in replies if reply.text.strip() and reply.finish != "length"]
