"""Shared by `write` and `grade`: JSON schemas in recipes, fields of JSON replies, and the columns that they become."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import polars as pl
from pydantic import BeforeValidator

from textbookgen.api.errors import UnusableReply

#: Columns of an own value, by the type that the schema gives it; all others are text.
_DTYPES: dict[str, pl.DataType] = {"number": pl.Float64(), "integer": pl.Int64(), "boolean": pl.Boolean()}


def _parse_schema(value: object) -> object:
    """Return the schema of a recipe: a table, JSON text, or the lines of a file that `"@FILE"` was replaced by."""
    if isinstance(value, list | tuple):
        value = "\n".join(map(str, value))
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}") from error
    if isinstance(value, Mapping):
        from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
        from jsonschema.exceptions import SchemaError  # type: ignore[import-untyped]

        try:
            Draft202012Validator.check_schema(dict(value))
        except SchemaError as error:
            raise ValueError(f"is not a JSON schema: at {error.json_path}: {error.message}") from error
    return value


#: The type of the option `schema`.
JsonSchema = Annotated[dict[str, Any] | None, BeforeValidator(_parse_schema)]


def properties(schema: Mapping[str, Any] | None, items: str | None = None) -> dict[str, Mapping[str, Any]]:
    """Return the properties of the objects that a schema describes.

    Args:
        schema: the schema; None has no properties.
        items: the field with the list of objects, if the reply is not one object itself.
    """
    node: Any = schema or {}
    for name in items.split(".") if items else ():
        node = node.get("properties", {}).get(name, {}) if isinstance(node, Mapping) else {}
    if isinstance(node, Mapping) and node.get("type") == "array":
        node = node.get("items", {})
    return dict(node.get("properties", {})) if isinstance(node, Mapping) else {}


def dtype_of(property_: Mapping[str, Any] | None) -> pl.DataType:
    """Return the dtype of a column for a property of a schema; text if the schema does not say."""
    kind = (property_ or {}).get("type")
    kinds = [item for item in ([kind] if isinstance(kind, str) else kind or []) if item != "null"]
    return _DTYPES.get(kinds[0], pl.String()) if len(kinds) == 1 else pl.String()


def as_column(value: Any, dtype: pl.DataType) -> Any:
    """Return a value of a reply as a column holds it: text that is not text already is JSON.

    Raises:
        UnusableReply: the value does not have the type of the column.
    """
    if value is None:
        return None
    if dtype == pl.String():
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    accepted = {pl.Float64(): (int, float), pl.Int64(): (int,), pl.Boolean(): (bool,)}[dtype]
    if not isinstance(value, accepted) or (isinstance(value, bool) and dtype != pl.Boolean()):
        raise UnusableReply(f"a value is not of the type in the schema: {value!r}")
    return float(value) if dtype == pl.Float64() else value


def field(value: Any, path: str) -> Any:
    """Return a field of a JSON value, such as `story.title` or `choices.0`; None if there is none."""
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, Sequence) and not isinstance(value, str) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def document_with_draw(draw: Mapping[str, Any]) -> dict[str, Any]:
    """Return a draw whose `document` has its own draw as a mapping instead of JSON, for templates."""
    document = draw.get("document")
    if document is None or not isinstance(document.get("draw"), str):
        return dict(draw)
    return {**draw, "document": {**document, "draw": json.loads(document["draw"])}}
