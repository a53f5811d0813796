"""An application: its functions, what users ask of it, and what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from textbookgen_api.calls import Plan, Slot
from textbookgen_api.parameters import Parameter, Split, in_split

#: Names of answers that are not calls of the application.
RESERVED = ("clarify", "decline")

#: The voice of templates in the imperative, which frames such as "could you {}?" turn into other voices.
ORDER = "order"


@dataclass(frozen=True)
class Function:
    """A function: its purpose, its parameters in order, and what it returns (empty if nothing of interest)."""

    name: str
    description: str
    parameters: tuple[Parameter, ...]
    returns: str = ""

    def parameter(self, name: str) -> Parameter:
        """Return the parameter with this name."""
        return next(parameter for parameter in self.parameters if parameter.name == name)

    @property
    def defaults(self) -> dict[str, Any]:
        """The default values that the schema states, by parameter."""
        return {item.name: item.schema["default"] for item in self.parameters if "default" in item.schema}


@dataclass(frozen=True)
class Phrasing:
    """One way to word a request: a template, and the voice that it is in."""

    template: str
    voice: str = ""


@dataclass(frozen=True)
class Task:
    """What users ask for in one request: the calls that do it, or none if the application cannot.

    Attributes:
        name: the names of the functions, joined by ` + `; or that of a function which the application does not have.
        plan: the calls, with slots for arguments.
        slots: the parameters whose values requests give, by slot.
        phrasings: how requests are worded.
        description: what it does.
    """

    name: str
    plan: Plan
    slots: Mapping[str, Parameter]
    phrasings: tuple[Phrasing, ...]
    description: str = ""

    @property
    def required(self) -> set[str]:
        """The slots without which the calls cannot be made."""
        return {name for name, parameter in self.slots.items() if parameter.required}

    def phrasings_in(self, split: Split) -> list[Phrasing]:
        """Return the phrasings of a split, which depends on the name of the task and on the template only."""
        return [item for item in self.phrasings if in_split(self.name, item.template, split)]


@dataclass(frozen=True)
class Application:
    """An application.

    Attributes:
        functions: its functions.
        tasks: what users ask for.
        absent: what users ask for and it cannot do.
        description: what it is, in a sentence or two.
        words: lists of words with one meaning, which templates refer to by name.
    """

    functions: tuple[Function, ...]
    tasks: tuple[Task, ...]
    absent: tuple[Task, ...] = ()
    description: str = ""
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def describe(self) -> str:
        """Return what the application is, and each function with its arguments, as a prompt states it."""
        return "\n".join([*filter(None, [self.description]), *map(describe_function, self.functions)])

    @property
    def defaults(self) -> dict[str, dict[str, Any]]:
        """The default values by function and parameter; functions without any are left out."""
        return {item.name: item.defaults for item in self.functions if item.defaults}


def describe_function(function: Function) -> str:
    """Return the signature of a function, its purpose, and a line for each argument."""
    signature = ", ".join(parameter.name for parameter in function.parameters)
    returns = f" Returns {function.returns}." if function.returns else ""
    lines = [f"- {function.name}({signature}): {function.description}{returns}".rstrip(": ")]
    return "\n".join([*lines, *(f"    {item.name}: {'; '.join(_facts(item))}" for item in function.parameters)])


def _facts(parameter: Parameter) -> Iterator[str]:
    """What there is to know about a parameter: its purpose, its type, the values allowed, and its default."""
    schema = parameter.schema
    if "description" in schema:
        yield str(schema["description"]).rstrip(".")
    kind = "date as YYYY-MM-DD" if schema.get("format") == "date" else str(schema.get("type", "any value"))
    bounds = [f"{words} {schema[key]}" for key, words in (("minimum", "from"), ("maximum", "to")) if key in schema]
    yield " ".join([kind, *bounds])
    if schema.get("enum"):
        yield f"one of {', '.join(map(repr, schema['enum']))}"
    if "default" in schema:
        yield f"default {schema['default']!r}"
    yield "required" if parameter.required else "optional"


def slots_of(plan: Plan, functions: Mapping[str, Function]) -> dict[str, Parameter]:
    """Return the parameters that the slots of a plan are given for; of several, the first.

    Raises:
        KeyError: the plan has a function that the application does not have.
        StopIteration: a function does not have a parameter.
    """
    result: dict[str, Parameter] = {}
    for call in plan:
        for name, value in call.arguments.items():
            parameter = functions[call.function].parameter(name)
            if isinstance(value, Slot):
                result.setdefault(value.name, parameter)
    return result
