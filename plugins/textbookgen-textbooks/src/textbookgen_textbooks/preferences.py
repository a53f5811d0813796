"""Preference pairs: the best and the worst of several graded replies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

from pydantic import Field

from textbookgen import Artifact, Ask, Draw, Pairs, UnusableReply
from textbookgen_textbooks.graded_replies import Candidate, GradedReplies
from textbookgen_textbooks.rows import pair_row, prompt_messages


class Preferences(GradedReplies):
    """Write preference pairs from graded replies (phi-4, arXiv 2412.08905, judge-guided DPO).

    The judge grades accuracy, style and detail from 1 to 5. The chosen reply has the highest score, the rejected one the
    lowest, and the two must be at least `min_gap` apart. Columns: `textbooks.chosen_score`, `textbooks.rejected_score`.
    """

    name: ClassVar[str] = "preferences"
    kind: ClassVar[str] = "preference"
    output: ClassVar[type[Artifact] | None] = Pairs

    score: Literal["overall", "accuracy"] = Field(
        "overall", description="what replies are compared by: the mean of the three grades, or accuracy alone"
    )
    min_gap: float = Field(1.0, gt=0, le=4, description="required difference between the scores of the two replies")

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the pair.

        Raises:
            UnusableReply: no two replies are far enough apart, or the judge's grades cannot be read.
        """
        prompt = prompt_messages(draw)
        candidates = await self._graded_candidates(prompt, draw, ask)
        chosen, rejected = max(candidates, key=self._score), min(candidates, key=self._score)
        if self._score(chosen) - self._score(rejected) < self.min_gap - 1e-9:
            raise UnusableReply("the scores of the replies are too close")
        scores = {"textbooks.chosen_score": self._score(chosen), "textbooks.rejected_score": self._score(rejected)}
        return [{**pair_row(prompt, chosen.text, rejected.text), **scores}]

    def _score(self, candidate: Candidate) -> float:
        return float(candidate.accuracy) if self.score == "accuracy" else candidate.overall
