"""The teacher `fake`: replies made from the request, and failures on cue, for trying recipes and for tests."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from random import Random
from typing import Annotated

from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Runtime
from textbookgen.api.errors import Diagnostic, RequestRefused, TeacherBusy
from textbookgen.api.teacher import Price, Reply, Request, Teacher

_CUE = re.compile(r"busy( \d+)?( after \d+(\.\d+)?)?|refuse|cut|empty|filter|hang")
_SPOKEN = re.compile(r"\w+")


class Fake(Teacher):
    """A teacher that is no mind: the same request always has the same reply, at once and for nothing.

    It picks one of `answers` by a hash of the request; without any it says the words of the prompt in another order.
    `cues` lets it fail where a prompt holds a certain text, to see what a recipe does then.
    """

    name = "fake"
    stand_in = True

    answers: tuple[str, ...] = Field(
        (), description="replies to choose from, by a hash of the request; `{prompt}` and `{sample}` are filled in"
    )
    words: int = Field(60, gt=0, description="without `answers`: how many words a reply has")
    cues: dict[str, str] = Field(
        default_factory=dict,
        description="what happens to prompts that hold a text: 'busy 3' (three times, then it replies), 'busy 1 after 2' "
        "(turned away once, and told to wait 2 seconds), 'refuse', 'cut', 'empty', 'filter', or 'hang'",
    )
    seconds: Annotated[float, Runtime] = Field(0.0, ge=0, description="how long each reply takes")
    time_limit: Annotated[float | None, Runtime] = Field(None, gt=0, description="seconds after which a request is given up")
    retries: Annotated[int, Runtime] = Field(6, ge=0, description="how often a request that failed in passing is sent again")
    price_in: Annotated[float, Runtime] = Field(0.0, ge=0, description="US dollars for a million tokens read")
    price_out: Annotated[float, Runtime] = Field(0.0, ge=0, description="US dollars for a million tokens written")
    max_tokens: int | None = Field(None, gt=0, description="words after which a reply is cut")

    _heard: Counter[str] = PrivateAttr(default_factory=Counter)

    async def complete(self, request: Request) -> Reply:
        """A reply made from the request alone, or the failure that it gives the cue for."""
        prompt = "\n".join(turn.content for turn in request.messages)
        name = sha256(f"{request.sample}\n{prompt}".encode("utf-8", "replace")).hexdigest()
        cue = next((what for text, what in self.cues.items() if text in prompt), "")
        await asyncio.sleep(3600 if cue == "hang" else self.seconds)
        if cue == "refuse":
            raise RequestRefused("the prompt holds a text that this teacher is told to refuse")
        if cue.startswith("busy"):
            self._be_busy(cue, name)
        return self._reply(prompt, self._text(prompt, name, request.sample), cue)

    def _be_busy(self, cue: str, name: str) -> None:
        times, _, seconds = cue.removeprefix("busy").partition("after")
        self._heard[name] += 1
        if not times.strip() or self._heard[name] <= int(times):
            raise TeacherBusy(
                "the prompt holds a text that this teacher is told to be busy at",
                retry_after=float(seconds) if seconds else None,
            )

    def _text(self, prompt: str, name: str, sample: int) -> str:
        if self.answers:
            answer = self.answers[int(name, 16) % len(self.answers)]
            return answer.replace("{prompt}", prompt).replace("{sample}", str(sample))
        spoken = _SPOKEN.findall(prompt) or ["nothing"]
        return " ".join(Random(name).choices(spoken, k=self.words)).capitalize() + "."

    def _reply(self, prompt: str, text: str, cue: str) -> Reply:
        words = text.split(" ")
        most = len(words) // 2 if cue == "cut" else self.max_tokens
        cut = most is not None and len(words) > most
        if cue in ("empty", "filter"):
            words = []
        elif cut:
            words = words[:most]
        read = len(prompt.split())
        cost = self.price().cost(read, len(words))
        return Reply(" ".join(words), read, len(words), cost, "filter" if cue == "filter" else "length" if cut else "stop")

    def price(self) -> Price:
        """Nothing, unless the recipe says otherwise."""
        return Price(self.price_in, self.price_out)

    def max_output_tokens(self) -> int | None:
        """The words of the longest reply, where that is known."""
        return self.max_tokens or (None if self.answers else self.words)

    def check(self) -> Iterable[Diagnostic]:
        """Complains of cues that are none."""
        for text, cue in self.cues.items():
            if not _CUE.fullmatch(cue):
                yield Diagnostic(
                    "cues",
                    f"{cue!r}, at {text!r}, is no cue",
                    "write 'busy 3', 'busy 1 after 2', 'refuse', 'cut', 'empty', 'filter' or 'hang'",
                )
