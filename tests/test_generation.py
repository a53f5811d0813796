"""Completion and scoring with a network of a few lines, a table of bigrams in numpy, served by the core alone."""

from __future__ import annotations

import math
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from bigrams import Bigrams

from textbookgen.api.message import Message
from textbookgen.api.model import Continuation, TokenModel
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.generation import BatchGenerator, batch_by_size, distinct_inputs, scoring_windows
from textbookgen.training.model_client import TokenModelClient
from textbookgen.training.prompt_codec import PromptCodec
from textbookgen.training.sampling import SamplingParams

TEXTS = ["abcab", "abd", "a dog", "a dot", "once a cat"]
PROMPTS = ["a", "", "once", "xyz" * 30, "do"]
END = 256


@pytest.fixture
def network() -> Bigrams:
    return Bigrams([[END, *text.encode(), END] for text in TEXTS], context_length=16)


@pytest.fixture
def generator(network, tmp_path) -> BatchGenerator:
    return BatchGenerator(network, PromptCodec.load(tmp_path, None, END))


def greedy(network, prompt, most, window=16):
    ids = [END, *prompt.encode()][-(window - min(most, window // 2)) :]
    start = len(ids)
    while len(ids) < min(start + most, window) and (token := int(network.table[ids[-1]].argmax())) != END:
        ids.append(token)
    return ByteTokenizer().decode(ids[start:])


@pytest.mark.parametrize("most", [1, 5, 12, 100])
def test_greedy_completions_take_the_likeliest_token_up_to_the_context_length(network, generator, most):
    assert generator.complete(PROMPTS, SamplingParams(most)) == [[greedy(network, prompt, most)] for prompt in PROMPTS]


def test_a_completion_depends_on_its_own_seed_only(generator, monkeypatch):
    params = SamplingParams(9, temperature=1.3, samples=4)
    prompts = [list(prompt.encode()) for prompt in PROMPTS]
    seeds, limits = [5, 6, 7, 8, 9], [9, 0, 3, 1, 9]
    together = generator.extend(prompts, params, seeds, limits)
    alone = [
        generator.extend([prompt], params, [seed], [limit])[0]
        for prompt, seed, limit in zip(prompts, seeds, limits, strict=True)
    ]
    assert together == alone
    assert together[1] == [([], "", False)] * 4
    assert all(len(ids) <= limit for each, limit in zip(together, limits, strict=True) for ids, _, _ in each)
    monkeypatch.setattr("textbookgen.training.generation.MAX_BATCH_TOKENS", 30)  # samples that do not fit into one batch
    assert generator.extend(prompts, params, seeds, limits) == together


def test_samples_follow_the_probabilities_of_the_network(network, generator):
    said = [ids[0] for ids, _, _ in generator.extend([[ord("a")]], SamplingParams(1, 1.0, samples=4_000), [0], [1])[0]]
    for token in (ord("b"), ord(" "), END):
        share = said.count(token) / 4_000
        assert share == pytest.approx(float(network.table[ord("a"), token]), abs=0.03)


def test_a_completion_says_whether_it_ended_before_the_maximum(generator):
    for ids, text, ended in generator.extend([[ord("a")]], SamplingParams(6, 1.0, samples=40), [1], [6])[0]:
        assert ended == (ids[-1] == END)
        assert text == ByteTokenizer().decode(ids)
    for ids, text, ended in generator.extend([[ord("a")]], SamplingParams(6, 1.0, samples=40, stop=("b",)), [1], [6])[0]:
        assert "b" not in text
        assert ended == (ids[-1] in (END, ord("b")))


def test_scores_are_summed_log_probabilities(network, generator):
    pairs = [("a", " dog"), ("", "once a cat" * 5), ("x" * 40, "ab"), ("ab", "")]
    each = generator.logprobs([(list(before.encode()), list(after.encode())) for before, after in pairs])
    for (before, after), logprobs, (total, tokens, likeliest) in zip(pairs, each, generator.score(pairs), strict=True):
        ids = [END, *before.encode(), *after.encode()]
        steps = list(zip(ids[-len(after) - 1 :], ids[-len(after) :], strict=False)) if after else []
        assert logprobs == pytest.approx([math.log(network.table[step]) for step in steps])
        assert (total, tokens) == (pytest.approx(sum(logprobs)), len(after))
        assert likeliest == all(network.table[before].argmax() == after for before, after in steps)


def test_a_served_network_answers_by_ids_and_by_texts(generator):
    model = TokenModelClient([sys.executable, str(Path(__file__).with_name("bigrams.py")), *TEXTS], Path("bigrams"))
    assert isinstance(model, TokenModel)
    with closing(model):
        assert model.complete(PROMPTS, max_tokens=5) == generator.complete(PROMPTS, SamplingParams(5))
        drawn = model.complete(PROMPTS, max_tokens=5, temperature=0.8, samples=2, seed=3)
        assert drawn == generator.complete(PROMPTS, SamplingParams(5, 0.8, samples=2, seed=3))
        [score] = model.score([("a", " dog")])
        assert (score.logprob, score.tokens, score.greedy) == generator.score([("a", " dog")])[0]
        prompts = model.encode(["a", [Message("user", "on"), Message("assistant", "ce")]])
        assert prompts == [[97], list(b"on\n\nce")]
        said = model.extend(prompts, max_tokens=[3, 5], seeds=[1, 2], samples=2)
        expected = generator.extend(prompts, SamplingParams(5, 1.0, samples=2), [1, 2], [3, 5])
        assert said == [[Continuation(tuple(ids), text, ended) for ids, text, ended in each] for each in expected]
        assert model.decode([[*b"ab", END]]) == ["ab"]
        assert model.logprobs([([97], [98])]) == [generator.logprobs([([97], [98])])[0]]


def test_batches_hold_items_of_similar_size_up_to_the_maximum():
    assert list(batch_by_size([5, 1, 5, 2, 9], 10)) == [[1, 3], [0, 2], [4]]
    assert list(batch_by_size([5, 5], 10, samples=2)) == [[0], [1]]
    assert list(batch_by_size([50], 10)) == [[0]]
    assert list(batch_by_size([], 10)) == []


@pytest.mark.parametrize(("before", "after"), [(1, 5), (3, 0), (1, 40), (30, 12)])
def test_scoring_windows_score_each_id_once_and_in_order(before, after):
    ids = list(range(before + after))
    read = list(scoring_windows(ids[:before], ids[before:], 8))
    assert [each for piece, count in read for each in piece[len(piece) - count :]] == ids[before:]
    assert all(0 < count < len(piece) <= 9 for piece, count in read), "the last id is not read"


def test_a_long_first_text_loses_its_beginning_only():
    assert list(scoring_windows(list(range(30)), [30, 31], 8)) == [(list(range(23, 32)), 2)]
    assert list(scoring_windows([0], list(range(1, 13)), 8)) == [(list(range(9)), 8), (list(range(4, 13)), 4)]


def test_texts_are_encoded_together_and_white_space_belongs_to_the_second(generator):
    [(alone, tokens, _)] = generator.score([("once a", " cat")])
    assert (alone, tokens) == generator.score([("once a ", "cat")])[0][:2]
    assert tokens == 4
    [ids] = generator.codec.encode(["once a cat"])
    assert alone == pytest.approx(sum(generator.logprobs([(ids[:6], ids[6:])])[0]))


def test_the_start_of_a_document_can_be_left_out(network, generator):
    [(whole, _, _)] = generator.score([("", "a")])
    assert generator.score([("", "a")], document_start=False)[0][0] == whole, "something has to precede the first token"
    assert whole == pytest.approx(math.log(network.table[END, ord("a")]))
    started = BatchGenerator(network, replace(generator.codec, start_ids=(ord("o"),)))
    assert started.score([("", "a")], document_start=False)[0][0] == pytest.approx(math.log(network.table[ord("o"), ord("a")]))
    assert generator.logprobs([([97, 98], [99])], document_start=False) == generator.logprobs([([97, 98], [99])])
    plain = SamplingParams(3, document_start=False)
    assert generator.complete(["once"], plain) == generator.complete(["once"], SamplingParams(3))


def test_windows_that_differ_in_their_last_id_are_read_once():
    windows = [([1, 2, 3], 1), ([1, 2, 4], 1), ([1, 5, 3], 2)]
    assert distinct_inputs(windows) == ([[1, 2], [1, 5]], [0, 0, 1])
