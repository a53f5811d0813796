"""Several replies to one prompt, graded by a judge: the best as a chat, or a better and a worse one as a preference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Artifact, Ask, Chats, Documents, Draw, Input, Labels, Message, Pairs, Template, UnusableReply
from textbookgen_textbooks.forms import Form, filled
from textbookgen_textbooks.kinds import Selective, SeveralTurns
from textbookgen_textbooks.questions import question_of
from textbookgen_textbooks.together import chance, samples


class Graded(Form):
    """What a judge says of one reply; `label` is the letter it was shown under."""

    label: str
    faults: str
    accuracy: int = Field(ge=1, le=5)
    style: int = Field(ge=1, le=5)
    detail: int = Field(ge=1, le=5)


class Grades(Form):
    """What a judge says of all replies, after comparing them in words."""

    comparison: str
    replies: list[Graded]


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


class _Compared(Selective, SeveralTurns):
    """What both stages have in common: where candidates come from and how they are graded."""

    task: ClassVar[str] = "candidate"

    prompt: Annotated[str, Template] = Field(
        "phi4/candidate.md.j2", description="prompt template that asks for one reply; unused for chats"
    )
    grade_prompt: Annotated[str, Template] = Field(
        "phi4/preference.md.j2", description="prompt template that grades all replies at once"
    )
    inputs: Annotated[Labels, Input(Documents, Chats)] = Field(
        alias="from", min_length=1, description="stages above whose questions or chats are answered"
    )
    samples: int = Field(4, ge=2, le=26, description="replies asked for each prompt that brings none in `textbooks.attempts`")

    def requests(self) -> float:
        """The replies, and the judge's grades of them all."""
        return 1.0 + self.samples

    async def _candidates(self, asked: list[dict[str, str]], draw: Draw, ask: Ask) -> list[Candidate]:
        """The different replies to a prompt, graded, in the order they came.

        They are shown to the judge in an order that is drawn, since judges favour places.

        Raises:
            UnusableReply: there are fewer than two, or the judge leaves one out.
        """
        texts = list(dict.fromkeys(await self._texts(asked, draw, ask)))[:26]
        if len(texts) < 2:
            raise UnusableReply("there are no two different replies")
        shown = chance(draw, self.seed, "shown").sample(texts, len(texts))
        labels = [chr(ord("A") + place) for place in range(len(shown))]
        facts = {
            "messages": asked,
            "replies": [{"label": label, "text": text} for label, text in zip(labels, shown, strict=True)],
        }
        grades = {
            item.label.strip().upper(): item
            for item in (await filled(ask, Grades, self.grade_prompt, facts, "preference")).replies
        }
        if not grades.keys() >= set(labels):
            raise UnusableReply("the judge leaves out a reply")
        graded = {text: grades[label] for label, text in zip(labels, shown, strict=True)}
        return [Candidate(text, graded[text].accuracy, graded[text].style, graded[text].detail) for text in texts]

    async def _texts(self, asked: list[dict[str, str]], draw: Draw, ask: Ask) -> list[str]:
        document = draw["document"]
        if document.get("textbooks.attempts"):
            return [str(item).strip() for item in document["textbooks.attempts"] if str(item).strip()]
        prompt: Any = [Message(turn["role"], turn["content"]) for turn in asked]
        if not document.get("messages"):
            prompt = ask.render(self.prompt, {**draw, "question": asked[-1]["content"]})
        replies = await samples(ask, prompt, self.samples, {**draw, "messages": asked}, self.task)
        return [reply.text.strip() for reply in replies if reply.text.strip() and reply.finish != "length"]


class Preferences(_Compared):
    """Writes preferences from replies that a judge graded (phi-4, arXiv 2412.08905, judge-guided DPO).

    The judge scores accuracy, style and detail from 1 to 5. The chosen reply is the better one by `by`: accuracy alone, or
    the mean of the three; the rejected one is the worst. Pairs closer than `least_gap` are refused. Columns:
    `textbooks.chosen_score`, `textbooks.rejected_score`.
    """

    name: ClassVar[str] = "preferences"
    kind: ClassVar[str] = "preference"
    output: ClassVar[type[Artifact] | None] = Pairs

    by: Literal["overall", "accuracy"] = Field("overall", description="what makes a reply the better one")
    least_gap: float = Field(1.0, gt=0, le=4, description="how far apart the scores of the two replies must be")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The preference.

        Raises:
            UnusableReply: no two replies are far enough apart, or the judge's grades cannot be read.
        """
        asked = asked_of(draw)
        candidates = await self._candidates(asked, draw, ask)
        chosen, rejected = max(candidates, key=self._score), min(candidates, key=self._score)
        if self._score(chosen) - self._score(rejected) < self.least_gap - 1e-9:
            raise UnusableReply("no two replies are far enough apart")
        scores = {"textbooks.chosen_score": self._score(chosen), "textbooks.rejected_score": self._score(rejected)}
        return [{**pair_row(asked, chosen.text, rejected.text), **scores}]

    def _score(self, candidate: Candidate) -> float:
        return float(candidate.accuracy) if self.by == "accuracy" else candidate.overall


class Best(_Compared):
    """Writes chats with the best of several replies by a judge's grades, phi-4's SFT data (arXiv 2412.08905, section 4).

    Column `textbooks.score`, the mean of accuracy, style and detail.
    """

    name: ClassVar[str] = "best-of-n"
    kind: ClassVar[str] = "chat"
    output: ClassVar[type[Artifact] | None] = Chats

    least_score: float = Field(4.0, ge=1, le=5, description="mean of the three grades that the best reply must have")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The chat.

        Raises:
            UnusableReply: no reply is good enough, or the judge's grades cannot be read.
        """
        asked = asked_of(draw)
        best = max(await self._candidates(asked, draw, ask), key=lambda item: item.overall)
        if best.overall < self.least_score - 1e-9:
            raise UnusableReply("no reply is good enough")
        return [{"messages": [*asked, {"role": "assistant", "content": best.text}], "textbooks.score": best.overall}]


def asked_of(draw: Draw) -> list[dict[str, str]]:
    """What a document asks, as messages: of a chat all up to the last question, of others the question.

    Raises:
        UnusableReply: nobody asks anything in the chat.
    """
    turns = draw["document"].get("messages")
    if turns is None:
        return [{"role": "user", "content": question_of(draw)}]
    last = max((place for place, turn in enumerate(turns) if turn["role"] == "user"), default=None)
    if last is None:
        raise UnusableReply("nobody asks anything in the chat")
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns[: last + 1]]


def pair_row(asked: list[dict[str, str]], chosen: str, rejected: str) -> dict[str, Any]:
    """A preference as a row of Pairs."""
    return {
        "prompt": asked,
        "chosen": [{"role": "assistant", "content": chosen}],
        "rejected": [{"role": "assistant", "content": rejected}],
    }
