"""The functions of an application: their parameters, the values these take, and how people ask for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import blake2b
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from random import Random
from typing import Any, Literal

from textbookgen import Diagnostic, RecipeError, RunError
from textbookgen_api.templates import Phrase, phrases

Values = Literal["all", "seen", "unseen"]
#: Where there are examples and a pattern: the share of values made by the pattern.
_BY_PATTERN = 0.75
#: Draws of a value until one is on the wanted side.
_TRIES = 1_000
RESERVED = ("clarify", "decline")
_FIRST_DAY = date(2025, 1, 1)


def is_unseen(name: str, value: Any) -> bool:
    """Whether a value of a parameter is one of the fifth that training does not see."""
    return blake2b(f"{name}/{value}".encode(), digest_size=8).digest()[0] % 5 == 0


@dataclass(frozen=True)
class Parameter:
    """One parameter: its JSON schema, and whether a call needs it."""

    name: str
    schema: Mapping[str, Any]
    required: bool

    def draw(self, rng: Random, values: Values = "all") -> Any:
        """A value that the schema allows: one of `enum` or `examples`, a number within its bounds, a date, a truth value.

        `seen` and `unseen` part what has many values in two that have none in common; what has few is drawn as it is. Where
        there are `examples` and a `pattern`, three quarters of what is seen are made by the pattern, for values to be copied
        rather than known by heart; what is unseen are examples.

        Raises:
            RunError: the schema does not say what values there are, or there are none on this side.
        """
        if values != "unseen" and "pattern" in self.schema and (not self.schema.get("examples") or rng.random() < _BY_PATTERN):
            return _by_pattern(str(self.schema["pattern"]), rng)
        value = _value(self.schema, rng, self.name)
        if values == "all" or self.schema.get("enum") or self.schema.get("type") in ("boolean", "array"):
            return value
        for _ in range(_TRIES):
            if is_unseen(self.name, value) == (values == "unseen"):
                return value
            value = _value(self.schema, rng, self.name)
        raise RunError(f"`{self.name}` has no {values} values", hint="give it more `examples`, or wider bounds")

    def words(self, value: Any) -> str:
        """How people say a value: by the schema's `x-words`, or as it is."""
        said = self.schema.get("x-words", {}).get(json.dumps(value).strip('"'))
        if said is not None:
            return str(said)
        if isinstance(value, list):
            items = [str(item) for item in value]
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
        return next(item for item in self.parameters if item.name == name)

    @property
    def defaults(self) -> dict[str, Any]:
        """What parameters are that a call leaves out, where the schema says so."""
        return {item.name: item.schema["default"] for item in self.parameters if "default" in item.schema}


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
        told = json.loads(application_file(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError([Diagnostic("path", f"'{path}' cannot be read: {error.strerror}")]) from error
    except ValueError as error:
        raise RecipeError([Diagnostic("path", f"'{path}' is not JSON: {error}")]) from error
    whole = told if isinstance(told, dict) else {"functions": told}
    functions = [item.get("function", item) for item in whole.get("functions", [])]
    diagnostics = [diagnostic for item in functions for diagnostic in _complaints(item)]
    if not functions:
        diagnostics = [Diagnostic("path", f"'{path}' has no functions")]
    if diagnostics:
        raise RecipeError(diagnostics)
    return Application(tuple(map(_function, functions)), tuple(map(str, whole.get("outside", []))))


def application_file(path: str | Path) -> Path | Traversable:
    """The file at this path; `household` is an application of six functions that comes with the plugin."""
    return files("textbookgen_api").joinpath("lists/household.json") if str(path) == "household" else Path(path)


def _function(told: Mapping[str, Any]) -> Function:
    schema = told.get("parameters", {})
    required = set(schema.get("required", []))
    parameters = tuple(Parameter(name, item, name in required) for name, item in schema.get("properties", {}).items())
    return Function(str(told["name"]), str(told.get("description", "")), parameters, tuple(map(phrases, told["templates"])))


def _complaints(told: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """What is wrong with one function as told in the file."""
    name = str(told.get("name", ""))
    place = f"function '{name}'"
    if not name.isidentifier():
        yield Diagnostic("path", f"'{name}' is no name for a function")
    if name in RESERVED:
        yield Diagnostic("path", f"{place}: `{name}` is the name of an answer here", "rename the function")
    schema = told.get("parameters", {})
    known, required = set(schema.get("properties", {})), set(schema.get("required", []))
    if not told.get("templates"):
        yield Diagnostic("path", f"{place} has no templates", 'give requests such as "Ship {quantity} {product}[ to {city}]"')
    for template in told.get("templates", ()):
        try:
            slots = {slot for phrase in phrases(template) for slot in phrase.slots}
        except ValueError as error:
            yield Diagnostic("path", f"{place}: {error}")
            continue
        if slots - known:
            yield Diagnostic("path", f"{place}: '{template}' has a slot that is no parameter: {sorted(slots - known)[0]}")
        if required - slots:
            yield Diagnostic("path", f"{place}: '{template}' lacks the required {sorted(required - slots)[0]}")


def _by_pattern(pattern: str, rng: Random) -> str:
    from rstr import Rstr

    return str(Rstr(rng).xeger(pattern))


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
            return [item for place, item in enumerate(drawn) if item not in drawn[:place]]
        case "string" if schema.get("format") == "date":
            return (_FIRST_DAY + timedelta(days=rng.randrange(730))).isoformat()
        case "string" if "pattern" in schema:
            return _by_pattern(str(schema["pattern"]), rng)
    raise RunError(f"nothing says what values `{name}` takes", hint="give its schema `enum`, `examples` or a `pattern`")
