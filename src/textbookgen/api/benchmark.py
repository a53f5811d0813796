"""Benchmark: problems to score models on, which must not occur in training data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class BenchmarkItem:
    """One problem whose answer a model writes, and how to check it.

    For code, `tests` is not empty: a completion passes if the program `prompt + completion + "\\n" + tests` runs without an
    error. For others, a completion passes if it equals `solution`, apart from white space, or if it ends with that number.

    Attributes:
        id: unique within the benchmark, such as `HumanEval/0`.
        prompt: what the model completes; for code usually a signature with a docstring.
        solution: a correct completion.
        tests: Python code that raises an error unless the completion is correct; empty for items without code.
        entry_point: the name of the function that the tests call; may be empty.
        prefix: what the model reads before the prompt, such as solved examples; no part of the problem or of a program.
        question: what a chat model or a teacher is asked instead; made from the prompt unless given.
        compare: how completions without tests are compared with `solution`: `text` apart from white space, `number` by the
            number that they give as their answer.
        answer_pattern: for `number`: a regular expression whose group is the answer, in the form of published evaluations.
        aliases: other correct completions; used where short answers are graded.
        base_tests: the tests of the benchmark that this one extends, to be reported apart; empty if it extends none.
    """

    id: str
    prompt: str
    solution: str
    tests: str = ""
    entry_point: str = ""
    prefix: str = ""
    question: str = ""
    compare: Literal["text", "number"] = "text"
    answer_pattern: str = ""
    aliases: tuple[str, ...] = ()
    base_tests: str = ""


@dataclass(frozen=True)
class ChoiceItem:
    """One problem with given answers, of which a model chooses by their likelihood.

    The model reads `prefix + prompt`, and the likelihood of `separator + choice` is computed for each choice. With one choice
    only, such as the last word of a passage, it is right if greedy decoding would write it.

    Attributes:
        id: unique within the benchmark, such as `ARC-Easy/Mercury_7029645`.
        prompt: what precedes each choice.
        choices: the answers, without the separator.
        answer: the index of the right one.
        separator: what is between prompt and choice; usually a space.
        prompts: one prompt per choice, where they differ (as in WinoGrande, where all choices continue in the same way);
            otherwise empty.
        prefix: what the model reads before the prompt, such as instructions and solved examples; no part of the problem.
        category: part of the benchmark that gets separate figures, such as `stem` of MMLU; may be empty.
    """

    id: str
    prompt: str
    choices: tuple[str, ...]
    answer: int
    separator: str = " "
    prompts: tuple[str, ...] = ()
    prefix: str = ""
    category: str = ""

    @property
    def solution(self) -> str:
        """The right choice."""
        return self.choices[self.answer]


class Benchmark(Protocol):
    """A named list of problems. A plugin provides one through the hook `open_benchmark`."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts that end a completion; the completion is cut before the first of them. Not used for choices."""
        ...

    def items(self) -> Iterator[BenchmarkItem | ChoiceItem]:
        """Yield every item, all of one class, in a fixed order. This is where files or addresses are read.

        Raises:
            RunError: the items cannot be read.
        """
        ...
