"""Answers by majority vote over several independent replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from textbookgen import Ask, Draw, Reply, Template, UnusableReply
from textbookgen_textbooks.answers import canonical, extract_answer, is_unknown
from textbookgen_textbooks.concurrency import sample_replies
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments, Selective
from textbookgen_textbooks.rows import question_row, states_answer


class MajorityVote(NeedsDocuments, Selective, MultiRequest):
    """Answer each question several times, and keep questions on which some but not all answers agree.

    phi-4 (arXiv 2412.08905, section 2.2): questions on which all of k independent answers agree are too easy, those on which
    none agree too hard or broken. Here the share of the most frequent answer among all k must lie in [`min_agreement`,
    `max_agreement`], and a tie is rejected. Replies without an answer, and answers of `UNKNOWN`, count for no answer.
    Answers are compared in a canonical form; what is taught is the form that most of the winning replies wrote.

    The question is the first of `question_columns` that a document has, or else its text. Columns: `textbooks.question`,
    `textbooks.solution` (the first reply with the winning answer in that form), `textbooks.answer`, `textbooks.agreement`.
    """

    name: ClassVar[str] = "majority-vote"
    task: ClassVar[str] = "answer"
    kind: ClassVar[str] = "question"

    version: ClassVar[int] = 3

    prompt: Annotated[str, Template] = Field("phi4/answer.md.j2", description="prompt template")
    question_columns: tuple[str, ...] = Field(
        ("textbooks.question",),
        description="columns that may hold the question; the first one with a text counts, and without any the whole text",
    )
    samples: int = Field(8, ge=2, description="answers per question")
    min_agreement: float = Field(0.25, ge=0, le=1, description="reject questions on which a smaller share of answers agrees")
    max_agreement: float = Field(0.9, ge=0, le=1, description="reject questions on which a larger share of answers agrees")

    @model_validator(mode="after")
    def _check_order(self) -> MajorityVote:
        if self.min_agreement > self.max_agreement:
            raise ValueError("`min_agreement` is above `max_agreement`, so no question would be kept")
        return self

    def max_requests(self) -> float:
        """Return one request per sample."""
        return float(self.samples)

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the question with the winning answer.

        Raises:
            UnusableReply: no answer wins, too many or too few answers agree, or the question states its answer.
        """
        question = self._question(draw["document"])
        if states_answer(question):
            raise UnusableReply("the question states its answer")
        variables = {**draw, "question": question}
        replies = await sample_replies(ask, ask.render(self.prompt, variables), self.samples, variables, self.task)
        votes = [_vote(reply) for reply in replies]
        winner = majority(votes)
        if winner is None:
            raise UnusableReply("no answer has a majority")
        answer, count = winner
        agreement = count / self.samples
        if agreement < self.min_agreement:
            raise UnusableReply("too few answers agree")
        if agreement > self.max_agreement:
            raise UnusableReply("too many answers agree")
        winning = [reply.text for reply, vote in zip(replies, votes, strict=True) if vote == answer]
        wording = Counter(map(extract_answer, winning)).most_common(1)[0][0]
        solution = next(text for text in winning if extract_answer(text) == wording)
        columns = {"textbooks.answer": wording, "textbooks.agreement": agreement}
        return [{**question_row(question, solution.strip()), **columns}]

    def _question(self, document: Mapping[str, Any]) -> str:
        filled = (str(document.get(column) or "").strip() for column in self.question_columns)
        return next(filter(None, filled), str(document["text"]).strip())


def majority(votes: Iterable[str | None]) -> tuple[str, int] | None:
    """Return the most frequent vote and its count; None if there are no votes, or the first place is tied.

    None among the votes is an abstention.
    """
    first_two = Counter(vote for vote in votes if vote is not None).most_common(2)
    if not first_two or (len(first_two) == 2 and first_two[0][1] == first_two[1][1]):
        return None
    return first_two[0]


def _vote(reply: Reply) -> str | None:
    """The canonical answer of a reply; None if it has no answer or was cut off."""
    answer = None if reply.finish == "length" else extract_answer(reply.text)
    return None if answer is None or is_unknown(answer) else canonical(answer)
