"""Instruction reversal: from code to the request that it answers, kept only if the request leads back to the code."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, ClassVar

from pydantic import Field

from textbookgen import Artifact, Ask, Chats, Draw, Template, UnusableReply
from textbookgen_textbooks.kinds import AboutDocuments, Selective, SeveralTurns
from textbookgen_textbooks.replies import code, parsed, prose
from textbookgen_textbooks.together import samples


class Reverse(AboutDocuments, Selective, SeveralTurns):
    """Writes chats in which somebody asks for a piece of code and gets it (phi-4, arXiv 2412.08905, "instruction reversal").

    The request is inferred from the code; then code is written from the request alone, `tries` times. The pair is kept if
    one of them is like the original: their syntax trees match to at least `fidelity`. The paper keeps "high-fidelity"
    pairs without saying by what measure. The answer in the chat is the original. Columns: `textbooks.fidelity`,
    `textbooks.regenerated` (the closest code) and the original's `textbooks.tests`: with `fidelity = 0` and `accept =
    [{ use = "sandbox/tests-pass", text = "textbooks.regenerated" }]` what counts is that the same tests pass.
    """

    name: ClassVar[str] = "instruction-reversal"
    task: ClassVar[str] = "reverse"
    kind: ClassVar[str] = "code-request"
    output: ClassVar[type[Artifact] | None] = Chats

    prompt: Annotated[str, Template] = Field("phi4/reverse.md.j2", description="prompt template that asks for the request")
    regenerate_prompt: Annotated[str, Template] = Field(
        "phi4/regenerate.md.j2", description="prompt template that asks for the code"
    )
    fidelity: float = Field(
        0.8, ge=0, le=1, description="how well the syntax trees must match; 1 is the same tree, names apart"
    )
    tries: int = Field(1, gt=0, description="how often code is written from the request; the closest counts")

    def requests(self) -> float:
        """The request, and every try at the code."""
        return 1.0 + self.tries

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any]]:
        """The chat.

        Raises:
            UnusableReply: the document is not Python, or the request does not lead back to it.
        """
        original = str(draw["document"]["text"]).strip() + "\n"
        if parsed(original) is None:
            raise UnusableReply("the document is not Python")
        request = prose(await ask(ask.render(self.prompt, draw))).strip()
        closest, match = await self._regenerated(original, request, ask)
        if match < self.fidelity:
            raise UnusableReply("the request does not lead back to the code")
        turns = (("user", request), ("assistant", f"```python\n{original}```"))
        return [
            {
                "messages": [{"role": role, "content": content} for role, content in turns],
                "textbooks.fidelity": match,
                "textbooks.regenerated": closest,
                "textbooks.tests": draw["document"].get("textbooks.tests"),
            }
        ]

    async def _regenerated(self, original: str, request: str, ask: Ask) -> tuple[str, float]:
        """The closest code written from the request, and how close it is."""
        draw = {"request": request}
        result = await samples(ask, ask.render(self.regenerate_prompt, draw), self.tries, draw, "regenerate")
        written = [code(reply) for reply in result if reply.text.strip() and reply.finish != "length"]
        matches = [(tree_match(original, item), item) for item in written]
        match, closest = max(matches, key=lambda pair: pair[0], default=(0.0, ""))
        return closest, match


def tree_match(one: str, other: str) -> float:
    """How alike the syntax trees of two pieces of Python are, from 0 to 1; 0 if one is not Python.

    The trees are read from the root as sequences of node types (with operators and the types of constants; without names,
    comments and docstrings) and compared by edit distance, phi-1's match rate (arXiv 2306.11644, section 5.2) with a
    serialisation of ours.
    """
    from rapidfuzz.distance import Levenshtein

    trees = parsed(one), parsed(other)
    if trees[0] is None or trees[1] is None:
        return 0.0
    return float(Levenshtein.normalized_similarity(list(_nodes(trees[0])), list(_nodes(trees[1]))))


def _nodes(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Module | ast.expr_context):
        yield f"Constant:{type(node.value).__name__}" if isinstance(node, ast.Constant) else type(node).__name__
    for child in ast.iter_child_nodes(node):
        if not _is_docstring(node, child):
            yield from _nodes(child)


def _is_docstring(node: ast.AST, child: ast.AST) -> bool:
    if not isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    return node.body[:1] == [child] and ast.get_docstring(node) is not None
