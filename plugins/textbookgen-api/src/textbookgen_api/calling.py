"""Calls as text: written, read, compared and carried out, with nothing but literals as arguments."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """A function's name and its arguments by name."""

    function: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.function}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


def read_call(text: str) -> Call:
    """The call in a text: one expression, arguments by keyword, each a literal.

    Raises:
        ValueError: the text is no such call.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        match tree:
            case ast.Call(func=ast.Name(id=name), args=[], keywords=keywords) if all(item.arg for item in keywords):
                return Call(name, {str(item.arg): ast.literal_eval(item.value) for item in keywords})
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"'{text.strip()}' is no call") from error
    raise ValueError(f"'{text.strip()}' is no call with arguments by name")


def same_call(one: Call | None, other: Call | None, defaults: Mapping[str, Any] | None = None) -> bool:
    """Whether two calls mean the same: same function, equal arguments in any order, defaults given or left out."""
    if one is None or other is None:
        return False
    filled = [{**(defaults or {}), **call.arguments} for call in (one, other)]
    return one.function == other.function and _equal(filled[0], filled[1])


def _equal(one: Any, other: Any) -> bool:
    """Equality in which 1 and 1.0 are equal, and True and 1 are not."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def call_or_none(text: str) -> Call | None:
    """The call in a text, or None if there is none."""
    try:
        return read_call(text)
    except ValueError:
        return None


def same_result(one: Call | None, other: Call | None, functions: Mapping[str, Callable[..., Any]]) -> bool:
    """Whether two calls come to the same when they are carried out; one that raises comes to nothing.

    `functions` must be safe to call with any literals.
    """
    if one is None or other is None:
        return False
    results = [_result(call, functions) for call in (one, other)]
    return results[0] is not _NOTHING and results[1] is not _NOTHING and _equal(results[0], results[1])


_NOTHING = object()


def _result(call: Call, functions: Mapping[str, Callable[..., Any]]) -> Any:
    if call.function not in functions:
        return _NOTHING
    try:
        return functions[call.function](**call.arguments)
    except Exception:  # whatever an application raises at odd arguments, the call came to nothing
        return _NOTHING
