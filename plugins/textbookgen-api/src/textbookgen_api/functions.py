"""The functions of an application: their parameters, the values these take, and how people ask for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

from textbookgen.errors import Complaint, RecipeError, RunError
from textbookgen_api.templates import Phrase, phrases

RESERVED = ("clarify", "decline")
_FIRST_DAY = date(2025, 1, 1)


@dataclass(frozen=True)
class Parameter:
    """One parameter: its JSON schema, and whether a call needs it."""

    name: str
    schema: Mapping[str, Any]
    required: bool

    def draw(self, rng: Random) -> Any:
        """A value that the schema allows: one of `enum` or `examples`, a number within its bounds, a date, a truth value.

        Raises:
            RunError: the schema does not say what values there are.
        """
        return _value(self.schema, rng, self.name)

    def words(self, value: Any) -> str:
        """How people say a value: by the schema's `x-words`, or as it is."""
        said = self.schema.get("x-words", {}).get(json.dumps(value).strip('"'))
        if said is not None:
            return str(said)
        if isinstance(value, list):
            items = [str(each) for each in value]
            return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
        return str(value)


@dataclass(frozen=True)
class Function:
    """One function: what it is for, its parameters in order, and templates of requests that it answers."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    templates: tuple[tuple[Phrase, ...], ...]

    def parameter(self, name: str) -> Parameter:
        """The parameter of this name."""
        return next(each for each in self.parameters if each.name == name)

    @property
    def defaults(self) -> dict[str, Any]:
        """What parameters are that a call leaves out, where the schema says so."""
        return {each.name: each.schema["default"] for each in self.parameters if "default" in each.schema}


@dataclass(frozen=True)
class Application:
    """The functions of an application, and requests that none of them answers."""

    functions: tuple[Function, ...]
    outside: tuple[str, ...] = field(default=())


def read_application(path: str | Path) -> Application:
    """The functions in a JSON file: a list, or an object with `functions` and perhaps `outside`.

    A function is described as for OpenAI's `tools` (`name`, `description`, `parameters` as a JSON schema), with
    `templates` beside them; the wrapping `{"type": "function", "function": {...}}` is taken off.

    Raises:
        RecipeError: everything that is wrong with the file.
    """
    try:
        told = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError([Complaint("path", f"'{path}' cannot be read: {error.strerror}")]) from error
    except ValueError as error:
        raise RecipeError([Complaint("path", f"'{path}' is not JSON: {error}")]) from error
    whole = told if isinstance(told, dict) else {"functions": told}
    functions = [each.get("function", each) for each in whole.get("functions", [])]
    complaints = [complaint for each in functions for complaint in _complaints(each)]
    if not functions:
        complaints = [Complaint("path", f"'{path}' has no functions")]
    if complaints:
        raise RecipeError(complaints)
    return Application(tuple(map(_function, functions)), tuple(map(str, whole.get("outside", []))))


def _function(told: Mapping[str, Any]) -> Function:
    schema = told.get("parameters", {})
    required = set(schema.get("required", []))
    parameters = tuple(Parameter(name, each, name in required) for name, each in schema.get("properties", {}).items())
    return Function(str(told["name"]), str(told.get("description", "")), parameters, tuple(map(phrases, told["templates"])))


def _complaints(told: Mapping[str, Any]) -> Iterator[Complaint]:
    """What is wrong with one function as told in the file."""
    name = str(told.get("name", ""))
    place = f"function '{name}'"
    if not name.isidentifier():
        yield Complaint("path", f"'{name}' is no name for a function")
    if name in RESERVED:
        yield Complaint("path", f"{place}: `{name}` is the name of an answer here", "rename the function")
    schema = told.get("parameters", {})
    known, required = set(schema.get("properties", {})), set(schema.get("required", []))
    if not told.get("templates"):
        yield Complaint("path", f"{place} has no templates", 'give requests such as "Ship {quantity} {product}[ to {city}]"')
    for template in told.get("templates", ()):
        try:
            slots = {slot for phrase in phrases(template) for slot in phrase.slots}
        except ValueError as error:
            yield Complaint("path", f"{place}: {error}")
            continue
        if slots - known:
            yield Complaint("path", f"{place}: '{template}' has a slot that is no parameter: {sorted(slots - known)[0]}")
        if required - slots:
            yield Complaint("path", f"{place}: '{template}' lacks the required {sorted(required - slots)[0]}")


def _value(schema: Mapping[str, Any], rng: Random, name: str) -> Any:
    for key in ("enum", "examples"):
        if schema.get(key):
            return rng.choice(schema[key])
    match schema.get("type"):
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            step = int(schema.get("multipleOf", 1))
            return step * rng.randint(-(-int(schema.get("minimum", 1)) // step), int(schema.get("maximum", 100)) // step)
        case "number":
            return round(rng.uniform(float(schema.get("minimum", 0)), float(schema.get("maximum", 100))), 1)
        case "array":
            items = schema.get("items", {})
            drawn = [
                _value(items, rng, name)
                for _ in range(rng.randint(int(schema.get("minItems", 1)), int(schema.get("maxItems", 3))))
            ]
            return [each for place, each in enumerate(drawn) if each not in drawn[:place]]
        case "string" if schema.get("format") == "date":
            return (_FIRST_DAY + timedelta(days=rng.randrange(730))).isoformat()
    raise RunError(f"nothing says what values `{name}` takes", hint="give its schema `enum` or `examples`")
