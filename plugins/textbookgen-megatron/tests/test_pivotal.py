"""Pivotal token search: the search itself on a toy model, the stage, packing of its pairs, and training on them."""

from __future__ import annotations

import json
import math
import random
from contextlib import closing
from dataclasses import dataclass, field
from typing import ClassVar

import polars as pl
import pytest
from textbookgen_megatron import open_model
from textbookgen_megatron.backend.data import PairSamples
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.pivotal.oracles import AnswerOracle, FilterOracle
from textbookgen_megatron.pivotal.search import (
    PivotalSearch,
    Response,
    Rollout,
    RolloutRequest,
    SearchSettings,
    bisect_surprisal,
)
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.pivotal_tokens import COLUMNS, PivotalTokens
from textbookgen_megatron.stages.pretrain import Pretrain

from textbookgen.api.artifacts import Checkpoint, Pairs, Part
from textbookgen.api.errors import RunError
from textbookgen.api.model import Continuation, TokenModel
from textbookgen.api.stage import Filter, StageInputs
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.testing import documents as rows_of
from textbookgen.testing import write_documents
from textbookgen.training.shards import PackedShards

from .conftest import documents, pack

LENGTH, END = 24, 256


class ToyModel:
    """A TokenModel that writes random letters a and b; a completion is correct if a certain letter is an a.

    Questions end with a question mark.
    """

    def __init__(self, place=13, length=LENGTH, chance=0.5):
        self.place, self.length, self.chance = place, length, chance
        self.rollouts, self.calls = 0, 0

    def is_correct(self, text):
        return text[self.place : self.place + 1] == "a"

    def sample(self, prefix, rng):
        letters = [97 if rng.random() < self.chance else 98 for _ in range(self.length - len(prefix))]
        return (*letters, END)

    def encode(self, prompts):
        return [list((prompt if isinstance(prompt, str) else prompt[-1].content).encode()) for prompt in prompts]

    def decode(self, tokens):
        return [bytes(token for token in row if token < 256).decode() for row in tokens]

    def extend(self, prefixes, *, max_tokens, seeds, temperature=1.0, stop=(), samples=1):
        self.calls += 1
        self.rollouts += samples * len(prefixes)
        continuations = []
        for prefix, limit, seed in zip(prefixes, max_tokens, seeds, strict=True):
            completion, rng = prefix[list(prefix).index(63) + 1 :], random.Random(seed)
            sampled = [self.sample(completion, rng)[:limit] for _ in range(samples)]
            continuations.append([Continuation(ids, self.decode([ids])[0], ids[-1] == END) for ids in sampled])
        return continuations

    def logprobs(self, pairs):
        return [[-math.log(2)] * len(after) for _, after in pairs]

    def complete(self, prompts, **options):
        raise AssertionError("sampled ids must not be tokenized again")

    score = complete

    def close(self):
        pass


def search(model, settings, seed=0):
    """Drive one search as the session does."""
    steps, rng = PivotalSearch(settings).run(), random.Random(seed)
    try:
        request = next(steps)
        while True:
            if isinstance(request, RolloutRequest):
                sampled = [[model.sample(prefix, rng) for _ in range(request.samples)] for prefix in request.prefixes]
                model.rollouts += sum(map(len, sampled))
                rollouts = [
                    [Rollout(ids, model.is_correct(model.decode([prefix + ids])[0])) for ids in of_prefix]
                    for prefix, of_prefix in zip(request.prefixes, sampled, strict=True)
                ]
                request = steps.send(Response(rollouts=rollouts))
            else:
                request = steps.send(Response(logprobs=[-math.log(2)] * len(request.tokens)))
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("place", [0, 1, 7, 13, LENGTH - 1])
def test_exactly_the_decisive_token_is_found(place):
    result = search(ToyModel(place), SearchSettings(samples=200, completions=2))
    assert result.searched == result.pivots == 2
    assert len(result.pairs) == len({pair.prefix for pair in result.pairs}) == (2 if place > 1 else len(result.pairs))
    assert {(len(pair.prefix), pair.chosen, pair.rejected) for pair in result.pairs} == {(place, 97, 98)}
    assert all((pair.p_chosen, pair.p_rejected) == (1, 0) and 0.35 < pair.p_before < 0.65 for pair in result.pairs)


def test_bisection_needs_a_fraction_of_the_rollouts_of_an_exhaustive_search():
    model = ToyModel(length=64)
    result = search(model, SearchSettings(samples=100, completions=1))
    assert result.pivots == 1
    # two ends at each of log2(64) levels, the start, the alternative, and both tokens of the pair again
    assert result.rollouts == model.rollouts <= 100 * (2 * 6 + 1 + 1 + 2)


def test_max_rollouts_is_never_exceeded():
    model = ToyModel()
    result = search(model, SearchSettings(samples=100, completions=4, max_rollouts=450))
    assert result.exhausted
    assert model.rollouts == result.rollouts <= 450


@pytest.mark.parametrize("chance", [0.05, 0.95])
def test_questions_that_are_too_hard_or_too_easy_are_skipped(chance):
    result = search(model := ToyModel(chance=chance), SearchSettings(samples=100))
    assert (result.searched, result.pairs) == (0, [])
    assert model.rollouts == 100


def test_no_pair_is_found_where_no_token_is_decisive():
    class HashModel(ToyModel):
        """Correctness is a hash of the complete text, so it is open until the last letters."""

        def is_correct(self, text):
            return random.Random(text).random() < 0.5

    result = search(HashModel(length=60), SearchSettings(samples=400, completions=2, min_gap=0.3))
    assert all(len(pair.prefix) >= 57 for pair in result.pairs)


def test_confirmation_drops_pairs_that_stood_out_by_chance():
    class RandomModel(ToyModel):
        """Correctness is random, whatever the text."""

        def is_correct(self, text):
            return random.random() < 0.5

    def count_pairs(confirm):
        random.seed(3)
        settings = SearchSettings(samples=8, completions=4, min_gap=0.3, confirm=confirm)
        return sum(len(search(RandomModel(), settings, seed).pairs) for seed in range(30))

    assert count_pairs(confirm=True) < 0.5 * count_pairs(confirm=False)


def test_tokens_are_bisected_at_half_of_their_surprisal():
    assert bisect_surprisal([1, 1, 1, 1]) == 2
    assert bisect_surprisal([8, 1, 1, 1]) == 1
    assert bisect_surprisal([1, 1, 1, 8]) == 3
    assert bisect_surprisal([0, 0, 0, 0]) == 2
    assert bisect_surprisal([0, 3, 0, 3]) == 2


# -- oracles


@pytest.mark.parametrize(
    ("pattern", "answer", "completion", "is_correct"),
    [
        (None, "1 2", "12\n", True),
        (None, "12", "1 3", False),
        (r"= (\d+)", "1 + 2 = 3", "first = 2, then = 3", True),
        (r"= (\d+)", "1 + 2 = 3", "first = 3, then = 2", False),
        (r"\d+", "the answer is 7", "7", True),
        (r"\d+", "seven", "seven", False),  # a completion without a match is incorrect, even if it equals the answer
        (r"= (\d+)", "7", "it is = 7", True),  # an answer without a match is compared as a whole
    ],
)
def test_an_answer_oracle_compares_without_space_or_by_the_last_match(pattern, answer, completion, is_correct):
    assert AnswerOracle("answer", pattern).grade([({"answer": answer}, completion)]) == [is_correct]


def test_a_filter_that_drops_a_verdict_is_an_error():
    class Forgetful(Filter):
        name = "forgetful"

        def decide(self, docs):
            return docs.select("id", keep=pl.lit(True), reason=pl.lit(None, pl.String)).head(1)

    oracle = FilterOracle(Forgetful.model_validate({"from": "x"}), "text", False, {"id": pl.String(), "text": pl.String()})
    row = {"id": "one", "text": "Q?"}
    assert oracle.grade([(row, "a"), (row, "a")]) == [True, True]
    with pytest.raises(RunError, match="exactly one verdict"):
        oracle.grade([(row, "a"), (row, "b")])


# -- the stage


@dataclass
class Resolver:
    """Resolves any checkpoint to one model, and filters by name."""

    model_of_all: object
    filters: dict[str, Filter] = field(default_factory=dict)

    def model(self, checkpoint):
        return self.model_of_all

    def filter(self, use):
        return self.filters[use if isinstance(use, str) else use["use"]]


class DecisiveLetter(Filter):
    """Keeps completions with an a in the decisive place."""

    name = "decisive-letter"
    seen: ClassVar[list[str]] = []

    def decide(self, docs):
        self.seen.extend(docs["text"])
        keep = [text.partition("?")[2][13:14] == "a" for text in docs["text"]]
        return docs.select(
            "id", keep=pl.Series(keep), reason=pl.Series([None if kept else "no" for kept in keep], dtype=pl.String)
        )


def questions(folder, count=5):
    return write_documents(folder, rows_of([f"Q{n}?" for n in range(count)], solution=["a"] * count))


def run_stage(folder, model, table=None, **options):
    """Return the rows and the note of the stage."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint.json").write_text(json.dumps({"tokenizer": {"digest": ByteTokenizer().digest}}))
    options = {"oracle": "decisive-letter", "samples": 100, "min_gap": 0.3, **options}
    stage = PivotalTokens.model_validate({"from": "questions", "checkpoint": "model", **options})
    inputs = {"from": {"questions": table or questions(folder)}, "checkpoint": {"model": Checkpoint(folder)}}
    resolver = Resolver(model, {"decisive-letter": DecisiveLetter.model_validate({"from": "x"})})
    frames = list(stage.stream(StageInputs(inputs, folder / "own", resolver)))
    return pl.concat(frames) if frames else pl.DataFrame(), next(iter(stage.notes()))


def test_the_stage_yields_pairs_with_the_sampled_ids(tmp_path):
    assert isinstance(ToyModel(), TokenModel)
    rows, note = run_stage(tmp_path, ToyModel())
    assert len(rows) == 10
    assert {name: rows.schema[name] for name in COLUMNS} == COLUMNS
    assert rows["id"].n_unique() == len(rows)
    for row in rows.iter_rows(named=True):
        prompt_text = bytes(row["megatron.prompt_ids"]).decode()
        question, prefix = row["prompt"]
        assert prompt_text == question["content"] + prefix["content"]
        assert len(prefix["content"]) == 13
        assert (row["chosen"], row["rejected"]) == (
            [{"role": "assistant", "content": "a"}],
            [{"role": "assistant", "content": "b"}],
        )
        assert (row["megatron.chosen_ids"], row["megatron.rejected_ids"]) == ([97], [98])
    assert note.startswith(
        "5 of 5 questions have a success rate of 20% to 80%; 10 pivotal tokens in 10 completions gave 10 pairs, from"
    )


def test_results_do_not_depend_on_concurrency(tmp_path):
    alone, _ = run_stage(tmp_path / "one", ToyModel(), concurrency=1)
    together, _ = run_stage(tmp_path / "all", ToyModel(), concurrency=5)
    assert alone.equals(together)
    other, _ = run_stage(tmp_path / "other", ToyModel(), seed=1)
    assert not other["id"].equals(alone["id"])


def test_requests_of_concurrent_questions_are_batched(tmp_path):
    one, five = ToyModel(), ToyModel()
    run_stage(tmp_path / "one", one, concurrency=1)
    run_stage(tmp_path / "all", five, concurrency=5)
    assert five.rollouts == one.rollouts
    assert five.calls < one.calls / 3


def test_a_killed_run_resumes_with_unfinished_questions(tmp_path):
    class KilledModel(ToyModel):
        def extend(self, *args, **options):
            if self.calls == 30:
                raise KeyboardInterrupt
            return super().extend(*args, **options)

    complete, note = run_stage(tmp_path / "complete", model := ToyModel(), concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        run_stage(tmp_path / "killed", killed := KilledModel(), concurrency=1)
    journal = tmp_path / "killed" / "own" / "searched.jsonl"
    with journal.open("a") as file:
        file.write('{"id": "incomplete')
    rows, resumed_note = run_stage(tmp_path / "killed", resumed := ToyModel(), concurrency=1)
    assert rows.equals(complete)
    assert resumed_note == note
    assert resumed.rollouts < model.rollouts
    assert killed.rollouts + resumed.rollouts - model.rollouts < model.rollouts / 4  # at most one question of five twice


def test_completions_are_compared_by_the_last_match_of_the_pattern(tmp_path):
    rows, _ = run_stage(tmp_path, ToyModel(), oracle=None, answer="solution", answer_pattern="^.{13}(.)", samples=50)
    assert set(rows["megatron.prompt_ids"].list.len()) == {3 + 13}
    rows, _ = run_stage(tmp_path / "last", ToyModel(), oracle=None, answer="solution", answer_pattern="[ab]", samples=50)
    assert set(rows["megatron.prompt_ids"].list.len()) == {3 + LENGTH - 1}


@pytest.mark.parametrize("oracle_input", ["both", "completion"])
def test_a_filter_sees_equal_completions_once(tmp_path, oracle_input):
    DecisiveLetter.seen.clear()
    model = ToyModel(length=3, place=1)
    options = {"samples": 300, "concurrency": 1, "oracle_input": oracle_input, "completions": 1}
    run_stage(tmp_path, model, questions(tmp_path, 1), **options)
    assert len(DecisiveLetter.seen) <= 8 * model.calls < model.rollouts / 5  # there are eight texts of three letters
    assert all(text.startswith("Q0?") == (oracle_input == "both") for text in DecisiveLetter.seen)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"prompt": "nowhere"}, "the documents have no column 'nowhere'"),
        ({"oracle": None, "answer": "gone"}, "the documents have no column 'gone'"),
    ],
)
def test_a_missing_column_is_reported(tmp_path, options, problem):
    with pytest.raises(RunError, match=problem):
        run_stage(tmp_path, ToyModel(), **options)


def test_a_model_without_token_ids_is_rejected(tmp_path):
    class TextModel:
        def close(self):
            pass

    with pytest.raises(RunError, match="does not support prompts of token ids"):
        run_stage(tmp_path, TextModel())


def test_incompatible_options_are_reported():
    def places(**options):
        stage = PivotalTokens.model_validate({"from": "questions", "checkpoint": "model", **options})
        return [diagnostic.place for diagnostic in stage.check()]

    assert places() == places(answer="a", oracle="sandbox/tests-pass") == ["answer"]
    assert places(answer="a", min_rate=0.9) == ["min_rate"]
    assert places(answer="a", answer_pattern="(") == ["answer_pattern"]
    assert places(answer="a", samples=64, max_rollouts=10) == ["max_rollouts"]
    assert places(answer="a") == []


# -- packing


def pairs_with_ids(folder, digest):
    rows = {
        "id": ["one", "two"],
        "prompt": [[{"role": "user", "content": "How?"}, {"role": "assistant", "content": "It is "}]] * 2,
        "chosen": [[{"role": "assistant", "content": "so"}]] * 2,
        "rejected": [[{"role": "assistant", "content": "no"}]] * 2,
        "megatron.prompt_ids": [[72, 111], None],
        "megatron.chosen_ids": [[1], None],
        "megatron.rejected_ids": [[2], None],
        "megatron.tokenizer": [digest, None],
    }
    pl.DataFrame(
        rows, schema={"id": pl.String(), **Pairs.content, **{k: v for k, v in COLUMNS.items() if k in rows}}
    ).write_parquet(folder / "pairs.parquet")
    return Pairs((Part(folder / "pairs.parquet"),))


def loss_tokens(shards):
    with process_groups():
        source = PairSamples(PackedShards.read(shards), "train")
        samples = [source.pair(n) for n in range(len(source))]
    return [
        [
            (row[mask > 0].tolist(), int((tokens != 256).sum()))
            for tokens, row, mask in zip(sample["tokens"], sample["labels"], sample["loss_mask"], strict=True)
        ]
        for sample in samples
    ]


def test_pairs_are_packed_with_their_sampled_ids(tmp_path):
    shards = pack(tmp_path, pairs_with_ids(tmp_path, ByteTokenizer().digest), validation_share=0)
    with_ids, without_ids = loss_tokens(shards)
    assert [ids for ids, _ in with_ids] == [[1], [2]]
    assert [ids for ids, _ in without_ids] == [list(b"so"), list(b"no")]
    assert PackedShards.read(shards).chat is not None


def test_ids_of_another_tokenizer_are_ignored(tmp_path):
    shards = pack(tmp_path, pairs_with_ids(tmp_path, "another"), validation_share=0)
    assert [[ids for ids, _ in pair] for pair in loss_tokens(shards)] == [[list(b"so"), list(b"no")]] * 2


# -- on a trained model


def sums_of_two_kinds(count=2_400):
    """Sums that are correct after `A`, and random after `B`."""
    rng = random.Random(0)
    texts = []
    for _ in range(count):
        one, other = rng.randint(0, 4), rng.randint(0, 4)
        kind = rng.choice("AB")
        texts.append(f"{one}+{other}={kind}{one + other if kind == 'A' else rng.randint(0, 9)}")
    return texts


def rate(folder, prompts, answers, samples=40):
    """The share of completions that tell the sum right."""
    with closing(open_model(folder)) as model:
        completions = model.complete(prompts, max_tokens=6, temperature=1.0, samples=samples, seed=5)
    correct = [text[1:] == answer for texts, answer in zip(completions, answers, strict=True) for text in texts]
    return sum(correct) / len(correct)


@pytest.mark.slow
def test_a_model_learns_from_its_own_pivotal_tokens(context, tmp_path):
    shards = pack(tmp_path, documents(tmp_path, sums_of_two_kinds()), sequence_length=16, validation_share=0.02)
    shape = {"architecture": "llama", "layers": 2, "hidden": 64, "heads": 4, "threads": 1, "dropout": 0.0}
    tokens = int(PackedShards.read(shards).counts("train").tokens) * 8
    pretrain = Pretrain(shards="shards", **shape, batch_size=32, learning_rate=4e-3, tokens=tokens)
    context.run("talker", pretrain, shards=shards)
    talker = context.folder / "talker"
    prompts = [f"{one}+{other}=" for one in range(5) for other in range(5)]
    answers = [str(one + other) for one in range(5) for other in range(5)]
    table = write_documents(tmp_path, rows_of(prompts, answer=answers))
    stage = PivotalTokens.model_validate(
        {
            "from": "questions",
            "checkpoint": "model",
            "answer": "answer",
            "answer_pattern": r"^[AB](\d)$",
            "samples": 64,
            "max_tokens": 6,
        }
    )

    class OpenModels:
        def model(self, checkpoint):
            return open_model(checkpoint)

    inputs = {"from": {"questions": table}, "checkpoint": {"model": Checkpoint(talker)}}
    rows = pl.concat(stage.stream(StageInputs(inputs, tmp_path / "own", OpenModels())))
    first = rows.filter(pl.col("megatron.prompt_ids").list.len() == 4)
    assert len(first) >= 10  # for nearly every question, whether to begin with A or B
    assert set(first["megatron.chosen_ids"].list.first()) == {ord("A")}
    rows.write_parquet(tmp_path / "pairs.parquet")
    pairs = pack(tmp_path, Pairs((Part(tmp_path / "pairs.parquet"),)), sequence_length=16, validation_share=0)
    assert PackedShards.read(pairs).chat is None
    tune = Dpo(shards="pairs", checkpoint="talker", epochs=20, batch_size=8, learning_rate=2e-4, loss="nca_pair", threads=1)
    context.run("tuned", tune, shards=pairs, checkpoint=talker)
    before, after = rate(talker, prompts, answers), rate(context.folder / "tuned", prompts, answers)
    print(f"correct before {before:.3f}, after {after:.3f}; {len(rows)} pairs")
    assert 0.35 < before < 0.65
    assert after > before + 0.05
