"""`converse`: what models are asked, and the figures that come of a model whose mind is known."""

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


class Parrot:
    """Ids are bytes; it says the last question again, in capitals, and finds the letter `a` likely and all else not."""

    def encode(self, prompts):
        return [list((each if isinstance(each, str) else each[-1].content).encode()) for each in prompts]

    def decode(self, tokens):
        return [bytes(each).decode() for each in tokens]

    def extend(self, prefixes, *, max_tokens, seeds, temperature=1.0, stop=(), samples=1):
        assert len(set(seeds)) == len(prefixes)
        whole = [bytes(each).upper() for each in prefixes]
        return [[Continuation(tuple(each), each[:max_tokens].decode(), len(each) <= max_tokens)] for each in whole]

    def logprobs(self, pairs):
        return [[math.log(0.5 if token == ord("a") else 0.25) for token in after] for _, after in pairs]

    def complete(self, prompts, **options):
        raise AssertionError("is asked by ids")

    score = complete

    def close(self):
        self.closed = True


class TextOnly:
    """The same mind, by a trainer that knows no ids."""

    def complete(self, prompts, *, max_tokens, temperature, stop, samples=1, seed):
        return [[each.upper()[:max_tokens]] for each in prompts]

    def score(self, pairs):
        return [
            Score(sum(math.log(0.5 if letter == "a" else 0.25) for letter in after), len(after), False) for _, after in pairs
        ]

    def close(self): ...


class Resolver:
    def __init__(self, mind):
        self.mind = mind

    def model(self, path):
        assert json.loads((path / "checkpoint.json").read_text()) == {}
        return self.mind


def said(role, content):
    return {"role": role, "content": content}


def measured(tmp_path: Path, kind, rows, mind=None, **options):
    pl.DataFrame(rows, schema={"id": pl.String, **kind.content}).write_parquet(tmp_path / "part.parquet")
    (tmp_path / "checkpoint.json").write_text("{}")
    inputs: dict[str, dict[str, Artifact]] = {
        "from": {"one": Checkpoint(tmp_path), "two": Checkpoint(tmp_path)},
        "conversations": {"talks": kind((Part(tmp_path / "part.parquet"),))},
    }
    stage = ChatEval.model_validate({"from": ["one", "two"], "conversations": "talks", **options})
    figures = stage.evaluate(StageInputs(inputs, tmp_path, Resolver(mind or Parrot())), tmp_path)
    return {(row["subject"], row["metric"]): row["value"] for row in figures.iter_rows(named=True)}


def test_of_pairs_the_chosen_reply_is_weighed_against_the_rejected(tmp_path):
    ask = [said("user", "well?")]
    pairs = [("aaa", "bbb"), ("bb", "aa"), ("aaaaaa", "b"), ("ab", "aa")]
    rows = [
        {"id": str(n), "prompt": ask, "chosen": [said("assistant", good)], "rejected": [said("assistant", bad)]}
        for n, (good, bad) in enumerate(pairs)
    ]
    found = measured(tmp_path, Pairs, rows, batch=3)
    assert found["one", "chosen is likelier"] == 0.25  # of the third the rejected reply is likelier, for it is short
    assert found["one", "chosen is likelier, a token"] == 0.5
    assert found["two", "ends by itself"] == 1


def test_of_chats_the_last_answer_is_left_to_the_model(tmp_path):
    chat = [said("user", "first"), said("assistant", "so"), said("user", "second"), said("assistant", "aabb")]
    found = measured(tmp_path, Chats, [{"id": "1", "messages": chat}], max_tokens=4)
    assert found["one", "bits per byte of answers"] == pytest.approx(1.5)
    assert found["one", "ends by itself"] == 0
    replies = pl.read_parquet(tmp_path / "replies.parquet")
    assert replies["question"].to_list() == ["second", "second"]
    assert replies["reply"].to_list() == ["SECO", "SECO"]
    shown = (tmp_path / "replies.md").read_text()
    assert "**second**" in shown
    assert "- one: SECO …" in shown


def test_texts_are_asked_as_they_are(tmp_path):
    found = measured(tmp_path, Documents, [{"id": "1", "text": "what?"}, {"id": "2", "text": "why?"}], most=1)
    assert found == {("one", "ends by itself"): 1.0, ("two", "ends by itself"): 1.0}


def test_models_that_are_asked_by_text_alone_are_measured_alike(tmp_path):
    pair = {"prompt": [said("user", "well?")], "chosen": [said("assistant", "bb")], "rejected": [said("assistant", "aaaaaa")]}
    found = measured(tmp_path, Pairs, [{"id": "1", **pair}], mind=TextOnly())
    assert found == {
        (who, metric): value
        for who in ("one", "two")
        for metric, value in (("chosen is likelier", 1.0), ("chosen is likelier, a token", 0.0))
    }
    assert pl.read_parquet(tmp_path / "replies.parquet")["reply"].to_list() == ["WELL?", "WELL?"]


def test_nothing_to_ask_is_told(tmp_path):
    with pytest.raises(RunError, match="no conversation"):
        measured(tmp_path, Chats, [{"id": "1", "messages": [said("user", "and?")]}])
