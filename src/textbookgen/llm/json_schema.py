"""Validation of replies against a JSON schema, and the messages that ask for a correction."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from textbookgen.api.message import Message

_CODE_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n\s*```\s*$", re.DOTALL)


def strip_code_fence(text: str) -> str:
    """Return the text without the Markdown code fence that many models put around JSON."""
    fenced = _CODE_FENCE.match(text)
    return fenced.group(1) if fenced else text.strip()


def validation_error(text: str, schema: Mapping[str, Any]) -> str:
    """Return why a text violates a JSON schema (draft 2020-12), worded for its author; empty if it satisfies the schema."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    try:
        value = json.loads(text)
    except ValueError as error:
        return f"it is not valid JSON: {error}"
    violation = best_match(Draft202012Validator(schema).iter_errors(value))
    return "" if violation is None else f"at {violation.json_path}: {violation.message}"


def repair_messages(text: str, problem: str) -> tuple[Message, Message]:
    """Return the invalid reply, and a message that asks the teacher to correct it."""
    correction = (
        f"Your reply does not satisfy the JSON schema: {problem}\n"
        "Reply with the complete corrected JSON document. Output nothing else."
    )
    return Message("assistant", text), Message("user", correction)
