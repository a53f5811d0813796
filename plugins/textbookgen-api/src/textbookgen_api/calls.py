"""Function calls as text: written, parsed, compared and executed; several calls are a plan, which can pass results on."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FAILED = object()
_RESULT_NAMES = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Result:
    """An argument that is the result of an earlier call of a plan, by the number of the call from 0."""

    call: int


@dataclass(frozen=True)
class Call:
    """A function's name and its arguments by name: literals, or results of earlier calls."""

    function: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        return write_plan([self])


@dataclass(frozen=True)
class Slot:
    """An argument that is not known yet, by the name under which templates of requests give its value."""

    name: str


#: Calls to be made in order.
Plan = tuple[Call, ...]


def write_plan(plan: Sequence[Call]) -> str:
    """Return a plan on one line: `a = find(dish='soup'); add(item=a)`. Only results that are used get a name."""
    used = sorted({value.call for call in plan for value in call.arguments.values() if isinstance(value, Result)})
    names = dict(zip(used, _RESULT_NAMES, strict=False))

    def written(value: Any) -> str:
        return names[value.call] if isinstance(value, Result) else repr(value)

    lines = []
    for number, call in enumerate(plan):
        text = f"{call.function}({', '.join(f'{name}={written(value)}' for name, value in call.arguments.items())})"
        lines.append(f"{names[number]} = {text}" if number in names else text)
    return "; ".join(lines)


def parse_plan(text: str, *, with_slots: bool = False) -> Plan:
    """Parse calls separated by semicolons or line ends; nothing is executed.

    Arguments are literals given by keyword, or names that an earlier call was assigned to.

    Args:
        text: the calls.
        with_slots: read other names as slots instead of refusing them.

    Raises:
        ValueError: the text is anything else.
    """
    try:
        statements = ast.parse(text.strip()).body
        plan: list[Call] = []
        results: dict[str, int] = {}
        for statement in statements:
            match statement:
                case ast.Expr(value=ast.Call() as call):
                    plan.append(_call(call, results, with_slots))
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                    plan.append(_call(call, results, with_slots))
                    results[name] = len(plan) - 1
                case _:
                    raise ValueError("not a call")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a call: '{text.strip()}'") from error
    if not plan:
        raise ValueError("not a call: ''")
    return tuple(plan)


def _call(node: ast.Call, results: Mapping[str, int], with_slots: bool) -> Call:
    match node:
        case ast.Call(func=ast.Name(id=function), args=[], keywords=keywords) if all(item.arg for item in keywords):
            return Call(function, {str(item.arg): _argument(item.value, results, with_slots) for item in keywords})
    raise ValueError("not a call with keyword arguments")


def _argument(node: ast.expr, results: Mapping[str, int], with_slots: bool) -> Any:
    if isinstance(node, ast.Name) and node.id in results:
        return Result(results[node.id])
    if isinstance(node, ast.Name) and with_slots:
        return Slot(node.id)
    return ast.literal_eval(node)


def parse_plan_or_none(text: str) -> Plan | None:
    """Parse a plan, or return None if the text is not one."""
    try:
        return parse_plan(text)
    except ValueError:
        return None


def equal_plans(plan: Plan | None, other: Plan | None, defaults: Mapping[str, Mapping[str, Any]] | None = None) -> bool:
    """Return whether two plans mean the same: the same calls in the same order, with the same results passed on.

    Args:
        plan: a plan; None equals nothing.
        other: another plan.
        defaults: default values by function and parameter; a default may be given or omitted.
    """
    if plan is None or other is None or len(plan) != len(other):
        return False
    known = defaults or {}
    return all(
        one.function == two.function
        and _equal({**known.get(one.function, {}), **one.arguments}, {**known.get(two.function, {}), **two.arguments})
        for one, two in zip(plan, other, strict=True)
    )


def equal_results(plan: Plan | None, other: Plan | None, functions: Mapping[str, Callable[..., Any]]) -> bool:
    """Return whether two plans have equal results when executed; one in which a call raises has no results.

    Args:
        plan: a plan.
        other: another plan.
        functions: functions by name, which must be safe to call with any literals and results.
    """
    if plan is None or other is None:
        return False
    results, other_results = (list(_execute(item, functions)) for item in (plan, other))
    return _FAILED not in results and _FAILED not in other_results and _equal(results, other_results)


def _equal(value: Any, other: Any) -> bool:
    """Equality in which 1 and 1.0 are equal, and True and 1 are not."""
    if isinstance(value, bool) != isinstance(other, bool):
        return False
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_equal(value[name], other[name]) for name in value)
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(_equal, value, other))
    return bool(value == other)


def _execute(plan: Plan, functions: Mapping[str, Callable[..., Any]]) -> Iterator[Any]:
    """Yield the result of each call; `_FAILED`, and no more, after one that raises."""
    results: list[Any] = []
    for call in plan:
        arguments = {name: results[item.call] if isinstance(item, Result) else item for name, item in call.arguments.items()}
        try:
            results.append(functions[call.function](**arguments))
        except Exception:  # an application may raise anything at unexpected arguments; an unknown function is a KeyError
            yield _FAILED
            return
        yield results[-1]
