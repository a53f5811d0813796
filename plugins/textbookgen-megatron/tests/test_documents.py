from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from textbookgen_megatron.backend import weights
from textbookgen_megatron.backend.data import DocumentSamples, TokenStreamSamples, collate
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.backend.objective import token_nll
from textbookgen_megatron.serving.decoding import CachedModel
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.torch_model import TorchModel

from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.training.chat_template import ChatEncoder
from textbookgen.training.generation import BatchGenerator
from textbookgen.training.prompt_codec import PromptCodec
from textbookgen.training.shards import PackedShards

from .conftest import documents, pack, stories

SHAPE = Shape("phi", layers=2, hidden=32, heads=4, kv_heads=4, ffn=128, vocabulary=257, sequence_length=384)


@pytest.fixture(scope="module")
def prompted(tmp_path_factory):
    """Shards whose first sentence is a prompt, with windows that hold several documents."""
    folder = tmp_path_factory.mktemp("prompted")
    texts = stories(40, seed=8)
    table = documents(folder, texts, **{"t.prompt": [text.split(".")[0] + "." for text in texts]})
    return pack(folder, table, prompt="t.prompt", sequence_length=384, validation_share=0), texts


@torch.no_grad()
@pytest.mark.parametrize("shape", [SHAPE, replace(SHAPE, architecture="neo")], ids=["rotary", "learned-positions"])
def test_packed_documents_have_the_loss_of_separate_documents(prompted, shape):
    folder, texts = prompted
    shards = PackedShards.read(folder)
    with process_groups():
        windows = DocumentSamples(shards, "train")
        model = build_model(shape)
        draw = torch.Generator().manual_seed(5)
        whole = {name: w + 0.2 * torch.randn(w.shape, generator=draw) for name, w in weights.gather(model, shape).items()}
        weights.load(model, whole, shape)
        shown = collate([windows.window(index) for index in range(len(windows))])
        packed = float((token_nll(model.eval(), shown) * shown["loss_mask"]).sum())
        learned = int(shown["loss_mask"].sum())
    # for comparison: only the text after each prompt, scored by the serving code, one document at a time
    network = TorchModel(shape, {**whole, "output_layer.weight": whole["output_layer.weight"]})
    network.logits = lambda hidden: hidden @ network.weights["output_layer.weight"].T  # training's softmax has the padding too
    encoder = ChatEncoder.for_tokenizer(lambda given: [_with_end(text) for text in given], 256, None)
    writer = BatchGenerator(CachedModel(network), PromptCodec.create(None, encoder, ByteTokenizer().decode))
    heads = [text.split(".")[0] + "." for text in texts]
    scores = writer.score([(head, text[len(head) :] + "\0") for head, text in zip(heads, texts, strict=True)])
    assert len(windows) < len(texts) / 2
    assert learned == sum(tokens for _, tokens, _ in scores) == shards.counts("train").loss_tokens
    assert packed == pytest.approx(-sum(logprob for logprob, _, _ in scores), rel=1e-5)


def _with_end(text: str) -> list[int]:
    return [256 if byte == 0 else byte for byte in text.encode()]


def test_every_token_of_every_document_occurs_once_per_epoch(prompted):
    folder, texts = prompted
    with process_groups():
        windows = DocumentSamples(PackedShards.read(folder), "train", seed=1)
        for epoch in range(2):
            numbers = range(epoch * len(windows), (epoch + 1) * len(windows))
            owners = [windows[number] for number in numbers]
            shown = sum(windows.tokens(number, number + 1) for number in numbers)
            assert shown == sum(len(text.encode()) + 1 for text in texts)
            assert (
                sum(int(window["loss_mask"].sum()) for window in owners)
                == PackedShards.read(folder).counts("train").loss_tokens
            )
        orders = [
            [tuple(windows[epoch * len(windows) + place]["labels"].tolist()) for place in range(len(windows))]
            for epoch in range(2)
        ]
    assert sorted(orders[0]) == sorted(orders[1])
    assert orders[0] != orders[1]


def test_documents_longer_than_a_window_are_split_without_loss(tmp_path):
    text = "".join(chr(97 + i % 26) for i in range(150))
    folder = pack(tmp_path, documents(tmp_path, [text, "short"]), sequence_length=64, validation_share=0)
    with process_groups():
        windows = DocumentSamples(PackedShards.read(folder), "train")
        labels = [window["labels"][window["loss_mask"] > 0].tolist() for window in map(windows.window, range(len(windows)))]
    assert sorted(label for window in labels for label in window) == sorted([*text.encode(), 256, *b"short", 256])


def test_a_stream_has_each_document_once_per_epoch_and_is_reproducible(shards, tmp_path):
    packed = PackedShards.read(shards)
    samples = packed.counts("train").tokens // packed.sequence_length - 1
    with process_groups():
        first, again = (TokenStreamSamples([packed], samples, 0, tmp_path / str(run)) for run in range(2))
        other = TokenStreamSamples([packed], samples, 1, tmp_path / "other")
        seen = np.concatenate([first[number]["labels"].numpy() for number in range(samples)])
        assert all(torch.equal(first[number]["tokens"], again[number]["tokens"]) for number in range(samples))
        assert not all(torch.equal(first[number]["tokens"], other[number]["tokens"]) for number in range(samples))
    assert abs(int((seen == 256).sum()) - packed.counts("train").documents) <= 6
