"""Replies that must be JSON of a given schema: is this one, and if not, what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from textbookgen.api.message import Message

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n\s*```\s*$", re.DOTALL)


def bare(text: str) -> str:
    """The reply without the fence that many models put around JSON."""
    fenced = _FENCE.match(text)
    return fenced.group(1) if fenced else text.strip()


def diagnostic(text: str, schema: Mapping[str, Any]) -> str:
    """What keeps the text from satisfying the JSON schema, in words for its writer; empty if nothing does."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    try:
        value = json.loads(text)
    except ValueError as error:
        return f"it is not JSON: {error}"
    worst = best_match(Draft202012Validator(schema).iter_errors(value))
    return "" if worst is None else f"at {worst.json_path}: {worst.message}"


def repair(text: str, problem: str) -> tuple[Message, Message]:
    """The turns that follow a reply which does not satisfy its schema."""
    ask = f"Your reply does not satisfy the schema: {problem}\nReply again with the whole corrected JSON and nothing else."
    return Message("assistant", text), Message("user", ask)
