"""Given answers, asked for by letter: how teachers, whose likelihoods are not known, are scored on multiple-choice items."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from textbookgen.api.benchmark import ChoiceItem
from textbookgen.api.hashing import document_id
from textbookgen.api.message import Message
from textbookgen.api.reply_text import without_reasoning
from textbookgen.builtin.evaluation.answering import Answerer, Generation, Question
from textbookgen.builtin.evaluation.figures import item_scores

#: The metric: accuracy of the letter in the reply, as opposed to `acc`, which is by likelihood.
METRIC = "acc_asked"

_LETTERS = "ABCDEFGHIJ"
_LETTER = r"[(\[]?\\?(?:text|boxed|mathbf)?\{?([A-J])\}?(?![A-Za-z'\u2019])"
#: "The answer is (B)", "**Answer:** B", "\\boxed{B}", and a letter at the beginning.
_STATED = re.compile(
    rf"(?:answer|option|choice)\b[^\nA-J]{{0,40}}?(?:\bis\b|:)[*_`\s$]*{_LETTER}|\\boxed\{{\s*(?:\\text\{{)?([A-J])\b", re.I
)
_FIRST = re.compile(rf"\A[\s*_`#>]*{_LETTER}[*_`]*(?=[).:,\]]|\s*$|\s*\n)")
_ALONE = re.compile(r"(?<![\w'\u2019])([B-J])(?![\w'\u2019])|(?<![\w'\u2019])(A)(?=[).:*\]]|\s*$)")

_SCHEMA: dict[str, Any] = {
    "id": pl.String,
    "subject": pl.String,
    "benchmark": pl.String,
    "item": pl.String,
    "asked": pl.String,
    "completion": pl.String,
    "chosen": pl.Int64,
    "answer": pl.Int64,
    "problem": pl.String,
    METRIC: pl.Float64,
}


def ask_choices(answerer: Answerer, benchmark: str, items: Sequence[ChoiceItem], generation: Generation) -> pl.DataFrame:
    """Return one row per item with at least two choices: the question, the reply, and the choice that it names.

    A reply that names no choice is wrong, and `chosen` is null.
    """
    several = [item for item in items if len(item.choices) > 1]
    questions = [Question("", (Message("user", ask_choice(item)),)) for item in several]
    answers = answerer.answer(questions, generation)
    rows = []
    for item, question, (answer, *_) in zip(several, questions, answers, strict=True):
        chosen = chosen_letter(without_reasoning(answer.text), len(item.choices))
        rows.append(
            {
                "id": document_id(answerer.subject, benchmark, item.id, 0),
                "subject": answerer.subject,
                "benchmark": benchmark,
                "item": item.id,
                "asked": question.turns[-1].content,
                "completion": answer.text,
                "chosen": chosen,
                "answer": item.answer,
                "problem": answer.problem,
                METRIC: float(chosen == item.answer),
            }
        )
    return pl.DataFrame(rows, schema=_SCHEMA)


def asked_scores(answers: pl.DataFrame) -> pl.DataFrame:
    """Return the scores of items (see `textbookgen.api.rows.ITEM_SCORE_SCHEMA`)."""
    return item_scores(answers, [METRIC])


def ask_choice(item: ChoiceItem) -> str:
    """Return the message that asks for a letter; the choices are listed, unless they are letters that the prompt lists."""
    instruction = "Reply with the letter of the right answer, and nothing else."
    if all(choice == letter for choice, letter in zip(item.choices, _LETTERS, strict=False)):
        return f"{item.prefix}{item.prompt}\n\n{instruction}"
    texts = item.choices
    if item.prompts:  # choices that differ in what precedes a common ending
        texts = tuple(f"{before}{item.separator}{choice}" for before, choice in zip(item.prompts, item.choices, strict=True))
    head = item.prefix + ("Which one is right?" if item.prompts else item.prompt)
    listed = "\n".join(f"{letter}. {text.strip()}" for letter, text in zip(_LETTERS, texts, strict=False))
    return f"{head}\n\n{listed}\n\n{instruction}"


def chosen_letter(reply: str, choices: int) -> int | None:
    """Return the index of the choice that a reply names; None if it names none.

    A letter at the beginning counts first, then the last one that is stated as the answer, then the last one that is alone.
    """
    first = _FIRST.match(reply)
    stated = _STATED.findall(reply)
    alone = _ALONE.findall(reply)
    letters = [first[1]] if first else [next(filter(None, groups)) for groups in (stated[-1:] or alone[-1:])]
    index = _LETTERS.find(letters[0].upper()) if letters else -1
    return index if 0 <= index < choices else None
