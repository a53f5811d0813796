"""Teacher, Request and Reply: a mind one can ask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from textbookgen.api.annotations import Runtime
from textbookgen.api.artifacts import Artifact
from textbookgen.api.errors import Diagnostic
from textbookgen.api.message import Message

if TYPE_CHECKING:
    from textbookgen.api.model import Model

Finish = Literal["stop", "length", "filter"]


@dataclass(frozen=True)
class Request:
    """What is asked: `messages` for minds that read, `task` and `draw` with the same facts for programs.

    `sample` tells apart requests that are otherwise equal: the same request with another sample may get another reply.
    `schema` is a JSON schema that the reply must satisfy, if there is one.
    """

    messages: tuple[Message, ...]
    task: str = ""
    draw: Mapping[str, Any] = field(default_factory=dict)
    sample: int = 0
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Reply:
    """What was answered, and what it cost.

    `tokens_in` counts all prompt tokens, `tokens_cached` those of them that the provider had in its cache;
    `tokens_out` counts all tokens written, `tokens_reasoning` those of them that were thought and not shown.
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
    """What a teacher takes, in US dollars for a million tokens; `cached` is for prompt tokens from the provider's cache."""

    input: float
    output: float
    cached: float | None = None

    def cost(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float:
        """The cost of one request, in US dollars."""
        cached = self.input if self.cached is None else self.cached
        paid = (tokens_in - tokens_cached) * self.input + tokens_cached * cached + tokens_out * self.output
        return paid / 1e6


class Teacher(BaseModel):
    """A mind one can ask: its fields are the options of a `[teacher.LABEL]` table, `complete` is its work.

    An option marked as a pipe names a stage above those that ask, or with `or_name` something else. What flows out of the
    stage is handed over in `prepare`; the label is no part of the key of a reply, `digest` is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]
    version: ClassVar[int] = 1
    reads_draw: ClassVar[bool] = False  # whether it answers from `task` and `draw` rather than from the messages
    stand_in: ClassVar[bool] = False  # a program in the place of a language model: reports say so

    max_parallel: Annotated[int, Runtime] = Field(32, gt=0, description="requests under way at once")
    requests_per_minute: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="at most so many requests are sent a minute; without it only the provider limits"
    )
    tokens_per_minute: Annotated[float | None, Runtime] = Field(
        None, gt=0, description="at most so many tokens, read and written, are asked for a minute"
    )
    budget_usd: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="US dollars that a run may spend on this teacher; never passed, not by one request"
    )

    async def complete(self, request: Request) -> Reply:
        """Answers one request.

        Raises:
            TeacherBusy: ask again later.
            RequestRefused: do not ask this again.
        """
        raise NotImplementedError

    def price(self) -> Price | None:
        """What it takes for a million tokens; None if that is not known. Free teachers say `Price(0, 0)`."""
        return None

    def max_output_tokens(self) -> int | None:
        """The most tokens that one reply can have; None if nothing bounds it."""
        return None

    def check(self) -> Iterable[Diagnostic]:
        """What would keep it from answering (a key that is not set), found without asking; places are option names."""
        return ()

    def digest(self) -> str:
        """Tells one state of what it answers from, besides its options, from another (the weights of a model).

        Empty if its options say it all, or if what flows in through a pipe is not there yet.
        """
        return ""

    def prepare(self, inputs: Mapping[str, Artifact], open_model: Callable[[Path], Model]) -> None:
        """Called once before the first request of a run: what flows in through its pipes, by label, and the door to models.

        Where nothing is asked (`recipe check`) it is not called.
        """

    async def close(self) -> None:
        """Lets go of connections, once the last request of a run was answered."""
