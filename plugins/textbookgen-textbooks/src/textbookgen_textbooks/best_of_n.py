"""Best-of-n: chats whose answer is the best of several graded replies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import Field

from textbookgen import Artifact, Ask, Chats, Draw, UnusableReply
from textbookgen_textbooks.graded_replies import GradedReplies
from textbookgen_textbooks.rows import chat_row, prompt_messages


class BestOfN(GradedReplies):
    """Write chats with the best of several replies by a judge's grades: phi-4's SFT data (arXiv 2412.08905, section 4).

    Column `textbooks.score`: the mean of accuracy, style and detail.
    """

    name: ClassVar[str] = "best-of-n"
    kind: ClassVar[str] = "chat"
    output: ClassVar[type[Artifact] | None] = Chats

    min_score: float = Field(4.0, ge=1, le=5, description="required mean of the best reply's three grades")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the chat.

        Raises:
            UnusableReply: no reply is good enough, or the judge's grades cannot be read.
        """
        prompt = prompt_messages(draw)
        best = max(await self._graded_candidates(prompt, draw, ask), key=lambda candidate: candidate.overall)
        if best.overall < self.min_score - 1e-9:
            raise UnusableReply("no reply is good enough")
        return [{**chat_row(prompt, best.text), "textbooks.score": best.overall}]
