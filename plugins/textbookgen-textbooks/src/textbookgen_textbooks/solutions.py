"""Solutions of composed problems by a trained model, and how many of the steps each of them carries out."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field, PrivateAttr

from textbookgen import (
    Checkpoint,
    Documents,
    Estimate,
    Filter,
    Input,
    Labels,
    Resolver,
    Runtime,
    StageInputs,
    Transform,
    document_id,
)
from textbookgen.api.annotations import Filters
from textbookgen_textbooks.composed_problems import shorter_chains
from textbookgen_textbooks.step_chains import Step, run_steps
from textbookgen_textbooks.step_problems import PROBLEM_COLUMNS

_STOP = ("\ndef ", "\nclass ", "\nif ", "\nprint", "\n#", "\n```", "\n@", "<|endoftext|>")

#: Columns of a solution besides `id`, `text`, `kind`, `parents` and those of the problem.
_OWN: dict[str, pl.DataType] = {
    "textbooks.completion": pl.String(),
    "textbooks.passed": pl.Boolean(),
    "textbooks.reason": pl.String(),
    "textbooks.steps_done": pl.Float64(),
}


#: Passes if a function, or one that stops after some of its statements, has the results of one of several chains of steps.
_TEST = """
def _results(function):
    try:
        return [function(value) for value in {inputs!r}]
    except Exception:
        return None
assert any(_results(function) in {results!r} for function in ({functions},))
"""


class Solutions(Transform):
    """Have a trained model solve composed problems (`textbooks/step-problems`), and execute what it writes.

    Columns: `textbooks.completion`, `textbooks.passed` (all tests), `textbooks.reason` (why not), and `textbooks.steps_done`,
    the largest share of the steps, in their order, whose results are those of the solution for every argument, or of a
    beginning of it: 1 for a right solution, 0.8 for one that leaves out one of five steps or goes wrong in the last, 0 for
    one that does none of them, or does the first wrongly.
    """

    name: ClassVar[str] = "solutions"
    version: ClassVar[int] = 2

    inputs: Annotated[Labels, Input(Documents)] = Field(alias="from", description="earlier stages of `textbooks/step-problems`")
    checkpoint: Annotated[Labels, Input(Checkpoint)] = Field(description="earlier stage whose model solves them")
    runner: Annotated[str | dict[str, object], Filters] = Field(
        "sandbox/tests-pass", description="filter that runs programs and keeps those that pass"
    )
    samples: int = Field(1, gt=0, description="solutions per problem")
    temperature: float = Field(0.0, ge=0, description="sampling temperature; 0 is greedy")
    max_tokens: int = Field(256, gt=0, description="maximum length of a solution in tokens")
    seed: int = Field(0, description="seed of the sampling")
    batch: Annotated[int, Runtime] = Field(16, gt=0, description="problems per batch")

    _resolver: Resolver = PrivateAttr()
    _path: Path = PrivateAttr()
    _runner: Filter = PrivateAttr()

    def estimate(self, inputs: Mapping[str, Estimate]) -> Estimate | None:
        """Estimate the number of solutions and their maximum length; None if the number of problems is unknown."""
        problems = inputs.get("from", Estimate()).documents
        if problems is None:
            return None
        return Estimate(documents=problems * self.samples, tokens=problems * self.samples * self.max_tokens)

    def prepare(self, inputs: StageInputs) -> None:
        """Store what is needed to load the model, and prepare the filter that runs programs."""
        self._resolver, self._path = inputs.resolver, inputs["checkpoint"].path
        self._runner = inputs.resolver.filter(self.runner)
        self._runner.prepare(inputs)

    def transform(self, docs: pl.DataFrame) -> pl.DataFrame:
        """Return `samples` solutions per problem."""
        rows: list[dict[str, Any]] = []
        with closing(self._resolver.model(self._path)) as model:
            for batch in docs.iter_slices(self.batch):
                completions = model.complete(
                    batch["textbooks.prompt"].to_list(),
                    max_tokens=self.max_tokens,
                    temperature=self.temperature,
                    stop=_STOP,
                    samples=self.samples,
                    seed=self.seed,
                )
                for row, texts in zip(batch.iter_rows(named=True), completions, strict=True):
                    rows += [self._row(row, number, text) for number, text in enumerate(texts)]
        return judge_solutions(rows, self._runner)

    def _row(self, problem: dict[str, Any], number: int, completion: str) -> dict[str, Any]:
        options = self.model_dump_json(exclude={"batch"})
        return {
            **{name: problem[name] for name in PROBLEM_COLUMNS},
            "id": document_id("solution", self._path.name, options, problem["id"], number),
            "text": problem["textbooks.prompt"] + completion,
            "kind": "solution",
            "parents": [problem["id"]],
            "textbooks.completion": completion,
        }


def judge_solutions(solutions: list[dict[str, Any]], runner: Filter) -> pl.DataFrame:
    """Return solutions with `textbooks.passed`, `textbooks.reason` and `textbooks.steps_done`.

    Args:
        solutions: rows of problems with `id`, `text`, `kind`, `parents` and `textbooks.completion`.
        runner: a filter that executes `text` and then `textbooks.tests`.
    """
    verdicts = _run([(row["id"], row["text"], row["textbooks.tests"]) for row in solutions], runner)
    texts, failed = dict[str, str](), dict[str, dict[float, str]]()
    for row in solutions:
        if verdicts[row["id"]][1] not in (None, "SyntaxError"):
            texts[row["id"]], functions = with_beginnings(row["text"], row["textbooks.entry_point"])
            failed[row["id"]] = _partial_tests(row, functions)
    done = _find_steps_done(texts, failed, runner)
    rows = [
        {
            **row,
            "textbooks.passed": verdicts[row["id"]][0],
            "textbooks.reason": verdicts[row["id"]][1],
            "textbooks.steps_done": 1.0 if verdicts[row["id"]][0] else done.get(row["id"], 0.0),
        }
        for row in solutions
    ]
    common: dict[str, Any] = {"id": pl.String, "text": pl.String, "kind": pl.String, "parents": pl.List(pl.String)}
    return pl.DataFrame(rows, schema={**common, **PROBLEM_COLUMNS, **_OWN})


def _find_steps_done(texts: Mapping[str, str], tests: Mapping[str, Mapping[float, str]], runner: Filter) -> dict[str, float]:
    """The largest share of steps whose test each program passes, by its id, if it passes any; larger shares are run first."""
    done: dict[str, float] = {}
    for share in sorted({share for shares in tests.values() for share in shares}, reverse=True):
        programs = [
            (name, texts[name], shares[share]) for name, shares in tests.items() if name not in done and share in shares
        ]
        done |= {name: share for name, (passed, _) in _run(programs, runner).items() if passed}
    return done


def _partial_tests(row: Mapping[str, Any], functions: Sequence[str]) -> dict[float, str]:
    """For each share of the steps, a test that a function does that many of them, whichever they are, in their order."""
    types = row["textbooks.step_types"]
    steps = [
        Step(types[place], types[place + 1], "", row["textbooks.steps"][place], code)
        for place, code in enumerate(row["textbooks.step_code"])
    ]
    inputs = [ast.literal_eval(value) for value in row["textbooks.inputs"]]
    results: dict[float, list[Any]] = {}
    for part in shorter_chains(steps):
        results.setdefault(len(part) / len(steps), []).append([run_steps(part, value) for value in inputs])
    tested = ", ".join(functions)
    return {share: _TEST.format(functions=tested, inputs=inputs, results=notes) for share, notes in results.items()}


def with_beginnings(text: str, name: str) -> tuple[str, list[str]]:
    """Return code with more functions, each of which stops after a statement of the function and returns what it assigned.

    The second value has the names of all functions that are to be tested, `name` first. Code that does not parse, or lacks
    the function, is returned as it is.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return text, [name]
    function = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)
    if function is None:
        return text, [name]
    names, added, target = [name], list[str](), ""
    for number, statement in enumerate(function.body, 1):
        if isinstance(statement, ast.Return):
            break
        stored = [node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
        target = stored[0] if stored and isinstance(statement, ast.Assign | ast.AugAssign | ast.AnnAssign) else target
        if target:
            body = [*function.body[:number], ast.Return(ast.Name(target, ast.Load()))]
            names.append(f"{name}_until_{number}")
            copy = ast.FunctionDef(names[-1], function.args, body[ast.get_docstring(function) is not None :], [])
            added.append(ast.unparse(ast.fix_missing_locations(copy)))
    return "\n\n\n".join([text, *added]) + "\n", names


def _run(programs: list[tuple[str, str, str]], runner: Filter) -> dict[str, tuple[bool, str | None]]:
    """Whether each program passes its tests, and why not, by its id."""
    if not programs:
        return {}
    table = pl.DataFrame(programs, schema=["id", "text", "textbooks.tests"], orient="row")
    verdicts = runner.decide(table)
    return {row["id"]: (row["keep"], row["reason"]) for row in verdicts.iter_rows(named=True)}
