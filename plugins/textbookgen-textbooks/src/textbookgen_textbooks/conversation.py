"""Conversations from snippets: a reader asks, a tutor answers, turn by turn, and each answer is revised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import Artifact, Ask, Chats, Draw, Template, UnusableReply
from textbookgen_textbooks.kinds import AboutDocuments, Selective, SeveralTurns
from textbookgen_textbooks.replies import prose
from textbookgen_textbooks.revision import Rubric, revised
from textbookgen_textbooks.together import chance

MOVES = (
    "go deeper into one point",
    "contrast it with something alike",
    "give a counterexample",
    "sum up and check understanding",
)


class Conversation(AboutDocuments, Selective, SeveralTurns):
    """Writes chats between a curious reader and a tutor about each snippet that flows in (phi-4, arXiv 2412.08905).

    The first question comes from the snippet and, if the sampler draws one, a `persona`; then the two take turns. Before
    each answer after the first a next move is drawn for the tutor. With `rounds`, each answer is graded and written again
    before the reader sees it, as the paper does after every turn. Column `textbooks.turns`.
    """

    name: ClassVar[str] = "conversation"
    task: ClassVar[str] = "conversation-user"
    kind: ClassVar[str] = "conversation"
    output: ClassVar[type[Artifact] | None] = Chats

    prompt: Annotated[str, Template] = Field(
        "phi4/conversation-user.md.j2", description="prompt template for the reader's turns"
    )
    tutor_prompt: Annotated[str, Template] = Field(
        "phi4/conversation-tutor.md.j2", description="prompt template for the tutor's turns"
    )
    critique_prompt: Annotated[str, Template] = Field("phi4/critique.md.j2", description="prompt template for the critic")
    revise_prompt: Annotated[str, Template] = Field(
        "phi4/revise.md.j2", description="prompt template for writing an answer anew"
    )
    turns: tuple[int, int] = Field(
        (2, 8), description="fewest and most turns, the reader's and the tutor's; always an even number"
    )
    rubric: tuple[str, ...] = Field(
        ("factual accuracy", "answers the question", "clarity"),
        min_length=1,
        description="criteria that each answer is scored by",
    )
    good: int = Field(4, ge=1, le=5, description="the score that every criterion of an answer must have")
    rounds: int = Field(1, ge=0, description="revisions of each answer at most; 0 for no critic")

    @model_validator(mode="after")
    def _countable(self) -> Conversation:
        low, high = self.turns
        if not 2 <= low <= high or low + low % 2 > high:
            raise ValueError("`turns` are the fewest and the most, at least 2, with an even number between")
        return self

    def requests(self) -> float:
        """Question and answer, and what the answer's critic and reviser say, each pair of turns."""
        return self.turns[1] / 2 * (2 + (1 + 2 * self.rounds if self.rounds else 0))

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The chat.

        Raises:
            UnusableReply: a turn is empty or cut off, or a critique cannot be read.
        """
        low, high = self.turns
        rng = chance(draw, self.seed, "conversation")
        pairs = rng.randint((low + 1) // 2, high // 2)
        turns: list[dict[str, str]] = []
        for number in range(pairs):
            facts = {"persona": None, **draw, "turns": list(turns), "last": number == pairs - 1}
            turns.append({"role": "user", "content": await self._said(self.prompt, facts, self.task, ask)})
            facts = {**facts, "turns": list(turns), "move": rng.choice(MOVES) if number else None}
            turns.append({"role": "assistant", "content": await self._answered(facts, ask)})
        return [{"messages": turns, "textbooks.turns": len(turns)}]

    async def _said(self, template: str, facts: Draw, task: str, ask: Ask) -> str:
        return prose(await ask(ask.render(template, facts), draw=facts, task=task)).strip()

    async def _answered(self, facts: Draw, ask: Ask) -> str:
        answer = await self._said(self.tutor_prompt, facts, "conversation-tutor", ask)
        if not self.rounds:
            return answer
        rubric = Rubric(self.rubric, self.good, self.rounds, self.critique_prompt, self.revise_prompt)
        result = await revised(answer, rubric, {**facts, "context": facts["turns"][-1]["content"]}, ask)
        if not result.met:
            raise UnusableReply("an answer did not meet the rubric")
        return result.text.strip()
