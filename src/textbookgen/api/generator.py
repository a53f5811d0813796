"""Generator: the family of stages that write documents with a teacher, and how they send requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from textbookgen.api.annotations import Filters, Input, Label, Labels, Runtime, Template
from textbookgen.api.artifacts import Artifact, Chats, Documents, Pairs
from textbookgen.api.errors import UnusableReply
from textbookgen.api.message import Message
from textbookgen.api.sampler import Target
from textbookgen.api.stage import Stage
from textbookgen.api.teacher import Reply

#: The prompt variables of one document, by name.
Draw = Mapping[str, Any]


class Ask(Protocol):
    """Sends requests to the stage's teacher; a generator may await it any number of times, also concurrently.

    A reply that is in the ledger is returned without a request. Retries, rate limits, budgets and repairs of replies that do
    not fit a schema are handled before it returns.
    """

    async def __call__(
        self,
        prompt: str | Sequence[Message],
        *,
        draw: Draw | None = None,
        task: str | None = None,
        sample: int | None = None,
        schema: Mapping[str, Any] | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return the reply to a prompt.

        Args:
            prompt: a text, sent as one user message, or a conversation.
            draw: variables for teachers that are programs; the document's own unless given.
            task: what is requested, for teachers that are programs; the stage's `task` unless given.
            sample: distinguishes requests that are otherwise equal, to get several replies to one prompt: 0 to 999.
            schema: a JSON schema that the reply must satisfy.
            temperature: the sampling temperature; the stage's unless given.

        Raises:
            RequestRefused: the teacher will not answer this request.
            TeacherBusy: the teacher did not answer after all retries.
            UnusableReply: the reply does not satisfy the schema after all repairs.
            BudgetExceeded: the request could exceed a budget. Do not catch it: it stops the run.
        """
        ...

    def render(self, template: str, variables: Draw) -> str:
        """Return the text of a prompt template.

        Args:
            template: the name of the template.
            variables: its variables.

        Raises:
            TextbookgenError: the template does not exist or is malformed, or a variable is missing.
        """
        ...


#: The option `temperature` of stages that ask a teacher: a number, or `"teacher"` for what the teacher's table says.
Temperature = Annotated[float, Field(ge=0)] | Literal["teacher"]


class Generator(Stage):
    """Writes documents with a teacher: a prompt, a sampler for its variables, and a parser of replies.

    Without `from`, it draws until `count` documents are accepted. With `from`, it makes one draw per input document (or
    `sample` of them). Documents that raise RequestRefused, TeacherBusy or UnusableReply are recorded as failures, and so is
    each UnusableReply among the returned rows: a part of a reply that is of no use while the rest is.

    Attributes:
        task: what is requested, for teachers that are programs.
        kind: the value of the column `kind`, unless a row has its own.
    """

    output: ClassVar[type[Artifact] | None] = Documents
    task: ClassVar[str] = ""
    kind: ClassVar[str] = "document"

    teacher: Annotated[str, Label("teacher")] = Field(description="label of the teacher")
    prompt: Annotated[str, Template] = Field(description="name of the prompt template")
    sampler: Annotated[str | None, Label("sampler")] = Field(
        None, description="label of the sampler that draws the prompt variables of each document"
    )
    inputs: Annotated[Labels, Input(Documents, Chats, Pairs)] = Field(
        (), alias="from", description="stages above: one draw for each of their documents"
    )
    count: int | None = Field(None, gt=0, description="number of documents to accept; required without `from`")
    sample: int | None = Field(None, gt=0, description="with `from`: use only N of its documents, a random sample")
    seed: int = Field(0, description="another seed gives other documents from the same sampler")
    temperature: Temperature = Field(
        "teacher", description='sampling temperature of the requests; "teacher" leaves it to the table of the teacher'
    )
    accept: Annotated[tuple[str | dict[str, Any], ...], Filters] = Field(
        (), description="filters that a document must pass to be accepted, in order"
    )
    target: Target | None = Field(
        None,
        description="diversity of the accepted documents, such as { openings = 0.02, coverage = 0.95 }: no opening (five "
        "words) in more than 2% of them, and at least 95% of the sampler's combinations; the report states whether it was "
        "reached",
    )
    max_draws: int | None = Field(
        None, gt=0, description="stop after N draws even if `count` was not reached; 20 times `count` unless given"
    )
    truncated_replies: Literal["fail", "keep"] = Field(
        "fail",
        description="a reply truncated at the teacher's `max_tokens` fails its document, or is kept with `truncated` = true "
        "in its row",
    )
    max_failures: Annotated[float, Runtime] = Field(
        0.1, ge=0, le=1, description="share of documents that may fail before the step stops"
    )
    reply_tokens: Annotated[int, Runtime] = Field(500, gt=0, description="tokens per reply that `recipe check` should assume")
    max_cost_usd: Annotated[float | None, Runtime] = Field(
        None, ge=0, description="maximum cost of this step in US dollars, never exceeded"
    )

    @classmethod
    def limited(cls, options: dict[str, Any], limit: int) -> dict[str, Any]:
        """Limit `count` and `sample`, and drop the target, which a few documents cannot reach."""
        fewer = {key: min(options[key], limit) for key in ("count", "sample") if isinstance(options.get(key), int)}
        return {key: value for key, value in options.items() if key != "target"} | fewer

    def documents_per_draw(self) -> int:
        """Return how many documents a draw is expected to give.

        If more than one, the stage draws until `count` documents are accepted instead of drawing `count` times.
        """
        return 1

    def requests_per_draw(self) -> int:
        """Return how many requests a draw takes, for the estimate of `recipe check`."""
        return 1

    def template_variables(self, option: str) -> Mapping[str, Any] | None:
        """Return the variables that the stage adds to those of the draw when it renders a template, for `recipe check`.

        Args:
            option: the name of the field that names the template.

        Returns:
            Example values by name; None if the variables are not known, so that the template is not checked for them.
        """
        return {} if type(self).generate is Generator.generate else None

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any] | UnusableReply]:
        """Return the documents in a reply.

        Args:
            draw: the variables of the draw. With `from`, `draw["document"]` is the input row, a mapping of its columns.
            reply: the teacher's reply. If `reply.finish` is `length` it is truncated: raise UnusableReply unless a part of a
                document is of use. With `truncated_replies = "keep"` the engine passes truncated replies as complete ones.

        Returns:
            Rows with the content columns of the output type (`text`; or `messages`; or `prompt`, `chosen` and `rejected`),
            and optionally `kind` and own columns named `PLUGIN.NAME`. The engine adds `id`, `parents`, `reply` and `draw`. An
            UnusableReply among the rows counts as a failure.

        Raises:
            UnusableReply: the reply contains no document.
        """
        raise NotImplementedError

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any] | UnusableReply]:
        """Return the documents of one draw; override it for several requests per document.

        It must depend on its arguments only: after a crash it is called again, with replies from the ledger.

        Args:
            draw: as for `parse`.
            ask: sends requests to the teacher.

        Returns:
            Rows as for `parse`. The column `reply` is the ledger key of the last request.

        Raises:
            UnusableReply: the replies contain no document.
        """
        return self.parse(draw, await ask(ask.render(self.prompt, draw)))
