"""Completing and scoring with a network of a few lines: a table of bigrams in numpy, served by the core alone."""

from __future__ import annotations

import math
import sys
from contextlib import closing
from pathlib import Path

import pytest
from bigrams import Bigrams

from textbookgen.api.message import Message
from textbookgen.api.model import Continuation, TokenModel
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.generation import BatchGenerator, SamplingParams, batches, pieces
from textbookgen.training.model_client import ServedTokenModel
from textbookgen.training.prompt_codec import PromptCodec

TEXTS = ["abcab", "abd", "a dog", "a dot", "once a cat"]
PROMPTS = ["a", "", "once", "xyz" * 30, "do"]
END = 256


@pytest.fixture
def network() -> Bigrams:
    return Bigrams([[END, *text.encode(), END] for text in TEXTS], window=16)


@pytest.fixture
def writer(network, tmp_path) -> BatchGenerator:
    return BatchGenerator(network, PromptCodec.at(tmp_path, {"tokenizer": {"file": None}, "eod": END}))


def greedy(network, prompt, most, window=16):
    ids = [END, *prompt.encode()][-(window - min(most, window // 2)) :]
    start = len(ids)
    while len(ids) < min(start + most, window) and (token := int(network.table[ids[-1]].argmax())) != END:
        ids.append(token)
    return ByteTokenizer().decode(ids[start:])


@pytest.mark.parametrize("most", [1, 5, 12, 100])
def test_greedy_completions_are_the_likeliest_in_turn_up_to_the_window(network, writer, most):
    assert writer.complete(PROMPTS, SamplingParams(most)) == [[greedy(network, prompt, most)] for prompt in PROMPTS]


def test_each_row_is_drawn_with_numbers_of_its_own(writer, monkeypatch):
    wish = SamplingParams(9, temperature=1.3, samples=4)
    heads = [list(prompt.encode()) for prompt in PROMPTS]
    seeds, rooms = [5, 6, 7, 8, 9], [9, 0, 3, 1, 9]
    together = writer.extend(heads, wish, seeds, rooms)
    alone = [writer.extend([head], wish, [seed], [room])[0] for head, seed, room in zip(heads, seeds, rooms, strict=True)]
    assert together == alone
    assert together[1] == [([], "", False)] * 4
    assert all(len(ids) <= room for each, room in zip(together, rooms, strict=True) for ids, _, _ in each)
    monkeypatch.setattr("textbookgen.training.generation.TOKENS_AT_ONCE", 30)  # samples that do not fit into one batch
    assert writer.extend(heads, wish, seeds, rooms) == together


def test_draws_are_as_likely_as_the_network_says(network, writer):
    said = [ids[0] for ids, _, _ in writer.extend([[ord("a")]], SamplingParams(1, 1.0, samples=4_000), [0], [1])[0]]
    for token in (ord("b"), ord(" "), END):
        share = said.count(token) / 4_000
        assert share == pytest.approx(float(network.table[ord("a"), token]), abs=0.03)


def test_what_ended_is_known(writer):
    for ids, text, ended in writer.extend([[ord("a")]], SamplingParams(6, 1.0, samples=40), [1], [6])[0]:
        assert ended == (ids[-1] == END)
        assert text == ByteTokenizer().decode(ids)
    for ids, text, ended in writer.extend([[ord("a")]], SamplingParams(6, 1.0, samples=40, stop=("b",)), [1], [6])[0]:
        assert "b" not in text
        assert ended == (ids[-1] in (END, ord("b")))


def test_scores_are_summed_log_probabilities(network, writer):
    pairs = [("a", " dog"), ("", "once a cat" * 5), ("x" * 40, "ab"), ("ab", "")]
    each = writer.logprobs([(list(before.encode()), list(after.encode())) for before, after in pairs])
    for (before, after), logprobs, (total, tokens, likeliest) in zip(pairs, each, writer.score(pairs), strict=True):
        ids = [END, *before.encode(), *after.encode()]
        steps = list(zip(ids[-len(after) - 1 :], ids[-len(after) :], strict=False)) if after else []
        assert logprobs == pytest.approx([math.log(network.table[step]) for step in steps])
        assert (total, tokens) == (pytest.approx(sum(logprobs)), len(after))
        assert likeliest == all(network.table[before].argmax() == after for before, after in steps)


def test_a_served_network_is_asked_by_ids_and_by_texts(writer):
    model = ServedTokenModel([sys.executable, str(Path(__file__).with_name("bigrams.py")), *TEXTS], Path("bigrams"))
    assert isinstance(model, TokenModel)
    with closing(model):
        assert model.complete(PROMPTS, max_tokens=5) == writer.complete(PROMPTS, SamplingParams(5))
        drawn = model.complete(PROMPTS, max_tokens=5, temperature=0.8, samples=2, seed=3)
        assert drawn == writer.complete(PROMPTS, SamplingParams(5, 0.8, samples=2, seed=3))
        [score] = model.score([("a", " dog")])
        assert (score.logprob, score.tokens, score.greedy) == writer.score([("a", " dog")])[0]
        heads = model.encode(["a", [Message("user", "on"), Message("assistant", "ce")]])
        assert heads == [[97], list(b"on\n\nce")]
        said = model.extend(heads, max_tokens=[3, 5], seeds=[1, 2], samples=2)
        told = writer.extend(heads, SamplingParams(5, 1.0, samples=2), [1, 2], [3, 5])
        assert said == [[Continuation(tuple(ids), text, ended) for ids, text, ended in each] for each in told]
        assert model.decode([[*b"ab", END]]) == ["ab"]
        assert model.logprobs([([97], [98])]) == [writer.logprobs([([97], [98])])[0]]


def test_batches_hold_what_fits_and_like_sizes():
    assert list(batches([5, 1, 5, 2, 9], 10)) == [[1, 3], [0, 2], [4]]
    assert list(batches([5, 5], 10, samples=2)) == [[0], [1]]
    assert list(batches([50], 10)) == [[0]]
    assert list(batches([], 10)) == []


@pytest.mark.parametrize(("before", "after"), [(1, 5), (3, 0), (1, 40), (30, 12)])
def test_pieces_score_each_id_once_and_in_order(before, after):
    ids = list(range(before + after))
    read = list(pieces(ids[:before], ids[before:], 8))
    assert [each for piece, count in read for each in piece[len(piece) - count :]] == ids[before:]
    assert all(0 < count < len(piece) <= max(8, len(ids) if len(ids) <= 8 else 0) for piece, count in read)
