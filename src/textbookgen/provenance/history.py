"""The history of one document: where it comes from, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textbookgen.storage.ledger import LedgerEntry
from textbookgen.storage.records import StepEntry, TableEntry


@dataclass(frozen=True)
class RequestHistory:
    """The last request that a document was written with, and the reply.

    `prompt` is the prompt template; of a stage with several templates, all of them, since the ledger does not record which.
    """

    teacher: TableEntry | None
    messages: tuple[dict[str, str], ...]
    task: str
    draw: Mapping[str, Any]
    prompt: str
    reply: str
    tokens: int
    cost_usd: float


@dataclass(frozen=True)
class ParentDocument:
    """A document that another was made from, with the beginning of its text."""

    id: str
    text: str


@dataclass(frozen=True)
class DocumentHistory:
    """Everything that a run knows of a document.

    Attributes:
        id: the document.
        document: its row.
        run: the name of the run.
        recipe: the path of the recipe of the run.
        step: the step that made it.
        request: how a teacher wrote it; None if no teacher did.
        parents: the documents that it was made from.
        verdicts: the verdicts on it in the order of the steps, each with the `label` and `use` of the step. If a teacher was
            asked, `requests` has a RequestHistory for each reply.
        packed: labels of the steps that packed it.
    """

    id: str
    document: Mapping[str, Any]
    run: str
    recipe: str
    step: StepEntry
    request: RequestHistory | None
    parents: tuple[ParentDocument, ...]
    verdicts: tuple[Mapping[str, Any], ...]
    packed: tuple[str, ...]


def request_history(entry: LedgerEntry, teacher: TableEntry | None, options: Mapping[str, Any]) -> RequestHistory:
    """Return the request and reply in a ledger entry.

    Args:
        entry: the entry.
        teacher: the teacher that was asked.
        options: the options of what asked it: of the step, or of a filter in its `accept`.
    """
    request, reply = entry.request, entry.reply
    return RequestHistory(
        teacher=teacher,
        messages=tuple({"role": message.role, "content": message.content} for message in request.messages),
        task=request.task,
        draw={name: value for name, value in request.draw.items() if name != "document"},
        prompt=_templates(options),
        reply=reply.text,
        tokens=reply.tokens_in + reply.tokens_out,
        cost_usd=reply.cost_usd,
    )


def format_history(history: DocumentHistory) -> str:
    """Return a document's history as text, from the recipe down to the shards."""
    return "\n".join(_lines(history))


def _templates(options: Mapping[str, Any]) -> str:
    values = [item for value in options.values() for item in (value if isinstance(value, list | tuple) else (value,))]
    names = sorted({value for value in values if isinstance(value, str) and value.endswith(".j2")})
    if not names:
        return "in the recipe"
    return names[0] if len(names) == 1 else f"one of {', '.join(names)}"


def _lines(history: DocumentHistory) -> Iterator[str]:
    step = history.step
    yield f"document {history.id}"
    yield f"  recipe   {history.recipe}"
    yield f"  stage    {step.label}, {step.use} ({step.release})"
    if history.request is not None:
        yield from _request_lines(history.request)
    else:
        yield f"  source   {history.document.get('source.path') or 'see the options of the stage'}"
    for parent in history.parents:
        yield f"  parent   {parent.id}: {parent.text}"
    for verdict in history.verdicts:
        outcome = "kept" if verdict["keep"] else f"dropped: {verdict['reason']}"
        score = f", score {verdict['score']:.3f}" if verdict.get("score") is not None else ""
        detail = f" ({verdict['detail']})" if verdict.get("detail") else ""
        yield f"  verdict  {verdict['label']}, {verdict['use']}: {outcome}{score}{detail}"
        for grade in verdict.get("grades") or ():
            mark = "no score" if grade["score"] is None else f"score {grade['score']:.3f}"
            yield f"  grade    {grade['use']}: {mark}" + (f" ({grade['detail']})" if grade["detail"] else "")
        for request in verdict.get("requests") or ():
            yield from _request_lines(request)
    for label in history.packed:
        yield f"  packed   {label}"


def _request_lines(request: RequestHistory) -> Iterator[str]:
    if request.teacher is not None:
        stand_in = ", a program and not a language model" if request.teacher.stand_in else ""
        yield f"  teacher  {request.teacher.label}, {request.teacher.use}{stand_in}"
    yield f"  draw     {json.dumps(request.draw, ensure_ascii=False)}"
    yield f"  prompt   {request.prompt}"
    for message in request.messages:
        yield _indented(f"{message['role']}: {message['content']}")
    yield f"  reply    {request.tokens:,} tokens, ${request.cost_usd:.6f}"
    yield _indented(request.reply)


def _indented(text: str) -> str:
    return "\n".join(f"    | {line}" for line in text.splitlines())
