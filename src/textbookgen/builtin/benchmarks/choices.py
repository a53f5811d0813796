"""Benchmarks of given answers, scored by likelihood: prompts, forms and few-shot examples of lm-evaluation-harness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast
from urllib.parse import parse_qs

from textbookgen.api.benchmark import ChoiceItem
from textbookgen.api.errors import RunError
from textbookgen.builtin.benchmarks import choice_rows
from textbookgen.builtin.benchmarks.choice_files import read_choice_rows
from textbookgen.builtin.benchmarks.choice_rows import Problem
from textbookgen.builtin.benchmarks.few_shot import SEPARATOR, ExampleSampler
from textbookgen.builtin.benchmarks.mmlu_subjects import AREAS
from textbookgen.builtin.benchmarks.table import Row, reading

#: `cloze`: each answer follows the question; `choice`: the question lists the answers, and their letters are scored.
Form = Literal["cloze", "choice"]
BOTH: tuple[Form, ...] = ("cloze", "choice")
CLOZE: tuple[Form, ...] = ("cloze",)


@dataclass(frozen=True)
class ChoiceFormat:
    """A published benchmark.

    Attributes:
        read: makes a problem of a row, or None of a row without an answer.
        table: its data set and configuration on the Hugging Face Hub.
        split: the split that lm-evaluation-harness scores.
        examples: the split that it draws few-shot examples from.
        forms: the forms it can take; the first is that of lm-evaluation-harness.
        first: whether the first rows are the examples of all items, rather than rows drawn for each.
    """

    read: Callable[[Row], Problem | None]
    table: str
    split: str
    examples: str
    forms: tuple[Form, ...] = BOTH
    first: bool = False

    def address(self, split: str) -> str:
        """Return the public address of a split."""
        repository, _, configuration = self.table.partition(":")
        return f"hf://datasets/{repository}@~parquet/{configuration or 'default'}/{split}/*.parquet"


FORMATS: dict[str, ChoiceFormat] = {
    "arc_easy": ChoiceFormat(choice_rows.arc, "allenai/ai2_arc:ARC-Easy", "test", "train"),
    "arc_challenge": ChoiceFormat(choice_rows.arc, "allenai/ai2_arc:ARC-Challenge", "test", "train"),
    "hellaswag": ChoiceFormat(choice_rows.hellaswag, "Rowan/hellaswag", "validation", "train"),
    "piqa": ChoiceFormat(choice_rows.piqa, "baber/piqa", "validation", "train"),
    "winogrande": ChoiceFormat(choice_rows.winogrande, "allenai/winogrande:winogrande_xl", "validation", "train"),
    "openbookqa": ChoiceFormat(choice_rows.openbookqa, "allenai/openbookqa:main", "test", "train"),
    "boolq": ChoiceFormat(choice_rows.boolq, "aps/super_glue:boolq", "validation", "train"),
    "social_iqa": ChoiceFormat(choice_rows.social_iqa, "lighteval/siqa", "validation", "train"),
    "commonsense_qa": ChoiceFormat(
        choice_rows.commonsense_qa, "tau/commonsense_qa", "validation", "train", forms=("choice", "cloze")
    ),
    "mmlu": ChoiceFormat(choice_rows.mmlu, "cais/mmlu:all", "test", "dev", forms=("choice", "cloze"), first=True),
    "lambada": ChoiceFormat(choice_rows.lambada, "EleutherAI/lambada_openai", "test", "test", forms=CLOZE),
    "squad": ChoiceFormat(choice_rows.squad, "rajpurkar/squad_v2:squad_v2", "validation", "train", forms=CLOZE),
}

PARAMETERS = ("form", "shots", "examples", "labels")


@dataclass(frozen=True)
class ChoiceBenchmark:
    """A published benchmark in a file or at an address; it is read by `items`.

    Attributes:
        kind: its name in `FORMATS`.
        address: what is scored.
        form: the form of its questions.
        shots: solved examples before each item.
        examples: what they are drawn from.
        labels: a file with one label per row, where they are published apart.
        stop: not used, since nothing is generated.
    """

    kind: str
    address: str
    form: Form
    shots: int
    examples: str
    labels: str | None = None
    stop: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The kind, and in parentheses how it differs from the usual form without examples: `arc_easy (choice, 5-shot)`."""
        form = [self.form] if self.form != FORMATS[self.kind].forms[0] else []
        details = [*form, *([f"{self.shots}-shot"] if self.shots else [])]
        return f"{self.kind} ({', '.join(details)})" if details else self.kind

    def items(self) -> Iterator[ChoiceItem]:
        """Yield the items in the order of the rows; rows without an answer are skipped.

        Raises:
            RunError: a file cannot be read, has no answers, lacks a column, or has too few examples.
        """
        problems = list(self._problems(self.address, self.labels))
        if not problems:
            hint = "test sets with hidden answers cannot be scored: take the validation set"
            raise RunError(f"no row of '{self.address}' has an answer", hint=hint)
        samplers = self._samplers(problems) if self.shots else {}
        for number, (row, problem) in enumerate(problems):
            solved = ""
            if self.shots:
                examples = [cast("Problem", self._read(example)) for example in samplers[problem.subject].draw(row)]
                solved = "".join(f"{_solve(_ask(example, self.form))}{SEPARATOR}" for example in examples)
            question = _ask(problem, self.form)
            yield ChoiceItem(
                id=f"{self.kind}/{problem.id or number}",
                prompt=question.prompt,
                choices=question.choices,
                answer=question.answer,
                prompts=question.prompts,
                prefix=_describe(problem.subject, self.form) + solved,
                category=AREAS.get(problem.subject, ""),
            )

    def _problems(self, address: str, labels: str | None) -> Iterator[tuple[Row, Problem]]:
        for row in read_choice_rows(self.kind, address, labels):
            with reading(row, self.kind, address):
                problem = self._read(row)
            if problem is not None:
                yield row, problem

    def _read(self, row: Row) -> Problem | None:
        return FORMATS[self.kind].read(row)

    def _samplers(self, problems: Sequence[tuple[Row, Problem]]) -> dict[str, ExampleSampler]:
        """Return what draws examples for each subject of these problems."""
        own = self.examples == self.address
        rows: dict[str, list[Row]] = {problem.subject: [] for _, problem in problems}
        for row, problem in problems if own else self._problems(self.examples, None):
            if problem.subject in rows:
                rows[problem.subject].append(row)
        known = FORMATS[self.kind]
        without_own = own or (known.split != "test" and not known.first)
        return {
            subject: ExampleSampler(
                pool,
                self.shots,
                first=known.first,
                without_own=without_own,
                name=f"{self.kind}: {subject}" if subject else self.kind,
            )
            for subject, pool in rows.items()
        }


@dataclass(frozen=True)
class _Question:
    """A problem in one of its forms."""

    prompt: str
    choices: tuple[str, ...]
    answer: int
    prompts: tuple[str, ...] = ()


def _ask(problem: Problem, form: Form) -> _Question:
    """Return the prompt and the answers of a problem."""
    if form == "choice":
        letters = tuple("ABCDEFGHIJ"[: len(problem.answers)])
        lines = [f"{letter}. {text}" for letter, text in zip(letters, problem.answers, strict=True)]
        return _Question("\n".join([problem.stem, *lines, "Answer:"]), letters, problem.answer)
    if problem.prompts:
        return _Question(problem.cloze, (problem.ending,) * len(problem.prompts), problem.answer, problem.prompts)
    return _Question(problem.cloze, problem.answers, problem.answer)


def _solve(question: _Question) -> str:
    """Return a question with its right answer."""
    prompt = question.prompts[question.answer] if question.prompts else question.prompt
    return f"{prompt} {question.choices[question.answer]}"


def _describe(subject: str, form: Form) -> str:
    """Return the first line of a prompt of MMLU; empty for other benchmarks."""
    if not subject:
        return ""
    kind = "multiple choice questions" if form == "choice" else "questions"
    return f"The following are {kind} (with answers) about {subject.replace('_', ' ')}.\n\n"


def open_choices(kind: str, address: str, query: str) -> ChoiceBenchmark:
    """Open a benchmark of `FORMATS`.

    Args:
        kind: its name.
        address: a file, a folder or another address; empty for the public one.
        query: such as `form=choice&shots=5&examples=train.jsonl`.

    Raises:
        RunError: a file does not exist, or a parameter is wrong.
    """
    known = FORMATS[kind]
    parameters = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
    if unknown := sorted(parameters.keys() - set(PARAMETERS)):
        raise RunError(f"`{kind}` has the unknown parameter '{unknown[0]}'", hint=f"use {', '.join(PARAMETERS)}")
    form = parameters.get("form", known.forms[0])
    if form not in known.forms:
        raise RunError(f"`{kind}` has no form '{form}'", hint=f"use {' or '.join(known.forms)}")
    shots = parameters.get("shots", "0")
    if not shots.isdecimal():
        raise RunError(f"`shots` of `{kind}` is '{shots}'", hint="give a number of examples, such as shots=5")
    for path in (address, parameters.get("examples", ""), parameters.get("labels", "")):
        if path and "://" not in path and not Path(path).exists():
            hint = f"write `{kind}@PATH?shots=5&examples=PATH`; paths are relative to the current folder"
            raise RunError(f"there is no file '{path}' to read the benchmark from", hint=hint)
    own = address or known.address(known.split)
    examples = parameters.get("examples", own if address else known.address(known.examples))
    return ChoiceBenchmark(kind, own, form, int(shots), examples, parameters.get("labels"))
