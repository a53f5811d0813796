"""Reads the description of an application from a JSON file, and reports its problems."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from textbookgen import Diagnostic, RecipeError
from textbookgen_api.application import RESERVED, Application, Function, Phrasing, Task, slots_of
from textbookgen_api.calls import Call, Plan, Slot, parse_plan
from textbookgen_api.parameters import Parameter
from textbookgen_api.request_templates import every_wording, parse_template

_DECLINE = (Call("decline", {}),)
#: The application that comes with the plugin.
SHIPPED = "household"


@cache
def list_entries(name: str) -> tuple[str, ...]:
    """Return the entries of a list that comes with the plugin, one per line."""
    text = files("textbookgen_api").joinpath(f"lists/{name}.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))


def application_file(path: str | Path) -> Path | Traversable:
    """Return the file at a path; `household` is an application that comes with the plugin."""
    return files("textbookgen_api").joinpath("lists/household.json") if str(path) == SHIPPED else Path(path)


def read_application(path: str | Path) -> Application:
    """Read the description of an application: a JSON list of functions, or an object with `functions`.

    Functions are described as in OpenAI's `tools` (`name`, `description`, `parameters` as a JSON schema; the wrapper `{"type":
    "function", "function": {...}}` is optional), with `templates` of requests and `returns` in addition. An object may have:

    - `description`: what the application is;
    - `tasks`: requests that take other calls than one of a function with its own parameters, each with `calls` and `templates`;
    - `absent`: functions that the application does not have, each with `name` and `templates`;
    - `outside`: further templates of requests that no function answers;
    - `words`: lists of words, for templates with `<name>`.

    Templates are a list, or lists by voice; those of the voice `order` are in the imperative.

    Raises:
        RecipeError: all problems of the file.
    """
    try:
        content = json.loads(application_file(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError([Diagnostic("path", f"cannot read '{path}': {error.strerror}")]) from error
    except ValueError as error:
        raise RecipeError([Diagnostic("path", f"'{path}' is not JSON: {error}")]) from error
    reader = _Reader(content if isinstance(content, dict) else {"functions": content})
    if not reader.functions:
        raise RecipeError([Diagnostic("path", f"'{path}' has no functions")])
    problems = list(reader.problems())
    if problems:
        raise RecipeError(problems)
    return reader.application()


@dataclass(frozen=True)
class _Reader:
    """One file, after JSON was read."""

    content: Mapping[str, Any]

    @property
    def functions(self) -> list[Mapping[str, Any]]:
        return [item.get("function", item) for item in self.content.get("functions", [])]

    @cached_property
    def words(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(map(str, words)) for name, words in self.content.get("words", {}).items()}

    def application(self) -> Application:
        functions = {str(item["name"]): _function(item, self.words) for item in self.functions}
        tasks = [_own_task(item, functions[item["name"]]) for item in self.functions if item.get("templates")]
        tasks += [_task(item, functions) for item in self.content.get("tasks", [])]
        shared = {item.name: item for function in functions.values() for item in function.parameters}
        absent = [_absent(str(item["name"]), item["templates"], shared) for item in self.content.get("absent", [])]
        outside = self.content.get("outside") or ([] if absent else list_entries("outside"))
        absent += [_absent(str(text), [text], shared) for text in outside]
        description = str(self.content.get("description", ""))
        return Application(tuple(functions.values()), tuple(tasks), tuple(absent), description, self.words)

    # -- problems

    def problems(self) -> Iterator[Diagnostic]:
        for item in self.functions:
            yield from self._function_problems(item)
        names = {str(item.get("name", "")) for item in self.functions}
        used = {call.function for task in self.content.get("tasks", []) for call in _plan_or_empty(task)}
        for item in self.functions:
            if not item.get("templates") and item.get("name") not in used:
                hint = 'add requests such as "Ship {quantity} {product}[ to {city}]"'
                yield Diagnostic("path", f"function '{item.get('name', '')}' has no templates", hint)
        known = {name: _function(item, self.words) for item in self.functions if (name := str(item.get("name", ""))) in names}
        for task in self.content.get("tasks", []):
            yield from self._task_problems(task, known)
        shared = {name for function in known.values() for name in (item.name for item in function.parameters)}
        for item in self.content.get("absent", []):
            place = f"absent function '{item.get('name', '')}'"
            if not item.get("name") or not item.get("templates"):
                yield Diagnostic("path", f"{place} has no name or no templates")
            yield from self._template_problems(place, item.get("templates", []), shared, set())

    def _function_problems(self, item: Mapping[str, Any]) -> Iterator[Diagnostic]:
        name = str(item.get("name", ""))
        place = f"function '{name}'"
        if not name.isidentifier():
            yield Diagnostic("path", f"'{name}' is not a valid function name")
        if name in RESERVED:
            yield Diagnostic("path", f"{place}: `{name}` is reserved for answers without a call", "rename the function")
        schema = item.get("parameters", {})
        known, required = set(schema.get("properties", {})), set(schema.get("required", []))
        yield from self._template_problems(place, item.get("templates", []), known, required)

    def _task_problems(self, task: Mapping[str, Any], functions: Mapping[str, Function]) -> Iterator[Diagnostic]:
        place = f"task '{task.get('calls', '')}'"
        try:
            plan = parse_plan(str(task.get("calls", "")), with_slots=True)
            slots = slots_of(plan, functions)
        except ValueError as error:
            yield Diagnostic("path", f"{place}: {error}", 'write calls such as "a = find(dish=dish); add(item=a)"')
            return
        except (KeyError, StopIteration):
            yield Diagnostic("path", f"{place} has a function or a parameter that does not exist")
            return
        for call in plan:
            for parameter in functions[call.function].parameters:
                if parameter.required and parameter.name not in call.arguments:
                    yield Diagnostic("path", f"{place} lacks the required parameter {parameter.name} of {call.function}")
        if not task.get("templates"):
            yield Diagnostic("path", f"{place} has no templates")
        required = {name for name, parameter in slots.items() if parameter.required}
        yield from self._template_problems(place, task.get("templates", []), set(slots), required)

    def _template_problems(self, place: str, templates: Any, known: set[str], required: set[str]) -> Iterator[Diagnostic]:
        for phrasing in _phrasings(templates):
            try:
                versions = [parse_template(text) for text in every_wording(phrasing.template, self.words)]
            except ValueError as error:
                yield Diagnostic("path", f"{place}: {error}")
                continue
            for version in versions:
                slots = {slot for phrase in version for slot in phrase.slots}
                if slots - known:
                    problem = f"'{phrasing.template}' has a slot that is not a parameter: {min(slots - known)}"
                    yield Diagnostic("path", f"{place}: {problem}")
                    break
                if required - slots:
                    problem = f"'{phrasing.template}' lacks the required parameter {min(required - slots)}"
                    yield Diagnostic("path", f"{place}: {problem}")
                    break


def _function(item: Mapping[str, Any], words: Mapping[str, tuple[str, ...]]) -> Function:
    schema = item.get("parameters", {})
    required = set(schema.get("required", []))
    properties = schema.get("properties", {}).items()
    parameters = tuple(Parameter(name, value, name in required, words) for name, value in properties)
    return Function(str(item.get("name", "")), str(item.get("description", "")), parameters, str(item.get("returns", "")))


def _own_task(item: Mapping[str, Any], function: Function) -> Task:
    """The task of calling a function with its own parameters."""
    slots = {parameter.name: parameter for parameter in function.parameters}
    plan = (Call(function.name, {name: Slot(name) for name in slots}),)
    return Task(function.name, plan, slots, _phrasings(item["templates"]), function.description)


def _task(item: Mapping[str, Any], functions: Mapping[str, Function]) -> Task:
    plan = parse_plan(item["calls"], with_slots=True)
    called = [functions[call.function] for call in plan]
    purposes = " Then: ".join(dict.fromkeys(function.description for function in called))
    slots = slots_of(plan, functions)
    return Task(" + ".join(function.name for function in called), plan, slots, _phrasings(item["templates"]), purposes)


def _absent(name: str, templates: Any, parameters: Mapping[str, Parameter]) -> Task:
    slots = {slot: Parameter(slot, item.schema, False, item.lists) for slot, item in parameters.items()}
    return Task(name, _DECLINE, slots, _phrasings(templates))


def _plan_or_empty(task: Mapping[str, Any]) -> Plan:
    try:
        return parse_plan(str(task.get("calls", "")), with_slots=True)
    except ValueError:
        return ()


def _phrasings(templates: Sequence[str] | Mapping[str, Sequence[str]]) -> tuple[Phrasing, ...]:
    voices = templates if isinstance(templates, Mapping) else {"": templates}
    return tuple(Phrasing(str(template), voice) for voice, items in voices.items() for template in items)
