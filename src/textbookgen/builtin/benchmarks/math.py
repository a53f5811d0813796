"""Benchmarks of word problems: GSM8K (Cobbe et al. 2021, arXiv 2110.14168), solved in words or as a program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs

from textbookgen.api.benchmark import BenchmarkItem
from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks.few_shot import SEPARATOR, ExampleSampler
from textbookgen.builtin.benchmarks.gsm8k_examples import EXAMPLES, SolvedProblem
from textbookgen.builtin.benchmarks.table import CODE_STOP, Row, read_rows, reading, require_file

TEST_SET = "hf://datasets/openai/gsm8k/main/test-00000-of-00001.parquet"
TRAINING_SET = "hf://datasets/openai/gsm8k/main/train-00000-of-00001.parquet"

#: How lm-evaluation-harness 0.4.13 reads answers in the form of the examples: `strict-match` of `gsm8k` and `gsm8k_cot`.
PATTERNS = {"solution": r"#### (\-?[0-9\.\,]+)", "cot": r"The answer is (\-?[0-9\.\,]+)."}
_END = ("</s>", "<|im_end|>")
#: Texts that end a completion, by form.
STOPS: dict[str, tuple[str, ...]] = {
    "solution": ("Question:", *_END),
    "cot": ("Q:", *_END),
    "program": (*CODE_STOP, "\nQ:"),
}
PARAMETERS = ("form", "shots", "examples")
#: A result counts as the answer within this difference, as in PAL.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class WordProblems:
    """GSM8K in a file or at an address; it is read by `items`.

    Attributes:
        address: what is scored.
        form: `solution` with the prompt of lm-evaluation-harness's task `gsm8k`, `cot` with that of `gsm8k_cot`, `program` with
            a function to be completed, as in PAL.
        shots: solved examples before each item.
        examples: for `solution`, the file that they are drawn from; the other forms have their own.
    """

    address: str
    form: str
    shots: int
    examples: str

    @property
    def name(self) -> str:
        """`gsm8k`, and in parentheses the form, unless it is `solution`, and the number of examples."""
        details = [*([self.form] if self.form != "solution" else []), *([f"{self.shots}-shot"] if self.shots else [])]
        return f"gsm8k ({', '.join(details)})" if details else "gsm8k"

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end a completion."""
        return STOPS[self.form]

    def items(self) -> Iterator[BenchmarkItem]:
        """Yield the items in the order of the rows.

        Raises:
            RunError: a file cannot be read, lacks a column, or has too few examples.
        """
        sampler: ExampleSampler | None = None
        if self.form == "solution" and self.shots:
            own = self.examples == self.address
            pool = [dict(row) for row in read_rows("gsm8k", self.examples).iter_rows(named=True)]
            sampler = ExampleSampler(pool, self.shots, first=False, without_own=own, name="gsm8k")
        for number, row in enumerate(read_rows("gsm8k", self.address).iter_rows(named=True)):
            with reading(row, "gsm8k", self.address):
                examples = sampler.draw(row) if sampler else []
                yield self._item(number, row, examples)

    def _item(self, number: int, row: Row, examples: list[Row]) -> BenchmarkItem:
        question, answer = row["question"].strip(), row["answer"].rpartition("####")[2].strip().replace(",", "")
        key = f"GSM8K/{number}"
        if self.form == "program":
            prompt, prefix = _signature(question), "".join(map(_solved_program, EXAMPLES[: self.shots]))
            tests = f"assert abs(float(solution()) - ({answer})) < {TOLERANCE}\n"
            asked = (
                "Write a Python function `solution()` without arguments that computes and returns the answer to this problem "
                f"as a number. Reply with the function in one code block.\n\n{question}"
            )
            return BenchmarkItem(key, prompt, f"    return {answer}\n", tests, "solution", prefix, asked)
        if self.form == "cot":
            prefix = "".join(f"Q: {example.question}\nA: {example.solution}{SEPARATOR}" for example in EXAMPLES[: self.shots])
            prompt = f"Q: {row['question']}\nA:"
        else:
            prefix = "".join(f"Question: {example['question']}\nAnswer: {example['answer']}{SEPARATOR}" for example in examples)
            prompt = f"Question: {row['question']}\nAnswer:"
        asked = (
            f"Solve this problem step by step. End with a line `#### N`, where N is the answer as a number.\n\n{question}"
            if self.form == "solution"
            else f"Solve this problem step by step. End with the sentence `The answer is N.`\n\n{question}"
        )
        return BenchmarkItem(
            key, prompt, answer, prefix=prefix, question=asked, compare="number", answer_pattern=PATTERNS[self.form]
        )


def _signature(question: str) -> str:
    """Return the beginning of a function that solves a problem, with the question as its docstring."""
    quoted = question.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    quoted = f"{quoted} " if quoted.endswith('"') else quoted
    return f'def solution():\n    """{quoted}"""\n'


def _solved_program(example: SolvedProblem) -> str:
    body = textwrap.indent(textwrap.dedent(example.program).strip("\n"), "    ")
    return f"{_signature(example.question)}{body}\n\n\n"


def open_word_problems(address: str, query: str) -> WordProblems:
    """Open GSM8K.

    Args:
        address: a file or another address; empty for the public one.
        query: such as `form=cot`, `shots=5&examples=train.jsonl`.

    Raises:
        RunError: a file does not exist, or a parameter is wrong.
    """
    parameters = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
    if unknown := sorted(parameters.keys() - set(PARAMETERS)):
        raise RunError(f"`gsm8k` has the unknown parameter '{unknown[0]}'", hint=f"use {', '.join(PARAMETERS)}")
    form = parameters.get("form", "solution")
    if form not in STOPS:
        raise RunError(f"`gsm8k` has no form '{form}'", hint=f"use {', '.join(STOPS)}")
    shots = parameters.get("shots", "0" if form == "solution" else str(len(EXAMPLES)))
    if not shots.isdecimal():
        raise RunError(f"`shots` of `gsm8k` is '{shots}'", hint="give a number of examples, such as shots=5")
    if form != "solution" and (int(shots) > len(EXAMPLES) or "examples" in parameters):
        hint = "leave out `examples`, or write form=solution"
        raise RunError(f"the form '{form}' has its own {len(EXAMPLES)} examples", hint=hint)
    for path in filter(None, (address, parameters.get("examples", ""))):
        require_file(path, "gsm8k")
    examples = parameters.get("examples", address or TRAINING_SET)
    return WordProblems(address or TEST_SET, form, int(shots), examples)
