"""Options and cost estimates that several generators share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from textbookgen import Documents, Estimate, Generator, Input, Labels, Runtime

_DOCUMENT_TOKENS = 500.0  # of an input document whose length is unknown
_PROMPT_TOKENS = 300.0  # of a prompt template without its variables


class NeedsDocuments(BaseModel):
    """Makes `from` required. List it before `Generator` among the bases of a class."""

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="earlier stages; one request is made per document"
    )


class Selective(BaseModel):
    """Lets any share of documents fail, for generators that reject documents by design.

    Each rejection has a reason, which the report counts. List it before `Generator` among the bases of a class.
    """

    max_failures: Annotated[float, Runtime] = Field(
        1.0, ge=0, le=1, description="share of documents that may fail before the step stops"
    )


class MultiRequest(Generator):
    """A generator that makes several requests per draw or document, and states how many for the cost estimate."""

    def max_requests(self) -> float:
        """Return the maximum number of requests per draw or document."""
        raise NotImplementedError

    def max_documents(self) -> float:
        """Return the maximum number of documents written per draw or document."""
        return 1.0

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the maximum of requests and tokens; None if the number of input documents is unknown."""
        source = inputs.get("from", Estimate())
        draws = self._number_of_draws(source)
        if draws is None:
            return None
        document_tokens = source.tokens / source.documents if source.tokens and source.documents else _DOCUMENT_TOKENS
        requests, documents = draws * self.max_requests(), draws * self.max_documents()
        return Estimate(
            documents=documents,
            tokens=documents * self.reply_tokens,
            requests=requests,
            tokens_in=requests * (document_tokens + _PROMPT_TOKENS),
            tokens_out=requests * self.reply_tokens,
        )

    def _number_of_draws(self, source: Estimate) -> float | None:
        if not self.inputs:
            return self.count
        if source.documents is None or self.sample is None:
            return source.documents if self.sample is None else float(self.sample)
        return min(source.documents, self.sample)
