"""Expressions as loops: comprehensions, sums and searches written with `for` or `while`, or as a function that calls itself."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from textbookgen_procedural.syntax_copies import copied

Step = tuple[str, ast.expr]


def fresh_name(used: Iterable[str], *candidates: str) -> str:
    """Return the first candidate that is not used, or the last with a number."""
    taken = set(used)
    numbered = (f"{candidates[-1]}{n}" for n in range(2, 100))
    return next(name for name in (*candidates, *numbered) if name not in taken)


def _load(name: str) -> ast.Name:
    return ast.Name(name, ast.Load())


def _set(name: str, value: ast.expr) -> ast.stmt:
    return ast.Assign([ast.Name(name, ast.Store())], value, lineno=0)


def _add(name: str, value: ast.expr) -> ast.stmt:
    return ast.AugAssign(ast.Name(name, ast.Store()), ast.Add(), value)


def _append(name: str, value: ast.expr) -> ast.stmt:
    return ast.Expr(ast.Call(ast.Attribute(_load(name), "append", ast.Load()), [value], []))


class LoopWriter:
    """Writes steps as loops.

    Args:
        style: `loops` (`for` over items), `index` (`for` over positions) or `while`.
        parameters: the function's parameters.
    """

    def __init__(self, style: str, parameters: Sequence[str]) -> None:
        self.style = style
        self.used = set(parameters)

    def write(self, steps: Sequence[Step]) -> list[ast.stmt] | None:
        """Return the statements, or None if no step can be written as a loop."""
        self.used |= {node.id for _, value in steps for node in ast.walk(value) if isinstance(node, ast.Name)}
        self.used |= {target for target, _ in steps}
        body: list[ast.stmt] = []
        current: dict[str, str] = {}
        changed = False
        for place, (target, value) in enumerate(steps):
            value = _renamed(value, current)
            last = place == len(steps) - 1
            if last and (ending := self._search(value)):
                return [*body, *ending]
            loop = self._loop(value)
            if loop:
                statements, result = loop
                changed = True
                body += [*statements, ast.Return(_load(result))] if last else statements
                current[target] = result
            else:
                body.append(ast.Return(value) if last else _set(target, value))
                current.pop(target, None)
        return body if changed else None

    def _fresh(self, *candidates: str) -> str:
        name = fresh_name(self.used, *candidates)
        self.used.add(name)
        return name

    def _for(self, target: ast.expr, source: ast.expr, body: list[ast.stmt]) -> list[ast.stmt]:
        """A loop over the items of an expression, in the writer's style where that suits it."""
        if self.style == "loops" or not (isinstance(target, ast.Name) and isinstance(source, ast.Name)):
            return [ast.For(target, source, body, [], lineno=0)]
        index = self._fresh("i", "position")
        item = ast.Subscript(source, _load(index), ast.Load())
        size = ast.Call(_load("len"), [source], [])
        if self.style == "index":
            replaced = [_ItemByIndex(target.id, item).visit(copied(statement)) for statement in body]
            return [ast.For(ast.Name(index, ast.Store()), ast.Call(_load("range"), [size], []), replaced, [], lineno=0)]
        test = ast.Compare(_load(index), [ast.Lt()], [size])
        return [
            _set(index, ast.Constant(0)),
            ast.While(test, [_set(target.id, item), *body, _add(index, ast.Constant(1))], []),
        ]

    def _over(self, generators: Sequence[ast.comprehension], body: list[ast.stmt]) -> list[ast.stmt]:
        """Nested loops for the generators of a comprehension, with their conditions."""
        for generator in reversed(generators):
            for condition in reversed(generator.ifs):
                body = [ast.If(condition, body, [])]
            body = self._for(generator.target, generator.iter, body)
        return body

    def _search(self, value: ast.expr) -> list[ast.stmt] | None:
        """`any`, `all` and `next` as a loop that returns at the first match."""
        match value:
            case ast.Call(func=ast.Name(id="any"), args=[ast.GeneratorExp(elt=test, generators=generators)]):
                return [
                    *self._over(generators, [ast.If(test, [ast.Return(ast.Constant(True))], [])]),
                    ast.Return(ast.Constant(False)),
                ]
            case ast.Call(func=ast.Name(id="all"), args=[ast.GeneratorExp(elt=test, generators=generators)]):
                return [
                    *self._over(generators, [ast.If(_negated(test), [ast.Return(ast.Constant(False))], [])]),
                    ast.Return(ast.Constant(True)),
                ]
            case ast.Call(func=ast.Name(id="next"), args=[ast.GeneratorExp(elt=element, generators=generators), default]):
                return [*self._over(generators, [ast.Return(element)]), ast.Return(default)]
        return None

    def _loop(self, value: ast.expr) -> tuple[list[ast.stmt], str] | None:
        """Statements that compute a value in a loop, and the variable that has it; None for values that need none."""
        match value:
            case ast.ListComp():
                return self._list(value)
            case ast.DictComp():
                return self._dictionary(value)
            case ast.Call(func=ast.Name(id="sum"), args=[argument]):
                return self._sum(argument)
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=""), attr="join"), args=[ast.GeneratorExp() as inner]):
                result = self._fresh("built", "output")
                return [_set(result, ast.Constant("")), *self._over(inner.generators, [_add(result, inner.elt)])], result
            case ast.Call(func=ast.Name(id="max" | "min" as name), args=[ast.Name() as source], keywords=[keyword]) if (
                keyword.arg == "default"
            ):
                return self._extreme(name, source, keyword.value)
            case ast.Call(func=ast.Name(id="list"), args=[ast.Call(func=ast.Attribute(attr="fromkeys"), args=[source])]):
                return self._distinct(source)
            case ast.Call(func=ast.Attribute(value=ast.Name() as source, attr="count"), args=[wanted]):
                result, item = self._fresh("count", "found"), self._fresh("item", "each")
                test = ast.Compare(_load(item), [ast.Eq()], [wanted])
                body: list[ast.stmt] = [ast.If(test, [_add(result, ast.Constant(1))], [])]
                return [_set(result, ast.Constant(0)), *self._for(ast.Name(item, ast.Store()), source, body)], result
        return None

    def _list(self, value: ast.ListComp) -> tuple[list[ast.stmt], str]:
        result = self._fresh("result", "kept", "output")
        match value.elt:
            case ast.Call(
                func=ast.Name(id="sum"), args=[ast.Subscript(value=ast.Name() as source, slice=ast.Slice(lower=None))]
            ):
                total, item = self._fresh("total", "running"), self._fresh("item", "each")
                steps: list[ast.stmt] = [_add(total, _load(item)), _append(result, _load(total))]
                start = [_set(total, ast.Constant(0)), _set(result, ast.List([], ast.Load()))]
                return [*start, *self._for(ast.Name(item, ast.Store()), source, steps)], result
        return [_set(result, ast.List([], ast.Load())), *self._over(value.generators, [_append(result, value.elt)])], result

    def _dictionary(self, value: ast.DictComp) -> tuple[list[ast.stmt], str]:
        result = self._fresh("result", "counts", "output")
        start = _set(result, ast.Dict([], []))
        generator = value.generators[0]
        assigned: ast.expr
        match value.value:
            case ast.Call(func=ast.Attribute(attr="count"), args=[_]):
                count = ast.Call(ast.Attribute(_load(result), "get", ast.Load()), [value.key, ast.Constant(0)], [])
                assigned = ast.BinOp(count, ast.Add(), ast.Constant(1))
            case ast.ListComp(
                elt=element,
                generators=[
                    ast.comprehension(target=target, iter=source, ifs=[ast.Compare(left=key, ops=[ast.Eq()], comparators=[_])])
                ],
            ):
                grown = ast.Call(ast.Attribute(_load(result), "setdefault", ast.Load()), [key, ast.List([], ast.Load())], [])
                add = ast.Expr(ast.Call(ast.Attribute(grown, "append", ast.Load()), [element], []))
                return [start, *self._for(target, source, [add])], result
            case _:
                assigned = value.value
        store = ast.Assign([ast.Subscript(_load(result), value.key, ast.Store())], assigned, lineno=0)
        return [start, *self._over([generator], [store])], result

    def _sum(self, argument: ast.expr) -> tuple[list[ast.stmt], str] | None:
        match argument:
            case ast.GeneratorExp(
                elt=ast.Compare() | ast.Call(func=ast.Attribute(attr="isupper")) as test, generators=generators
            ):
                result = self._fresh("count", "found")
                body: list[ast.stmt] = [ast.If(test, [_add(result, ast.Constant(1))], [])]
                return [_set(result, ast.Constant(0)), *self._over(generators, body)], result
            case ast.GeneratorExp(elt=element, generators=generators):
                result = self._fresh("total", "amount")
                return [_set(result, ast.Constant(0)), *self._over(generators, [_add(result, element)])], result
        result, item = self._fresh("total", "amount"), self._fresh("item", "each")
        loop = self._for(ast.Name(item, ast.Store()), argument, [_add(result, _load(item))])
        return [_set(result, ast.Constant(0)), *loop], result

    def _extreme(self, name: str, source: ast.expr, default: ast.expr) -> tuple[list[ast.stmt], str]:
        result, item = self._fresh("best", "extreme"), self._fresh("item", "each")
        first = ast.IfExp(source, ast.Subscript(source, ast.Constant(0), ast.Load()), default)
        test = ast.Compare(_load(item), [ast.Gt() if name == "max" else ast.Lt()], [_load(result)])
        body: list[ast.stmt] = [ast.If(test, [_set(result, _load(item))], [])]
        return [_set(result, first), *self._for(ast.Name(item, ast.Store()), source, body)], result

    def _distinct(self, source: ast.expr) -> tuple[list[ast.stmt], str]:
        result, item = self._fresh("result", "kept", "output"), self._fresh("item", "each")
        test = ast.Compare(_load(item), [ast.NotIn()], [_load(result)])
        body: list[ast.stmt] = [ast.If(test, [_append(result, _load(item))], [])]
        return [_set(result, ast.List([], ast.Load())), *self._for(ast.Name(item, ast.Store()), source, body)], result


class _ItemByIndex(ast.NodeTransformer):
    """Replaces the variable of a loop by the item at a position."""

    def __init__(self, name: str, item: ast.expr) -> None:
        self.name, self.item = name, item

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copied(self.item) if node.id == self.name and isinstance(node.ctx, ast.Load) else node


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.names[node.id], node.ctx) if node.id in self.names else node


def _renamed(value: ast.expr, names: dict[str, str]) -> ast.expr:
    renamed: ast.expr = _Renaming(names).visit(copied(value))
    return renamed


_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.LtE,
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}


def _negated(test: ast.expr) -> ast.expr:
    match test:
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _OPPOSITES:
            return ast.Compare(left, [_OPPOSITES[type(operator)]()], [right])
    return ast.UnaryOp(ast.Not(), test)


def as_recursion(steps: Sequence[Step], name: str, parameters: Sequence[str]) -> list[ast.stmt] | None:
    """Return steps of which the last is a comprehension or sum, with that written as a function that calls itself.

    A function of one step calls itself; one of several has an inner function for the last.

    Args:
        steps: the steps.
        name: the function's name.
        parameters: its parameters, the first of which has the items.
    """
    *before, (_, value) = steps
    parts = _items_of(value)
    if parts is None:
        return None
    start, element, generator = parts
    if not (isinstance(generator.target, ast.Name) and isinstance(generator.iter, ast.Name)):
        return None
    source, letter = generator.iter.id, generator.target.id
    inner = bool(before) or source != parameters[0]
    visit, items = ("visit", "rest") if inner else (name, source)
    further = [] if inner else [_load(parameter) for parameter in parameters[1:]]
    tail = ast.Subscript(_load(items), ast.Slice(ast.Constant(1)), ast.Load())
    again = ast.Call(_load(visit), [tail, *further], [])
    one = ast.List([element], ast.Load()) if isinstance(start, ast.List) else element
    ending: list[ast.stmt] = [ast.Return(ast.BinOp(one, ast.Add(), again))]
    for condition in reversed(generator.ifs):
        ending = [ast.If(condition, ending, [])]
    if generator.ifs:
        ending.append(ast.Return(again))
    empty = ast.If(ast.UnaryOp(ast.Not(), _load(items)), [ast.Return(start)], [])
    head = ast.Subscript(_load(items), ast.Constant(0), ast.Load())
    body: list[ast.stmt] = [empty, _set(letter, head), *ending]
    if not inner:
        return body
    arguments = ast.arguments([], [ast.arg(items)], None, [], [], None, [])
    helper = ast.FunctionDef(visit, arguments, body, [], lineno=0)
    call = ast.Return(ast.Call(_load(visit), [_load(source)], []))
    return [*(_set(target, step) for target, step in before), helper, call]


def _items_of(value: ast.expr) -> tuple[ast.expr, ast.expr, ast.comprehension] | None:
    """The start value, the element and the loop of a comprehension, a sum or a join."""
    match value:
        case ast.ListComp(elt=element, generators=[generator]):
            return ast.List([], ast.Load()), element, generator
        case ast.Call(func=ast.Name(id="sum"), args=[ast.GeneratorExp(elt=element, generators=[generator])]):
            return ast.Constant(0), element, generator
        case ast.Call(func=ast.Name(id="sum"), args=[ast.Name() as source]):
            return ast.Constant(0), _load("first"), ast.comprehension(ast.Name("first", ast.Store()), source, [], 0)
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=""), attr="join"),
            args=[ast.GeneratorExp(elt=element, generators=[generator])],
        ):
            return ast.Constant(""), element, generator
    return None
