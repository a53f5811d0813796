"""The embedded teacher: it answers tasks from the facts of a draw. It is a program, not a language model."""

from __future__ import annotations

import json
from random import Random
from typing import ClassVar

from textbookgen import Price, Reply, Request, RequestRefused, Teacher
from textbookgen_procedural.tasks import TASKS


class Author(Teacher):
    """The embedded teacher: a program, not a language model, that needs no key and no network.

    It reads nothing but `task`, `draw` and `sample` of a request, and answers the same request always alike. It does every
    task of `tasks.TASKS`, as well as a program can that has no knowledge of the world.
    """

    name: ClassVar[str] = "author"
    reads_draw: ClassVar[bool] = True
    stand_in: ClassVar[bool] = True
    version: ClassVar[int] = 1

    async def complete(self, request: Request) -> Reply:
        """What the program writes for the request.

        Raises:
            RequestRefused: the task is none it knows, or the draw lacks what the task needs.
        """
        task = TASKS.get(request.task)
        if task is None:
            raise RequestRefused(
                f"the embedded teacher cannot do the task `{request.task}`",
                hint=f"it is a program and knows the tasks {', '.join(TASKS)}; name a language model for others",
            )
        return Reply(task(_random(request), request.draw))

    def price(self) -> Price:
        """Nothing."""
        return Price(0.0, 0.0)


def _random(request: Request) -> Random:
    facts = {"task": request.task, "draw": dict(request.draw), "sample": request.sample}
    return Random(json.dumps(facts, sort_keys=True, ensure_ascii=False, default=str))
