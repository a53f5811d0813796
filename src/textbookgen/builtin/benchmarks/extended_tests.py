"""HumanEval+ and MBPP+: more tests for the problems of HumanEval and MBPP, in the files of EvalPlus (arXiv 2305.01210).

A row of EvalPlus's releases (JSON Lines) has `base_input` and `plus_input`, lists of arguments, and a solution that is known
to be right. Expected results are those of that solution, which runs with the tests in the sandbox. Results are compared as
EvalPlus compares them. A row of its data sets on the Hugging Face Hub (parquet) is one of HumanEval or MBPP, whose `test` is a
program with arguments and results.
"""

from __future__ import annotations

import ast
import gzip
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks.code import human_eval, mbpp_item
from textbookgen.builtin.benchmarks.table import Row, read_rows, reading

#: What compares two results: the sandbox runs it in the process of the tests, where only the standard library is available.
_COMPARISON = """
import copy, math
inf, nan = float("inf"), float("nan")

def _is_float(value):
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)

def _is_close(value, expected, tolerance):
    if isinstance(expected, (list, tuple)):
        same_length = isinstance(value, (list, tuple)) and len(value) == len(expected)
        return same_length and all(_is_close(one, other, tolerance) for one, other in zip(value, expected))
    if isinstance(value, str) or isinstance(expected, str):
        return False
    return value == expected or abs(value - expected) <= tolerance + 1e-07 * abs(expected)

def _agree(value, expected, tolerance):
    if value == expected:
        return True
    tolerance = tolerance or (1e-06 if _is_float(expected) else 0)
    return bool(tolerance) and type(value) == type(expected) and _is_close(value, expected, tolerance)

def _reference_function(source, name):
    names = {}
    exec(source, names)
    return names[name]
"""

#: How results are compared where several are right, by dataset and function: Python expressions over `value` (of the
#: solution under test), `expected`, `arguments` and `tolerance`.
_ANY_ORDER = "set(value) == set(expected)"
_IS_FOUND = "value == (expected is not None) if isinstance(value, bool) else (value is not None) == (expected is not None)"
_COMPARISONS: dict[tuple[str, str], str] = {
    ("humaneval", "find_zero"): (
        "abs(math.fsum(factor * math.pow(value, power) for power, factor in enumerate(arguments[0]))) <= tolerance"
    ),
    ("mbpp", "are_equivalent"): "True",
    ("mbpp", "sum_div"): "value == expected or value == 0",
    ("mbpp", "surface_Area"): (
        "_agree(value, expected, tolerance) or abs(value - round(arguments[0] ** 2 + 2 * arguments[0] * "
        "math.sqrt((arguments[0] / 2) ** 2 + arguments[1] ** 2))) <= tolerance"
    ),
    ("mbpp", "digit_distance_nums"): (
        "value == expected or value == sum(abs(int(one) - int(other)) for one, other in zip("
        "*(str(number).zfill(max(len(str(each)) for each in arguments)) for number in arguments)))"
    ),
    **{("mbpp", name): _IS_FOUND for name in ("check_str", "text_match_three", "text_starta_endb")},
    **{
        ("mbpp", name): _ANY_ORDER
        for name in (
            "similar_elements",
            "find_char_long",
            "common_in_nested_lists",
            "extract_singly",
            "larg_nnum",
            "intersection_array",
            "find_dissimilar",
            "Diff",
        )
    },
}


@dataclass
class ExtendedTests:
    """HumanEval+ or MBPP+ in a file; it is read by `items`.

    Attributes:
        name: `humaneval-plus` or `mbpp-plus`.
        stop: texts that end a completion.
        address: the file: JSON Lines, also compressed with gzip, or parquet, which may also be an address.
    """

    name: str
    stop: tuple[str, ...]
    address: str

    def items(self) -> Iterator[BenchmarkItem]:
        """Yield the items in the order of the rows; their base tests are those of HumanEval or MBPP.

        Raises:
            RunError: the file cannot be read, or lacks a column.
        """
        dataset, is_parquet = self.name.removesuffix("-plus"), self.address.endswith(".parquet")
        rows = read_rows(self.name, self.address).iter_rows(named=True) if is_parquet else _json_lines(self.name, self.address)
        for row in rows:
            with reading(row, self.name, self.address):
                yield _hub_item(dataset, row) if "test" in row and "plus_input" not in row else _item(dataset, row)


def _json_lines(name: str, address: str) -> Iterator[Row]:
    """Yield rows one by one: arguments have any types, and so no table can hold them."""
    file = Path(address)
    try:
        with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    yield json.loads(line)
    except (OSError, ValueError) as error:
        hint = f"write `{name}@PATH` with a file of EvalPlus that ends in .jsonl, .jsonl.gz or .parquet"
        raise RunError(f"cannot read the benchmark `{name}` from '{address}': {error}", hint=hint) from error


#: What the programs on the Hub use of numpy, which the process of the tests does not have.
_NUMPY = """
class np:
    class ndarray: pass

    @staticmethod
    def allclose(value, expected, rtol, atol):
        if isinstance(expected, (list, tuple)):
            return len(value) == len(expected) and all(np.allclose(*pair, rtol, atol) for pair in zip(value, expected))
        return value == expected or abs(value - expected) <= atol + rtol * abs(expected)
"""


def _hub_item(dataset: str, row: Row) -> BenchmarkItem:
    """Return an item of the data set on the Hub; that of HumanEval+ does not say which tests are those of HumanEval."""
    tests = _NUMPY + re.sub(r"^import numpy as np$", "", row["test"], flags=re.MULTILINE)
    if dataset == "humaneval":
        return human_eval({**row, "test": tests}, 0)
    item = mbpp_item(row)
    imports = "\n".join(row["test_imports"] or ())
    return replace(item, id=f"Mbpp/{row['task_id']}", tests=f"{imports}\n{tests}\n", base_tests=item.tests)


def _item(dataset: str, row: Row) -> BenchmarkItem:
    name, reference = row["entry_point"], row["prompt"] + row["canonical_solution"]
    restore = _restorer(row.get("assertion") or "", name) if dataset == "mbpp" else list
    base, plus = ([restore(arguments) for arguments in row[column]] for column in ("base_input", "plus_input"))
    tests = [_tests(dataset, name, reference, inputs, row["atol"]) for inputs in ([*base, *plus], base)]
    return BenchmarkItem(str(row["task_id"]), row["prompt"], row["canonical_solution"], tests[0], name, base_tests=tests[1])


def _tests(dataset: str, name: str, reference: str, inputs: Sequence[Sequence[Any]], tolerance: float) -> str:
    """Return a program that calls the function and the reference with the same arguments, and compares the results."""
    comparison = _COMPARISONS.get((dataset, name), "_agree(value, expected, tolerance)")
    return f"""{_COMPARISON}
tolerance = {tolerance!r}
_reference = _reference_function({reference!r}, {name!r})
for _arguments in {[tuple(arguments) for arguments in inputs]!r}:
    arguments = copy.deepcopy(_arguments)
    expected = _reference(*copy.deepcopy(_arguments))
    value = {name}(*copy.deepcopy(_arguments))
    assert {comparison}, f"{name}{{arguments!r}} returned {{value!r}} and not {{expected!r}}"[:500]
"""


# -- types that JSON does not have


def _restorer(assertions: str, name: str) -> Callable[[Sequence[Any]], list[Any]]:
    """Return a function that gives arguments the types that JSON lost: tuples, sets and complex numbers.

    The types are those in the published assertions, which call the function with Python's literals.
    """
    shapes: list[_Shape] = []
    try:
        calls = [
            node
            for node in ast.walk(ast.parse(assertions))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
        ]
    except SyntaxError:
        calls = []
    for call in calls:
        for place, argument in enumerate(call.args):
            shapes += [_Shape() for _ in range(place + 1 - len(shapes))]
            try:
                shapes[place].see(ast.literal_eval(argument))
            except (ValueError, TypeError):
                continue
    has_complex = any(complex in shape.kinds for shape in shapes)

    def restore(arguments: Sequence[Any]) -> list[Any]:
        if has_complex:  # where one argument is complex, files have all numbers as strings
            arguments = [_real(value) for value in arguments]
        return [shapes[place].restore(value) if place < len(shapes) else value for place, value in enumerate(arguments)]

    return restore


def _real(value: Any) -> Any:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class _Shape:
    """The types of a value and of what it contains, as far as examples show them."""

    def __init__(self) -> None:
        self.kinds: dict[type, int] = {}
        self._items: _Shape | None = None

    def see(self, value: Any) -> None:
        """Learn from an example."""
        self.kinds[type(value)] = self.kinds.get(type(value), 0) + 1
        items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
        for item in items:
            self._items = self._items or _Shape()
            self._items.see(item)

    def restore(self, value: Any) -> Any:
        """Return a value from JSON with these types."""
        if isinstance(value, dict):
            return {key: self._inner(item) for key, item in value.items()}
        if isinstance(value, list):
            kind = max((kind for kind in (tuple, set, list) if kind in self.kinds), key=self._count, default=list)
            return kind(self._inner(item) for item in value)
        if isinstance(value, str) and complex in self.kinds:
            return complex(value)
        return value

    def _inner(self, item: Any) -> Any:
        return item if self._items is None else self._items.restore(item)

    def _count(self, kind: type) -> int:
        return self.kinds[kind]
