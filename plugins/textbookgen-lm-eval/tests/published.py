"""Small files in the published formats of benchmarks, with texts drawn from a list of words."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

WORDS = [
    "the",
    "a",
    "small",
    "old",
    "red",
    "dog",
    "cat",
    "river",
    "stone",
    "teacher",
    "student",
    "water",
    "light",
    "plant",
    "energy",
    "which",
    "what",
    "would",
    "happen",
    "because",
    "after",
    "before",
    "under",
    "above",
    "slowly",
    "quickly",
    "runs",
    "melts",
    "grows",
    "carries",
    "breaks",
    "opens",
    "[step]",
    "café",
    "naïve",
    "3.5",
    "twelve",
    "Sarah",
    "Tom",
    "Paris,",
    "it's",
    "“quoted”",
    "rain;",
    "window",
    "kitchen",
    "hammer",
    "nail",
    "paper",
    "boil",
    "freeze",
    "magnet",
    "sugar",
]
SPLITS = {"train": 9, "validation": 14, "test": 14}


class Writer:
    """Draws texts, and writes a file per split."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder, self.random = folder, Random(seed)

    def text(self, low: int = 3, high: int = 9) -> str:
        return " ".join(self.random.choices(WORDS, k=self.random.randint(low, high)))

    def texts(self, count: int) -> list[str]:
        return [self.text(1, 6) for _ in range(count)]

    def lines(self, name: str, row: Any, splits: dict[str, int] = SPLITS) -> dict[str, str]:
        """Write `NAME-SPLIT.jsonl`, and return the paths by split."""
        files = {}
        for split, count in splits.items():
            path = self.folder / f"{name}-{split}.jsonl"
            rows = [row(split, number) for number in range(count)]
            path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")
            files[split] = str(path)
        return files


def labelled(texts: list[str], labels: str) -> dict[str, list[str]]:
    return {"text": texts, "label": list(labels[: len(texts)])}


def write_all(folder: Path) -> dict[str, dict[str, str]]:
    """Write files of every benchmark in the columns of the Hub; return their paths by benchmark and split."""
    write = Writer(folder)
    draw = write.random

    def arc(split: str, number: int) -> dict[str, Any]:
        count = draw.choice([3, 4, 4, 4])
        labels = draw.choice(["ABCD", "1234"])
        return {
            "id": f"{split}_{number}",
            "question": write.text() + "?",
            "choices": labelled(write.texts(count), labels),
            "answerKey": draw.choice(labels[:count]),
        }

    def commonsense(split: str, number: int) -> dict[str, Any]:
        return {
            "id": f"{split}{number}",
            "question": write.text() + draw.choice(["? ", "?"]),
            "question_concept": "x",
            "choices": labelled(write.texts(5), "ABCDE"),
            "answerKey": draw.choice("ABCDE"),
        }

    def openbook(split: str, number: int) -> dict[str, Any]:
        return {
            "id": f"{split}-{number}",
            "question_stem": write.text(),
            "choices": labelled(write.texts(4), "ABCD"),
            "answerKey": draw.choice("ABCD"),
        }

    def hellaswag(split: str, number: int) -> dict[str, Any]:
        return {
            "ind": number,
            "activity_label": write.text(1, 3),
            "ctx_a": write.text() + ".",
            "ctx_b": draw.choice(["", "the dog  [title] runs", "a Cat"]),
            "endings": [f" {text} [title] {text}." for text in write.texts(4)],
            "label": draw.choice("0123"),
        }

    def piqa(split: str, number: int) -> dict[str, Any]:
        return {"goal": write.text(), "sol1": write.text(), "sol2": write.text(), "label": draw.choice([0, 1])}

    def winogrande(split: str, number: int) -> dict[str, Any]:
        return {
            "sentence": f"{write.text()} _ {write.text()}.",
            "option1": draw.choice(["Sarah", "the dog"]),
            "option2": draw.choice(["Tom", "an old river"]),
            "answer": draw.choice("12"),
        }

    def boolq(split: str, number: int) -> dict[str, Any]:
        return {"question": write.text(), "passage": write.text(20, 30), "idx": number, "label": draw.choice([0, 1])}

    def siqa(split: str, number: int) -> dict[str, Any]:
        answers = {f"answer{letter}": text for letter, text in zip("ABC", write.texts(3), strict=True)}
        return {"context": write.text(), "question": write.text(), **answers, "label": draw.choice("123")}

    def mmlu(split: str, number: int) -> dict[str, Any]:
        subjects = ["abstract_algebra", "high_school_us_history", "high_school_physics"]
        return {
            "question": write.text() + draw.choice(["\n", ""]),
            "subject": subjects[number * 3 // 15],
            "choices": write.texts(4),
            "answer": draw.choice([0, 1, 2, 3]),
        }

    def lambada(split: str, number: int) -> dict[str, Any]:
        return {"text": write.text(6, 30)}

    def squad(split: str, number: int) -> dict[str, Any]:
        answers = draw.choice([[], [write.text(1, 2), write.text(1, 2)]])
        return {
            "id": f"{split}{number}",
            "title": write.text(1, 2),
            "context": write.text(10, 20),
            "question": write.text() + "?",
            "answers": {"text": answers, "answer_start": [0 for _ in answers]},
        }

    return {
        "arc_easy": write.lines("arc_easy", arc),
        "arc_challenge": write.lines("arc_challenge", arc),
        "hellaswag": write.lines("hellaswag", hellaswag),
        "piqa": write.lines("piqa", piqa),
        "winogrande": write.lines("winogrande", winogrande),
        "openbookqa": write.lines("openbookqa", openbook),
        "boolq": write.lines("boolq", boolq),
        "social_iqa": write.lines("social_iqa", siqa),
        "commonsense_qa": write.lines("commonsense_qa", commonsense),
        "mmlu": write.lines("mmlu", mmlu, {"dev": 15, "test": 15}),
        "lambada": write.lines("lambada", lambada, {"test": 14}),
        "squad": write.lines("squad", squad, {"train": 9, "validation": 14}),
    }
