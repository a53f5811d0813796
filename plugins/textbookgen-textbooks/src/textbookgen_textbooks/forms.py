"""Replies that are forms: JSON of a known shape, asked for by its schema and read back with its types."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from textbookgen import Ask, Draw, Reply, UnusableReply

_JSON = re.compile(r"\{.*\}", re.DOTALL)


class Form(BaseModel):
    """What a teacher is to fill in: every field, and no others; what it adds all the same is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False})


Filled = TypeVar("Filled", bound=Form)


async def filled(ask: Ask, form: type[Filled], template: str, draw: Draw, task: str) -> Filled:
    """Asks with this template and draw, and reads the form that comes back.

    Raises:
        RequestRefused: the teacher will not answer.
        UnusableReply: the reply is not such a form.
    """
    return read_form(form, await ask(ask.render(template, draw), draw=draw, task=task, schema=schema(form)))


def schema(form: type[Form]) -> dict[str, Any]:
    """The JSON schema of a form."""
    return form.model_json_schema()


def read_form(form: type[Filled], reply: Reply) -> Filled:
    """The form in a reply: its JSON object, whatever stands around it.

    Raises:
        UnusableReply: there is none, or it has not the fields of the form.
    """
    result = _JSON.search(reply.text)
    if result is None:
        raise UnusableReply("the reply is not JSON")
    try:
        return form.model_validate_json(result[0])
    except ValidationError as error:
        first = error.errors()[0]
        broken = first["type"] == "json_invalid"
        place = ".".join(str(item) for item in first["loc"] if not isinstance(item, int))
        raise UnusableReply("the reply is not JSON" if broken else f"the reply's `{place}` is not as asked") from error
