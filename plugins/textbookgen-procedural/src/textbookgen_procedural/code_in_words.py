"""Programs in words: what each statement does, the terms that code uses, and code without type hints for beginners."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import cache

from textbookgen_procedural.data_files import read_lines

_MAX_WORDS = 45  # of the words of one statement
_OPERATORS = {ast.Add: "Add {0} to {1}", ast.Sub: "Take {0} away from {1}", ast.Mult: "Multiply {1} by {0}"}


def statements_in_words(program: str) -> list[str]:
    """Return a sentence for each top-level statement, and for each one inside a function; [] if one would be too long."""
    sentences: list[str] = []
    for statement in ast.parse(program).body:
        if isinstance(statement, ast.FunctionDef):
            parameters = _listed([f"`{item.arg}`" for item in statement.args.args])
            sentences.append(f"Define a function `{statement.name}`" + (f" that takes {parameters}" if parameters else ""))
            sentences += (f"Inside: {_lower(_words(item))}" for item in _body(statement))
        else:
            sentences.append(_words(statement))
    if any(len(sentence.split()) > _MAX_WORDS or "`…`" in sentence for sentence in sentences):
        return []
    return [f"{sentence}." for sentence in sentences]


def _body(node: ast.FunctionDef) -> list[ast.stmt]:
    return node.body[1:] if ast.get_docstring(node) else node.body


def _words(node: ast.stmt) -> str:
    match node:
        case ast.Assign(targets=[target], value=value):
            return f"Let {_code(target)} be {_code(value)}"
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            return f"Let {_code(target)} be {_code(value)}"
        case ast.AugAssign(target=target, op=operator, value=value) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)].format(_code(value), _code(target))
        case ast.For(target=target, iter=source, body=body, orelse=[]):
            return f"For each {_code(target)} in {_code(source)}: {_block(body)}"
        case ast.While(test=test, body=body, orelse=[]):
            return f"As long as {_code(test)}: {_block(body)}"
        case ast.If(test=test, body=body, orelse=orelse):
            otherwise = f"; otherwise {_block(orelse)}" if orelse else ""
            return f"If {_code(test)}: {_block(body)}{otherwise}"
        case ast.Return(value=ast.expr() as value):
            return f"Return {_code(value)}"
        case ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=arguments)):
            return f"Print {_listed([_code(item) for item in arguments])}"
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=holder, attr="append"), args=[item])):
            return f"Append {_code(item)} to {_code(holder)}"
        case ast.Expr(value=value):
            return f"Call {_code(value)}"
        case ast.Import(names=[name]):
            return f"Import the module `{name.name}`"
        case ast.ImportFrom(module=str(module), names=names):
            return f"From `{module}`, import {_listed([f'`{item.name}`' for item in names])}"
    return "`…`"


def _block(body: Sequence[ast.stmt]) -> str:
    return ", then ".join(_lower(_words(item)) for item in body)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _code(node: ast.expr) -> str:
    return f"`{ast.unparse(node)}`"


def _listed(items: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(items[:-1]), *items[-1:])))


@cache
def _glossary() -> tuple[tuple[str, str, str], ...]:
    entries = (line.split(" | ") for line in read_lines("glossary"))
    return tuple((node, term, meaning) for node, term, meaning in entries)


def terms_of(program: str) -> Iterator[tuple[str, str]]:
    """Yield the terms that a program uses, each with its meaning, in the order of the glossary."""
    nodes = {type(node).__name__ for node in ast.walk(ast.parse(program))}
    yield from ((term, meaning) for node, term, meaning in _glossary() if node in nodes)


def without_hints(program: str) -> str:
    """Return a program without the type hints of its functions and variables; the fields of classes keep theirs."""
    lines = program.splitlines()
    tree = ast.parse(program)
    fields = {id(item) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for item in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _header(lines, node).endswith(":"):
            for argument in (*node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
                if argument is not None:
                    argument.annotation = None
            indent = " " * node.col_offset
            lines[node.lineno - 1] = f"{indent}def {node.name}({ast.unparse(node.args)}):"
        elif isinstance(node, ast.AnnAssign) and node.value is not None and id(node) not in fields:
            line = lines[node.lineno - 1]
            value = ast.get_source_segment(program, node.value) or ""
            if node.end_lineno == node.lineno:
                lines[node.lineno - 1] = f"{line[: node.col_offset]}{ast.unparse(node.target)} = {value}"
    return "\n".join(lines) + "\n"


def _header(lines: Sequence[str], node: ast.FunctionDef) -> str:
    return lines[node.lineno - 1].rstrip()
