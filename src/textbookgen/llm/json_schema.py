"""Validation of replies against a JSON schema, and the messages that ask for a correction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from textbookgen.api.errors import UnusableReply
from textbookgen.api.message import Message
from textbookgen.api.reply_text import find_json


def json_text(text: str) -> str:
    """Return the JSON of a reply: without the code fence or the words that many models put around it.

    A reply without JSON is only stripped.
    """
    try:
        json.loads(text)
    except ValueError:
        pass
    else:
        return text.strip()
    try:
        return json.dumps(find_json(text), ensure_ascii=False)
    except UnusableReply:
        return text.strip()


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
