"""Fields of a draw that tasks read, the refusal of a request that lacks one, and replies in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from textbookgen import RequestRefused

Draw = Mapping[str, Any]


def missing_field(task: str, field: str, expected: str) -> RequestRefused:
    """Return the refusal of a request whose draw has no usable value in a field.

    Args:
        task: the task of the request.
        field: the field of the draw.
        expected: what the field must be, as the rest of the sentence "the embedded teacher expects …".
    """
    return RequestRefused(
        f"the draw of a request for the task `{task}` has no usable `{field}`",
        hint=f"the embedded teacher expects {expected} there",
    )


def document_text(draw: Draw, task: str) -> str:
    """Return the text of the document that a task is about.

    Raises:
        RequestRefused: the draw has no document, or its text is empty.
    """
    document = draw.get("document")
    text = document.get("text") if isinstance(document, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        raise missing_field(task, "document", "a row with `text`")
    return text


def json_reply(**fields: Any) -> str:
    """Return fields as a JSON object."""
    return json.dumps(fields, ensure_ascii=False)
