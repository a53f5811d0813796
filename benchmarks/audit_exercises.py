"""Audit of exercises: are the facts they state true, are their answers right, and how many syntax trees differ?

    python benchmarks/audit_exercises.py [--documents 500] [--seed 1] [--trees 8000] [--difficulties 1 2 3]
        [--near humaneval@FILE,mbpp@FILE] [--samples 5]

The embedded teacher writes exercises from draws of `textbooks/function-names`, and `textbooks/exercise` reads them. Each
document that it accepts is checked again from its text: the function has the stated name and argument types, it has a
docstring, and the solution shows the stated concept; the asserts are run in the sandbox. Documents with a syntax tree like that
of an item of `exercises-heldout` (at 0.8), or of the benchmarks of `--near` (at 0.95), are counted. The last line is JSON.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Any

import polars as pl
from audit_common import Audit, audit_parser, table, totals
from textbookgen_decontamination.ngrams import read_problems
from textbookgen_decontamination.syntax_trees import SyntaxTreeRule, function_bodies
from textbookgen_procedural.heldout_benchmark import HeldOutExercises
from textbookgen_procedural.teacher import ProceduralTeacher
from textbookgen_sandbox.pool import Program, open_pool
from textbookgen_textbooks.exercise import Exercise, argument_types
from textbookgen_textbooks.function_names import FunctionNames
from textbookgen_textbooks.practised_concepts import known_concepts, practises

from textbookgen import AcceptedStats, Reply, Request, UnusableReply
from textbookgen.builtin.benchmarks import open_benchmark

Row = Mapping[str, Any]

_DIFFICULTIES = (1, 2, 3)


# -- Documents


async def _complete(draw: Mapping[str, Any]) -> Reply:
    return await ProceduralTeacher().complete(Request((), "exercise", draw, 0))


def _reply(draw: Mapping[str, Any]) -> Reply:
    """Return the embedded teacher's reply, which needs no event loop: it waits for nothing."""
    coroutine = _complete(draw)
    try:
        coroutine.send(None)
    except StopIteration as end:
        reply: Reply = end.value
        return reply
    raise RuntimeError("the embedded teacher waited for something")


def write_exercises(count: int, difficulties: Sequence[int] = _DIFFICULTIES, seed: int = 0) -> tuple[list[Row], Counter[str]]:
    """Return what the stage makes of `count` draws, each row with its draw, and how often it refused a reply and why."""
    sampler, stage = FunctionNames(difficulties=tuple(difficulties)), Exercise(teacher="author", count=count)
    rows: list[Row] = []
    refused: Counter[str] = Counter()
    for n in range(count):
        draw = sampler.draw(n, Random(f"audit/{seed}/{n}"), AcceptedStats())
        try:
            rows += [{**row, "draw": draw} for row in stage.parse(draw, _reply(draw))]
        except UnusableReply as error:
            refused[error.problem] += 1
    return rows, refused


# -- Checks


def stated_facts(row: Row) -> dict[str, bool]:
    """Return what a document states about itself, and whether its code bears it out; only the first if it does not parse."""
    try:
        tree = ast.parse(row["text"])
    except SyntaxError:
        return {"it parses": False}
    name, draw = row["textbooks.entry_point"], row.get("draw", {})
    function = next((item for item in tree.body if isinstance(item, ast.FunctionDef) and item.name == name), None)
    if function is None:
        return {"it parses": True, "it has the stated function": False}
    written = argument_types(row["text"], name)
    concept = row["textbooks.concept"]
    return {
        "it parses": True,
        "it has the stated function": True,
        "the name is the drawn one": draw.get("function_name", name) == name,
        "the argument types are the stated ones": ", ".join(written) == row["textbooks.argument_types"],
        "the argument types are the drawn ones": list(draw.get("argument_types", written)) == written,
        "the concept is the drawn one": draw.get("concept", concept) == concept,
        "the solution shows the concept": concept not in known_concepts() or practises(row["text"], concept),
        "there is a docstring": bool(ast.get_docstring(function)),
        "every argument is used": _unused(function) == [],
    }


def false_facts(row: Row) -> list[str]:
    """Return the facts that a document states about itself and that its code does not bear out."""
    return [fact for fact, is_true in stated_facts(row).items() if not is_true]


def _unused(function: ast.FunctionDef) -> list[str]:
    names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return [item.arg for item in function.args.args if item.arg not in names]


def wrong_answers(rows: Sequence[Row]) -> list[str]:
    """Return one line for each document without asserts, or of which one fails in the sandbox."""
    programs = [Program(row["text"], row["textbooks.tests"]) for row in rows]
    outcomes = open_pool(2, 512, False).map(programs)
    wrong = []
    for row, outcome in zip(rows, outcomes, strict=True):
        if not row["textbooks.tests"].strip():
            wrong.append(f"{row['textbooks.entry_point']}: no assert")
        elif not outcome.ok:
            wrong.append(f"{row['textbooks.entry_point']}: {outcome.reason}")
    return wrong


def tree_of(text: str) -> tuple[str, ...]:
    """Return the syntax tree of a document, without names and the values of constants."""
    return tuple(function_bodies(ast.parse(text)))


def distinct_trees(rows: Iterable[Row]) -> float:
    """Return the share of documents whose syntax tree occurs in none before them."""
    trees = [tree_of(row["text"]) for row in rows]
    return len(set(trees)) / len(trees) if trees else 0.0


def near_items(rows: Sequence[Row], benchmarks: Sequence[Any], min_rate: float) -> list[str]:
    """Return the evidence for each document with a function like an item of these benchmarks."""
    rule = SyntaxTreeRule(read_problems(benchmarks), min_rate=min_rate)
    return [finding.detail for finding in rule.find(pl.Series([row["text"] for row in rows]))]


def check_exercises(rows: Sequence[Row]) -> Audit:
    """Return what was found in some exercises: facts, answers (its asserts hold), and syntax trees."""
    result = Audit("exercise", len(rows))
    wrong = set(wrong_answers(rows))
    for row in rows:
        name, text = row["textbooks.entry_point"], row["text"]
        result.check_all(stated_facts(row), f"{name}: {row['textbooks.concept']} | {row['textbooks.argument_types']} | {text}")
        right = not any(line.startswith(f"{name}:") for line in wrong)
        result.check("it has asserts, and they hold", right, f"{name}: {row['textbooks.tests']}", "answer")
    result.trees = [tree_of(row["text"]) for row in rows if "it parses" not in false_facts(row)]
    return result


def audit(documents: int, seed: int) -> list[Audit]:
    """Return what was found in this many exercises; replies that the stage refused are in the notes."""
    rows, refused = write_exercises(documents, seed=seed)
    result = check_exercises(rows)
    near = near_items(rows, [HeldOutExercises()], 0.8)
    result.check("no exercise is like a held-out one", not near, " | ".join(near))
    result.notes += [f"replies refused by the stage ({count}): {reason}" for reason, count in refused.items()]
    return [result]


# -- Program


def main() -> None:
    """Print the table, the share of distinct trees in a larger sample, and, last, the totals as JSON."""
    parser = audit_parser(__doc__, documents="exercises whose facts and answers are checked", samples="exercises to print")
    parser.add_argument("--trees", type=int, default=8_000, help="exercises whose syntax trees are compared")
    parser.add_argument("--difficulties", type=int, nargs="+", default=_DIFFICULTIES, help="difficulties of these draws")
    parser.add_argument("--near", default="", help="benchmarks to compare with, separated by commas")
    options = parser.parse_args()
    audits = audit(options.documents, options.seed)
    rows, refused = write_exercises(max(options.samples, options.trees), options.difficulties, options.seed)
    for row in rows[: options.samples]:
        print(f"{row['textbooks.concept']} | {row['textbooks.argument_types']}\n{row['text']}\n{row['textbooks.tests']}")
    print("\n".join(table(audits)))
    print(f"distinct syntax trees of {len(rows)} exercises: {distinct_trees(rows):.4f}; {refused.total()} replies refused")
    if options.near:
        benchmarks = [open_benchmark(name) for name in options.near.split(",")]
        print(f"near items of {options.near}: {len(near_items(rows, [item for item in benchmarks if item], 0.95))}")
    print(json.dumps(totals(audits)))


if __name__ == "__main__":
    main()
