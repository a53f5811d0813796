"""Requests and the calls that answer them, made from templates; some must not be answered by a call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from itertools import islice
from random import Random
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, RecipeError, Source, document_id
from textbookgen_api.application import Application, Function, Values, application_file, is_unseen, read_application
from textbookgen_api.calls import Call
from textbookgen_api.request_templates import Phrase

COLUMNS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "text": pl.String(),
    "kind": pl.String(),
    "api.prompt": pl.String(),
    "api.request": pl.String(),
    "api.call": pl.String(),
    "api.case": pl.String(),
    "api.function": pl.String(),
    "api.description": pl.String(),
    "api.values": pl.List(pl.String()),
    "api.defaults": pl.String(),
}

_ROWS_PER_FRAME = 2_000
_TOKENS = 40.0  # per request with its call


class Requests(Source):
    """Make requests with the calls that answer them, correct by construction (as arXiv 2405.20347 does).

    A template of a function and values for its slots are drawn, and the call follows from them. Optional phrases (`[ by
    {date}]`) are included at random. A share of requests lacks a required value, and is answered by `clarify(missing=[...])`;
    another share is about other things, and is answered by `decline()`.

    Columns: `api.prompt` (the beginning of the text, through `Call:`), `api.request`, `api.call`, `api.case` (`call`, `missing`
    or `outside`), `api.function`, `api.description` (of the function), `api.values` (each value as the request words it) and
    `api.defaults` (JSON).
    """

    name: ClassVar[str] = "requests"

    path: str = Field(
        description="JSON file of the application's functions with templates of requests; or `household`, the plugin's example"
    )
    count: int = Field(gt=0, description="number of requests")
    missing_share: float = Field(0.1, ge=0, le=1, description="share of requests that lack a required value")
    outside_share: float = Field(0.1, ge=0, le=1, description="share of requests that no function can answer")
    values: Values = Field(
        "all",
        description="which values and outside requests are drawn: `all`, those `seen` in training, or the `unseen` fifth that "
        "is kept for tests",
    )
    seed: int = Field(0, description="seed of the requests")

    def check(self) -> Iterable[Diagnostic]:
        """Yield the problems of the file and the shares."""
        if self.missing_share + self.outside_share > 1:
            yield Diagnostic("missing_share", "`missing_share` and `outside_share` add up to more than 1")
        try:
            application = read_application(self.path)
        except RecipeError as error:
            yield from error.diagnostics
            return
        if self.missing_share and not any(map(_can_lack_value, application.functions)):
            yield Diagnostic(
                "missing_share", "no template can lack a required value", "put one in an optional phrase: [ to {city}]"
            )

    def digest(self) -> str:
        """Return a digest of the file's content."""
        return blake2b(application_file(self.path).read_bytes(), digest_size=16).hexdigest()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate the size of the requests."""
        return Estimate(documents=self.count, tokens=_TOKENS * self.count)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield frames of requests, one per row, with the columns `COLUMNS`.

        Raises:
            RecipeError: the file has problems.
            RunError: the schema of a parameter does not determine its values.
        """
        application = read_application(self.path)
        digest, options = self.digest(), self.model_dump_json(exclude={"count", "path"})
        rows = ({"id": document_id("api", digest, options, n), **self._row(n, application)} for n in range(self.count))
        while frame := list(islice(rows, _ROWS_PER_FRAME)):
            yield pl.DataFrame(frame, schema=COLUMNS)

    def _row(self, n: int, application: Application) -> dict[str, Any]:
        rng = Random(f"requests/{self.seed}/{n}")
        case = rng.random()
        if case < self.outside_share:
            return request_row(rng.choice(self._outside_requests(application)), Call("decline", {}), "outside")
        if case < self.outside_share + self.missing_share:
            return self._request(rng.choice([item for item in application.functions if _can_lack_value(item)]), True, rng)
        return self._request(rng.choice(application.functions), False, rng)

    def _request(self, function: Function, lacks_value: bool, rng: Random) -> dict[str, Any]:
        """A request for a function, complete or without one phrase that has a required value."""
        phrases = self._phrases(function, lacks_value, rng)
        slots = {slot for phrase in phrases for slot in phrase.slots}
        arguments = {item.name: item.draw(rng, self.values) for item in function.parameters if item.name in slots}
        words = {slot: function.parameter(slot).words(value) for slot, value in arguments.items()}
        text = "".join(phrase.fill(words) for phrase in phrases).strip()
        if not lacks_value:
            return request_row(text, Call(function.name, arguments), "call", function, words.values())
        missing = [item.name for item in function.parameters if item.required and item.name not in slots]
        return request_row(text, Call("clarify", {"missing": missing}), "missing", function, words.values())

    def _phrases(self, function: Function, lacks_value: bool, rng: Random) -> list[Phrase]:
        """The phrases of a random template: optional ones at random, but all with required values, or all except one."""
        templates = [
            template
            for template in function.templates
            if not lacks_value or any(_has_required_value(phrase, function) for phrase in template)
        ]
        template = rng.choice(templates)
        required = [phrase for phrase in template if _has_required_value(phrase, function)]
        omitted = rng.choice(required) if lacks_value else None
        return [
            phrase
            for phrase in template
            if phrase is not omitted and (not phrase.optional or phrase in required or rng.random() < 0.5)
        ]

    def _outside_requests(self, application: Application) -> list[str]:
        """Requests that no function answers, of the wanted set."""
        requests = application.outside or list_entries("outside")
        return [item for item in requests if self.values == "all" or is_unseen("outside", item) == (self.values == "unseen")]


def request_row(
    text: str, call: Call, case: str, function: Function | None = None, values: Iterable[str] = ()
) -> dict[str, Any]:
    """Return a request with its call as a document without id.

    Args:
        text: the request.
        call: the call that answers it.
        case: `call`, `missing` or `outside`.
        function: the function that the request is for; None for outside requests.
        values: the values of the request, as it words them.
    """
    return {
        **text_columns(text, str(call)),
        "kind": "request",
        "api.case": case,
        "api.function": function.name if function else None,
        "api.description": function.description if function else None,
        "api.values": list(values),
        "api.defaults": json.dumps(function.defaults if function else {}, sort_keys=True),
    }


def text_columns(request: str, call: str) -> dict[str, str]:
    """Return the columns that depend on the wording of a request."""
    return {
        "text": f"Request: {request}\nCall: {call}\n",
        "api.prompt": f"Request: {request}\nCall:",
        "api.request": request,
        "api.call": call,
    }


@cache
def list_entries(name: str) -> tuple[str, ...]:
    """Return the entries of a list that comes with the plugin, one per line."""
    text = files("textbookgen_api").joinpath(f"lists/{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def _has_required_value(phrase: Phrase, function: Function) -> bool:
    """Whether an optional phrase has a required value."""
    return phrase.optional and any(function.parameter(slot).required for slot in phrase.slots)


def _can_lack_value(function: Function) -> bool:
    return any(_has_required_value(phrase, function) for template in function.templates for phrase in template)
