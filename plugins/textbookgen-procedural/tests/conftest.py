"""Requests to the embedded teacher, as the engine makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textbookgen_procedural.teacher import ProceduralTeacher

from textbookgen.api.teacher import Request

Ask = Callable[..., str]


@pytest.fixture(scope="session")
def ask() -> Ask:
    teacher = ProceduralTeacher()

    def answer(task: str, draw: dict[str, Any], sample: int = 0) -> str:
        return asyncio.run(teacher.complete(Request((), task, draw, sample))).text

    return answer
