"""Plugin `procedural`: the teacher `procedural/author`, a program that stands in for a language model, and its benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textbookgen import Teacher, hookimpl
from textbookgen_procedural.teacher import ProceduralTeacher

if TYPE_CHECKING:
    from textbookgen.api.benchmark import Benchmark


@hookimpl
def teachers() -> list[type[Teacher]]:
    """Return the embedded teacher."""
    return [ProceduralTeacher]


@hookimpl
def open_benchmark(name: str) -> Benchmark | None:
    """Return `exercises-heldout`, or with a number of items `exercises-heldout:20`; None for other names."""
    from textbookgen_procedural.heldout_benchmark import open_heldout

    return open_heldout(name)


def topics() -> tuple[str, ...]:
    """Return the topics that the teacher's pages know, sorted; a page on another topic is refused."""
    from textbookgen_procedural.concepts import topics

    return topics()
