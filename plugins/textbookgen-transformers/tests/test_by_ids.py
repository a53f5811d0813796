"""Models by token ids: both trainers answer alike, and what needs ids works with both."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from types import SimpleNamespace

import polars as pl
import pytest
import textbookgen_megatron
import textbookgen_transformers
import torch
from textbookgen_megatron.backend import weights
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.serving import server as megatron
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.pivotal_tokens import PivotalTokens
from textbookgen_transformers.serving import server as transformers
from textbookgen_transformers.stages.pretrain import Pretrain
from textbookgen_transformers.weight_files import weights_digest
from tokenizers import Tokenizer

from textbookgen.api.artifacts import Chats, Checkpoint, Pairs, Part
from textbookgen.api.cards import CausalLMCard, ChatTemplateCard, TokenizerCard
from textbookgen.api.message import Message
from textbookgen.api.model import TokenModel
from textbookgen.api.stage import StageInputs
from textbookgen.api.teacher import Request
from textbookgen.builtin.stages.chat_eval import ChatEval
from textbookgen.builtin.teachers.checkpoint import CheckpointTeacher
from textbookgen.builtin.tokenizers import FileTokenizer
from textbookgen.testing import documents as rows_of
from textbookgen.testing import write_documents
from textbookgen.training import sampled_ids as sampled
from textbookgen.training.chat_template import TEMPLATES
from textbookgen.training.sampling import SamplingParams
from textbookgen.training.shards import PackedShards

from .conftest import card, documents, pack

SHAPE = Shape("llama", layers=2, hidden=48, heads=6, kv_heads=2, ffn=80, vocabulary=260, sequence_length=48)
HEADS = [[79, 110], [97], [], list(b"There was a small dog"), list(b"x" * 30)]
TRAINERS = {"megatron": textbookgen_megatron.open_model, "transformers": textbookgen_transformers.open_model}


@pytest.fixture(scope="module")
def exported(context, tmp_path_factory):
    """A model of random weights with a chat template, whose control tokens are single ids, exported for transformers."""
    folder = tmp_path_factory.mktemp("drawn")
    with process_groups():
        draw = torch.Generator().manual_seed(5)
        whole = weights.gather(build_model(SHAPE), SHAPE)
        weights.write({name: each + 0.3 * torch.randn(each.shape, generator=draw) for name, each in whole.items()}, folder)
    made = CausalLMCard(
        format="megatron",
        shape=SHAPE.card(),
        weights=weights.FILE,
        weights_digest=weights_digest(folder),
        eod=256,
        tokenizer=TokenizerCard(name="bytes", digest="bytes"),
    )
    made.write(folder)
    bytes_only = context.export("bytes-only", folder) / "tokenizer.json"
    opened = Tokenizer.from_file(str(bytes_only))
    opened.add_special_tokens(["<|user|>", "<|assistant|>", "<|end|>"])
    opened.save(str(folder / "tokenizer.json"))
    file = FileTokenizer(folder / "tokenizer.json")
    changes = {
        "tokenizer": TokenizerCard(name=file.name, digest=file.digest, file="tokenizer.json"),
        "chat": ChatTemplateCard(name="phi-3", template=TEMPLATES["phi-3"]),
    }
    made.model_copy(update=changes).write(folder)
    return context.export("talks", folder)


@pytest.fixture(params=["megatron", "transformers"])
def generator(request, exported):
    return {"megatron": megatron, "transformers": transformers}[request.param].open_generator(exported)


def test_a_continuation_depends_on_its_own_seed_only(generator, monkeypatch):
    params, seeds, limits = SamplingParams(20, temperature=1.0, samples=3), [7, 8, 9, 10, 11], [20, 5, 12, 1, 20]
    together = generator.extend(HEADS, params, seeds, limits)
    alone = [generator.extend([head], params, [seeds[at]], [limits[at]])[0] for at, head in enumerate(HEADS)]
    assert together == alone
    assert generator.extend(HEADS, params, [1, 2, 3, 4, 5], limits) != together
    assert all(len(ids) <= limit for each, limit in zip(together, limits, strict=True) for ids, _, _ in each)
    monkeypatch.setattr("textbookgen.training.generation.MAX_BATCH_TOKENS", 90)  # samples that do not fit into one batch
    assert generator.extend(HEADS, params, seeds, limits) == together


def test_extending_equals_completing_and_log_probabilities_sum_to_the_score(generator):
    prompts = [bytes(head).decode() for head in HEADS]
    texts = generator.complete(prompts, SamplingParams(12))
    by_ids = generator.extend(HEADS, SamplingParams(12), [0] * len(HEADS), [12] * len(HEADS))
    assert [each[0][1] for each in by_ids] == [text for [text] in texts]
    pairs = [("Once", " there was a dog"), ("", "a" * 60), ("x" * 40, "yz")]
    each = generator.logprobs([(list(before.encode()), list(after.encode())) for before, after in pairs])
    assert [len(one) for one in each] == [16, 60, 2]
    assert [sum(one) for one in each] == pytest.approx([total for total, _, _ in generator.score(pairs)], abs=1e-9)


def test_parity_of_samples_and_log_probabilities_of_both_trainers(exported):
    one, other = megatron.open_generator(exported), transformers.open_generator(exported)
    for params in (SamplingParams(20), SamplingParams(20, temperature=1.0, samples=4)):
        args = HEADS, params, [7, 8, 9, 10, 11], [20, 5, 12, 1, 20]
        assert one.extend(*args) == other.extend(*args)
    pairs = [(list(b"Once"), list(b" there was a dog")), ([], list(b"a" * 60))]
    for mine, theirs in zip(one.logprobs(pairs), other.logprobs(pairs), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_a_served_model_uses_its_own_chat_template(exported, trainer):
    user, assistant, end = 257, 258, 259
    with closing(TRAINERS[trainer](exported)) as model:
        assert isinstance(model, TokenModel)
        [asked, text] = model.encode([[Message("user", "Hi <|end|>")], "plain <|end|>"])
        assert asked == [user, 10, *b"Hi <|end|>", end, 10, assistant, 10]
        assert text == list(b"plain <|end|>")
        [said] = model.extend([asked], max_tokens=25, seeds=[4], samples=40, temperature=1.5)
        assert {each.ids[-1] for each in said if each.ended} == {256, end}
        assert all(each.text == model.decode([each.ids])[0] for each in said)
        [greedy] = model.extend([text], max_tokens=6, seeds=[0], temperature=0, samples=2)
        assert [each.text for each in greedy] == model.complete(["plain <|end|>"], max_tokens=6)[0] * 2


def test_chat_eval_answers_and_scores_by_ids(exported, tmp_path):
    turns = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Tom."}]
    frame = pl.DataFrame({"id": ["1"], "messages": [turns]}, schema={"id": pl.String, **Chats.content})
    frame.write_parquet(tmp_path / "part.parquet")
    inputs = {"from": {"it": Checkpoint(exported)}, "conversations": {"talks": Chats((Part(tmp_path / "part.parquet"),))}}
    stage = ChatEval.model_validate({"from": "it", "conversations": "talks", "max_tokens": 8})
    resolver = SimpleNamespace(model=textbookgen_transformers.open_model)
    figures = stage.evaluate(StageInputs(inputs, tmp_path, resolver), tmp_path)
    scores = dict(zip(figures["metric"], figures["value"], strict=True))
    assert scores["finished replies"] in (0, 1)  # which only ids tell
    with closing(textbookgen_transformers.open_model(exported)) as model:
        [asked] = model.encode([[Message("user", "Who?")]])
        bits = -sum(model.logprobs([(asked, list(b"Tom."))])[0]) / 4 / torch.log(torch.tensor(2.0)).item()
    assert scores["answer bits per byte"] == pytest.approx(bits, rel=1e-5)


def test_as_a_teacher_it_reports_how_a_reply_ended(exported):
    teacher = CheckpointTeacher(checkpoint=str(exported), max_tokens=5, temperature=1.0)
    teacher.prepare({}, textbookgen_transformers.open_model)

    async def asked(texts):
        replies = await asyncio.gather(*(teacher.complete(Request((Message("user", text),))) for text in texts))
        await teacher.close()
        return replies

    together = asyncio.run(asked(["one", "two", "three"]))
    assert together[1:] == asyncio.run(asked(["two", "three"]))
    assert all((reply.finish == "length") <= (reply.tokens_out == 5) for reply in together)
    assert [reply.tokens_in for reply in together] == [9, 9, 11]  # six of the template


def two_ways(count):
    """Sums that are right after `A`, and random after `B`."""
    draw = random.Random(0)
    for _ in range(count):
        one, other, way = draw.randint(0, 2), draw.randint(0, 2), draw.choice("AB")
        yield f"{one}+{other}={way}{one + other if way == 'A' else draw.randint(0, 9)}"


@pytest.mark.slow
def test_pivotal_tokens_of_a_transformers_model(context, tmp_path):
    shards = pack(tmp_path, documents(tmp_path, list(two_ways(1_600))), sequence_length=16, validation_share=0)
    shape = {"architecture": "llama", "layers": 2, "hidden": 64, "heads": 4, "threads": 1, "dropout": 0.0}
    tokens = PackedShards.read(shards).counts("train").tokens * 6
    context.here("talker", Pretrain(shards="s", **shape, batch_size=32, learning_rate=4e-3, tokens=tokens), shards=shards)
    talker = context.folder / "talker"
    sums = [(one, other) for one in range(3) for other in range(3)]
    table = write_documents(tmp_path, rows_of([f"{a}+{b}=" for a, b in sums], answer=[str(a + b) for a, b in sums]))
    options = {"answer": "answer", "answer_pattern": r"^[AB](\d)$", "samples": 64, "max_tokens": 6}
    stage = PivotalTokens.model_validate({"from": "questions", "checkpoint": "model", **options})
    inputs = {"from": {"questions": table}, "checkpoint": {"model": Checkpoint(talker)}}
    resolver = SimpleNamespace(model=textbookgen_transformers.open_model)
    rows = pl.concat(stage.stream(StageInputs(inputs, tmp_path / "own", resolver)))
    first = rows.filter(pl.col(sampled.PROMPT).list.len() == 4)
    assert len(first) >= 4  # of most questions, whether to say A or B
    assert set(first[sampled.CHOSEN].list.first()) == {ord("A")}
    assert set(rows[sampled.TOKENIZER]) == {card(talker)["tokenizer"]["digest"]}
    rows.write_parquet(tmp_path / "pairs.parquet")
    pairs = pack(tmp_path, Pairs((Part(tmp_path / "pairs.parquet"),)), sequence_length=16, validation_share=0)
    assert PackedShards.read(pairs).chat is None  # packed by the ids that were sampled
