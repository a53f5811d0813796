"""Benchmarks of programs: HumanEval, MBPP, and three functions for trials."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.builtin.benchmarks.table import CODE_STOP, Row


def human_eval(row: Row, number: int) -> BenchmarkItem:
    """Return an item of HumanEval (Chen et al., arXiv 2107.03374): the prompt is a signature with a docstring."""
    tests = f"{row['test']}\ncheck({row['entry_point']})\n"
    return BenchmarkItem(row["task_id"], row["prompt"], row["canonical_solution"], tests, row["entry_point"])


def mbpp(row: Row, number: int) -> BenchmarkItem | None:
    """Return an item of MBPP (Austin et al., arXiv 2108.07732): the prompt is a docstring with the task and its first test.

    A file may contain all 974 tasks; only the test split, ids 11 to 510, is used. Rows may be of the full or of the
    sanitized set.
    """
    return mbpp_item(row) if 11 <= row["task_id"] <= 510 else None


def mbpp_item(row: Row) -> BenchmarkItem:
    """Return an item of MBPP, of any split."""
    task = row["text"] if "text" in row else row["prompt"]
    setup = row["test_setup_code"] if "test_setup_code" in row else "\n".join(row["test_imports"] or ())
    quoted = f"{task.strip()}\n{row['test_list'][0]}".replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    solution = _lf(row["code"]).rstrip() + "\n"
    tests = "\n".join([*filter(None, [_lf(setup or "")]), *map(_lf, row["test_list"])]) + "\n"
    asked = f"{_lf(task).strip()} It must pass this test:\n\n```python\n{_lf(row['test_list'][0])}\n```"
    return BenchmarkItem(
        id=f"MBPP/{row['task_id']}",
        prompt=f'"""\n{_lf(quoted)}\n"""\n',
        solution=solution,
        tests=tests,
        entry_point=_entry_point(solution, tests),
        question=f"{asked}\n\nReply with the function, with all imports that it needs, in one code block.",
    )


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def _entry_point(solution: str, tests: str) -> str:
    """Return the function of the solution that the tests call first; empty if it cannot be determined."""
    try:
        with warnings.catch_warnings(action="ignore"):  # some solutions contain invalid escape sequences
            defined = {node.name for node in ast.parse(solution).body if isinstance(node, ast.FunctionDef)}
    except SyntaxError:
        return ""
    names = (name for name in re.findall(r"\w+", tests) if name in defined)
    return next(names, "")


@dataclass
class ThreeItems:
    """Three small functions, for tests and trials without any files."""

    name: str = "example-three"
    stop: tuple[str, ...] = CODE_STOP

    def items(self) -> Iterator[BenchmarkItem]:
        """Yield `double`, `is_even` and `last_word`."""
        yield _example("double", "x", "Twice x.", "return 2 * x", ("double(4) == 8", "double(-1) == -2"))
        yield _example("is_even", "n", "Whether n is even.", "return n % 2 == 0", ("is_even(10)", "not is_even(7)"))
        yield _example(
            "last_word", "text", "The last word of a text.", "return text.split()[-1]", ("last_word('a red fox') == 'fox'",)
        )


def _example(name: str, argument: str, task: str, body: str, assertions: tuple[str, ...]) -> BenchmarkItem:
    prompt = f'def {name}({argument}):\n    """{task}"""\n'
    tests = "\n".join(f"assert {assertion}" for assertion in assertions) + "\n"
    return BenchmarkItem(f"example-three/{name}", prompt, f"    {body}\n", tests, name)
