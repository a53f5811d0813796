from __future__ import annotations

import pytest
import torch
from textbookgen_megatron.backend import weights
from textbookgen_megatron.backend.data import DocumentSamples, collate
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.backend.objective import token_nll
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

from textbookgen.api.artifacts import Chats, Part
from textbookgen.api.message import Message
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.chat_template import ChatEncoder, ChatTemplate
from textbookgen.training.shards import PackedShards

from .conftest import metrics, pack


def chat_table(folder, chats):
    """A table of chats, as stages write them."""
    import polars as pl

    rows = [[{"role": message.role, "content": message.content} for message in chat] for chat in chats]
    schema = {"id": pl.String(), **Chats.content}
    frame = pl.DataFrame({"id": [f"chat{i}" for i in range(len(chats))], "messages": rows}, schema=schema)
    frame.write_parquet(folder / "chats.parquet")
    return Chats((Part(folder / "chats.parquet"),))


def make_chats(count):
    return [
        [
            Message("user", f"How many are {number} and one?"),
            Message("assistant", f"They are {number + 1}."),
            *([Message("user", "And one more?"), Message("assistant", f"{number + 2}!")] if number % 2 else []),
        ]
        for number in range(count)
    ]


def test_packed_chats_mask_the_loss_and_skip_chats_without_an_answer(tmp_path):
    table = chat_table(tmp_path, [*make_chats(30), [Message("user", "?")], [Message("user", "?"), Message("assistant", " ")]])
    shards = PackedShards.read(pack(tmp_path, table, validation_share=0))
    counts = shards.counts("train")
    answers = [message.content for chat in make_chats(30) for message in chat if message.role == "assistant"]
    assert shards.manifest.left_out == {"without an assistant message": 2}
    assert counts.documents == 30
    assert counts.loss_bytes == sum(len(answer.encode()) for answer in answers)
    assert counts.loss_tokens == counts.loss_bytes + len(answers)  # each answer has an end token
    assert shards.content == "Chats" and shards.chat.name == "plain"


SHAPE = Shape("llama", layers=2, hidden=32, heads=4, kv_heads=2, ffn=64, vocabulary=257, sequence_length=256)


@torch.no_grad()
def test_parity_of_packed_and_unpacked_chats(tmp_path):
    folder = pack(tmp_path, chat_table(tmp_path, make_chats(24)), sequence_length=256, validation_share=0)
    shards = PackedShards.read(folder)
    encoder = ChatEncoder.for_tokenizer(ByteTokenizer().encode_batch, 256, None)
    with process_groups():
        model = build_model(SHAPE)
        draw = torch.Generator().manual_seed(5)
        whole = {name: w + 0.2 * torch.randn(w.shape, generator=draw) for name, w in weights.gather(model, SHAPE).items()}
        weights.load(model, whole, SHAPE)
        windows = DocumentSamples(shards, "train")
        shown = collate([windows.window(index) for index in range(len(windows))])
        packed = float((token_nll(model.eval(), shown) * shown["loss_mask"]).sum())
        alone = 0.0
        for talk in make_chats(24):
            [(ids, learned)] = encoder.encode([ChatTemplate.resolve("plain").pieces(talk)])
            last = len(learned) - learned[::-1].index(1)
            assert ids[last - 1] == 256  # the template ends the last answer with the eod
            ids, learned = ids[:last], learned[:last]
            tokens, labels = torch.tensor([[256, *ids[:-1]]]), torch.tensor([ids])
            losses = token_nll(model, {"tokens": tokens, "labels": labels})[0]
            alone += float((losses * torch.tensor([*learned, 0][: len(ids)])).sum())
    assert len(windows) < 24 / 2
    assert packed == pytest.approx(alone, rel=1e-5)


def test_chats_are_learned_with_sgd_and_frozen_embeddings(context, shards, tmp_path):
    small = {"layers": 2, "hidden": 32, "heads": 2, "batch_size": 8, "learning_rate": 5e-3, "dropout": 0.0}
    context.run("talker", Pretrain(shards="s", tokens=10 * 8 * 64, **small), shards=shards)
    answers = pack(tmp_path, chat_table(tmp_path, make_chats(80)), sequence_length=128, validation_share=0.2)
    common = {"shards": "s", "checkpoint": "c", "epochs": 4, "batch_size": 4, "dropout": 0.0, "warmup_steps": 1}
    cards = {}
    for name, options in {
        "sgd": {"optimizer": "sgd", "momentum": 0.0, "learning_rate": 0.3, "freeze_embeddings": True},
        "momentum": {"optimizer": "sgd", "learning_rate": 0.05, "freeze_layers": 1},
        "adamw": {"learning_rate": 3e-3},
    }.items():
        stage = Sft(**{**common, **options})
        cards[name] = context.run(f"tuned-{name}", stage, shards=answers, checkpoint=context.folder / "talker")
        assert cards[name]["bits_per_byte"] < 0.9 * cards[name]["bits_per_byte_before"]
        assert metrics(context.folder / f"tuned-{name}")
    first = weights.read(context.folder / "talker")
    frozen, layer = weights.read(context.folder / "tuned-sgd"), weights.read(context.folder / "tuned-momentum")
    assert torch.equal(frozen["embedding.word_embeddings.weight"], first["embedding.word_embeddings.weight"])
    assert not torch.equal(frozen["output_layer.weight"], first["output_layer.weight"])
    name = "decoder.layers.{}.mlp.linear_fc1.weight"
    assert torch.equal(layer[name.format(0)], first[name.format(0)])
    assert not torch.equal(layer[name.format(1)], first[name.format(1)])
    memory = {name: card["memory"] for name, card in cards.items()}
    weights_ = memory["adamw"]["weights"]
    assert memory["adamw"]["optimizer"] == pytest.approx(2 * weights_, rel=0.01)
    assert memory["sgd"]["optimizer"] == 0
    assert 0 < memory["momentum"]["optimizer"] < weights_
    assert cards["adamw"]["chat"]["name"] == "plain"
