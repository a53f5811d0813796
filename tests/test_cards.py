from __future__ import annotations

import json
import subprocess
import sys

import pytest

from textbookgen.api.cards import (
    CausalLMCard,
    ChatTemplateCard,
    CheckpointCard,
    ExportedFile,
    ExportManifest,
    ParentCard,
    ShardManifest,
    SplitCounts,
    TokenizerCard,
    TokenShardManifest,
)
from textbookgen.api.errors import TrainerError

BYTES = TokenizerCard(name="bytes", digest="b", file=None)
CHECKPOINT = CausalLMCard(
    format="mine", tokenizer=BYTES, eod=256, tokens=30, chat=ChatTemplateCard(name="plain", template="{{ messages }}"),
    shape={"layers": 2}, parent=ParentCard(label="base"),
)  # fmt: skip
SHARDS = TokenShardManifest(
    format="megatron", documents=3, tokens=12, bytes=9, tokenizer=BYTES, vocabulary=257, padded_vocabulary=384, eod=256,
    dtype="uint16", sequence_length=64, loss_mask=False, train=SplitCounts(2, 8, 6, 8, 6), valid=SplitCounts(1, 4, 3, 4, 3),
)  # fmt: skip
EXPORT = ExportManifest(
    format="jsonl", documents=2, bytes=9, digests={"train.jsonl": "00"},
    files=(ExportedFile(name="train.jsonl", split="train", documents=2, bytes=9),),
)  # fmt: skip


@pytest.mark.parametrize("card", [CHECKPOINT, SHARDS, EXPORT], ids=["checkpoint", "shards", "export"])
def test_a_card_reads_back_as_it_was_written(tmp_path, card):
    card.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [card.file_name]
    assert type(card).read(tmp_path) == card


def test_hosts_read_the_card_of_any_trainer(tmp_path):
    (tmp_path / "checkpoint.json").write_text('{"format": "nanochat", "tokens": 30, "depth": 20}')
    card = CheckpointCard.read(tmp_path)
    assert (card.format, card.tokens, card.tokenizer, card.bits_per_byte) == ("nanochat", 30, None, None)


def test_unknown_keys_are_kept_when_a_card_is_written_again(tmp_path):
    (tmp_path / "checkpoint.json").write_text('{"format": "mine", "depth": 20, "parent": {"label": "a", "branch": "b"}}')
    CheckpointCard.read(tmp_path).model_copy(update={"format": "yours"}).write(tmp_path)
    assert json.loads((tmp_path / "checkpoint.json").read_text()) == {
        "format": "yours",
        "depth": 20,
        "parent": {"label": "a", "branch": "b"},
    }


def test_metrics_that_are_not_numbers_stay_valid_json(tmp_path):
    CheckpointCard(format="mine", loss=float("nan")).write(tmp_path)
    assert json.loads((tmp_path / "checkpoint.json").read_text()) == {"format": "mine", "loss": None}


@pytest.mark.parametrize(
    ("kind", "content", "problem"),
    [
        (CheckpointCard, None, "there is no checkpoint.json"),
        (CheckpointCard, "{}", "`format`"),
        (CheckpointCard, '{"form', "cannot be read"),
        (CheckpointCard, "[]", "invalid"),
        (CheckpointCard, '{"format": "mine", "tokens": "many"}', "`tokens`"),
        (CausalLMCard, '{"format": "mine", "tokenizer": {"name": "bytes"}, "eod": 1}', "`tokenizer.digest`"),
        (CausalLMCard, '{"format": "mine", "eod": 1}', "`tokenizer`"),
        (ShardManifest, None, "there is no manifest.json"),
        (TokenShardManifest, '{"format": "megatron"}', "`vocabulary`"),
    ],
)
def test_a_missing_or_incomplete_card_is_named_with_its_fault(tmp_path, kind, content, problem):
    if content is not None:
        (tmp_path / kind.file_name).write_text(content)
    with pytest.raises(TrainerError, match=problem) as error:
        kind.read(tmp_path)
    assert error.value.place.startswith(str(tmp_path)) and kind.file_name in str(error.value) and error.value.hint


def test_an_unsupported_format_is_reported_before_what_it_lacks(tmp_path):
    (tmp_path / "checkpoint.json").write_text('{"format": "nanochat"}')
    with pytest.raises(TrainerError, match="unsupported format 'nanochat'") as error:
        CausalLMCard.read(tmp_path, formats=("mine",), hint="export it first")
    assert error.value.hint == "export it first"


def test_cards_load_without_array_libraries():
    code = "import sys, textbookgen.api.cards; assert not {'numpy', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
