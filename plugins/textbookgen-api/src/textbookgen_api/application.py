"""The description of an application: its functions, their parameters, and how users ask for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from random import Random
from typing import Any, Literal

from textbookgen import Diagnostic, RecipeError, RunError
from textbookgen.api.hashing import stable_hash
from textbookgen_api.request_templates import Phrase, parse_template

Values = Literal["all", "seen", "unseen"]

#: Names of answers that are not calls of the application.
RESERVED = ("clarify", "decline")

_PATTERN_SHARE = 0.75  # of values drawn from the pattern, where there are examples too
_MAX_TRIES = 1_000
_UNSEEN_ONE_IN = 5
_FIRST_DAY = date(2025, 1, 1)
_DAYS = 730


def is_unseen(name: str, value: Any) -> bool:
    """Return whether a value of a parameter belongs to the fifth that is kept out of training data."""
    return stable_hash(f"{name}/{value}") % _UNSEEN_ONE_IN == 0


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name, its JSON schema, and whether a call requires it."""

    name: str
    schema: Mapping[str, Any]
    required: bool

    def draw(self, rng: Random, values: Values = "all") -> Any:
        """Return a random value that the schema allows: from `enum` or `examples`, within bounds, a date or a Boolean.

        Args:
            rng: source of randomness.
            values: `seen` and `unseen` split the values of parameters with many values into two disjoint sets; enums,
                Booleans and arrays are drawn as they are. Where there are `examples` and a `pattern`, three quarters of the
                seen values come from the pattern, so that a model learns to copy values instead of memorizing them; unseen
                values are always examples.

        Raises:
            RunError: the schema does not determine any values, or there are none in this set.
        """
        pattern = self.schema.get("pattern")
        if pattern and values != "unseen" and (not self.schema.get("examples") or rng.random() < _PATTERN_SHARE):
            return _match_of(str(pattern), rng)
        value = _random_value(self.schema, rng, self.name)
        if values == "all" or self.schema.get("enum") or self.schema.get("type") in ("boolean", "array"):
            return value
        for _ in range(_MAX_TRIES):
            if is_unseen(self.name, value) == (values == "unseen"):
                return value
            value = _random_value(self.schema, rng, self.name)
        raise RunError(f"parameter `{self.name}` has no {values} values", hint="add `examples`, or widen its bounds")

    def words(self, value: Any) -> str:
        """Return how users write a value: by the schema's `x-words`, or as it is."""
        words = self.schema.get("x-words", {}).get(json.dumps(value).strip('"'))
        if words is not None:
            return str(words)
        if isinstance(value, list):
            items = [str(item) for item in value]
            return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
        return str(value)


@dataclass(frozen=True)
class Function:
    """A function: its purpose, its parameters in order, and templates of requests for it."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    templates: tuple[tuple[Phrase, ...], ...]

    def parameter(self, name: str) -> Parameter:
        """Return the parameter with this name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)

    @property
    def defaults(self) -> dict[str, Any]:
        """The default values that the schema states, by parameter."""
        return {item.name: item.schema["default"] for item in self.parameters if "default" in item.schema}


@dataclass(frozen=True)
class Application:
    """An application's functions, and requests that none of them can answer."""

    functions: tuple[Function, ...]
    outside: tuple[str, ...] = field(default=())


def read_application(path: str | Path) -> Application:
    """Read the description of an application from a JSON file: a list of functions, or an object with `functions`.

    Functions are described as in OpenAI's `tools` (`name`, `description`, `parameters` as a JSON schema; the wrapper `{"type":
    "function", "function": {...}}` is optional), with `templates` of requests in addition. An object may have `outside`, a
    list of requests that no function answers.

    Raises:
        RecipeError: all problems of the file.
    """
    try:
        content = json.loads(application_file(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError([Diagnostic("path", f"cannot read '{path}': {error.strerror}")]) from error
    except ValueError as error:
        raise RecipeError([Diagnostic("path", f"'{path}' is not JSON: {error}")]) from error
    application = content if isinstance(content, dict) else {"functions": content}
    descriptions = [item.get("function", item) for item in application.get("functions", [])]
    problems = [problem for description in descriptions for problem in _problems(description)]
    if not descriptions:
        problems = [Diagnostic("path", f"'{path}' has no functions")]
    if problems:
        raise RecipeError(problems)
    return Application(tuple(map(_function, descriptions)), tuple(map(str, application.get("outside", []))))


def application_file(path: str | Path) -> Path | Traversable:
    """Return the file at a path; `household` is an application of six functions that comes with the plugin."""
    return files("textbookgen_api").joinpath("lists/household.json") if str(path) == "household" else Path(path)


def _function(description: Mapping[str, Any]) -> Function:
    schema = description.get("parameters", {})
    required = set(schema.get("required", []))
    parameters = tuple(Parameter(name, item, name in required) for name, item in schema.get("properties", {}).items())
    templates = tuple(map(parse_template, description["templates"]))
    return Function(str(description["name"]), str(description.get("description", "")), parameters, templates)


def _problems(description: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """What is wrong with the description of one function."""
    name = str(description.get("name", ""))
    place = f"function '{name}'"
    if not name.isidentifier():
        yield Diagnostic("path", f"'{name}' is not a valid function name")
    if name in RESERVED:
        yield Diagnostic("path", f"{place}: `{name}` is reserved for answers without a call", "rename the function")
    if not description.get("templates"):
        yield Diagnostic("path", f"{place} has no templates", 'add requests such as "Ship {quantity} {product}[ to {city}]"')
    schema = description.get("parameters", {})
    for template in description.get("templates", ()):
        yield from _template_problems(place, str(template), set(schema.get("properties", {})), set(schema.get("required", [])))


def _template_problems(place: str, template: str, known: set[str], required: set[str]) -> Iterator[Diagnostic]:
    try:
        slots = {slot for phrase in parse_template(template) for slot in phrase.slots}
    except ValueError as error:
        yield Diagnostic("path", f"{place}: {error}")
        return
    if slots - known:
        yield Diagnostic("path", f"{place}: '{template}' has a slot that is not a parameter: {sorted(slots - known)[0]}")
    if required - slots:
        yield Diagnostic("path", f"{place}: '{template}' lacks the required parameter {sorted(required - slots)[0]}")


def _match_of(pattern: str, rng: Random) -> str:
    """A random string that matches a regular expression."""
    from rstr import Rstr

    return str(Rstr(rng).xeger(pattern))


def _random_value(schema: Mapping[str, Any], rng: Random, name: str) -> Any:
    for key in ("enum", "examples"):
        if schema.get(key):
            return rng.choice(schema[key])
    match schema.get("type"):
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            step = int(schema.get("multipleOf", 1))
            low, high = -(-int(schema.get("minimum", 1)) // step), int(schema.get("maximum", 100)) // step
            return step * rng.randint(low, high)
        case "number":
            return round(rng.uniform(float(schema.get("minimum", 0)), float(schema.get("maximum", 100))), 1)
        case "array":
            count = rng.randint(int(schema.get("minItems", 1)), int(schema.get("maxItems", 3)))
            items = [_random_value(schema.get("items", {}), rng, name) for _ in range(count)]
            return [item for place, item in enumerate(items) if item not in items[:place]]
        case "string" if schema.get("format") == "date":
            return (_FIRST_DAY + timedelta(days=rng.randrange(_DAYS))).isoformat()
        case "string" if "pattern" in schema:
            return _match_of(str(schema["pattern"]), rng)
    raise RunError(
        f"the schema of parameter `{name}` does not determine its values", hint="add `enum`, `examples` or a `pattern`"
    )
