"""Built-in benchmarks: HumanEval, MBPP and GSM8K from their public addresses or a file, any table, and three test items."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import polars as pl

from textbookgen.api.benchmark import Benchmark, BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.api.hookspecs import hookimpl

Row = Mapping[str, Any]

#: What ends a completion of a Python function, as in the evaluation of HumanEval.
CODE_STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


@dataclass
class TableBenchmark:
    """A benchmark in a table, parquet or JSON Lines, in a file or at an address; it is read by `items`.

    Attributes:
        name: what reports call it.
        stop: texts that end a completion.
        address: a path, or an address that polars reads.
        parse: makes an item of a row and its number; None skips the row.
    """

    name: str
    stop: tuple[str, ...]
    address: str
    parse: Callable[[Row, int], BenchmarkItem | None]

    def items(self) -> Iterator[BenchmarkItem]:
        """Yield the items in the order of the rows.

        Raises:
            RunError: the table cannot be read, or lacks a column.
        """
        for number, row in enumerate(self._rows().iter_rows(named=True)):
            try:
                item = self.parse(row, number)
            except KeyError as error:
                hint = f"it has {', '.join(row)}"
                raise RunError(f"'{self.address}' has no column {error}, which `{self.name}` requires", hint=hint) from error
            if item is not None:
                yield item

    def _rows(self) -> pl.DataFrame:
        try:
            if self.address.endswith((".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson")):
                return pl.scan_ndjson(self.address, infer_schema_length=None).collect()
            return pl.scan_parquet(self.address).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            hint = f"download it and write `{self.name}@PATH`, where PATH ends in .jsonl, .jsonl.gz or .parquet"
            raise RunError(f"cannot read the benchmark `{self.name}` from '{self.address}': {error}", hint=hint) from error


def human_eval(row: Row, number: int) -> BenchmarkItem:
    """Return an item of HumanEval (Chen et al., arXiv 2107.03374): the prompt is a signature with a docstring."""
    tests = f"{row['test']}\ncheck({row['entry_point']})\n"
    return BenchmarkItem(row["task_id"], row["prompt"], row["canonical_solution"], tests, row["entry_point"])


def mbpp(row: Row, number: int) -> BenchmarkItem | None:
    """Return an item of MBPP (Austin et al., arXiv 2108.07732): the prompt is a docstring with the task and its first test.

    A file may contain all 974 tasks; only the test split, ids 11 to 510, is used. Rows may be of the full or of the
    sanitized set.
    """
    if not 11 <= row["task_id"] <= 510:
        return None
    task = row["text"] if "text" in row else row["prompt"]
    setup = row["test_setup_code"] if "test_setup_code" in row else "\n".join(row["test_imports"] or ())
    quoted = f"{task.strip()}\n{row['test_list'][0]}".replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    solution = _lf(row["code"]).rstrip() + "\n"
    tests = "\n".join([*filter(None, [_lf(setup or "")]), *map(_lf, row["test_list"])]) + "\n"
    return BenchmarkItem(f"MBPP/{row['task_id']}", f'"""\n{_lf(quoted)}\n"""\n', solution, tests, _entry_point(solution, tests))


def gsm8k(row: Row, number: int) -> BenchmarkItem:
    """Return an item of GSM8K (Cobbe et al., arXiv 2110.14168): the solution is the number after `####`, without reasoning."""
    answer = row["answer"].rpartition("####")[2].strip().replace(",", "")
    return BenchmarkItem(f"GSM8K/{number}", f"Question: {row['question'].strip()}\nAnswer:", answer)


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


#: Public address, row parser and stop texts by name.
KNOWN: dict[str, tuple[str, Callable[[Row, int], BenchmarkItem | None], tuple[str, ...]]] = {
    "humaneval": ("hf://datasets/openai/openai_humaneval/openai_humaneval/test-00000-of-00001.parquet", human_eval, CODE_STOP),
    "mbpp": (
        "hf://datasets/google-research-datasets/mbpp/full/test-00000-of-00001.parquet",
        mbpp,
        ("\nclass", "\nassert", '\n"""', "\nprint", "\nif"),
    ),
    "gsm8k": ("hf://datasets/openai/gsm8k/main/test-00000-of-00001.parquet", gsm8k, ("\nQuestion:", "\n\n")),
}


def _parser(query: str, name: str) -> tuple[Callable[[Row, int], BenchmarkItem], tuple[str, ...]]:
    """Return the row parser and the stop texts for a query such as `prompt=question&solution=answer`."""
    parameters = parse_qs(query, strict_parsing=bool(query))
    known = {"prompt", "solution", "tests", "id", "entry_point", "stop"}
    if unknown := sorted(parameters.keys() - known):
        raise RunError(f"`{name}` has the unknown parameter '{unknown[0]}'", hint=f"use {', '.join(sorted(known))}")
    column = {key: values[-1] for key, values in parameters.items()}
    has_tests = "tests" in parameters

    def parse(row: Row, number: int) -> BenchmarkItem:
        tests = row[column["tests"]] if has_tests else ""
        return BenchmarkItem(
            id=str(row[column["id"]]) if "id" in column else str(number),
            prompt=str(row[column.get("prompt", "prompt")]),
            solution=str(row[column.get("solution", "solution")]),
            tests="\n".join(tests) if isinstance(tests, list) else str(tests),
            entry_point=str(row[column["entry_point"]]) if "entry_point" in column else "",
        )

    return parse, tuple(parameters.get("stop", CODE_STOP if has_tests else ("\n",)))


def _require_file(address: str, kind: str) -> None:
    """Refuse a path that does not exist when the benchmark is opened; addresses are looked up when it is read."""
    if "://" not in address and not Path(address).is_file():
        hint = f"write `{kind}@PATH`, where PATH ends in .jsonl, .jsonl.gz or .parquet and is relative to the current folder"
        raise RunError(f"there is no file '{address}' to read the benchmark from", hint=hint)


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


@hookimpl
def open_benchmark(name: str) -> Benchmark | None:
    """Open `humaneval`, `mbpp` or `gsm8k`, each with `@PATH` for a file or another address; `file@PATH?…`; `example-three`.

    `file@problems.jsonl?prompt=question&solution=answer` reads any table: `prompt`, `solution`, `tests`, `id` and
    `entry_point` name its columns, and `stop`, which can be repeated, ends a completion.
    """
    kind, at, address = name.partition("@")
    if name == "example-three":
        return ThreeItems()
    if kind == "file" and at:
        path, _, query = address.partition("?")
        parse, stop = _parser(query, name)
        _require_file(path, kind)
        return TableBenchmark(Path(path).name, stop, path, parse)
    if kind not in KNOWN:
        return None
    public, read_row, stop = KNOWN[kind]
    if address:
        _require_file(address, kind)
    return TableBenchmark(kind, stop, address or public, read_row)
