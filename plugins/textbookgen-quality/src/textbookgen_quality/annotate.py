"""`quality/annotate`: a teacher's score for each of a sample of documents, for a forest to learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply

# The line may be dressed up (`**Educational score: 4/5**`), but nothing else may stand on it.
_SCORE = re.compile(
    r"^[\W_]*(?:[a-z]+[ \t]+){0,3}score[ \t*_`]*[:=][ \t*_`]*(\d+(?:\.\d+)?)(?:[ \t]*/[ \t]*(\d+))?[\W_]*$", re.I | re.M
)


class Annotate(Generator):
    """Asks a teacher what each document is worth to somebody who wants to learn, from 0 to 5.

    The additive scale from 0 to 5 is FineWeb-Edu's (Penedo et al. 2024); asking a strong teacher about a sample only is
    phi-1's (Gunasekar et al. 2023, section 2.1). The reply gives its reasons first and ends with the line `score: N`.
    """

    name: ClassVar[str] = "annotate"
    task: ClassVar[str] = "educational-value"

    prompt: Annotated[str, Template] = Field(
        "phi1/educational-value.md.j2", description="name of the prompt template; it sees `document`"
    )
    most: float = Field(5.0, gt=0, description="the best score of the scale; replies above it are not taken")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The document that was asked about, with `quality.score` and, as `quality.source`, its id.

        Raises:
            UnusableReply: the reply has no score, or one that is off the scale.
        """
        document = draw["document"]
        score = self._score(reply.text)
        return [{"text": document["text"], "kind": document["kind"], "quality.score": score, "quality.source": document["id"]}]

    def _score(self, text: str) -> float:
        lines = list(_SCORE.finditer(text))
        if not lines:
            raise UnusableReply("the reply has no line `score: N`", hint="does the prompt ask for one, as the last line?")
        score, scale = float(lines[-1][1]), lines[-1][2]
        if score > self.most or (scale and float(scale) != self.most):
            raise UnusableReply(f"the score `{lines[-1][0].strip()}` is not on the scale from 0 to {self.most:g}")
        return score
