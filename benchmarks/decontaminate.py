"""Decontamination rules, side by side: recall on benchmark items hidden in seven ways, false positives on clean code, and
documents per CPU second.

    python benchmarks/decontaminate.py --humaneval HumanEval.jsonl.gz --mbpp mbpp.jsonl.gz

The files are those of their publishers. Clean code is functions of this Python's standard library and installed packages.
The last line is JSON.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import gzip
import json
import random
import sysconfig
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from textbookgen_decontamination.stages.filter import DecontaminationFilter

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.stage import StageInputs

RULES: dict[str, dict[str, Any]] = {
    "any 13-gram (GPT-3, phi-1)": {"rule": "ngram"},
    "any 8-gram": {"rule": "ngram", "n": 8},
    "13- and 7-grams (phi-4)": {"rule": "hybrid"},
    "10-gram + difflib > 0.5 (Cosmopedia)": {"rule": "cosmopedia"},
    "8-gram + edit distance at 0.8": {"rule": "fuzzy"},
    "cosine of character n-grams at 0.8": {"rule": "embedding"},
    "syntax trees at 0.95 (phi-1)": {"rule": "ast"},
    "syntax trees at 0.9 (phi-1)": {"rule": "ast", "match_rate": 0.9},
    "13-grams and syntax trees at 0.95": {"rule": ["ngram", "ast"]},
    "13- and 7-grams and syntax trees at 0.95": {"rule": ["hybrid", "ast"]},
}


FORMATS = {"documents per CPU second": ",.0f", "false": ".4f"}


@dataclass
class Items:
    """A benchmark from its file."""

    name: str
    rows: list[BenchmarkItem]
    stop: tuple[str, ...] = ()

    def items(self) -> Iterator[BenchmarkItem]:
        yield from self.rows


@dataclass
class Resolver:
    """Resolves benchmarks only."""

    benchmarks: dict[str, Items]

    def benchmark(self, name: str) -> Items:
        return self.benchmarks[name]


def lines_of(file: Path) -> Iterator[dict[str, Any]]:
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    yield from map(json.loads, text.decode().splitlines())


def humaneval(file: Path) -> Items:
    return Items(
        "humaneval", [BenchmarkItem(row["task_id"], row["prompt"], row["canonical_solution"]) for row in lines_of(file)]
    )


def mbpp(file: Path) -> Items:
    rows = [row for row in lines_of(file) if 11 <= row["task_id"] <= 510]
    return Items(
        "mbpp", [BenchmarkItem(f"mbpp/{row['task_id']}", row["text"] + "\n", row["code"].replace("\r\n", "\n")) for row in rows]
    )


class Rename(ast.NodeTransformer):
    """Renames functions, arguments and variables; imported and built-in names are kept."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def _new(self, name: str) -> str:
        return self.names.setdefault(name, f"{random.Random(name).choice(('item', 'thing', 'part', 'step'))}_{len(self.names)}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._new(node.name)
        for argument in node.args.args:
            argument.arg = self._new(argument.arg)
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Store) or node.id in self.names:
            node.id = node.id if hasattr(builtins, node.id) else self._new(node.id)
        return node


def without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def hidden_items(items: list[BenchmarkItem], code: bool, around: list[str]) -> dict[str, list[str]]:
    """Return the items, hidden in each way; `around` is text to embed them in."""
    rng = random.Random(0)
    whole = [item.prompt + item.solution if code else item.solution for item in items]
    hidden = {
        "verbatim": [item.prompt + item.solution for item in items],
        "embedded": [f"{rng.choice(around)}\n\n{item.prompt}{item.solution}\n\n{rng.choice(around)}" for item in items],
        "solution only": [item.solution for item in items],
        "prompt only": [item.prompt for item in items],
        "reformatted": [ast.unparse(ast.parse(text)) for text in whole],
        "renamed": [ast.unparse(Rename().visit(ast.parse(text))) for text in whole],
        "renamed, no docstring": [ast.unparse(without_docstrings(Rename().visit(ast.parse(text)))) for text in whole],
    }
    if not code:
        del hidden["renamed"]  # the solutions have no docstrings
    return hidden


def sample_functions(folder: Path, count: int) -> list[str]:
    """Sample functions and classes of code that is unrelated to the benchmarks."""
    functions = []
    files = sorted(folder.rglob("*.py"))
    random.Random(1).shuffle(files)
    for file in files:
        if "site-packages" in file.relative_to(folder).parts or "test" in str(file):
            continue
        try:
            source = file.read_text(encoding="utf-8")
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        functions += [
            ast.get_source_segment(source, node) or "" for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)
        ]
        if len(functions) >= count:
            break
    return [text for text in functions[:count] if text]


def frame(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"id": [str(number) for number in range(len(texts))], "text": texts})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--humaneval", type=Path)
    parser.add_argument("--mbpp", type=Path)
    parser.add_argument("--clean", type=int, default=5_000, help="functions of clean code of each kind")
    parser.add_argument("--show", type=int, default=0, help="print this many false positives of each rule")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    paths = sysconfig.get_paths()
    clean = {
        "standard library": sample_functions(Path(paths["stdlib"]), arguments.clean),
        "packages": sample_functions(Path(paths["purelib"]), arguments.clean),
    }
    loaded = [read(file) for read, file in ((humaneval, arguments.humaneval), (mbpp, arguments.mbpp)) if file]
    results: dict[str, dict[str, dict[str, float]]] = {}
    for items in loaded:
        hidden = hidden_items(items.rows, items.name == "humaneval", clean["standard library"])
        inputs = StageInputs({}, Path(), Resolver({items.name: items}))  # type: ignore[arg-type]
        results[items.name] = {}
        for rule, options in RULES.items():
            stage = DecontaminationFilter(benchmarks=(items.name,), **options)
            stage.prepare(inputs)
            stage.decide(frame(["def warm():\n    return 1\n"]))
            row = {kind: 1 - stage.decide(frame(texts))["keep"].mean() for kind, texts in hidden.items()}
            start, count = time.process_time(), 0
            for name, texts in clean.items():
                verdicts = stage.decide(frame(texts))
                row[f"false: {name}"] = 1 - verdicts["keep"].mean()
                count += len(texts)
                for verdict in verdicts.filter(~pl.col("keep")).head(arguments.show).iter_rows(named=True):
                    print(f"  {rule}: {name} {verdict['id']}: {verdict['reason']}: {verdict['detail']}")
            row["documents per CPU second"] = count / (time.process_time() - start)
            results[items.name][rule] = row
        amounts = ", ".join(f"{len(texts)} functions of the {name}" for name, texts in clean.items())
        print(f"\n{items.name}: {len(items.rows)} items; clean: {amounts}\n")
        print(table(results[items.name]))
    print(json.dumps({"ours": results}))


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return the metrics as a Markdown table."""
    names = list(next(iter(rows.values())))
    lines = ["| rule | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for rule, row in rows.items():
        cells = [f"{row[name]:{FORMATS.get(name.split(':')[0], '.2f')}}" for name in names]
        lines.append(f"| {rule} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
