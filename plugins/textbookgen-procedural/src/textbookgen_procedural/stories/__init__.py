"""Stories for small children, from a grammar."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any


def write_story(rng: Random, draw: Mapping[str, Any]) -> str:
    """A story."""
    raise NotImplementedError
