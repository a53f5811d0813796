"""Requests of users that were written down with the right calls, as a test set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen import Diagnostic, Estimate, RecipeError, Source, document_id
from textbookgen_api.application import Application
from textbookgen_api.application_file import SHIPPED, read_application
from textbookgen_api.calls import Plan, parse_plan, write_plan
from textbookgen_api.request_writer import application_columns, text_columns
from textbookgen_api.requests import COLUMNS

_TOKENS = 40.0


class RecordedRequests(Source):
    """Read requests of users with the right calls, such as a test set that no template was made from.

    The columns are those of `api/requests`, without values and phrasing. The case follows from the call: `decline()` is
    `outside`, `clarify(...)` is `missing`, several calls are a `plan`.
    """

    name: ClassVar[str] = "recorded-requests"

    path: str = Field(
        description="JSON lines with `request` and `call`; or `household`, 24 requests to the plugin's example, which were "
        "written after its templates and must not be used to improve them"
    )
    application: str = Field(SHIPPED, description="JSON file of the application's functions, or `household`")

    def check(self) -> Iterable[Diagnostic]:
        """Yield lines that are not a request with calls, calls of unknown functions, and problems of the application."""
        try:
            functions = {item.name for item in read_application(self.application).functions} | {"clarify", "decline"}
        except RecipeError as error:
            yield from (Diagnostic("application", item.problem, item.hint) for item in error.diagnostics)
            return
        try:
            for number, (_, plan) in enumerate(self._items(), 1):
                for call in plan:
                    if call.function not in functions:
                        yield Diagnostic("path", f"line {number}: the application has no function {call.function}")
        except (OSError, ValueError) as error:
            yield Diagnostic(
                "path", f"cannot read '{self.path}': {error}", 'write lines such as {"request": "...", "call": "f()"}'
            )

    def digest(self) -> str:
        """Return a digest of the file's content."""
        return blake2b(self._file().read_bytes(), digest_size=16).hexdigest()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Count the requests."""
        try:
            count = len(list(self._items()))
        except (OSError, ValueError):
            return None
        return Estimate(documents=count, tokens=_TOKENS * count)

    def read(self) -> Iterator[pl.DataFrame]:
        """Yield one frame with all requests."""
        application = read_application(self.application)
        rows = [
            {"id": document_id("api-recorded", self.digest(), n), **_row(request, plan, application)}
            for n, (request, plan) in enumerate(self._items())
        ]
        yield pl.DataFrame(rows, schema=COLUMNS)

    def _file(self) -> Path | Traversable:
        shipped = files("textbookgen_api").joinpath("lists/household_held_back.jsonl")
        return shipped if self.path == SHIPPED else Path(self.path)

    def _items(self) -> Iterator[tuple[str, Plan]]:
        """Yield each request with its calls.

        Raises:
            OSError: the file cannot be read.
            ValueError: a line is not a JSON object with `request` and `call`, or its calls cannot be read.
        """
        for number, line in enumerate(self._file().read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            item: Any = json.loads(line)
            if not isinstance(item, Mapping) or not item.get("request") or "call" not in item:
                raise ValueError(f"line {number} has no `request` and `call`")
            yield str(item["request"]), parse_plan(str(item["call"]))


def _row(request: str, plan: Plan, application: Application) -> dict[str, Any]:
    first = plan[0].function
    case = {"decline": "outside", "clarify": "missing"}.get(first, "plan" if len(plan) > 1 else "call")
    return {
        **text_columns(request, write_plan(plan)),
        **application_columns(application),
        "api.case": case,
        "api.function": " + ".join(call.function for call in plan),
        "api.values": [],
    }
