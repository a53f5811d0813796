"""The embedded teacher `procedural/author`: a program that stands in for a language model and replies from the draw."""

from __future__ import annotations

import json
from random import Random
from typing import ClassVar

from textbookgen import Price, Reply, Request, RequestRefused, Teacher
from textbookgen_procedural.tasks import TASKS


class ProceduralTeacher(Teacher):
    """A program that stands in for a language model: no key, no network, no cost.

    It reads only `task`, `draw` and `sample` of a request, and always replies alike to the same request. It does the tasks of
    `textbookgen_procedural.tasks.TASKS`, as well as a program without knowledge of the world can.
    """

    name: ClassVar[str] = "author"
    reads_draw: ClassVar[bool] = True
    stand_in: ClassVar[bool] = True
    version: ClassVar[int] = 15

    async def complete(self, request: Request) -> Reply:
        """Return what the program writes for a request.

        Raises:
            RequestRefused: the task is unknown, or the draw lacks a field that the task needs.
        """
        task = TASKS.get(request.task)
        if task is None:
            raise RequestRefused(
                f"the embedded teacher does not support the task `{request.task}`",
                hint=f"it is a program and supports only {', '.join(TASKS)}; use a language model for other tasks",
            )
        return Reply(task(_random_for(request), request.draw))

    def price(self) -> Price:
        """Return a price of zero."""
        return Price(0.0, 0.0)


def _random_for(request: Request) -> Random:
    """Return random numbers that depend on task, draw and sample alone, not on the order of the draw's fields."""
    key = {"task": request.task, "draw": dict(request.draw), "sample": request.sample}
    return Random(json.dumps(key, sort_keys=True, ensure_ascii=False, default=str))
