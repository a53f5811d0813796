"""Filter `doctest`: keeps the textbook pages whose snippets run and print what the pages say they print."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from textbookgen_sandbox.pool import Outcome, Program
from textbookgen_sandbox.stages.program_filter import VERDICTS, ProgramFilter, failure_detail
from textbookgen_sandbox.statements import judge
from textbookgen_sandbox.worker.expectations import Expectation

UNEXPECTED = "unexpected output"
_MAX_DETAILS = 8
_MAX_OUTPUTS = 5  # outputs of one print in a detail
_MAX_LENGTH = 200  # characters of a text in a detail


class Doctest(ProgramFilter):
    """Runs the Python snippets of each page in order, as one program, and compares what they print with what the page says.

    Read as claims about output: a comment behind a print (`print(2 + 3)  # 5`, `# -> 5`, `# prints 5`) or on the lines below
    it, a block of comments or a code fence that follows the snippet, a sentence "Output: `5`" below it, answers in sessions
    with `>>>`, and examples in docstrings. Text that neither is nor resembles an output, such as "adds one", is a remark and is
    ignored. A statement may raise an error that the page announces. The score is the share of claims that are true, 0 for a
    page that raises. Pages without snippets are kept, without a score.
    """

    name: ClassVar[str] = "doctest"
    version: ClassVar[int] = 3

    def decide(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return verdicts in the order of the documents; the detail lists expected and printed text by line."""
        pages = (Program(text or "", "", self.seconds, self.max_output_kib, is_page=True) for text in docs[self.text])
        outcomes = self._pool().map(pages)
        rows = [(id, *_verdict(outcome)) for id, outcome in zip(docs["id"], outcomes, strict=True)]
        return pl.DataFrame(rows, schema=VERDICTS, orient="row")


def _verdict(outcome: Outcome) -> tuple[bool, str | None, float | None, str | None]:
    """Return keep, reason, score and detail of a page."""
    if not outcome.ok:
        return False, outcome.reason, 0.0, failure_detail(outcome)
    judged = [(item, judge(item)) for item in outcome.expectations]
    checked = sum(judgement != "remark" for _, judgement in judged)
    wrong = [item for item, judgement in judged if judgement == "wrong"]
    score = 1 - len(wrong) / checked if checked else 1.0 if outcome.snippets else None
    if not wrong:
        return True, None, score, None
    lines = [
        f"line {item.line}: expected {item.expected[:_MAX_LENGTH]!r}, printed {_outputs(item)!r}"
        for item in wrong[:_MAX_DETAILS]
    ]
    return False, UNEXPECTED, score, "\n".join(lines)


def _outputs(statement: Expectation) -> str:
    """Return what was printed, each time for a comment, else what the statement most likely refers to."""
    shown = statement.printed if statement.kind == "comment" else statement.printed[:1]
    return " | ".join(text.strip()[:_MAX_LENGTH] for text in shown[:_MAX_OUTPUTS])
