"""Teacher: an LLM, or a program standing in for one, that answers requests; with Request, Reply and Price."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.annotations import Runtime
from textbookgen.api.artifacts import Artifact
from textbookgen.api.errors import Diagnostic
from textbookgen.api.message import Message
from textbookgen.api.model import Model

#: Why a reply ended: by itself or at a stop text, at the token limit, or at a content filter.
Finish = Literal["stop", "length", "filter"]


@dataclass(frozen=True)
class Request:
    """One request to a teacher.

    Attributes:
        messages: the conversation, for language models.
        task: the task's name, for teachers that are programs.
        draw: the values that the messages were rendered from, for teachers that are programs.
        sample: distinguishes requests that are otherwise equal, so that each may get its own reply.
        schema: a JSON schema that the reply must satisfy.
        temperature: the sampling temperature, in place of the teacher's; None leaves it to the teacher.
    """

    messages: tuple[Message, ...]
    task: str = ""
    draw: Mapping[str, Any] = field(default_factory=dict)
    sample: int = 0
    schema: Mapping[str, Any] | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Reply:
    """One reply of a teacher, and what it cost.

    Attributes:
        text: the reply.
        tokens_in: prompt tokens, cached ones included.
        tokens_out: generated tokens, reasoning included.
        cost_usd: the cost in US dollars.
        finish: why the reply ended.
        tokens_cached: prompt tokens that the provider had in its cache.
        tokens_reasoning: generated tokens that are not part of `text`.
    """

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    finish: Finish = "stop"
    tokens_cached: int = 0
    tokens_reasoning: int = 0


@dataclass(frozen=True)
class Price:
    """A teacher's price in US dollars per million tokens.

    Attributes:
        input: of the prompt.
        output: of the reply.
        cached: of prompt tokens that the provider had in its cache; the price of the prompt unless given.
    """

    input: float
    output: float
    cached: float | None = None

    def cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """Return the cost of one request in US dollars; `tokens_cached` of `tokens_in` were cached."""
        cached = self.input if self.cached is None else self.cached
        total = (tokens_in - tokens_cached) * self.input + tokens_cached * cached + tokens_out * self.output
        return total / 1e6


class Teacher(BaseModel):
    """Answers requests. Its fields are the options of a `[teacher.LABEL]` table.

    Rate limits, retries, timeouts and budgets are applied by the caller: `complete` sends one request once. The options
    below therefore hold for every teacher; a subclass may redeclare one to change its default.

    An option annotated with `Input` names an earlier stage. The stage's output is passed to `prepare`. The stage's label is
    not part of a reply's ledger key; `digest` is.

    Attributes:
        name: the teacher's name within its plugin.
        version: increase it when equal requests would get different replies; stored replies are then not reused.
        reads_draw: the teacher answers from `task` and `draw` instead of the messages, so these are part of the ledger key.
        stand_in: the teacher is a program, not a language model; reports say so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads_draw: ClassVar[bool] = False
    stand_in: ClassVar[bool] = False

    max_parallel: Annotated[int, Runtime] = Field(32, gt=0, description="maximum number of requests in flight")
    requests_per_minute: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="maximum request rate; unset: only the provider's own limits apply"
    )
    tokens_per_minute: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="maximum rate of prompt and reply tokens together"
    )
    timeout: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="seconds to wait for a reply before the request is retried; unset: no limit"
    )
    max_retries: Annotated[int, Runtime] = Field(
        6, ge=0, description="how often a request is retried after a timeout, a lost connection or a server error"
    )
    max_repairs: Annotated[int, Runtime] = Field(
        2, ge=0, description="how often a reply that violates its JSON schema is returned to the teacher for correction"
    )
    budget_usd: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="maximum cost of a run in US dollars; no request is sent that could exceed it"
    )

    async def complete(self, request: Request) -> Reply:
        """Send one request, once, and return the reply.

        Raises:
            TeacherBusy: a temporary failure; the caller retries. Set `retry_after` where the provider names a wait. Chain a
                TimeoutError, ConnectionError (except ConnectionRefusedError) or ValueError as the cause where the provider
                may charge for the request although its reply was lost.
            RequestRefused: this request can never succeed (content filter, context too long).
            TeacherError: no request can succeed (invalid key, unknown model); the run stops.
        """
        raise NotImplementedError

    def price(self) -> Price | None:
        """Return the price, or None if it is unknown. Free teachers return `Price(0, 0)`."""
        return None

    def max_output_tokens(self) -> int | None:
        """Return the maximum number of tokens of a reply, or None if there is no limit."""
        return None

    def check(self) -> Iterable[Diagnostic]:
        """Yield what would keep the teacher from answering, such as a missing key, without sending a request.

        The place of each diagnostic is the name of an option.
        """
        return ()

    def mask_secrets(self, text: str) -> str:
        """Return a text with every secret of the teacher masked, such as its API key.

        Every error of the teacher passes through it before anything is shown or stored, since servers echo what they
        received in messages, reasons and addresses.
        """
        return text

    def digest(self) -> str:
        """Return a digest of what determines the replies besides the options, such as a model's weights.

        Empty if there is nothing else, or if the output of an input stage does not exist yet.
        """
        return ""

    def prepare(self, inputs: Mapping[str, Artifact], open_model: Callable[[Path], Model]) -> None:
        """Receive the outputs of input stages; called once before the first request of a run, but not by `recipe check`.

        Args:
            inputs: the outputs of the stages that the teacher's `Input` options name, by label.
            open_model: opens the model of a checkpoint folder.
        """

    async def close(self) -> None:
        """Release connections and processes. Called after the last request of a stage; a later request may reopen them."""
