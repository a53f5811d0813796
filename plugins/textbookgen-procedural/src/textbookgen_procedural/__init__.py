"""The embedded teacher's plugin: `procedural/author`, a program and no language model, and the benchmark of its exercises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textbookgen import Teacher, hookimpl
from textbookgen_procedural.author import Author

if TYPE_CHECKING:
    from textbookgen.api.benchmark import Benchmark


@hookimpl
def teachers() -> list[type[Teacher]]:
    """The embedded teacher."""
    return [Author]


@hookimpl
def open_benchmark(name: str) -> Benchmark | None:
    """`exercises-heldout`, or with a number of items `exercises-heldout:500`."""
    from textbookgen_procedural.heldout import open_heldout

    return open_heldout(name)


def topics() -> tuple[str, ...]:
    """The topics that the teacher's pages know, one a concept, as `topics.txt` in this package lists them."""
    from textbookgen_procedural.concepts import topics

    return topics()
