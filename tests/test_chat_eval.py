"""The stage `chat-eval`: what models are prompted with, and the metrics of models whose probabilities are known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl
import pytest

from textbookgen.api.artifacts import Artifact, Chats, Checkpoint, Documents, Pairs, Part
from textbookgen.api.errors import RunError
from textbookgen.api.model import Continuation, Score
from textbookgen.api.stage import StageInputs
from textbookgen.builtin.stages.chat_eval import ChatEval


class ShoutingModel:
    """A token model over bytes: repeats the last message in capitals; P(`a`) = 1/2, and 1/4 for every other byte."""

    def encode(self, prompts):
        return [list((prompt if isinstance(prompt, str) else prompt[-1].content).encode()) for prompt in prompts]

    def decode(self, tokens):
        return [bytes(row).decode() for row in tokens]

    def extend(self, prefixes, *, max_tokens, seeds, temperature=1.0, stop=(), samples=1):
        assert len(set(seeds)) == len(prefixes)
        replies = [bytes(prefix).upper() for prefix in prefixes]
        return [[Continuation(tuple(reply), reply[:max_tokens].decode(), len(reply) <= max_tokens)] for reply in replies]

    def logprobs(self, pairs):
        return [[math.log(0.5 if token == ord("a") else 0.25) for token in after] for _, after in pairs]

    def complete(self, prompts, **options):
        raise AssertionError("must be prompted by ids")

    score = complete

    def close(self):
        self.closed = True


class TextModel:
    """The same model without token ids."""

    def complete(self, prompts, *, max_tokens, temperature, stop, samples=1, seed):
        return [[prompt.upper()[:max_tokens]] for prompt in prompts]

    def score(self, pairs):
        return [
            Score(sum(math.log(0.5 if letter == "a" else 0.25) for letter in after), len(after), False) for _, after in pairs
        ]

    def close(self): ...


class Resolver:
    def __init__(self, model):
        self._model = model

    def model(self, path):
        assert json.loads((path / "checkpoint.json").read_text()) == {"format": "toy"}
        return self._model


def message(role, content):
    return {"role": role, "content": content}


def evaluate(tmp_path: Path, kind, rows, model=None, **options):
    pl.DataFrame(rows, schema={"id": pl.String, **kind.content}).write_parquet(tmp_path / "part.parquet")
    (tmp_path / "checkpoint.json").write_text('{"format": "toy"}')
    inputs: dict[str, dict[str, Artifact]] = {
        "from": {"one": Checkpoint(tmp_path), "two": Checkpoint(tmp_path)},
        "conversations": {"unseen": kind((Part(tmp_path / "part.parquet"),))},
    }
    stage = ChatEval.model_validate({"from": ["one", "two"], "conversations": "unseen", **options})
    figures = stage.evaluate(StageInputs(inputs, tmp_path, Resolver(model or ShoutingModel())), tmp_path)
    assert {row["metric"] for row in figures.iter_rows(named=True) if row["benchmark"]} <= {"right answers"}
    return {(row["subject"], row["metric"]): row["value"] for row in figures.iter_rows(named=True)}


def test_pairs_compare_the_chosen_with_the_rejected_reply(tmp_path):
    ask = [message("user", "well?")]
    pairs = [("aaa", "bbb"), ("bb", "aa"), ("aaaaaa", "b"), ("ab", "aa")]
    rows = [
        {"id": str(n), "prompt": ask, "chosen": [message("assistant", good)], "rejected": [message("assistant", bad)]}
        for n, (good, bad) in enumerate(pairs)
    ]
    metrics = evaluate(tmp_path, Pairs, rows, batch=3)
    assert metrics["one", "preference accuracy"] == 0.25  # in the third, the rejected reply is likelier because it is short
    assert metrics["one", "preference accuracy per token"] == 0.5
    assert metrics["two", "finished replies"] == 1


def test_the_last_answer_of_a_chat_is_the_reference(tmp_path):
    chat = [message("user", "first"), message("assistant", "so"), message("user", "second"), message("assistant", "aabb")]
    metrics = evaluate(tmp_path, Chats, [{"id": "1", "messages": chat}], max_tokens=4)
    assert metrics["one", "answer bits per byte"] == pytest.approx(1.5)
    assert metrics["one", "finished replies"] == 0
    replies = pl.read_parquet(tmp_path / "replies.parquet")
    assert replies["question"].to_list() == ["second", "second"]
    assert replies["reply"].to_list() == ["SECO", "SECO"]
    shown = (tmp_path / "replies.md").read_text()
    assert "**second**" in shown
    assert "- one: SECO …" in shown


def test_texts_are_user_messages(tmp_path):
    metrics = evaluate(tmp_path, Documents, [{"id": "1", "text": "what?"}, {"id": "2", "text": "why?"}], max_conversations=1)
    assert metrics == {("one", "finished replies"): 1.0, ("two", "finished replies"): 1.0}


def test_models_without_token_ids_have_the_same_metrics(tmp_path):
    pair = {
        "prompt": [message("user", "well?")],
        "chosen": [message("assistant", "bb")],
        "rejected": [message("assistant", "aaaaaa")],
    }
    metrics = evaluate(tmp_path, Pairs, [{"id": "1", **pair}], model=TextModel())
    assert metrics == {
        (who, metric): value
        for who in ("one", "two")
        for metric, value in (("preference accuracy", 1.0), ("preference accuracy per token", 0.0))
    }
    assert pl.read_parquet(tmp_path / "replies.parquet")["reply"].to_list() == ["WELL?", "WELL?"]


def test_final_answers_are_compared_with_the_reference(tmp_path):
    def chat(question: str, reply: str) -> dict[str, object]:
        return {"messages": [message("user", question), message("assistant", reply)]}

    rows = [
        chat("the answer is 7.", "First 3. THE ANSWER IS 7."),
        chat("the answer is 7. no, the answer is 8.", "THE ANSWER IS 7."),
        chat("it is 7", "THE ANSWER IS 7."),
        chat("the answer is 7.", "nobody knows"),
    ]
    rows = [{"id": str(number), **row} for number, row in enumerate(rows)]
    metrics = evaluate(tmp_path, Chats, rows, answer=r"ANSWER IS (\d+)")
    assert metrics["one", "right answers"] == pytest.approx(1 / 3)
    assert pl.read_parquet(tmp_path / "replies.parquet")["right"].to_list()[:4] == [True, False, False, None]
    assert ("one", "right answers") not in evaluate(tmp_path, Chats, rows)
    assert ("one", "right answers") not in evaluate(tmp_path, Documents, [{"id": "1", "text": "2?"}], answer=r"(\d)")


@pytest.mark.parametrize(("answer", "problem"), [("(", "not a regular expression"), ("a", "0 groups"), ("(a)(b)", "2 groups")])
def test_an_answer_that_is_no_pattern_with_one_group_is_reported(answer: str, problem: str):
    stage = ChatEval.model_validate({"from": "model", "conversations": "unseen", "answer": answer})
    (diagnostic,) = stage.check()
    assert problem in diagnostic.problem


def test_a_table_without_conversations_is_reported(tmp_path):
    with pytest.raises(RunError, match="no conversations to reply to"):
        evaluate(tmp_path, Chats, [{"id": "1", "messages": [message("user", "and?")]}])
