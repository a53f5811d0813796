"""Conversations between a reader and a tutor about a snippet, in which each answer is revised."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import Artifact, Ask, Chats, Draw, Template, UnusableReply
from textbookgen.api.reply_text import read_message
from textbookgen_textbooks.critique import Rubric, revise
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments, Selective
from textbookgen_textbooks.seeding import draw_rng

TEACHING_MOVES = (
    "explain one point in more depth",
    "contrast the subject with something similar",
    "give a counterexample",
    "summarize, and check the reader's understanding with a question",
)


class Conversation(NeedsDocuments, Selective, MultiRequest):
    """Write chats between a curious reader and a tutor about each input document (phi-4, arXiv 2412.08905).

    The first question comes from the document and, if the sampler draws one, a `persona`; then the two take turns. For each
    answer after the first, a teaching move is drawn. With `max_rounds` above 0 each answer is scored and revised before the
    reader sees it, as the paper does after every turn; the critic sees the document and the conversation. Column
    `textbooks.turns`.
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
    critique_prompt: Annotated[str, Template] = Field(
        "phi4/critique-answer.md.j2", description="prompt template that asks for a critique of an answer"
    )
    revise_prompt: Annotated[str, Template] = Field(
        "phi4/revise-answer.md.j2", description="prompt template that asks for a revision of an answer"
    )
    turns: tuple[int, int] = Field(
        (2, 8), description="minimum and maximum number of turns of both sides; the number drawn is even"
    )
    rubric: tuple[str, ...] = Field(
        ("factual accuracy", "answers the question", "clarity"),
        min_length=1,
        description="criteria for answers, each scored from 1 to 5",
    )
    min_score: int = Field(4, ge=1, le=5, description="score that every criterion of an answer must reach")
    max_rounds: int = Field(1, ge=0, description="revisions per answer; 0 asks for no critique")

    @model_validator(mode="after")
    def _check_turns(self) -> Conversation:
        low, high = self.turns
        if not 2 <= low <= high or low + low % 2 > high:
            raise ValueError("`turns` must be [minimum, maximum], both at least 2, with an even number in between")
        return self

    def max_requests(self) -> float:
        """Return question, answer, and the answer's critiques and revisions, per pair of turns."""
        return self.turns[1] / 2 * (2 + (1 + 2 * self.max_rounds if self.max_rounds else 0))

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the chat.

        Raises:
            UnusableReply: a turn is empty or cut off, the reader repeats a question, an answer does not meet the rubric, or a
                critique cannot be read.
        """
        low, high = self.turns
        rng = draw_rng(draw, self.seed, "conversation")
        pairs = rng.randint((low + 1) // 2, high // 2)
        turns: list[dict[str, str]] = []
        for number in range(pairs):
            variables = {"persona": None, **draw, "turns": list(turns), "is_last_turn": number == pairs - 1}
            question = await ask(ask.render(self.prompt, variables), draw=variables, task=self.task)
            message = {"role": "user", "content": read_message(question, "reader", "user")}
            if message in turns:
                raise UnusableReply("the reader repeats a question")
            turns.append(message)
            move = rng.choice(TEACHING_MOVES) if number else None
            answer = await self._answer({**variables, "turns": list(turns), "teaching_move": move}, ask)
            turns.append({"role": "assistant", "content": answer})
        return [{"messages": turns, "textbooks.turns": len(turns)}]

    async def _answer(self, variables: Draw, ask: Ask) -> str:
        """The tutor's answer to the last turn, revised until it meets the rubric."""
        reply = await ask(ask.render(self.tutor_prompt, variables), draw=variables, task="conversation-tutor")
        answer = read_message(reply, "tutor", "assistant")
        if not self.max_rounds:
            return answer
        rubric = Rubric(self.rubric, self.min_score, self.max_rounds, self.critique_prompt, self.revise_prompt)
        revision = await revise(answer, rubric, {**variables, "question": variables["turns"][-1]["content"]}, ask)
        if not revision.is_met:
            raise UnusableReply("an answer does not meet the rubric")
        return revision.text.strip()
