"""Instruction reversal: the request that a piece of code answers, kept if the request reproduces the code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Artifact, Ask, Chats, Draw, Template, UnusableReply
from textbookgen.api.reply_code import parse_python, read_code
from textbookgen.api.reply_text import read_message
from textbookgen_textbooks.code_fidelity import operations, same_operations, tree_similarity
from textbookgen_textbooks.concurrency import sample_replies
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments, Selective
from textbookgen_textbooks.rows import chat_row


class InstructionReversal(NeedsDocuments, Selective, MultiRequest):
    """Write chats in which a user requests a piece of code and gets it (phi-4, arXiv 2412.08905, "instruction reversal").

    The teacher infers the request from the code, then writes code from the request alone, `samples` times; the closest of
    these counts. The paper keeps "high-fidelity" pairs without naming a measure. Here, where a document has asserts, the
    regenerated code must pass them, which a filter in `accept` decides:
    `accept = [{ use = "sandbox/tests-pass", text = "textbooks.regenerated" }]`. For documents without asserts, and without
    such a filter, both pieces of code must do the same operations in the same order, apart from local names, or with
    `exact_operations = false` be as similar as `min_fidelity` says. The answer in the chat is the original code.

    Columns: `textbooks.fidelity` (similarity of the syntax trees), `textbooks.regenerated` (the closest code) and the
    original's `textbooks.tests`.
    """

    name: ClassVar[str] = "instruction-reversal"
    version: ClassVar[int] = 2
    task: ClassVar[str] = "instruction-reversal"
    kind: ClassVar[str] = "code-request"
    output: ClassVar[type[Artifact] | None] = Chats

    prompt: Annotated[str, Template] = Field(
        "phi4/instruction-reversal.md.j2", description="prompt template that asks for the request"
    )
    regenerate_prompt: Annotated[str, Template] = Field(
        "phi4/regenerate-code.md.j2", description="prompt template that asks for code from the request"
    )
    exact_operations: bool = Field(
        True,
        description="without tests to run: require the same operations, constants and calls in the same order, since one wrong "
        "operation in a long function is a small difference",
    )
    min_fidelity: float = Field(
        0.0, ge=0, le=1, description="required similarity of the syntax trees; 1 means identical, apart from local names"
    )
    samples: int = Field(1, gt=0, description="pieces of code written from each request; the closest one counts")

    def max_requests(self) -> float:
        """Return one request for the user's message, and one per sample of code."""
        return 1.0 + self.samples

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """Return the chat.

        Raises:
            UnusableReply: the document is not Python, or the request does not reproduce the code.
        """
        original = str(draw["document"]["text"]).strip() + "\n"
        if parse_python(original) is None:
            raise UnusableReply("the document is not Python")
        request = read_message(await ask(ask.render(self.prompt, draw)), "message", "user", "request", "user message")
        closest, fidelity = await self._closest_regeneration(original, request, ask)
        if not closest:
            raise UnusableReply("no code was written from the request")
        if fidelity < self.min_fidelity:
            raise UnusableReply("the request does not reproduce the code")
        if self.exact_operations and not self._runs_tests(draw["document"]) and not same_operations(original, closest):
            raise UnusableReply("the regenerated code does other operations")
        return [
            {
                **chat_row([{"role": "user", "content": request}], f"```python\n{original}```"),
                "textbooks.fidelity": fidelity,
                "textbooks.regenerated": closest,
                "textbooks.tests": draw["document"].get("textbooks.tests"),
            }
        ]

    def _runs_tests(self, document: Mapping[str, Any]) -> bool:
        """Whether the document has tests, and a filter runs the regenerated code with them."""
        texts = [filter_.get("text") for filter_ in self.accept if isinstance(filter_, dict)]
        return bool(str(document.get("textbooks.tests") or "").strip()) and "textbooks.regenerated" in texts

    async def _closest_regeneration(self, original: str, request: str, ask: Ask) -> tuple[str, float]:
        """The code written from the request that is most similar to the original, and its similarity."""
        variables = {"request": request}
        prompt = ask.render(self.regenerate_prompt, variables)
        replies = await sample_replies(ask, prompt, self.samples, variables, "regenerate-code")
        written = [read_code(reply) for reply in replies if reply.text.strip() and reply.finish != "length"]
        attempts = [code for code in written if operations(code)]
        scored = [(tree_similarity(original, attempt), attempt) for attempt in attempts]
        fidelity, closest = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        return closest, fidelity
