"""Exercises written from the code of their steps, and grades of solutions by the steps that their code shows."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from random import Random

from textbookgen_procedural.tasks.draw_fields import Draw, json_reply, missing_field

_VARIABLE = re.compile(r"\bx\b")
_ARGUMENTS = {"list[int]": "numbers", "list[str]": "strings", "str": "text"}
_ENOUGH = 0.75  # share of a step's code that a solution must show
#: Names that say nothing about which step it is.
_COMMON = frozenset({"append", "Load", "Store", "ListComp", "comprehension", "Name", "range", "list", "result"})


def write_steps(draw: Draw) -> str:
    """Return a function that carries out the steps of a draw, with docstring and asserts, in a code block.

    Raises:
        RequestRefused: the draw lacks the code of its steps, or the type of its argument.
    """
    codes, types, examples = draw.get("step_code"), draw.get("argument_types"), draw.get("examples")
    steps = [str(step) for step in draw["steps"]]
    if not isinstance(codes, list | tuple) or len(codes) != len(steps):
        raise missing_field(
            "exercise", "step_code", "an expression of `x` for each of the `steps`, as `textbooks/step-chains` draws"
        )
    if not isinstance(examples, list | tuple) or not examples:
        raise missing_field("exercise", "examples", "pairs of an argument and its result, as `textbooks/step-chains` draws")
    kind = str(types[0]) if isinstance(types, list | tuple) and types else ""
    if kind not in _ARGUMENTS:
        raise missing_field("exercise", "argument_types", f"one of {', '.join(_ARGUMENTS)}")
    name, argument = str(draw["function_name"]), _ARGUMENTS[kind]
    value, result = examples[0]
    lines = [
        f"def {name}({argument}: {kind}) -> {draw['return_type']}:",
        f'    """{_describe(steps, Random(name))}',
        f'\n    >>> {name}({value})\n    {result}\n    """',
        *(f"    {line}" for line in _body([str(code) for code in codes], argument)),
        "\n",
        *(f"assert {name}({argument_value}) == {expected}" for argument_value, expected in examples),
    ]
    return "```python\n" + "\n".join(lines) + "\n```"


def _describe(steps: Sequence[str], rng: Random) -> str:
    """The steps in sentences, in one of the ways in which exercises put them."""
    if len(steps) == 1:
        return f"{_capital(steps[0])}{rng.choice(('.', ', and return the result.'))}"
    form = rng.randrange(4)
    if form == 0:
        return "\n".join([f"{_capital(', then '.join(steps[:2]))}.", *(f"    Then {step}." for step in steps[2:])])
    *middle, last = steps[1:]
    if form == 1:
        lines = [f"First {steps[0]}.", *(f"Then {step}." for step in middle), f"Finally {last}, and return the result."]
    elif form == 2:
        lines = [f"{_capital(steps[0])}.", *(f"After that {step}." for step in middle), f"At the end {last}."]
    else:
        lines = [f"Do this first: {steps[0]}.", *(f"Then do this: {step}." for step in middle), f"Do this last: {last}."]
    return "\n    ".join(lines)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _body(codes: Sequence[str], argument: str) -> list[str]:
    names = [argument, *["result"] * (len(codes) - 1)]
    *lines, last = (_VARIABLE.sub(name, code) for name, code in zip(names, codes, strict=True))
    return [*(f"result = {line}" for line in lines), f"return {last}"]


def grade_solution(rng: Random, draw: Draw) -> str:
    """Return an evaluation of a solution, and a grade from 0 to 10 for the steps that its code shows in order.

    The code is read, not executed: a step counts if a solution has most of the operators, calls and constants of the step's
    own code (`textbooks.step_code`), behind those of the step before it. Code that does not parse gets 0.

    Raises:
        RequestRefused: the draw has no solution.
    """
    document = draw.get("document")
    if not isinstance(document, Mapping) or not isinstance(document.get("textbooks.completion"), str):
        raise missing_field("grade-solution", "document", "a row with `textbooks.prompt` and `textbooks.completion`")
    codes, steps = document.get("textbooks.step_code") or (), document.get("textbooks.steps") or ()
    source = f"{document.get('textbooks.prompt') or ''}{document['textbooks.completion']}"
    function = _function(source, str(document.get("textbooks.entry_point") or ""))
    if function is None:
        return json_reply(evaluation="The completion is not a function that could run.", grade=0)
    if not codes:
        return json_reply(evaluation="The problem does not say by which steps it is solved.", grade=5)
    shown = _shown_steps([_signs(ast.parse(code)) for code in codes], _statements(function))
    missing = [str(step) for step, done in zip(steps, shown, strict=False) if not done]
    extra = max(0, len(_statements(function)) - _lines_needed(function, sum(shown)))
    grade = round(10 * sum(shown) / len(shown))
    evaluation = (
        "Every step is there, in order." if not missing else f"What is missing, or not in its place: {'; '.join(missing)}."
    )
    if extra:
        evaluation, grade = f"{evaluation} It does something that was not asked for.", max(grade - (1 if missing else 2), 0)
    return json_reply(evaluation=evaluation, grade=grade)


def _function(source: str, name: str) -> ast.FunctionDef | None:
    """The function of this name, if the source parses and the function has more than a docstring."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and name in ("", node.name)]
    return functions[0] if functions and _statements(functions[0]) else None


def _statements(function: ast.FunctionDef) -> list[list[str]]:
    """The signs of each statement of a function, in order, without the docstring; a loop is one statement."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return [signs for statement in body if (signs := _signs(statement))]


def _signs(tree: ast.AST) -> list[str]:
    """The operators, calls, attributes, constants and slices of code, without names of variables."""
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    notes = []
    for node in ast.walk(tree):
        if isinstance(node, ast.operator | ast.unaryop | ast.cmpop | ast.boolop):
            notes.append(type(node).__name__)
        elif isinstance(node, ast.Constant):
            notes.append(repr(node.value))
        elif isinstance(node, ast.Attribute):
            notes.append(node.attr)
        elif isinstance(node, ast.Name) and id(node) in called:
            notes.append(node.id)
        elif isinstance(node, ast.Slice | ast.keyword | ast.IfExp):
            notes.append(type(node).__name__)
    return [sign for sign in notes if sign not in _COMMON]


def _shown_steps(steps: Sequence[Sequence[str]], statements: Sequence[Sequence[str]]) -> list[bool]:
    """For each step whether it is shown, by the longest chain of steps that appear in the order of the statements."""
    # best[i][j]: the steps shown among the first i by the first j statements
    best: list[list[tuple[int, ...]]] = [[() for _ in range(len(statements) + 1)] for _ in range(len(steps) + 1)]
    for i, signs in enumerate(steps, 1):
        for j in range(len(statements) + 1):
            options = [best[i - 1][j]]
            if j:
                options.append(best[i][j - 1])
                if _is_shown(signs, statements[j - 1]):
                    options.append((*best[i - 1][j - 1], i - 1))
                    if len(statements[j - 1]) > len(signs):  # one statement may do several steps
                        options.append((*best[i - 1][j], i - 1))
            best[i][j] = max(options, key=len)
    chosen = set(best[-1][-1])
    return [place in chosen for place in range(len(steps))]


def _is_shown(signs: Sequence[str], statement: Sequence[str]) -> bool:
    if not signs:
        return False
    left = list(statement)
    hits = 0
    for sign in signs:
        if sign in left:
            left.remove(sign)
            hits += 1
    return hits >= _ENOUGH * len(signs)


def _lines_needed(function: ast.FunctionDef, steps: int) -> int:
    """How many statements that many steps take at most: one each, and two for a loop with its list."""
    loops = sum(isinstance(node, ast.For | ast.While) for node in ast.walk(function))
    return steps + 1 + loops
