"""Function calls as text: written, parsed, compared and executed, with literals as arguments only."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_FAILED = object()


@dataclass(frozen=True)
class Call:
    """A function's name and its arguments by name."""

    function: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


def parse_call(text: str) -> Call:
    """Parse a call: one expression whose arguments are literals given by keyword. Nothing is executed.

    Raises:
        ValueError: the text is not such a call.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        match tree:
            case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords) if all(item.arg for item in keywords):
                return Call(name, {str(item.arg): ast.literal_eval(item.value) for item in keywords})
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a call: '{text.strip()}'") from error
    raise ValueError(f"not a call with keyword arguments: '{text.strip()}'")


def parse_call_or_none(text: str) -> Call | None:
    """Parse a call, or return None if the text is not one."""
    try:
        return parse_call(text)
    except ValueError:
        return None


def equal_calls(call: Call | None, other: Call | None, defaults: Mapping[str, Any] | None = None) -> bool:
    """Return whether two calls mean the same: same function, equal arguments in any order, defaults given or omitted."""
    if call is None or other is None:
        return False
    arguments, other_arguments = ({**(defaults or {}), **item.arguments} for item in (call, other))
    return call.function == other.function and _equal(arguments, other_arguments)


def equal_results(call: Call | None, other: Call | None, functions: Mapping[str, Callable[..., Any]]) -> bool:
    """Return whether two calls have equal results when executed; a call that raises has no result.

    Args:
        call: a call.
        other: another call.
        functions: functions by name, which must be safe to call with any literals.
    """
    if call is None or other is None:
        return False
    result, other_result = _execute(call, functions), _execute(other, functions)
    return result is not _FAILED and other_result is not _FAILED and _equal(result, other_result)


def _equal(value: Any, other: Any) -> bool:
    """Equality in which 1 and 1.0 are equal, and True and 1 are not."""
    if isinstance(value, bool) != isinstance(other, bool):
        return False
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_equal(value[name], other[name]) for name in value)
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(_equal, value, other))
    return bool(value == other)


def _execute(call: Call, functions: Mapping[str, Callable[..., Any]]) -> Any:
    if call.function not in functions:
        return _FAILED
    try:
        return functions[call.function](**call.arguments)
    except Exception:  # an application may raise anything at unexpected arguments
        return _FAILED
