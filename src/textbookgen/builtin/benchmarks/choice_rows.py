"""Rows of published multiple-choice benchmarks as problems, with the prompts of lm-evaluation-harness.

Each function reads the columns of the data set on the Hugging Face Hub, which lm-evaluation-harness uses, and those of the
authors' own release where they differ. It returns None for a row without an answer, such as those of hidden test sets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Problem:
    """A question with given answers.

    Attributes:
        id: unique within the benchmark; empty for the number of the row.
        stem: the question, as it precedes lettered answers.
        cloze: the prompt that each answer follows.
        answers: the answers.
        answer: index of the right one.
        prompts: one cloze prompt per answer, where answers are inside of the prompts; `ending` follows them.
        ending: what follows each of `prompts`.
        subject: the subject that few-shot examples are drawn from; may be empty.
    """

    id: str
    stem: str
    cloze: str
    answers: tuple[str, ...]
    answer: int
    prompts: tuple[str, ...] = ()
    ending: str = ""
    subject: str = ""


def arc(row: Row) -> Problem | None:
    """Return a problem of ARC, easy or challenge (Clark et al., arXiv 1803.05457)."""
    return _question(row, lambda question: f"Question: {question}\nAnswer:")


def openbookqa(row: Row) -> Problem | None:
    """Return a problem of OpenBookQA (Mihaylov et al., arXiv 1809.02789): the cloze prompt is the question alone."""
    return _question(row, lambda question: question)


def commonsense_qa(row: Row) -> Problem | None:
    """Return a problem of CommonsenseQA (Talmor et al., arXiv 1811.00937)."""
    return _question(row, lambda question: f"Question: {question}\nAnswer:", strip=True)


def _question(row: Row, cloze: Any, *, strip: bool = False) -> Problem | None:
    """Return a problem with labelled answers, in the columns of the Hub or nested as the Allen Institute publishes them."""
    nested = row["question"] if isinstance(row.get("question"), Mapping) else row
    stem = nested["stem"] if "stem" in nested else row["question_stem"] if "question_stem" in row else row["question"]
    texts, labels = _labelled(nested["choices"])
    key = (row["answerKey"] or "").strip()
    if key not in labels:
        return None
    stem = stem.strip() if strip else stem
    return Problem(str(row.get("id", "")), f"Question: {stem}", cloze(stem), tuple(texts), labels.index(key))


def _labelled(choices: Any) -> tuple[list[str], list[str]]:
    """Return texts and labels of `{text: [...], label: [...]}` or of a list of `{text, label}`."""
    if isinstance(choices, Mapping):
        return list(choices["text"]), list(choices["label"])
    return [choice["text"] for choice in choices], [choice["label"] for choice in choices]


def hellaswag(row: Row) -> Problem | None:
    """Return a problem of HellaSwag (Zellers et al., arXiv 1905.07830), without the marks of its WikiHow part."""
    if str(row["label"]) not in ("0", "1", "2", "3"):
        return None
    query = _without_marks(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
    endings = tuple(map(_without_marks, row["endings"]))
    return Problem("", query, query, endings, int(row["label"]))


def _without_marks(text: str) -> str:
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def piqa(row: Row) -> Problem | None:
    """Return a problem of PIQA (Bisk et al., arXiv 1911.11641)."""
    if int(row["label"]) not in (0, 1):
        return None
    stem = f"Question: {row['goal']}"
    return Problem(str(row.get("id", "")), stem, f"{stem}\nAnswer:", (row["sol1"], row["sol2"]), int(row["label"]))


def winogrande(row: Row) -> Problem | None:
    """Return a problem of WinoGrande (Sakaguchi et al., arXiv 1907.10641).

    The cloze form compares the likelihood of what follows the blank, with either option in it.
    """
    if row["answer"] not in ("1", "2"):
        return None
    sentence, options = row["sentence"], (row["option1"], row["option2"])
    before, _, after = sentence.partition("_")
    prompts = tuple(before + option for option in options)
    return Problem(str(row.get("qID", "")), sentence, sentence, options, int(row["answer"]) - 1, prompts, after.strip())


def boolq(row: Row) -> Problem | None:
    """Return a problem of BoolQ (Clark et al., arXiv 1905.10044), as published or as in SuperGLUE."""
    label = row["label"] if "label" in row else row["answer"]
    if label is None or int(label) not in (0, 1):
        return None
    stem = f"{row['passage']}\nQuestion: {row['question']}?"
    return Problem(str(row.get("idx", "")), stem, f"{stem}\nAnswer:", ("no", "yes"), int(label))


def social_iqa(row: Row) -> Problem | None:
    """Return a problem of Social IQa (Sap et al., arXiv 1904.09728); labels are 1, 2 and 3."""
    if str(row["label"]) not in ("1", "2", "3"):
        return None
    asked = f"{row['context']} {row['question']}"
    answers = (row["answerA"], row["answerB"], row["answerC"])
    return Problem("", f"Question: {asked}", f"Q: {asked}\nA:", answers, int(row["label"]) - 1)


def mmlu(row: Row) -> Problem | None:
    """Return a problem of MMLU (Hendrycks et al., arXiv 2009.03300); rows have their `subject`."""
    question, answer = row["question"].strip(), row["answer"]
    index = answer if isinstance(answer, int) else "ABCD".index(answer)
    return Problem("", question, f"Question: {question}\nAnswer:", tuple(row["choices"]), index, subject=row["subject"])


def lambada(row: Row) -> Problem | None:
    """Return a passage of LAMBADA (Paperno et al., arXiv 1606.06031): the answer is its last word, after one space."""
    before, _, word = row["text"].rpartition(" ")
    return Problem("", before, before, (word,), 0)


def squad(row: Row) -> Problem | None:
    """Return a problem of SQuAD, version 1 or 2 (Rajpurkar et al., arXiv 1606.05250 and 1806.03822).

    The prompt is that of lm-evaluation-harness's task `squadv2`; the answer is the first of the published ones, or
    `unanswerable`.
    """
    texts: Sequence[str] = row["answers"]["text"]
    prompt = f"Title: {row['title']}\n\nBackground: {row['context']}\n\nQuestion: {row['question']}\n\nAnswer:"
    return Problem(str(row["id"]), prompt, prompt, (texts[0] if texts else "unanswerable",), 0)
