"""JSON replies: requested with a schema, and validated when they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from textbookgen import Ask, Draw, Reply, UnusableReply


class ReplySchema(BaseModel):
    """Fields that a JSON reply must have. Further fields are not asked for, and ignored where a teacher adds them."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False})


Schema = TypeVar("Schema", bound=ReplySchema)


#: The temperature of requests for a judgement: the same text should get the same grade.
JUDGE_TEMPERATURE = 0.0


async def ask_json(
    ask: Ask, schema: type[Schema], template: str, draw: Draw, task: str, temperature: float | None = None
) -> Schema:
    """Render a prompt template, send it with a JSON schema, and return the validated reply.

    Args:
        ask: how to send a request.
        schema: the fields of the reply.
        template: the name of the prompt template.
        draw: its variables.
        task: the name of the task, for teachers that are programs.
        temperature: the sampling temperature, `JUDGE_TEMPERATURE` for grades; the stage's unless given.

    Raises:
        RequestRefused: the teacher refuses to answer.
        UnusableReply: the reply does not match the schema.
    """
    prompt, json_schema = ask.render(template, draw), schema.model_json_schema()
    reply = await ask(prompt, draw=draw, task=task, schema=json_schema, temperature=temperature)
    return read_json(schema, reply)


def read_json(schema: type[Schema], reply: Reply) -> Schema:
    """Return the last JSON object of a reply that matches the schema, whatever text or code fence surrounds it.

    The last one counts because models think aloud, or repeat the requested format, before they answer.

    Raises:
        UnusableReply: the reply has no JSON object, or none that matches the schema.
    """
    error: ValidationError | None = None
    for candidate in reversed(list(_objects(reply.text))):
        try:
            return schema.model_validate(candidate)
        except ValidationError as invalid:
            error = error or invalid
    if error is None:
        raise UnusableReply("the reply is not JSON")
    place = ".".join(str(item) for item in error.errors()[0]["loc"] if not isinstance(item, int))
    raise UnusableReply(f"the reply's `{place}` does not match the schema") from error


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects of a text, in order."""
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)
