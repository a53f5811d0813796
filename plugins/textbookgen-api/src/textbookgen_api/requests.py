"""Requests and the calls that answer them, made from templates, with requests that must not be answered by a call."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from itertools import islice
from random import Random
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, RecipeError, Source, document_id
from textbookgen_api.calling import Call
from textbookgen_api.functions import Application, Function, Values, application_file, is_unseen, read_application
from textbookgen_api.templates import Phrase

COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "text": pl.String(),
    "kind": pl.String(),
    "api.prompt": pl.String(),
    "api.request": pl.String(),
    "api.call": pl.String(),
    "api.case": pl.String(),
    "api.function": pl.String(),
    "api.slots": pl.List(pl.String()),
    "api.defaults": pl.String(),
}

_ROWS = 2_000


class Requests(Source):
    """Writes requests with the calls that answer them, right by construction (arXiv 2405.20347 made such pairs, too).

    A template of a function is drawn, values are drawn for its slots, and the call follows from them. Optional phrases
    (`[ by {date}]`) come and go. A share of requests lacks a phrase with a required value, and is answered by
    `clarify(missing=[...])`; a share is about other things, and is answered by `decline()`.

    Columns: `api.prompt` (how the text begins, up to where the call stands), `api.request`, `api.call`, `api.case` (`call`,
    `missing` or `outside`), `api.function`, `api.slots` (the words of each value as they stand in the request) and
    `api.defaults` (JSON).
    """

    name: ClassVar[str] = "requests"

    path: str = Field(
        description="JSON file of the application's functions, with templates of requests; or `household`, which comes along"
    )
    count: int = Field(gt=0, description="requests")
    missing_share: float = Field(0.1, ge=0, le=1, description="share of requests that lack a required value")
    outside_share: float = Field(0.1, ge=0, le=1, description="share of requests about other things")
    values: Values = Field(
        "all",
        description="draw slot values, and requests about other things, from `all`, or from those to be `seen` in training "
        "or the `unseen` fifth, to test on",
    )
    seed: int = Field(0, description="another seed draws other requests")

    def check(self) -> Iterable[Diagnostic]:
        """What is wrong with the file, and with the shares."""
        if self.missing_share + self.outside_share > 1:
            yield Diagnostic("missing_share", "the shares come to more than 1")
        try:
            application = read_application(self.path)
        except RecipeError as error:
            yield from error.diagnostics
            return
        if self.missing_share and not any(map(_droppable, application.functions)):
            yield Diagnostic("missing_share", "no template can lack a required value", "put one in brackets: [ to {city}]")

    def digest(self) -> str:
        """The contents of the file."""
        return hashlib.blake2b(application_file(self.path).read_bytes(), digest_size=16).hexdigest()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """The requests, at about forty tokens each."""
        return Estimate(documents=self.count, tokens=40.0 * self.count)

    def read(self) -> Iterator[pl.DataFrame]:
        """The requests, one a row.

        Raises:
            RecipeError: the file is not as it should be.
            RunError: nothing says what values a parameter takes.
        """
        application = read_application(self.path)
        rows = (self._row(n, application) for n in range(self.count))
        while some := list(islice(rows, _ROWS)):
            yield pl.DataFrame(some, schema=COLUMNS)

    def _row(self, n: int, application: Application) -> dict[str, Any]:
        rng = Random(f"requests/{self.seed}/{n}")
        case = rng.random()
        name = document_id("api", self.digest(), self.model_dump_json(exclude={"count", "path"}), n)
        if case < self.outside_share:
            return request_row(name, rng.choice(self._outside(application)), Call("decline", {}), "outside")
        missing = case < self.outside_share + self.missing_share
        known = [item for item in application.functions if not missing or _droppable(item)]
        function = rng.choice(known)
        return self._asked(name, function, missing, rng)

    def _asked(self, name: str, function: Function, missing: bool, rng: Random) -> dict[str, Any]:
        """A request for a function, with all that it needs or without some of it."""
        template = rng.choice(
            [item for item in function.templates if not missing or any(_needed(phrase, function) for phrase in item)]
        )
        dropped = rng.choice([phrase for phrase in template if _needed(phrase, function)]) if missing else None
        kept = [phrase for phrase in template if phrase is not dropped and self._kept(phrase, function, rng)]
        said = {slot for phrase in kept for slot in phrase.slots}
        values = {item.name: item.draw(rng, self.values) for item in function.parameters if item.name in said}
        words = {slot: function.parameter(slot).words(value) for slot, value in values.items()}
        text = "".join(phrase.filled(words) for phrase in kept).strip()
        lacking = [item.name for item in function.parameters if item.required and item.name not in said]
        call = Call("clarify", {"missing": lacking}) if missing else Call(function.name, values)
        return request_row(
            name, text, call, "missing" if missing else "call", function.name, tuple(words.values()), function.defaults
        )

    def _outside(self, application: Application) -> list[str]:
        """Requests about other things, on the wanted side."""
        every = application.outside or _outside()
        return [item for item in every if self.values == "all" or is_unseen("outside", item) == (self.values == "unseen")]

    def _kept(self, phrase: Phrase, function: Function, rng: Random) -> bool:
        return not phrase.optional or _needed(phrase, function) or rng.random() < 0.5


def request_row(
    name: str, text: str, call: Call, case: str, function: str | None = None, slots: Iterable[str] = (), defaults: Any = None
) -> dict[str, Any]:
    """A request with its call as a document."""
    return {
        "id": name,
        "text": f"Request: {text}\nCall: {call}\n",
        "kind": "request",
        "api.prompt": f"Request: {text}\nCall:",
        "api.request": text,
        "api.call": str(call),
        "api.case": case,
        "api.function": function,
        "api.slots": list(slots),
        "api.defaults": json.dumps(defaults or {}, sort_keys=True),
    }


def _needed(phrase: Phrase, function: Function) -> bool:
    """Whether an optional phrase holds a required value."""
    return phrase.optional and any(function.parameter(slot).required for slot in phrase.slots)


def _droppable(function: Function) -> bool:
    return any(_needed(phrase, function) for template in function.templates for phrase in template)


def listed(name: str) -> tuple[str, ...]:
    """The lines of a list that comes with the plugin."""
    text = files("textbookgen_api").joinpath(f"lists/{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def _outside() -> tuple[str, ...]:
    return listed("outside")
