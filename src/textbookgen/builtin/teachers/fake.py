"""The teacher `fake`: instant, free, deterministic replies and injected faults, for trying recipes and for tests."""

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
from textbookgen.api.teacher import Finish, Price, Reply, Request, Teacher

_FAULT = re.compile(r"busy( \d+)?( after \d+(\.\d+)?)?|refuse|truncate|empty|filter|hang")
_FAULTS = "'busy', 'busy 3', 'busy 1 after 2', 'refuse', 'truncate', 'empty', 'filter' or 'hang'"
_WORD = re.compile(r"\w+")


class FakeTeacher(Teacher):
    """Replies without a language model: equal requests get equal replies, at once and at no cost.

    As with a language model, a request at temperature 0 has one reply however often it is repeated.

    A reply is one of `replies`, chosen by a hash of the request; without `replies`, it is made of random words of the prompt.
    `faults` injects failures for prompts that contain a given text, to see how a recipe copes.
    """

    name = "fake"
    stand_in = True

    replies: tuple[str, ...] = Field(
        (),
        description="replies to choose from, by a hash of the request; `{prompt}`, `{sample}` and `{temperature}` are replaced",
    )
    words: int = Field(60, gt=0, description="without `replies`: length of a reply in words")
    max_tokens: int | None = Field(None, gt=0, description="maximum number of words of a reply; longer ones are truncated")
    faults: dict[str, str] = Field(
        default_factory=dict,
        description="faults by a text that the prompt contains: `busy 3` fails three times and then replies, `busy 1 after 2` "
        "asks once to retry after 2 seconds, `busy` always fails; `refuse`, `truncate`, `empty`, `filter` and `hang` always "
        "apply",
    )
    latency: Annotated[float, Runtime] = Field(0.0, ge=0, description="seconds that each reply takes")
    price_in: Annotated[float, Runtime] = Field(0.0, ge=0, description="US dollars per million words of prompts")
    price_out: Annotated[float, Runtime] = Field(0.0, ge=0, description="US dollars per million words of replies")

    _attempts: Counter[str] = PrivateAttr(default_factory=Counter)

    async def complete(self, request: Request) -> Reply:
        """Return the request's reply, or inject the fault that its prompt selects."""
        prompt = "\n".join(message.content for message in request.messages)
        sample = 0 if request.temperature == 0 else request.sample
        digest = sha256(f"{sample}\n{prompt}".encode("utf-8", "replace")).hexdigest()
        fault = next((fault for text, fault in self.faults.items() if text in prompt), "")
        await asyncio.sleep(3600 if fault == "hang" else self.latency)
        if fault == "refuse":
            raise RequestRefused("injected fault: refuse")
        if fault.startswith("busy"):
            self._fail_at_first(fault, digest)
        return self._reply(prompt, self._text(prompt, digest, sample, request.temperature), fault)

    def _fail_at_first(self, fault: str, digest: str) -> None:
        times, _, seconds = fault.removeprefix("busy").partition("after")
        self._attempts[digest] += 1
        if not times.strip() or self._attempts[digest] <= int(times):
            raise TeacherBusy(f"injected fault: {fault}", retry_after=float(seconds) if seconds else None)

    def _text(self, prompt: str, digest: str, sample: int, temperature: float | None) -> str:
        if self.replies:
            reply = self.replies[int(digest, 16) % len(self.replies)]
            shown = "" if temperature is None else f"{temperature:g}"
            return reply.replace("{sample}", str(sample)).replace("{temperature}", shown).replace("{prompt}", prompt)
        words = _WORD.findall(prompt) or ["nothing"]
        return " ".join(Random(digest).choices(words, k=self.words)).capitalize() + "."

    def _reply(self, prompt: str, text: str, fault: str) -> Reply:
        words = text.split(" ")
        max_words = len(words) // 2 if fault == "truncate" else self.max_tokens
        truncated = max_words is not None and len(words) > max_words
        if fault in ("empty", "filter"):
            words = []
        elif truncated:
            words = words[:max_words]
        prompt_words = len(prompt.split())
        cost = self.price().cost(prompt_words, len(words))
        finish: Finish = "filter" if fault == "filter" else "length" if truncated else "stop"
        return Reply(" ".join(words), prompt_words, len(words), cost, finish)

    def price(self) -> Price:
        """Return the price set in the recipe; free by default."""
        return Price(self.price_in, self.price_out)

    def max_output_tokens(self) -> int | None:
        """Return the number of words of the longest reply, where it is limited."""
        return self.max_tokens or (None if self.replies else self.words)

    def check(self) -> Iterable[Diagnostic]:
        """Yield unknown faults."""
        for text, fault in self.faults.items():
            if not _FAULT.fullmatch(fault):
                yield Diagnostic("faults", f"unknown fault {fault!r} for {text!r}", f"write {_FAULTS}")
