"""Questions from texts: the hardest step of a chain of deduction, asked for; and answers by plurality."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import Ask, Draw, Generator, Reply, Template, UnusableReply
from textbookgen_textbooks.answers import answer_of, canonical
from textbookgen_textbooks.kinds import AboutDocuments, Selective, SeveralTurns
from textbookgen_textbooks.replies import prose
from textbookgen_textbooks.together import samples

_QUESTION = re.compile(
    r"^\W*question\W*:\W*(?P<question>\w.*?)^\W*solution\W*:[*\s]*(?P<solution>\S.*)\Z",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)


class Deductions(AboutDocuments, Selective, Generator):
    """Writes a question with a worked answer about the key step of each passage's reasoning.

    phi-4's "Q&A creation" (arXiv 2412.08905, section 2.2): not a question on the surface of a text, but deduction chains
    found in it, whose key step becomes the question. A passage without a chain is refused. Columns:
    `textbooks.question`, `textbooks.solution`.
    """

    name: ClassVar[str] = "deductions"
    task: ClassVar[str] = "deduction"
    kind: ClassVar[str] = "question"

    prompt: Annotated[str, Template] = Field("phi4/deduction.md.j2", description="name of the prompt template")

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any]]:
        """The question.

        Raises:
            UnusableReply: the reply is NONE, or has no question with a solution.
        """
        text = prose(reply).strip()
        if text.splitlines()[-1].strip(".*` ").upper() == "NONE":
            raise UnusableReply("there is no chain of deduction")
        result = _QUESTION.search(text)
        if result is None:
            raise UnusableReply("the reply has no question with a solution")
        return [question_row(result["question"].strip(), result["solution"].strip())]


class Plurality(AboutDocuments, Selective, SeveralTurns):
    """Answers each question several times and keeps those on which answers agree, but not all too well.

    phi-4 (arXiv 2412.08905, section 2.2): k independent answers, a vote; questions on which all agree are too easy, those
    on which none agree too hard or broken. Here the plurality's share of all k answers must lie in [`least_agreement`,
    `most_agreement`]; a tie is no plurality. The solution kept is the first that came to the winning answer. A question is
    the column `textbooks.question` if there is one, or else the text. Columns: `textbooks.question`,
    `textbooks.solution`, `textbooks.answer`, `textbooks.agreement`.
    """

    name: ClassVar[str] = "majority-vote"
    task: ClassVar[str] = "plurality-answer"
    kind: ClassVar[str] = "question"

    prompt: Annotated[str, Template] = Field("phi4/answer.md.j2", description="name of the prompt template")
    samples: int = Field(8, ge=2, description="answers asked for each question")
    least_agreement: float = Field(0.25, ge=0, le=1, description="drop questions on which a smaller share of answers agree")
    most_agreement: float = Field(0.9, ge=0, le=1, description="drop questions on which a greater share of answers agree")

    @model_validator(mode="after")
    def _in_order(self) -> Plurality:
        if self.least_agreement > self.most_agreement:
            raise ValueError("`least_agreement` is above `most_agreement`: nothing would be kept")
        return self

    def requests(self) -> float:
        """One a sample."""
        return float(self.samples)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The question with the plurality's answer.

        Raises:
            UnusableReply: too many or too few agree.
        """
        question = question_of(draw)
        full = {**draw, "question": question}
        replies = await samples(ask, ask.render(self.prompt, full), self.samples, full, self.task)
        result = plurality([canonical(answer_of(reply.text)) for reply in replies])
        if result is None:
            raise UnusableReply("no answer has a plurality")
        answer, votes = result
        agreement = votes / self.samples
        if agreement < self.least_agreement:
            raise UnusableReply("too few answers agree")
        if agreement > self.most_agreement:
            raise UnusableReply("too many answers agree")
        solution = next(reply.text.strip() for reply in replies if canonical(answer_of(reply.text)) == answer)
        return [{**question_row(question, solution), "textbooks.answer": answer, "textbooks.agreement": agreement}]


def plurality(answers: Iterable[str | None]) -> tuple[str, int] | None:
    """The answer given most often and how often; None if there is no answer, or a tie. None among the answers is no answer."""
    first_two = Counter(item for item in answers if item is not None).most_common(2)
    if not first_two or (len(first_two) == 2 and first_two[0][1] == first_two[1][1]):
        return None
    return first_two[0]


def question_of(draw: Draw) -> str:
    """The question that a document asks."""
    document = draw["document"]
    return str(document.get("textbooks.question") or document["text"]).strip()


def question_row(question: str, solution: str) -> dict[str, Any]:
    """A question with its solution as a document."""
    return {
        "text": f"Question: {question}\n\nAnswer: {solution}\n",
        "textbooks.question": question,
        "textbooks.solution": solution,
    }
