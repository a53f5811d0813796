"""Detectors of what Python code practises: for each concept that exercises can be drawn with, a predicate over syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from textbookgen.api.reply_code import parse_python

Detector = Callable[[ast.AST], bool]

_LOOPS = (ast.For, ast.While)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_CHARACTER_TESTS = ("isalpha", "isdigit", "isupper", "islower", "isspace", "isalnum", "isnumeric", "isdecimal")


def known_concepts() -> tuple[str, ...]:
    """Return the concepts that have a detector."""
    return tuple(_DETECTORS)


def practises(source: str, concept: str) -> bool:
    """Return whether code practises a concept, as far as its syntax tree shows.

    Args:
        source: Python code, such as an exercise with its solution.
        concept: one of `known_concepts()`.

    Raises:
        KeyError: the concept has no detector.
        ValueError: the code does not parse.
    """
    tree = parse_python(source)
    if tree is None:
        raise ValueError("the code does not parse")
    return _DETECTORS[concept](tree)


def _nodes(tree: ast.AST, *types: type[ast.AST]) -> Iterator[Any]:
    for node in ast.walk(tree):
        if isinstance(node, types):
            yield node


def _has(*types: type[ast.AST]) -> Detector:
    return lambda tree: next(_nodes(tree, *types), None) is not None


def _any(*detectors: Detector) -> Detector:
    return lambda tree: any(detect(tree) for detect in detectors)


def _has_operator(*operators: type[ast.operator]) -> Detector:
    return lambda tree: any(isinstance(node.op, operators) for node in _nodes(tree, ast.BinOp, ast.AugAssign))


def _called_name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def _has_call(*names: str, min_arguments: int = 0, keyword: str = "") -> Detector:
    """A call of a function or method of one of these names, with enough arguments, and with a keyword if one is named."""

    def detect(tree: ast.AST) -> bool:
        return any(
            _called_name(call) in names
            and len(call.args) >= min_arguments
            and (not keyword or any(item.arg == keyword for item in call.keywords))
            for call in _nodes(tree, ast.Call)
        )

    return detect


def _accumulates(tree: ast.AST) -> bool:
    """Whether a loop adds to a variable or collection that exists before it."""
    return any(
        isinstance(node, ast.AugAssign)
        or (isinstance(node, ast.Call) and _called_name(node) in ("append", "add", "extend", "setdefault"))
        or (isinstance(node, ast.Assign) and (isinstance(node.targets[0], ast.Subscript) or _reads_own_target(node)))
        for loop in _nodes(tree, *_LOOPS)
        for statement in loop.body
        for node in ast.walk(statement)
    )


def _reads_own_target(assignment: ast.Assign) -> bool:
    target = assignment.targets[0]
    return isinstance(target, ast.Name) and any(name.id == target.id for name in _nodes(assignment.value, ast.Name))


def _filters(tree: ast.AST) -> bool:
    if any(generator.ifs for generator in _nodes(tree, ast.comprehension)) or _has_call("filter")(tree):
        return True
    return any(_has(ast.If)(statement) for loop in _nodes(tree, *_LOOPS) for statement in loop.body) or _recursion_with_if(tree)


def _recursion_with_if(tree: ast.AST) -> bool:
    return _recurses(tree) and sum(1 for _ in _nodes(tree, ast.If)) > 1


def _maps(tree: ast.AST) -> bool:
    elements = [node.elt for node in _nodes(tree, ast.ListComp, ast.GeneratorExp, ast.SetComp)]
    if any(not isinstance(element, ast.Name) for element in elements) or _has(ast.DictComp)(tree) or _has_call("map")(tree):
        return True
    added = [call.args[0] for loop in _nodes(tree, *_LOOPS) for call in _nodes(loop, ast.Call) if _adds(call)]
    stored = [
        node
        for loop in _nodes(tree, *_LOOPS)
        for node in _nodes(loop, ast.Assign)
        if isinstance(node.targets[0], ast.Subscript)
    ]
    texts = [node.value for loop in _nodes(tree, *_LOOPS) for node in _nodes(loop, ast.AugAssign)]
    return bool(stored) or any(not isinstance(value, (ast.Name, ast.Constant)) for value in [*added, *texts])


def _adds(call: ast.Call) -> bool:
    return _called_name(call) in ("append", "add") and len(call.args) == 1


def _counts_in_dictionary(tree: ast.AST) -> bool:
    """Whether a dictionary maps things to how often they occur."""
    if _has_call("Counter")(tree) or any(_has_call("count")(node.value) for node in _nodes(tree, ast.DictComp)):
        return True
    if any(isinstance(node.target, ast.Subscript) for node in _nodes(tree, ast.AugAssign)):
        return True
    assignments = (node for node in _nodes(tree, ast.Assign) if isinstance(node.targets[0], ast.Subscript))
    return any(isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.Add) for node in assignments)


def _groups(tree: ast.AST) -> bool:
    """Whether lists in a dictionary grow (`groups.setdefault(key, []).append(item)`), or each value is a filtered list."""
    for call in _nodes(tree, ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("append", "add", "extend"):
            holder = call.func.value
            if isinstance(holder, ast.Subscript) or (isinstance(holder, ast.Call) and _called_name(holder) == "setdefault"):
                return True
    return _has_call("groupby")(tree) or any(isinstance(node.value, ast.ListComp) for node in _nodes(tree, ast.DictComp))


def _searches(tree: ast.AST) -> bool:
    """Whether a loop stops at the first match, or `next` takes it."""
    stops = any(
        isinstance(inner, (ast.Return, ast.Break))
        for loop in _nodes(tree, *_LOOPS)
        for test in _nodes(loop, ast.If)
        for inner in ast.walk(test)
    )
    return stops or any(_called_name(call) == "next" and _has(ast.GeneratorExp)(call) for call in _nodes(tree, ast.Call))


def _returns_early(tree: ast.AST) -> bool:
    """Whether a function returns inside a condition or loop and continues after it."""
    return any(
        isinstance(statement, (ast.If, *_LOOPS)) and any(isinstance(inner, ast.Return) for inner in ast.walk(statement))
        for function in _nodes(tree, ast.FunctionDef)
        for statement in function.body[:-1]
    )


def _nests_loops(tree: ast.AST) -> bool:
    repeats = (*_LOOPS, *_COMPREHENSIONS)
    if any(len(node.generators) > 1 for node in _nodes(tree, *_COMPREHENSIONS)):
        return True
    return any(inner is not outer for outer in _nodes(tree, *repeats) for inner in _nodes(outer, *repeats))


def _builds_text(tree: ast.AST) -> bool:
    joined = any(_called_name(call) == "join" for call in _nodes(tree, ast.Call))
    started_empty = {
        target.id
        for node in _nodes(tree, ast.Assign)
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    grown = {node.target.id for node in _nodes(tree, ast.AugAssign) if isinstance(node.target, ast.Name)}
    added = any(
        isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right)) for node in _nodes(tree, ast.BinOp)
    )
    return joined or added or bool(started_empty & grown) or _has(ast.JoinedStr)(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _classifies_characters(tree: ast.AST) -> bool:
    literal_test = any(
        isinstance(operator, (ast.In, ast.NotIn)) and (_is_text(right) or isinstance(right, ast.Set))
        for node in _nodes(tree, ast.Compare)
        for operator, right in zip(node.ops, node.comparators, strict=True)
    )
    return literal_test or _has_call(*_CHARACTER_TESTS)(tree)


def _splits_and_joins(tree: ast.AST) -> bool:
    return _has_call("split", "splitlines")(tree) and _has_call("join")(tree)


def _uses_set(tree: ast.AST) -> bool:
    return _has(ast.Set, ast.SetComp)(tree) or _has_call("set", "frozenset")(tree)


def _removes_duplicates(tree: ast.AST) -> bool:
    if _has_call("fromkeys", "set")(tree):
        return True
    tests = (node for loop in _nodes(tree, *_LOOPS) for node in _nodes(loop, ast.Compare))
    return any(isinstance(operator, (ast.In, ast.NotIn)) for node in tests for operator in node.ops) and _accumulates(tree)


def _runs_totals(tree: ast.AST) -> bool:
    """Whether sums of growing beginnings are collected."""
    if _has_call("accumulate")(tree):
        return True
    for node in _nodes(tree, ast.ListComp):
        if any(_called_name(call) == "sum" and _has(ast.Slice)(call) for call in _nodes(node.elt, ast.Call)):
            return True
    for loop in _nodes(tree, *_LOOPS):
        grown = {node.target.id for node in _nodes(loop, ast.AugAssign) if isinstance(node.target, ast.Name)}
        appended = {call.args[0].id for call in _nodes(loop, ast.Call) if _adds(call) and isinstance(call.args[0], ast.Name)}
        if grown & appended:
            return True
    return False


def _recurses(tree: ast.AST) -> bool:
    return any(
        isinstance(call.func, ast.Name) and call.func.id == function.name
        for function in _nodes(tree, ast.FunctionDef)
        for call in _nodes(function, ast.Call)
    )


def _handles_digits(tree: ast.AST) -> bool:
    over_text = any(_called_name(call) == "str" for call in _nodes(tree, ast.Call)) and (
        _has_call("int", "len")(tree) or _has(ast.comprehension, ast.For)(tree)
    )
    ten = any(
        isinstance(node.op, (ast.Mod, ast.FloorDiv)) and isinstance(node.right, ast.Constant) and node.right.value == 10
        for node in _nodes(tree, ast.BinOp)
    )
    return over_text or ten or _has_call("isdigit")(tree)


def _clamps(tree: ast.AST) -> bool:
    """Whether a value is limited by a bound: `min(x, bound)` or `max(x, bound)`."""
    return _has_call("min", "max", min_arguments=2)(tree) or any(
        isinstance(node.test, ast.Compare) and _bounds(node) for node in _nodes(tree, ast.IfExp)
    )


def _bounds(node: ast.IfExp) -> bool:
    compared = {ast.dump(part) for part in ast.walk(node.test) if isinstance(part, ast.expr)}
    return ast.dump(node.body) in compared and ast.dump(node.orelse) in compared


def _compares_neighbours(tree: ast.AST) -> bool:
    """Whether items are paired with the next or the one before: `zip(x, x[1:])`, `pairwise(x)`, `x[i]` with `x[i + 1]`."""
    if _has_call("pairwise")(tree):
        return True
    pairs = (call.args for call in _nodes(tree, ast.Call) if _called_name(call) == "zip" and len(call.args) == 2)
    if any(isinstance(two, ast.Subscript) and ast.dump(two.value) == ast.dump(one) for one, two in pairs):
        return True
    return any(
        isinstance(item.slice, ast.BinOp)
        and isinstance(item.slice.op, (ast.Add, ast.Sub))
        and isinstance(item.slice.right, ast.Constant)
        and item.slice.right.value == 1
        for item in _nodes(tree, ast.Subscript)
    )


def _zips(tree: ast.AST) -> bool:
    return _has_call("zip", min_arguments=2)(tree)


def _flattens(tree: ast.AST) -> bool:
    """Whether the items of inner lists are visited in one sequence."""
    if any(len(node.generators) > 1 for node in _nodes(tree, *_COMPREHENSIONS)) or _has_call("extend", "chain")(tree):
        return True
    return any(inner is not outer for outer in _nodes(tree, *_LOOPS) for inner in _nodes(outer, *_LOOPS))


def _handles_empty_input(tree: ast.AST) -> bool:
    """Whether a default stands in for what is missing: `get`, `default=`, `setdefault`, or a test for emptiness."""
    tested = any(isinstance(node.test, (ast.Name, ast.UnaryOp)) for node in _nodes(tree, ast.If, ast.IfExp))
    return (
        tested
        or _has_call("get", "setdefault", "next", min_arguments=2)(tree)
        or _has_call("max", "min", keyword="default")(tree)
        or _has_call("defaultdict")(tree)
    )


def _unpacks(tree: ast.AST) -> bool:
    targets = [target for node in _nodes(tree, ast.Assign) for target in node.targets]
    targets += [node.target for node in _nodes(tree, ast.For, ast.comprehension)]
    return any(isinstance(target, (ast.Tuple, ast.List)) for target in targets)


def _windows(tree: ast.AST) -> bool:
    """Whether slices of one length are taken at successive positions: `x[i : i + k]`, or `zip(x, x[1:], …)`."""
    for node in _nodes(tree, ast.Slice):
        if isinstance(node.lower, ast.Name) and isinstance(node.upper, ast.BinOp) and isinstance(node.upper.op, ast.Add):
            return True
    return False


def _reads_items(tree: ast.AST) -> bool:
    return _has_call("items", "values", "keys")(tree) or _has(ast.DictComp)(tree)


_DETECTORS: dict[str, Detector] = {
    "looping with an accumulator": _accumulates,
    "filtering with a condition": _filters,
    "mapping each item": _maps,
    "counting with a dictionary": _counts_in_dictionary,
    "grouping by a key": _groups,
    "sorting": _has_call("sorted", "sort"),
    "sorting with a key": _has_call("sorted", "sort", keyword="key"),
    "searching for the first match": _searches,
    "early return": _returns_early,
    "nested loops": _nests_loops,
    "while loops": _has(ast.While),
    "slicing": _has(ast.Slice),
    "string building": _builds_text,
    "character classification": _classifies_characters,
    "splitting and joining": _splits_and_joins,
    "sets": _uses_set,
    "removing duplicates": _removes_duplicates,
    "running totals": _runs_totals,
    "recursion": _recurses,
    "remainders": _any(_has_operator(ast.Mod), _has_call("divmod")),
    "integer division": _any(_has_operator(ast.FloorDiv), _has_call("divmod")),
    "digit manipulation": _handles_digits,
    "clamping": _clamps,
    "comparing neighbours": _compares_neighbours,
    "enumerating positions": _has_call("enumerate"),
    "zipping two sequences": _zips,
    "flattening": _flattens,
    "reading a dictionary": _reads_items,
    "default values": _handles_empty_input,
    "tuple unpacking": _unpacks,
    "comprehensions": _has(*_COMPREHENSIONS),
    "conditional expressions": _has(ast.IfExp),
    "boolean logic": _any(_has(ast.BoolOp, ast.Not), _has_call("any", "all")),
    "min and max with a key": _has_call("min", "max", keyword="key"),
    "sliding windows": _windows,
    "functions as arguments": _any(_has(ast.Lambda), _has_call("map", "filter")),
}
