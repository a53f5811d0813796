"""Requests and the calls that answer them, made from templates; some must not be answered by a call."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import islice
from random import Random
from typing import ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, RecipeError, Source, document_id
from textbookgen_api.application_file import application_file, read_application
from textbookgen_api.parameters import Split
from textbookgen_api.request_writer import RequestWriter, Shares
from textbookgen_api.voices import wordings

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
    "api.phrasing": pl.String(),
    "api.voice": pl.String(),
    "api.application": pl.String(),
}

_ROWS_PER_FRAME = 2_000
_TOKENS = 40.0  # per request with its call


class Requests(Source):
    """Make requests with the calls that answer them, correct by construction (as arXiv 2405.20347 does).

    A task of the application, a template of a request for it, and values for its slots are drawn; the calls follow from them.
    Optional phrases (`[ by {date}]`) are included at random. Templates in the imperative are put into frames such as "could you
    {}?". Some requests take several calls: those of such a task, or two orders in one request. A share of requests lacks a
    required value, and is answered by `clarify(missing=[...])`; another share asks for what the application cannot do, and is
    answered by `decline()`.

    Columns: `api.prompt` (the beginning of the text, through `Call:`), `api.request`, `api.call`, `api.case` (`call`, `plan`,
    `missing` or `outside`), `api.function`, `api.description` (of the function), `api.values` (each value as the request words
    it), `api.defaults` (JSON: default values by function), `api.phrasing` (the templates and the frame), `api.voice` and
    `api.application` (its description, for prompts).
    """

    name: ClassVar[str] = "requests"
    version: ClassVar[int] = 2

    path: str = Field(
        description="JSON file of the application's functions with templates of requests; or `household`, the plugin's example"
    )
    count: int = Field(gt=0, description="number of requests")
    missing_share: float = Field(0.1, ge=0, le=1, description="share of requests that lack a required value")
    outside_share: float = Field(0.1, ge=0, le=1, description="share of requests that no function can answer")
    sequence_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of requests that join the orders of two tasks, or three; the calls are made in order",
    )
    values: Split = Field(
        "all",
        description="which values are drawn: `all`, those `seen` in training, or the `unseen` fifth that is kept for tests",
    )
    phrasings: Split = Field(
        "all", description="which templates, frames and joints are drawn: `all`, `seen` or `unseen`, by a hash of the template"
    )
    functions: Split = Field(
        "all",
        description="which functions that the application lacks, and which pairs of tasks in one request, are drawn: `all`, "
        "`seen` or `unseen`, by a hash of their names",
    )
    frames: bool = Field(True, description="put templates of the voice `order` into frames, and add openers and closers")
    typo_share: float = Field(0.0, ge=0, le=1, description="share of requests with a typing error, never in a value")
    seed: int = Field(0, description="seed of the requests")

    def check(self) -> Iterable[Diagnostic]:
        """Yield the problems of the file and the shares, and splits that are empty."""
        if self.missing_share + self.outside_share + self.sequence_share > 1:
            yield Diagnostic("missing_share", "`missing_share`, `outside_share` and `sequence_share` add up to more than 1")
        try:
            writer = self._writer()
        except RecipeError as error:
            yield from error.diagnostics
            return
        catalog = writer.catalog
        if self.missing_share and not catalog.lacking:
            yield Diagnostic(
                "missing_share", "no template can lack a required value", "put one in an optional phrase: [ to {city}]"
            )
        for task in writer.application.tasks:
            if not any(entry.task is task for entry in catalog.complete):
                yield Diagnostic("phrasings", f"no phrasing of {task.name} is {self.phrasings}", "add templates")
        if self.outside_share and not catalog.absent:
            yield Diagnostic("functions", f"no absent function is {self.functions}", "add some to `absent`")
        if self.sequence_share and len(catalog.orders) < 2:
            yield Diagnostic("sequence_share", "needs two tasks with templates of the voice `order`")

    def digest(self) -> str:
        """Return a digest of the file's content and of the plugin's frames."""
        frames = json.dumps(wordings(), sort_keys=True).encode()
        return blake2b(application_file(self.path).read_bytes() + frames, digest_size=16).hexdigest()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate:
        """Estimate the size of the requests."""
        return Estimate(documents=self.count, tokens=_TOKENS * self.count)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield frames of requests, one per row, with the columns `COLUMNS`.

        Raises:
            RecipeError: the file has problems.
            RunError: the schema of a parameter does not determine its values.
        """
        writer = self._writer()
        digest, options = self.digest(), self.model_dump_json(exclude={"count", "path"})
        rows = (
            {"id": document_id("api", digest, options, n), **writer.write(Random(f"requests/{self.seed}/{n}"))}
            for n in range(self.count)
        )
        while frame := list(islice(rows, _ROWS_PER_FRAME)):
            yield pl.DataFrame(frame, schema=COLUMNS)

    def _writer(self) -> RequestWriter:
        shares = Shares(self.missing_share, self.outside_share, self.sequence_share, self.typo_share)
        application = read_application(self.path)
        return RequestWriter(application, shares, self.values, self.phrasings, self.functions, self.frames)
