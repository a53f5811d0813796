"""TeacherClient: what an evaluation asks a teacher with; the engine provides one for each teacher that its options name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from textbookgen.api.errors import RequestRefused, UnusableReply
from textbookgen.api.teacher import Reply, Request

#: What becomes of a request: a reply, or why there is none.
Outcome = Reply | RequestRefused | UnusableReply


class TeacherClient(Protocol):
    """Sends the requests of an evaluation to one teacher: through the ledger, within its rate limits and budgets."""

    @property
    def label(self) -> str:
        """The label of the teacher in the recipe."""
        ...

    def ask(self, requests: Sequence[Request]) -> list[Outcome]:
        """Send requests, several at a time, and return what became of each, in their order.

        Equal requests with the same `sample` share one reply. RequestRefused is returned for a request that the teacher
        refuses for good, and UnusableReply for one whose replies never satisfied its JSON schema.

        Raises:
            RunError: some requests got no reply at all; those received are in the ledger, and a second run asks only for the
                rest.
            TeacherError: no request can succeed, or the budget is exhausted.
        """
        ...
