"""Instruction reversal: the request that a piece of code answers, kept if the request reproduces the code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Artifact, Ask, Chats, Draw, Template, UnusableReply
from textbookgen_textbooks.concurrency import sample_replies
from textbookgen_textbooks.mixins import MultiRequest, NeedsDocuments, Selective
from textbookgen_textbooks.rows import chat_row
from textbookgen_textbooks.text_replies import parse_python, read_code, read_message


class InstructionReversal(NeedsDocuments, Selective, MultiRequest):
    """Write chats in which a user requests a piece of code and gets it (phi-4, arXiv 2412.08905, "instruction reversal").

    The teacher infers the request from the code, then writes code from the request alone, `samples` times. The chat is kept
    if the closest of these matches the original: the similarity of their syntax trees must be at least `min_fidelity`. The
    paper keeps "high-fidelity" pairs without naming a measure. The answer in the chat is the original code.

    Columns: `textbooks.fidelity`, `textbooks.regenerated` (the closest code) and the original's `textbooks.tests`: with
    `min_fidelity = 0` and `accept = [{ use = "sandbox/tests-pass", text = "textbooks.regenerated" }]` the criterion is that
    the regenerated code passes the same tests.
    """

    name: ClassVar[str] = "instruction-reversal"
    task: ClassVar[str] = "instruction-reversal"
    kind: ClassVar[str] = "code-request"
    output: ClassVar[type[Artifact] | None] = Chats

    prompt: Annotated[str, Template] = Field(
        "phi4/instruction-reversal.md.j2", description="prompt template that asks for the request"
    )
    regenerate_prompt: Annotated[str, Template] = Field(
        "phi4/regenerate-code.md.j2", description="prompt template that asks for code from the request"
    )
    min_fidelity: float = Field(
        0.8, ge=0, le=1, description="required similarity of the syntax trees; 1 means identical, apart from names"
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
        if fidelity < self.min_fidelity:
            raise UnusableReply("the request does not reproduce the code")
        return [
            {
                **chat_row([{"role": "user", "content": request}], f"```python\n{original}```"),
                "textbooks.fidelity": fidelity,
                "textbooks.regenerated": closest,
                "textbooks.tests": draw["document"].get("textbooks.tests"),
            }
        ]

    async def _closest_regeneration(self, original: str, request: str, ask: Ask) -> tuple[str, float]:
        """The code written from the request that is most similar to the original, and its similarity."""
        variables = {"request": request}
        prompt = ask.render(self.regenerate_prompt, variables)
        replies = await sample_replies(ask, prompt, self.samples, variables, "regenerate-code")
        attempts = [read_code(reply) for reply in replies if reply.text.strip() and reply.finish != "length"]
        scored = [(tree_similarity(original, attempt), attempt) for attempt in attempts]
        fidelity, closest = max(scored, key=lambda pair: pair[0], default=(0.0, ""))
        return closest, fidelity


def tree_similarity(source: str, other: str) -> float:
    """Return the similarity of the syntax trees of two pieces of Python, from 0 to 1; 0 if one does not parse.

    Trees are read in preorder as sequences of node types (with operators and the types of constants; without names, comments
    and docstrings) and compared by normalized edit distance: phi-1's match rate (arXiv 2306.11644, section 5.2) on a
    serialization of our own choice.
    """
    from rapidfuzz.distance import Levenshtein

    trees = parse_python(source), parse_python(other)
    if trees[0] is None or trees[1] is None:
        return 0.0
    return float(Levenshtein.normalized_similarity(list(_node_types(trees[0])), list(_node_types(trees[1]))))


def _node_types(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Module | ast.expr_context):
        yield f"Constant:{type(node.value).__name__}" if isinstance(node, ast.Constant) else type(node).__name__
    for child in ast.iter_child_nodes(node):
        if not _is_docstring(node, child):
            yield from _node_types(child)


def _is_docstring(node: ast.AST, child: ast.AST) -> bool:
    if not isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return node.body[:1] == [child] and ast.get_docstring(node) is not None
