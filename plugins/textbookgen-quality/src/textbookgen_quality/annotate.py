"""`quality/annotate`: a teacher's score for each document of a sample, for a forest to learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Draw, Generator, Reply, Template, UnusableReply
from textbookgen.api.generator import Temperature

# The line may be formatted (`**Educational score: 4/5**`), but must contain nothing else.
_SCORE = re.compile(
    r"^[\W_]*(?:[a-z]+[ \t]+){0,3}score[ \t*_`]*[:=][ \t*_`]*(\d+(?:\.\d+)?)(?:[ \t]*/[ \t]*(\d+))?[\W_]*$", re.I | re.M
)


class QualityAnnotator(Generator):
    """Asks a teacher for the educational value of each document, from 0 to 5.

    The additive scale from 0 to 5 is FineWeb-Edu's (Penedo et al. 2024); asking a strong teacher about a sample only is
    phi-1's method (Gunasekar et al. 2023, section 2.1). The reply gives its reasons and ends with the line `score: N`.
    """

    name: ClassVar[str] = "annotate"
    task: ClassVar[str] = "educational-value"

    prompt: Annotated[str, Template] = Field(
        "phi1/educational-value.md.j2", description="name of the prompt template; its variable is `document`"
    )
    temperature: Temperature = Field(
        0.0, description='sampling temperature of the requests; "teacher" leaves it to the table of the teacher'
    )
    max_score: float = Field(5.0, gt=0, description="upper end of the scale; replies with higher scores are rejected")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """Return the document with `quality.score`, and its id as `quality.source`.

        Raises:
            UnusableReply: the reply has no score, or one that is off the scale.
        """
        document = draw["document"]
        score = self._read_score(reply.text)
        return [{"text": document["text"], "kind": document["kind"], "quality.score": score, "quality.source": document["id"]}]

    def _read_score(self, text: str) -> float:
        lines = list(_SCORE.finditer(text))
        if not lines:
            raise UnusableReply("the reply has no line `score: N`", hint="does the prompt ask for it as the last line?")
        score, scale = float(lines[-1][1]), lines[-1][2]
        if score > self.max_score or (scale and float(scale) != self.max_score):
            raise UnusableReply(f"the score `{lines[-1][0].strip()}` is not on the scale from 0 to {self.max_score:g}")
        return score
