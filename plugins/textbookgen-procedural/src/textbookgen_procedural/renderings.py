"""Renderings: the body of a function written in other ways, such as loops, nested calls, recursion or an early return.

Every rendering changes the syntax tree and not the result; `exercises` executes what it writes on every case all the same.
"""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Sequence
from typing import NamedTuple

from textbookgen_procedural.loops import LoopWriter, as_recursion
from textbookgen_procedural.syntax_copies import copied

#: How the steps of a function can be written.
STYLES = ("plain", "nested", "fused", "loops", "fused loops", "index", "while", "functional", "recursive")
#: How a function can leave early: not at all, for empty input, or by an `if` with two returns.
EXITS = ("", "guard", "branches")

_MAX_NESTED_NODES = 45
_MAX_REPEATED_NODES = 6


class Assignment(NamedTuple):
    """One step: the variable that gets the value (of the last step: none), and the expression."""

    target: str
    value: ast.expr


class Function(NamedTuple):
    """What a rendering needs to know of a function: its name, its parameters, the value that a guard returns."""

    name: str
    parameters: tuple[str, ...]
    empty_result: str | None


def render(lines: Sequence[str], function: Function, style: str, early_exit: str) -> list[str] | None:
    """Return the body of a function in another style.

    Args:
        lines: the plain body: one assignment per step, and a return.
        function: the function.
        style: one of `STYLES`.
        early_exit: one of `EXITS`.

    Returns:
        The lines, not indented, or None if the body cannot be written in this way.
    """
    steps = _parse(lines)
    if style.startswith("fused"):
        steps = _fuse(steps)
        if len(steps) == len(lines):
            return None
    elif style == "nested":
        steps = _nest(steps)
        if len(steps) == len(lines):
            return None
    elif style == "functional":
        changed = [Assignment(target, _as_map_and_filter(value)) for target, value in steps]
        if all(before.value is after.value for before, after in zip(steps, changed, strict=True)):
            return None
        steps = changed
    body: list[ast.stmt] | None
    if style == "recursive":
        body = as_recursion(_fuse(steps), function.name, function.parameters)
    elif style in ("loops", "fused loops", "index", "while"):
        body = LoopWriter(style.split()[-1], function.parameters).write(steps)
    else:
        body = _plain_statements(steps)
    body = _with_exit(body, function, early_exit) if body else None
    return _source(body) if body else None


def _parse(lines: Sequence[str]) -> list[Assignment]:
    steps = []
    for statement in ast.parse("\n".join(lines)).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            steps.append(Assignment(statement.targets[0].id, statement.value))
        elif isinstance(statement, ast.Return) and statement.value:
            steps.append(Assignment("", statement.value))
    return steps


def _plain_statements(steps: Sequence[Assignment]) -> list[ast.stmt]:
    *first, last = steps
    assignments = [ast.Assign([ast.Name(target, ast.Store())], value, lineno=0) for target, value in first]
    return [*assignments, ast.Return(last.value)]


class _Substitution(ast.NodeTransformer):
    """Replaces a variable by an expression."""

    def __init__(self, name: str, value: ast.expr) -> None:
        self.name, self.value, self.count = name, value, 0

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id != self.name or not isinstance(node.ctx, ast.Load):
            return node
        self.count += 1
        return copied(self.value)


def substitute(tree: ast.expr, name: str, value: ast.expr) -> tuple[ast.expr, int]:
    """Return a copy of an expression with a variable replaced, and how often it occurred."""
    substitution = _Substitution(name, value)
    return substitution.visit(copied(tree)), substitution.count


def _size(tree: ast.AST) -> int:
    return sum(1 for node in ast.walk(tree) if not isinstance(node, ast.expr_context))


def _nest(steps: Sequence[Assignment]) -> list[Assignment]:
    """Return the steps with each value written in place of its variable, where that occurs once and is evaluated once."""
    nested = [steps[0]]
    for step in steps[1:]:
        value, count = substitute(step.value, nested[-1].target, nested[-1].value)
        if count == 1 and _size(value) <= _MAX_NESTED_NODES and _is_evaluated_once(step.value, nested[-1].target):
            nested[-1] = Assignment(step.target, value)
        else:
            nested.append(step)
    return nested


def _is_evaluated_once(tree: ast.expr, name: str) -> bool:
    """Whether a variable occurs outside comprehensions and lambdas, or as what the first loop of one goes over."""
    for node in ast.walk(tree):
        inner: list[ast.AST] = []
        match node:
            case ast.Lambda(body=body):
                inner = [body]
            case (
                ast.ListComp(elt=element, generators=[first, *more]) | ast.GeneratorExp(elt=element, generators=[first, *more])
            ):
                inner = [element, *first.ifs, *more]
            case ast.DictComp(key=key, value=value, generators=[first, *more]):
                inner = [key, value, *first.ifs, *more]
        if any(isinstance(part, ast.Name) and part.id == name for item in inner for part in ast.walk(item)):
            return False
    return True


def _fuse(steps: Sequence[Assignment]) -> list[Assignment]:
    """Return the steps with neighbouring comprehensions made one."""
    fused = [steps[0]]
    for step in steps[1:]:
        one = _fuse_two(fused[-1].value, step.value, fused[-1].target)
        if one is None:
            fused.append(step)
        else:
            fused[-1] = Assignment(step.target, one)
    return fused


def _fuse_two(first: ast.expr, second: ast.expr, name: str) -> ast.expr | None:
    """Return one expression for a list comprehension and what reads its result, if that is a comprehension or a sum over it."""
    if not (isinstance(first, ast.ListComp) and len(first.generators) == 1):
        return None
    match second:
        case ast.Call(func=ast.Name(id="sum"), args=[ast.Name(id=read)]) if read == name:
            return ast.Call(ast.Name("sum", ast.Load()), [ast.GeneratorExp(first.elt, first.generators)], [])
        case ast.Call(func=ast.Name(id="sum" | "any" | "all") | ast.Attribute(attr="join"), args=[ast.GeneratorExp() as inner]):
            merged = _merge(first, inner, name)
            return merged and ast.Call(second.func, [ast.GeneratorExp(*merged)], [])
        case ast.ListComp():
            merged = _merge(first, second, name)
            return merged and ast.ListComp(*merged)
    return None


def _merge(
    first: ast.ListComp, second: ast.ListComp | ast.GeneratorExp, name: str
) -> tuple[ast.expr, list[ast.comprehension]] | None:
    """Return element and generators of the comprehension that does both."""
    if len(second.generators) != 1:
        return None
    generator = second.generators[0]
    if not (isinstance(generator.iter, ast.Name) and generator.iter.id == name and isinstance(generator.target, ast.Name)):
        return None
    inner, letter = first.elt, generator.target.id
    parts = [substitute(part, letter, inner) for part in (second.elt, *generator.ifs)]
    repeated = sum(count for _, count in parts) > 1 and _size(inner) > _MAX_REPEATED_NODES
    if repeated or any(isinstance(node, ast.Name) and node.id == name for part, _ in parts for node in ast.walk(part)):
        return None
    element, *conditions = (part for part, _ in parts)
    before = first.generators[0]
    return element, [ast.comprehension(before.target, before.iter, [*before.ifs, *conditions], 0)]


def _as_map_and_filter(value: ast.expr) -> ast.expr:
    """Return a list comprehension as `list(map(…))` or `list(filter(…))`; anything else as it is."""
    match value:
        case ast.ListComp(elt=element, generators=[ast.comprehension(target=ast.Name(id=letter), iter=source, ifs=conditions)]):
            arguments = ast.arguments([], [ast.arg(letter)], None, [], [], None, [])
            for condition in conditions:
                source = _call("filter", ast.Lambda(arguments, condition), source)
            if not (isinstance(element, ast.Name) and element.id == letter):
                source = _call("map", ast.Lambda(arguments, element), source)
            return _call("list", source)
    return value


def _call(name: str, *arguments: ast.expr) -> ast.expr:
    return ast.Call(ast.Name(name, ast.Load()), list(arguments), [])


def _with_exit(body: list[ast.stmt], function: Function, early_exit: str) -> list[ast.stmt] | None:
    """Return the body with an early return, or None if this one does not fit."""
    if early_exit == "guard":
        if function.empty_result is None:
            return None
        result = ast.parse(function.empty_result, mode="eval").body
        return [ast.If(ast.UnaryOp(ast.Not(), ast.Name(function.parameters[0], ast.Load())), [ast.Return(result)], []), *body]
    if early_exit == "branches":
        match body[-1]:
            case ast.Return(value=ast.IfExp(test=test, body=yes, orelse=no)):
                return [*body[:-1], ast.If(test, [ast.Return(yes)], []), ast.Return(no)]
            case ast.Return(value=ast.Compare() | ast.BoolOp() as test):
                return [*body[:-1], ast.If(test, [ast.Return(ast.Constant(True))], []), ast.Return(ast.Constant(False))]
        return None
    return body


def _source(body: Sequence[ast.stmt]) -> list[str]:
    source = ast.unparse(ast.Module(list(body), []))
    return _without_double_parentheses(_with_double_quotes(source) if "'" in source else source).splitlines()


def _without_double_parentheses(source: str) -> str:
    """Return code with `sum((x for x in y))` written as `sum(x for x in y)`."""
    place = source.find("((")
    while place != -1:
        depth, end = 0, place + 1
        for end in range(place + 1, len(source)):
            depth += {"(": 1, ")": -1}.get(source[end], 0)
            if depth == 0:
                break
        inner = source[place + 2 : end]
        if source[end + 1 : end + 2] == ")" and " for " in inner and source[place - 1].isidentifier():
            source = f"{source[: place + 1]}{inner}{source[end + 1 :]}"
        place = source.find("((", place + 1)
    return source


def _with_double_quotes(source: str) -> str:
    """Return code with its strings in double quotes, as the plain bodies have them."""
    lines = source.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(source).readline))):
        if token.type == tokenize.STRING and token.start[0] == token.end[0]:
            row, first, last = token.start[0] - 1, token.start[1], token.end[1]
            lines[row] = lines[row][:first] + _double_quoted(token.string) + lines[row][last:]
    return "".join(lines)


def _double_quoted(literal: str) -> str:
    if literal.startswith("f"):
        return literal if '"' in literal else literal.replace("'", '"')
    return json.dumps(ast.literal_eval(literal))
