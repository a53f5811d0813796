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
from textbookgen_megatron.backend.data import ReplyPairs
from textbookgen_megatron.backend.device import process_groups
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


class Toy:
    """Writes so many letters a or b, each as likely; what decides is the letter at one place."""

    def __init__(self, place=13, length=LENGTH, chance=0.5):
        self.place, self.length, self.chance = place, length, chance
        self.rollouts, self.calls = 0, 0

    def right(self, text):
        return text[self.place : self.place + 1] == "a"

    def goes_on(self, prefix, draws):
        letters = [97 if draws.random() < self.chance else 98 for _ in range(self.length - len(prefix))]
        return (*letters, END)

    # -- as a TokenModel, of which questions end with "?"

    def encode(self, prompts):
        return [list((p if isinstance(p, str) else p[-1].content).encode()) for p in prompts]

    def decode(self, tokens):
        return [bytes(each for each in row if each < 256).decode() for row in tokens]

    def extend(self, prefixes, *, max_tokens, seeds, temperature=1.0, stop=(), samples=1):
        self.calls += 1
        self.rollouts += samples * len(prefixes)
        written = []
        for prefix, room, seed in zip(prefixes, max_tokens, seeds, strict=True):
            said, draws = prefix[list(prefix).index(63) + 1 :], random.Random(seed)
            each = [self.goes_on(said, draws)[:room] for _ in range(samples)]
            written.append([Continuation(ids, self.decode([ids])[0], ids[-1] == END) for ids in each])
        return write_documents

    def logprobs(self, pairs):
        return [[-math.log(2)] * len(after) for _, after in pairs]

    def complete(self, prompts, **wish):
        raise AssertionError("nothing is to be tokenised again")

    score = complete

    def close(self):
        pass


def searched(toy, rules, seed=0):
    """Drives one search as the stage does."""
    search, draws = PivotalSearch(settings), random.Random(seed)
    client = search.run()
    try:
        wants = next(client)
        while True:
            if isinstance(wants, RolloutRequest):
                drawn = [[toy.goes_on(prefix, draws) for _ in range(wants.samples)] for prefix in wants.prefixes]
                toy.rollouts += sum(map(len, drawn))
                told = [
                    [Rollout(each, toy.right(toy.decode([prefix + each])[0])) for each in several]
                    for prefix, several in zip(wants.prefixes, drawn, strict=True)
                ]
                wants = client.send(Response(rollouts=told))
            else:
                wants = client.send(Response(logprobs=[-math.log(2)] * len(wants.tokens)))
    except StopIteration as end:
        return end.value


@pytest.mark.parametrize("place", [0, 1, 7, 13, LENGTH - 1])
def test_the_one_token_that_decides_is_found_and_no_other(place):
    toy = Toy(place)
    found = searched(toy, SearchSettings(samples=200, completions=2))
    assert found.searched == found.pivots == 2
    assert len(found.pairs) == len({pair.prefix for pair in found.pairs}) == (2 if place > 1 else len(found.pairs))
    assert {(len(pair.prefix), pair.chosen, pair.rejected) for pair in found.pairs} == {(place, 97, 98)}
    assert all((pair.p_chosen, pair.p_rejected) == (1, 0) and 0.35 < pair.p_before < 0.65 for pair in found.pairs)


def test_halving_takes_a_fraction_of_the_samples_that_trying_every_place_would():
    toy = Toy(length=64)
    found = searched(toy, SearchSettings(samples=100, completions=1))
    assert found.pivots == 1
    # two ends at each of log2(64) halvings, the start, the other token, and both tokens once more
    assert found.rollouts == toy.rollouts <= 100 * (2 * 6 + 1 + 1 + 2)


def test_rollouts_are_never_more_than_allowed():
    toy = Toy()
    found = searched(toy, SearchSettings(samples=100, completions=4, max_rollouts=450))
    assert found.spent
    assert toy.rollouts == found.rollouts <= 450


@pytest.mark.parametrize("chance", [0.05, 0.95])
def test_questions_that_are_too_hard_or_too_easy_are_left_alone(chance):
    found = searched(toy := Toy(chance=chance), SearchSettings(samples=100))
    assert (found.searched, found.pairs) == (0, [])
    assert toy.rollouts == 100


def test_where_nothing_decides_nothing_is_found():
    class Coin(Toy):
        """Whether it is right is drawn at the end, when nothing is written any more that could have decided it."""

        def right(self, text):
            return self.place_after(text) < 0.5

        def place_after(self, text):
            return random.Random(text).random()

    found = searched(Coin(length=60), SearchSettings(samples=400, completions=2, min_gap=0.3))
    # only the last letter or two can, since the text as a whole is what is drawn by
    assert all(len(pair.prefix) >= 57 for pair in found.pairs)


def test_what_looked_good_by_chance_is_not_kept():
    class Fickle(Toy):
        """Every sample is a coin, whatever is written."""

        def right(self, text):
            return random.random() < 0.5

    def pairs(confirm):
        random.seed(3)
        rules = SearchSettings(samples=8, completions=4, min_gap=0.3, confirm=confirm)
        return sum(len(searched(Fickle(), rules, seed).pairs) for seed in range(30))

    assert pairs(confirm=True) < 0.5 * pairs(confirm=False)


def test_tokens_are_halved_where_half_of_their_surprise_lies_behind():
    assert bisect_surprisal([1, 1, 1, 1]) == 2
    assert bisect_surprisal([8, 1, 1, 1]) == 1
    assert bisect_surprisal([1, 1, 1, 8]) == 3
    assert bisect_surprisal([0, 0, 0, 0]) == 2
    assert bisect_surprisal([0, 3, 0, 3]) == 2


# -- the stage


@dataclass
class Resolver:
    """Doors to one model, and to judges by class."""

    toy: object
    judges: dict[str, Filter] = field(default_factory=dict)

    def model(self, checkpoint):
        return self.toy

    def filter(self, use):
        return self.judges[use if isinstance(use, str) else use["use"]]


class BeginsWell(Filter):
    """Keeps what has an a at the place that decides."""

    name = "begins-well"
    seen: ClassVar[list[str]] = []

    def decide(self, docs):
        self.seen.extend(docs["text"])
        keep = [text.partition("?")[2][13:14] == "a" for text in docs["text"]]
        return docs.select(
            "id", keep=pl.Series(keep), reason=pl.Series([None if each else "no" for each in keep], dtype=pl.String)
        )


def questions(folder, count=5):
    return write_documents(folder, rows_of([f"Q{n}?" for n in range(count)], solution=["a"] * count))


def found_in(folder, toy, table=None, **options):
    """What the stage finds: rows, and what it has to say."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint.json").write_text(json.dumps({"tokenizer": {"digest": ByteTokenizer().digest}}))
    options = {"oracle": "begins-well", "samples": 100, "min_gap": 0.3, **options}
    stage = PivotalTokens.model_validate({"from": "questions", "checkpoint": "model", **options})
    inputs = {"from": {"questions": table or questions(folder)}, "checkpoint": {"model": Checkpoint(folder)}}
    frames = list(
        stage.stream(
            StageInputs(inputs, folder / "own", Resolver(toy, {"begins-well": BeginsWell.model_validate({"from": "x"})}))
        )
    )
    return pl.concat(frames) if frames else pl.DataFrame(), next(iter(stage.notes()))


def test_the_stage_gives_pairs_with_the_ids_that_were_sampled(tmp_path):
    assert isinstance(Toy(), TokenModel)
    rows, note = found_in(tmp_path, Toy())
    assert len(rows) == 10
    assert {name: rows.schema[name] for name in COLUMNS} == COLUMNS
    assert rows["id"].n_unique() == len(rows)
    for row in rows.iter_rows(named=True):
        said = bytes(row["megatron.prompt_ids"]).decode()
        question, begun = row["prompt"]
        assert said == question["content"] + begun["content"]
        assert len(begun["content"]) == 13
        assert (row["chosen"], row["rejected"]) == (
            [{"role": "assistant", "content": "a"}],
            [{"role": "assistant", "content": "b"}],
        )
        assert (row["megatron.chosen_ids"], row["megatron.rejected_ids"]) == ([97], [98])
    assert note.startswith(
        "5 of 5 questions succeed in 20% to 80% of samples; in 10 completions of theirs 10 tokens are pivotal"
    )


def test_what_is_found_does_not_depend_on_what_is_searched_beside_it(tmp_path):
    alone, _ = found_in(tmp_path / "one", Toy(), concurrency=1)
    beside, _ = found_in(tmp_path / "all", Toy(), concurrency=5)
    assert alone.equals(beside)
    other, _ = found_in(tmp_path / "other", Toy(), seed=1)
    assert not other["id"].equals(alone["id"])


def test_questions_side_by_side_are_sampled_together(tmp_path):
    one, five = Toy(), Toy()
    found_in(tmp_path / "one", one, concurrency=1)
    found_in(tmp_path / "all", five, concurrency=5)
    assert five.rollouts == one.rollouts
    assert five.calls < one.calls / 3


def test_a_run_that_was_killed_goes_on_with_what_was_not_done(tmp_path):
    class Killed(Toy):
        def extend(self, *args, **wish):
            if self.calls == 30:
                raise KeyboardInterrupt
            return super().extend(*args, **wish)

    whole, note = found_in(tmp_path / "whole", toy := Toy(), concurrency=1)
    with pytest.raises(KeyboardInterrupt):
        found_in(tmp_path / "killed", killed := Killed(), concurrency=1)
    journal = tmp_path / "killed" / "own" / "searched.jsonl"
    with journal.open("a") as file:
        file.write('{"id": "torn')
    rows, told = found_in(tmp_path / "killed", rest := Toy(), concurrency=1)
    assert rows.equals(whole)
    assert told == note
    assert rest.rollouts < toy.rollouts
    assert killed.rollouts + rest.rollouts - toy.rollouts < toy.rollouts / 4  # at most one question of five twice


def test_an_answer_in_a_column_is_compared_with_what_the_pattern_finds_last(tmp_path):
    rows, _ = found_in(tmp_path, Toy(), oracle=None, answer="solution", answer_pattern="^.{13}(.)", samples=50)
    assert set(rows["megatron.prompt_ids"].list.len()) == {3 + 13}  # the answer itself has no such place, and counts as a whole
    rows, _ = found_in(tmp_path / "last", Toy(), oracle=None, answer="solution", answer_pattern="[ab]", samples=50)
    assert set(rows["megatron.prompt_ids"].list.len()) == {3 + LENGTH - 1}


@pytest.mark.parametrize("reads", ["both", "completion"])
def test_a_judge_reads_each_completion_of_a_round_once(tmp_path, reads):
    BeginsWell.seen.clear()
    toy = Toy(length=3, place=1)
    options = {"samples": 300, "concurrency": 1, "oracle_input": reads, "completions": 1}
    found_in(tmp_path, toy, questions(tmp_path, 1), **options)
    assert len(BeginsWell.seen) <= 8 * toy.calls < toy.rollouts / 5  # there are eight texts of three letters
    assert all(text.startswith("Q0?") == (reads == "both") for text in BeginsWell.seen)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"prompt": "nowhere"}, "no document has a column 'nowhere'"),
        ({"oracle": None, "answer": "gone"}, "no document has a column 'gone'"),
    ],
)
def test_a_column_that_is_missing_is_said(tmp_path, options, problem):
    with pytest.raises(RunError, match=problem):
        found_in(tmp_path, Toy(), **options)


def test_a_model_that_knows_texts_alone_is_refused(tmp_path):
    class Texts:
        def close(self):
            pass

    with pytest.raises(RunError, match="by texts alone"):
        found_in(tmp_path, Texts())


def test_options_that_do_not_go_together_are_complained_of():
    def diagnostics(**options):
        stage = PivotalTokens.model_validate({"from": "questions", "checkpoint": "model", **options})
        return [each.place for each in stage.check()]

    assert diagnostics() == diagnostics(answer="a", oracle="sandbox/tests-pass") == ["answer"]
    assert diagnostics(answer="a", min_rate=0.9) == ["min_rate"]
    assert diagnostics(answer="a", answer_pattern="(") == ["answer_pattern"]
    assert diagnostics(answer="a", samples=64, max_rollouts=10) == ["max_rollouts"]
    assert diagnostics(answer="a") == []


# -- packed


def kept_pairs(folder, digest):
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


def learned(shards):
    with process_groups():
        source = ReplyPairs(PackedShards.read(shards), "train")
        samples = [source.pair(n) for n in range(len(source))]
    return [
        [
            (row[mask > 0].tolist(), int((tokens != 256).sum()))
            for tokens, row, mask in zip(each["tokens"], each["labels"], each["loss_mask"], strict=True)
        ]
        for each in samples
    ]


def test_pairs_are_packed_by_the_ids_they_were_sampled_with(tmp_path):
    shards = pack(tmp_path, kept_pairs(tmp_path, ByteTokenizer().digest), validation_share=0)
    kept, told = learned(shards)
    assert [each[0] for each in kept] == [[1], [2]]
    assert [each[0] for each in told] == [list(b"so"), list(b"no")]
    assert PackedShards.read(shards).chat is not None


def test_ids_of_another_tokenizer_are_not_believed(tmp_path):
    shards = pack(tmp_path, kept_pairs(tmp_path, "another"), validation_share=0)
    assert [[each[0] for each in pair] for pair in learned(shards)] == [[list(b"so"), list(b"no")]] * 2


# -- with a model that was trained


def two_ways(count=2_400):
    """Sums that are told right after `A`, and by chance after `B`."""
    draw = random.Random(0)
    texts = []
    for _ in range(count):
        one, other = draw.randint(0, 4), draw.randint(0, 4)
        way = draw.choice("AB")
        texts.append(f"{one}+{other}={way}{one + other if way == 'A' else draw.randint(0, 9)}")
    return texts


def rate(folder, prompts, answers, samples=40):
    """The share of completions that tell the sum right."""
    with closing(open_model(folder)) as model:
        said = model.complete(prompts, max_tokens=6, temperature=1.0, samples=samples, seed=5)
    right = [text[1:] == answer for texts, answer in zip(said, answers, strict=True) for text in texts]
    return sum(right) / len(right)


@pytest.mark.slow
def test_a_model_learns_from_its_own_pivotal_tokens(context, tmp_path):
    shards = pack(tmp_path, documents(tmp_path, two_ways()), sequence_length=16, validation_share=0.02)
    shape = {"architecture": "llama", "layers": 2, "hidden": 64, "heads": 4, "threads": 1, "dropout": 0.0}
    tokens = int(PackedShards.read(shards).counts("train").tokens) * 8
    stage = Pretrain(shards="shards", **shape, batch_size=32, learning_rate=4e-3, tokens=tokens)
    context.work("talker", stage, shards=shards)
    talker = context.folder / "talker"
    prompts = [f"{one}+{other}=" for one in range(5) for other in range(5)]
    answers = [str(one + other) for one in range(5) for other in range(5)]
    table = write_documents(tmp_path, rows_of(prompts, answer=answers))
    found = PivotalTokens.model_validate(
        {
            "from": "questions",
            "checkpoint": "model",
            "answer": "answer",
            "answer_pattern": r"^[AB](\d)$",
            "samples": 64,
            "max_tokens": 6,
        }
    )

    class Open:
        def model(self, checkpoint):
            return open_model(checkpoint)

    inputs = {"from": {"questions": table}, "checkpoint": {"model": Checkpoint(talker)}}
    rows = pl.concat(found.stream(StageInputs(inputs, tmp_path / "own", Open())))
    first = rows.filter(pl.col("megatron.prompt_ids").list.len() == 4)
    assert len(first) >= 10  # of nearly every question, whether to say A or B
    assert set(first["megatron.chosen_ids"].list.first()) == {ord("A")}
    rows.write_parquet(tmp_path / "pairs.parquet")
    pairs = pack(tmp_path, Pairs((Part(tmp_path / "pairs.parquet"),)), sequence_length=16, validation_share=0)
    assert PackedShards.read(pairs).chat is None
    tune = Dpo(shards="pairs", checkpoint="talker", epochs=20, batch_size=8, learning_rate=2e-4, loss="nca_pair", threads=1)
    context.work("tuned", tune, shards=pairs, checkpoint=talker)
    before, after = rate(talker, prompts, answers), rate(context.folder / "tuned", prompts, answers)
    print(f"right before {before:.3f}, after {after:.3f}; {len(rows)} pairs")
    assert 0.35 < before < 0.65
    assert after > before + 0.05
