"""How models are asked: checkpoints with a chat template as chats, and teachers for the letter of a given answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_builtin_evaluate import Programs, RunsPython

from textbookgen.api.artifacts import Checkpoint
from textbookgen.api.benchmark import ChoiceItem
from textbookgen.api.model import Continuation
from textbookgen.api.stage import StageInputs
from textbookgen.builtin.evaluation.answering import Answer, Generation, Question
from textbookgen.builtin.evaluation.asked_choices import ask_choice, ask_choices, asked_scores, chosen_letter
from textbookgen.builtin.stages.evaluate import BenchmarkEval

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


class TextModel:
    """Replies with a code block to chats; continues programs otherwise."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def complete(self, prompts: Sequence[str], **options: Any) -> list[list[str]]:
        self.calls.append({"prompts": list(prompts), **options})
        return [
            ["Sure!\n```python\nx = 1\nprint(x)\n```\n" if "<user>" in text else "1\n"] * options["samples"] for text in prompts
        ]

    def close(self) -> None: ...


class TokenChatModel(TextModel):
    """The same with token ids, the template being its own affair."""

    def encode(self, prompts: Sequence[Any]) -> list[list[int]]:
        return [list(f"<user>{prompt[-1].content}".encode()) for prompt in prompts]

    def decode(self, tokens: Sequence[Sequence[int]]) -> list[str]:
        raise NotImplementedError

    def extend(self, prefixes: Sequence[Sequence[int]], **options: Any) -> list[list[Continuation]]:
        self.calls.append({"prompts": [bytes(row).decode() for row in prefixes], **options})
        return [[Continuation((1,), "```\nx = 1\n```", True)] * options["samples"] for _ in prefixes]

    def logprobs(self, pairs: Any, **options: Any) -> Any:
        raise NotImplementedError

    def score(self, pairs: Any, **options: Any) -> Any:
        raise NotImplementedError


class Resolver:
    """One model, and the benchmark of programs."""

    def __init__(self, model: TextModel) -> None:
        self.opened = model

    def model(self, checkpoint: Path) -> TextModel:
        return self.opened

    def benchmark(self, name: str) -> Programs:
        return Programs()

    def filter(self, use: str) -> RunsPython:
        return RunsPython()


def evaluate(folder: Path, model: TextModel, *, template: bool, **options: Any) -> pl.DataFrame:
    card = {"format": "toy"} | ({"chat": {"name": "toy", "template": TEMPLATE}} if template else {})
    (folder / "checkpoint.json").write_text(json.dumps(card), encoding="utf-8")
    stage = BenchmarkEval.model_validate({"from": "m", "benchmarks": ["programs"], **options})
    stage.evaluate(StageInputs({"from": {"m": Checkpoint(folder)}}, folder, Resolver(model)), folder)  # type: ignore[arg-type]
    return pl.read_parquet(folder / "completions.parquet")


@pytest.mark.parametrize("model", [TextModel, TokenChatModel])
def test_a_checkpoint_with_a_template_is_asked_as_a_chat(model: type[TextModel], tmp_path: Path) -> None:
    opened = model()
    answers = evaluate(tmp_path, opened, template=True, samples=2)
    assert answers["passed"].to_list() == [True, True, False, False], "only the first program wants x == 1"
    (call,) = opened.calls
    assert call["prompts"][0].startswith("<user>Complete this Python code.") and "```python\nx =\n```" in call["prompts"][0]
    if model is TextModel:
        assert call["prompts"][0].endswith("<end><assistant>") and call["stop"] == ["<end>"]
    assert "print" not in answers["text"][0]


@pytest.mark.parametrize(
    ("template", "chat", "asked"), [(False, "auto", "x = "), (True, False, "x = "), (False, True, "Complete")]
)
def test_others_continue_the_prompt_unless_told_otherwise(template: bool, chat: Any, asked: str, tmp_path: Path) -> None:
    model = TextModel()
    answers = evaluate(tmp_path, model, template=template, chat=chat)
    assert model.calls[0]["prompts"][0].startswith(asked)
    assert answers["asked"][0].startswith(asked)


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("B", 1),
        ("**B**", 1),
        ("(B) 4", 1),
        ("B. four", 1),
        ("The answer is B.", 1),
        ("The correct answer is **(B)**, since A is too small.", 1),
        ("**Answer:** B", 1),
        ("$\\boxed{B}$", 1),
        ("A is wrong and C is wrong, so it must be B", 1),
        ("A plane flies. I choose C", 2),
        ("I don't know.", None),
        ("The answer is G", None),
        ("", None),
    ],
)
def test_the_letter_in_a_reply(reply: str, choice: int | None) -> None:
    assert chosen_letter(reply, 4) == choice


def test_given_answers_are_asked_for_by_letter() -> None:
    items = [
        ChoiceItem("a", "Question: 2 + 2?\nAnswer:", ("3", "4"), 1),
        ChoiceItem("b", "Question: 1 + 1?\nA. 2\nB. 3\nAnswer:", ("A", "B"), 0),
        ChoiceItem(
            "c",
            "",
            ("it fell.", "it fell."),
            1,
            prompts=("The cup broke because the cup was", "The cup broke because the table"),
        ),
        ChoiceItem("d", "one answer only", ("x",), 0),
    ]
    assert ask_choice(items[0]).startswith("Question: 2 + 2?\nAnswer:\n\nA. 3\nB. 4\n\nReply with the letter")
    assert ask_choice(items[1]).startswith("Question: 1 + 1?\nA. 2\nB. 3\nAnswer:\n\nReply")
    assert "A. The cup broke because the cup was it fell.\nB. The cup broke because the table it fell." in ask_choice(items[2])

    class Teacher:
        subject, is_chat, scoring_model = "llm", True, None

        def answer(self, questions: Sequence[Question], generation: Generation, stop: Sequence[str] = ()) -> list[list[Answer]]:
            return [[Answer(text)] for text in ("The answer is **B**.", "B", "<think>A?</think>B")]

    asked = ask_choices(Teacher(), "toy", items, Generation(1, 0.0, 9, 0, 9))
    assert asked["chosen"].to_list() == [1, 1, 1]
    assert asked_scores(asked).select("item", "metric", "value").rows() == [
        ("a", "acc_asked", 1.0),
        ("b", "acc_asked", 0.0),
        ("c", "acc_asked", 1.0),
    ]
