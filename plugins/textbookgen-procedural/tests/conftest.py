"""A way to ask the embedded teacher as the engine would."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textbookgen_procedural.author import Author

from textbookgen.api.teacher import Request

Ask = Callable[..., str]


@pytest.fixture(scope="session")
def ask() -> Ask:
    teacher = Author()

    def answer(task: str, draw: dict[str, Any], sample: int = 0) -> str:
        return asyncio.run(teacher.complete(Request((), task, draw, sample))).text

    return answer
