"""Writes one request with its calls: draws a task, a phrasing, a voice and values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from random import Random
from typing import Any

from textbookgen import RunError
from textbookgen_api.application import ORDER, Application, Task
from textbookgen_api.calls import Call, Plan, Result, Slot, write_plan
from textbookgen_api.catalog import Catalog, Entry, has_required_value, make_catalog
from textbookgen_api.parameters import Parameter, Split, is_unseen
from textbookgen_api.request_templates import choose_words, fill, parse_template
from textbookgen_api.voices import PLAIN_FRAME, in_voice, join_orders, typed

_LACKS_ALL_SHARE = 0.25  # of requests that lack a required value: those that lack all that their template can lack
_LOWER_CASE_VALUES = 0.5  # of careless requests: share with names in lower case, too
_THREE_TASKS_SHARE = 0.15  # of requests that join tasks
_MAX_CALLS = 3  # in such a request
_MAX_TRIES = 500
_SLOT = re.compile(r"\{(\w+)(#?)\}")


@dataclass(frozen=True)
class Shares:
    """Shares of requests that lack a required value, ask for what is absent, join several tasks, or have a typing error."""

    missing: float
    outside: float
    sequence: float
    typo: float


@dataclass(frozen=True)
class RequestWriter:
    """Writes the requests of a split of an application.

    Attributes:
        application: the application.
        shares: how many requests of each sort there are.
        values: which values are drawn.
        phrasings: which templates, frames and joints are drawn.
        functions: which absent functions and which pairs of tasks are drawn.
        frames: whether orders are put into frames, and requests are typed as people do.
    """

    application: Application
    shares: Shares
    values: Split = "all"
    phrasings: Split = "all"
    functions: Split = "all"
    frames: bool = True

    @cached_property
    def catalog(self) -> Catalog:
        """The tasks and phrasings of the split."""
        return make_catalog(self.application, self.phrasings, self.functions)

    @cached_property
    def _shared_columns(self) -> dict[str, str]:
        return application_columns(self.application)

    def write(self, rng: Random) -> dict[str, Any]:
        """Return a random request as a document without id.

        Raises:
            RunError: the schema of a parameter does not determine its values, or no pair of tasks is in the split.
        """
        case = rng.random()
        if case < self.shares.outside:
            return self._request(rng.choice(self.catalog.absent), "outside", rng)
        case -= self.shares.outside
        if case < self.shares.missing:
            return self._request(rng.choice(self.catalog.lacking), "missing", rng)
        if case - self.shares.missing < self.shares.sequence:
            return self._sequence(rng)
        entry = rng.choice(self.catalog.complete)
        return self._request(entry, "plan" if len(entry.task.plan) > 1 else "call", rng)

    def _request(self, entry: Entry, case: str, rng: Random) -> dict[str, Any]:
        """A request for one task; for the case `missing` without required values that its template can leave out."""
        voice = rng.choice(sorted({item.voice for item in entry.phrasings}))
        phrasing = rng.choice([item for item in entry.phrasings if item.voice == voice])
        text = self._wording(phrasing.template, entry.task, rng, case == "missing")
        slots = {name for name, _ in _SLOT.findall(text)}
        missing = [name for name in entry.task.slots if name in entry.task.required - slots]
        plan = (Call("clarify", {"missing": missing}),) if case == "missing" else entry.task.plan
        return self._finish(text, voice, f"{entry.task.name}: {phrasing.template}", plan, entry.task, case, rng)

    def _sequence(self, rng: Random) -> dict[str, Any]:
        """A request that joins the orders of several tasks."""
        texts: list[str] = []
        phrasings: list[str] = []
        slots: dict[str, Parameter] = {}
        plan: Plan = ()
        chosen = self._tasks_of_sequence(rng)
        for number, entry in enumerate(chosen):
            phrasing = rng.choice(entry.phrasings)
            text = self._wording(phrasing.template, entry.task, rng, False)
            texts.append(_SLOT.sub(lambda slot, number=number: f"{{{slot[1]}_{number}{slot[2]}}}", text))  # type: ignore[misc]
            phrasings.append(f"{entry.task.name}: {phrasing.template}")
            slots |= {f"{name}_{number}": item for name, item in entry.task.slots.items()}
            plan += _numbered_plan(entry.task.plan, number, len(plan))
        names, purposes = ([getattr(item.task, name) for item in chosen] for name in ("name", "description"))
        task = Task(" + ".join(names), plan, slots, (), " Then: ".join(purposes))
        return self._finish(join_orders(texts, self.phrasings, rng), ORDER, " / ".join(phrasings), plan, task, "plan", rng)

    def _tasks_of_sequence(self, rng: Random) -> Sequence[Entry]:
        """Two or three tasks. Pairs of neighbours are all seen, or some are unseen, as the split says."""
        orders = self.catalog.orders
        for _ in range(_MAX_TRIES):
            chosen = rng.sample(orders, 3 if rng.random() < _THREE_TASKS_SHARE and len(orders) > 2 else 2)
            unseen = [is_unseen("pair", f"{one.task.name} / {other.task.name}") for one, other in pairwise(chosen)]
            is_short = sum(len(item.task.plan) for item in chosen) <= _MAX_CALLS
            if is_short and (self.functions == "all" or any(unseen) == (self.functions == "unseen")):
                return chosen
        raise RunError(f"no pair of tasks is {self.functions}", hint="add tasks with templates of the voice `order`")

    def _wording(self, template: str, task: Task, rng: Random, lacks_value: bool) -> str:
        """A template with its words chosen: optional phrases at random, but all or not all of those with required values."""
        phrases = parse_template(choose_words(template, self.application.words, rng))
        required = [place for place, phrase in enumerate(phrases) if has_required_value(phrase, task)]
        omitted: set[int] = set()
        if lacks_value:
            omitted = set(required) if rng.random() < _LACKS_ALL_SHARE else {rng.choice(required)}
        return "".join(
            phrase.text
            for place, phrase in enumerate(phrases)
            if place not in omitted and (not phrase.optional or place in required or rng.random() < 0.5)
        ).strip()

    def _finish(self, text: str, voice: str, phrasing: str, plan: Plan, task: Task, case: str, rng: Random) -> dict[str, Any]:
        """Put a wording into a voice, fill its slots, and make the calls."""
        is_careless = False
        if self.frames:
            text, voice, frame = in_voice(text, voice, self.phrasings, rng)
            phrasing = phrasing if frame == PLAIN_FRAME else f"{phrasing} / {frame}"
            text, is_careless = typed(text, voice, rng, self.shares.typo)
        used = _SLOT.findall(text)
        values = {name: task.slots[name].draw(rng, self.values) for name in dict.fromkeys(name for name, _ in used)}
        if is_careless and rng.random() < _LOWER_CASE_VALUES:
            values = {name: value.lower() if task.slots[name].is_free_text else value for name, value in values.items()}
        words = {name: task.slots[name].words(value, rng) for name, value in values.items()}
        request = fill(text, words)
        if self.frames and not is_careless and not (text.startswith("{") and task.slots[used[0][0]].is_free_text):
            request = request[0].upper() + request[1:]
        worded = [words[name][bool(bare)] for name, bare in used]
        if text.startswith("{"):
            worded[0] = request[: len(worded[0])]  # perhaps with a capital letter now
        return {
            **text_columns(request, write_plan(_filled(plan, values))),
            **self._shared_columns,
            "api.case": case,
            "api.function": task.name,
            "api.description": task.description if case != "outside" else None,
            "api.values": worded,
            "api.phrasing": phrasing,
            "api.voice": voice,
        }


def application_columns(application: Application) -> dict[str, str]:
    """Return the columns that all requests to an application have in common."""
    return {
        "kind": "request",
        "api.defaults": json.dumps(application.defaults, sort_keys=True),
        "api.application": application.describe(),
    }


def text_columns(request: str, call: str) -> dict[str, str]:
    """Return the columns that depend on the wording of a request."""
    return {
        "text": f"Request: {request}\nCall: {call}\n",
        "api.prompt": f"Request: {request}\nCall:",
        "api.request": request,
        "api.call": call,
    }


def _filled(plan: Iterable[Call], values: Mapping[str, Any]) -> Plan:
    """Return a plan with values in its slots; arguments without a value are left out."""
    return tuple(
        Call(
            call.function,
            {
                name: values[value.name] if isinstance(value, Slot) else value
                for name, value in call.arguments.items()
                if not isinstance(value, Slot) or value.name in values
            },
        )
        for call in plan
    )


def _numbered_plan(plan: Plan, number: int, calls_before: int) -> Plan:
    """Return a plan as part of a longer one: with the number of its task at the end of slots, and results renumbered."""

    def renumbered(value: Any) -> Any:
        if isinstance(value, Slot):
            return Slot(f"{value.name}_{number}")
        return Result(value.call + calls_before) if isinstance(value, Result) else value

    return tuple(Call(call.function, {name: renumbered(item) for name, item in call.arguments.items()}) for call in plan)
