"""An application of two functions whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

SHIP = {
    "name": "ship",
    "description": "Sends goods.",
    "parameters": {
        "type": "object",
        "properties": {
            "product": {"type": "string", "examples": ["bolts", "lamps"]},
            "quantity": {"type": "integer", "minimum": 10, "maximum": 50, "multipleOf": 5},
            "city": {"type": "string", "enum": ["Oslo", "Lima"]},
            "express": {"type": "boolean", "default": False, "x-words": {"true": "by express", "false": "by slow freight"}},
        },
        "required": ["product", "quantity", "city"],
    },
    "templates": ["Ship {quantity} {product}[ to {city}][, {express}].", "[In {city} ]they need {quantity} {product}."],
}
STOCK = {
    "name": "stock",
    "parameters": {
        "properties": {
            "products": {"type": "array", "items": {"enum": ["bolts", "lamps"]}},
            "day": {"type": "string", "format": "date"},
        },
        "required": ["products"],
    },
    "templates": ["How many {products} were there[ on {day}]?"],
}


@pytest.fixture
def ship() -> dict:
    return SHIP


@pytest.fixture
def stock() -> dict:
    return STOCK


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "functions.json"
    path.write_text(json.dumps([{"type": "function", "function": SHIP}, STOCK]), encoding="utf-8")
    return path
