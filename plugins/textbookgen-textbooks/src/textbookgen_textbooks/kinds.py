"""What kinds of generators there are here: those that need documents, ask several times, or refuse many by design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, Field

from textbookgen import Documents, Estimate, Generator, Input, Labels, Runtime

_DOCUMENT_TOKENS = 500.0  # of a document that nobody knows the length of
_PROMPT_TOKENS = 300.0  # of a prompt, around what it is about


class AboutDocuments(BaseModel):
    """What a generator has that cannot ask without documents; named before `Generator` among a class's bases."""

    inputs: Annotated[Labels, Input(Documents)] = Field(
        alias="from", min_length=1, description="stages above whose documents are asked about"
    )


class Selective(BaseModel):
    """What a generator has whose refusals are its work: however many documents fail, it goes on, and failures say why."""

    max_failures: Annotated[float, Runtime] = Field(
        1.0, ge=0, le=1, description="share of documents that may fail before the step stops"
    )


class SeveralTurns(Generator):
    """A generator that asks several times for each draw or document, and says how often, so that costs are foreseen."""

    def requests(self) -> float:
        """The most requests that one draw or document takes."""
        raise NotImplementedError

    def written(self) -> float:
        """The most documents that come of one draw or document."""
        return 1.0

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Requests and tokens at most; None if nobody knows how many documents flow in."""
        inflow = inputs.get("from", Estimate())
        asked = self._asked(inflow)
        if asked is None:
            return None
        about = inflow.tokens / inflow.documents if inflow.tokens and inflow.documents else _DOCUMENT_TOKENS
        requests, documents = asked * self.requests(), asked * self.written()
        return Estimate(
            documents=documents,
            tokens=documents * self.reply_tokens,
            requests=requests,
            tokens_in=requests * (about + _PROMPT_TOKENS),
            tokens_out=requests * self.reply_tokens,
        )

    def _asked(self, inflow: Estimate) -> float | None:
        """How many draws or documents are asked about."""
        if not self.inputs:
            return self.count
        if inflow.documents is None or self.sample is None:
            return inflow.documents if self.sample is None else float(self.sample)
        return min(inflow.documents, self.sample)
