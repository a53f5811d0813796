"""Errors of trainers on invalid data and options: place, problem and hint, and no incomplete checkpoint."""

from __future__ import annotations

import json
import re
import shutil
import time

import polars as pl
import pytest
from textbookgen_megatron.exchange.convert import main
from textbookgen_megatron.serving.loading import load_model
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.export import Export
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.import_ import Import
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

from textbookgen.api.artifacts import Pairs, Part
from textbookgen.api.errors import TrainerError

from .conftest import documents, metrics, pack, stories

TINY = {"shards": "s", "layers": 2, "hidden": 32, "heads": 4, "batch_size": 8, "dropout": 0.0}
A_STEP = 8 * 64


def error_of(context, name, stage, **inputs):
    """Run a job that must fail, and return its error message."""
    process = context.start(name, stage, **inputs)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert not (context.folder / name / "checkpoint.json").exists()
    return stderr


@pytest.fixture(scope="module")
def grouped(context, shards):
    """A model with grouped-query attention and tied embeddings."""
    options = {**TINY, "architecture": "llama", "tied": True, "kv_heads": 2}
    context.run("grouped", Pretrain(**options, tokens=4 * A_STEP), shards=shards)
    return context.folder / "grouped"


def says(who, text):
    return [{"role": who, "content": text}]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    rows = [
        {"id": str(n), "prompt": says("user", text), "chosen": says("assistant", "yes"), "rejected": says("assistant", "no")}
        for n, text in enumerate(stories(40))
    ]
    pl.DataFrame(rows, schema={"id": pl.String, **Pairs.content}).write_parquet(folder / "part.parquet")
    return pack(folder, Pairs((Part(folder / "part.parquet"),)), sequence_length=512)


@pytest.mark.parametrize(
    ("steps", "every", "warmup", "where"),
    [(1, 500, 0, "held-out loss nan after step 1 of 1"), (6, 1, 0, "at step 2 of 6"), (8, 1, 8, "at step [3-8] of 8")],
    ids=["at-the-end", "after-a-save", "on-the-way"],
)
def test_a_non_finite_loss_aborts_and_saves_of_corrupt_weights_are_deleted(context, shards, steps, every, warmup, where):
    rate = 1e25 if not warmup else 1e4
    stage = Pretrain(
        **TINY, tokens=steps * A_STEP, learning_rate=rate, warmup_steps=warmup, checkpoint_every=every, max_grad_norm=0
    )
    name = f"exploded-{steps}-{warmup}"
    stderr = error_of(context, name, stage, shards=shards)
    assert re.search(where, stderr)
    kept = sorted(folder.name for folder in (context.folder / name).glob("saves/step-*"))
    last = re.search(r"last good checkpoint: (\S+)", stderr)[1]
    assert last == "none" if not kept else last.endswith(kept[-1])
    failed = int(re.search(r"step (\d+) of", stderr)[1])
    assert all(int(save.removeprefix("step-")) < failed - 1 for save in kept)


def test_validation_during_training_requires_held_out_data(context, tmp_path):
    shards = pack(tmp_path, documents(tmp_path, stories(40)), validation_share=0)
    stage = Pretrain(**TINY, tokens=4 * A_STEP, validate_every=2, patience=1)
    assert "validate_every" in error_of(context, "nothing-held-out", stage, shards=shards)


def test_a_batch_larger_than_the_data_is_rejected(context, shards, grouped):
    stderr = error_of(
        context, "too-large", Sft(shards="s", checkpoint="c", batch_size=64_000), shards=shards, checkpoint=grouped
    )
    assert "a batch size of 64000 exceeds" in stderr


def test_pairs_are_accepted_by_dpo_only(context, shards, pairs, grouped):
    assert "megatron/dpo" in error_of(context, "pairs-as-text", Pretrain(**TINY, tokens=A_STEP), shards=pairs)
    assert "megatron/dpo" in error_of(
        context, "pairs-as-chats", Sft(shards="s", checkpoint="c", batch_size=4), shards=pairs, checkpoint=grouped
    )
    assert "pairs" in error_of(
        context, "text-as-pairs", Dpo(shards="s", checkpoint="c", batch_size=4), shards=shards, checkpoint=grouped
    )


def test_a_tokenizer_mismatch_is_reported(context, grouped, tmp_path):
    shards = pack(tmp_path, documents(tmp_path, stories(40)))
    manifest = json.loads((shards / "manifest.json").read_text())
    manifest["tokenizer"] |= {"name": "hf:other.json", "digest": "other"}
    (shards / "manifest.json").write_text(json.dumps(manifest))
    stderr = error_of(context, "other-words", Sft(shards="s", checkpoint="c", batch_size=4), shards=shards, checkpoint=grouped)
    assert "bytes" in stderr
    assert "hf:other.json" in stderr


@pytest.mark.parametrize(("hidden", "hint"), [(40, "use 48"), (36, "use 48")])
def test_widths_that_are_no_multiple_of_the_heads_are_rejected(context, shards, grouped, hidden, hint):
    stage = Grow(shards="s", checkpoint="c", hidden=hidden, tokens=0, batch_size=8)
    assert hint in error_of(context, f"grown-{hidden}", stage, shards=shards, checkpoint=grouped)


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"architecture": "llama", "tied": True, "head_bias": True}, "head_bias"),
        ({"architecture": "neo", "rotary": 0.5}, "rotary"),
        ({"gpus": 2, "phases": [{"share": 1.0, "batch_size": 7}]}, "phases"),
        ({"patience": 2}, "patience"),
        ({"gpus": 3, "tensor_parallel": 2}, "gpus"),
    ],
)
def test_incompatible_options_are_reported_before_training(options, place):
    assert place in {diagnostic.place for diagnostic in Pretrain(**{**TINY, "tokens": 1, **options}).check()}


def test_frozen_tied_embeddings_train_the_same_with_two_pipeline_stages(context, shards, grouped):
    options = {"shards": "s", "checkpoint": "c", "freeze_embeddings": True, "batch_size": 8, "dropout": 0.0}
    one = context.run("frozen-1", Sft(**options), shards=shards, checkpoint=grouped)
    two = context.run("frozen-2", Sft(**options, pipeline_parallel=2), shards=shards, checkpoint=grouped)
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)


@pytest.mark.parametrize("layout", [{}, {"pipeline_parallel": 2}], ids=["one", "pipeline"])
def test_a_run_with_frozen_layers_resumes(context, shards, grouped, layout):
    options = {"shards": "s", "checkpoint": "c", "freeze_layers": 1, "batch_size": 8, "dropout": 0.0, "learning_rate": 1e-3}
    name = "-".join(("frozen-layer", *layout))
    whole = context.run(f"{name}-whole", Sft(**options), shards=shards, checkpoint=grouped)
    process = context.start(name, Sft(**options, **layout, checkpoint_every=3), shards=shards, checkpoint=grouped)
    while len(metrics(context.folder / name)) < 4:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert context.run(name, Sft(**options), shards=shards, checkpoint=grouped)["loss"] == pytest.approx(
        whole["loss"], rel=1e-5
    )


@pytest.mark.parametrize("damage", ["bytes changed", "cut short", "missing", "card cut short"])
def test_a_corrupt_checkpoint_is_never_loaded(context, shards, grouped, tmp_path, damage):
    shutil.copytree(grouped, tmp_path / "c")
    weights, card = tmp_path / "c" / "model.safetensors", tmp_path / "c" / "checkpoint.json"
    whole = weights.read_bytes()
    if damage == "bytes changed":
        weights.write_bytes(whole[:-400] + bytes(400))
    elif damage == "cut short":
        weights.write_bytes(whole[:1000])
    elif damage == "missing":
        weights.unlink()
    else:
        card.write_text(card.read_text()[:100])
    name = damage.replace(" ", "-")
    stderr = error_of(context, name, Sft(shards="s", checkpoint="c", batch_size=4), shards=shards, checkpoint=tmp_path / "c")
    assert "hint: remove the " in stderr
    assert main(context.job(f"{name}-export", Export(checkpoint="c"), checkpoint=tmp_path / "c").path) == 1
    with pytest.raises(TrainerError):
        load_model(tmp_path / "c")


@pytest.mark.parametrize("damage", ["config without its vocabulary", "config cut short", "weights cut short", "another width"])
def test_an_inconsistent_transformers_folder_is_reported(context, grouped, tmp_path, damage, capsys):
    assert main(context.job(f"intact-{damage.replace(' ', '-')}", Export(checkpoint="c"), checkpoint=grouped).path) == 0
    folder = context.folder / f"intact-{damage.replace(' ', '-')}"
    config, weights = folder / "config.json", folder / "model.safetensors"
    facts = json.loads(config.read_text())
    if damage == "config without its vocabulary":
        del facts["vocab_size"]
        config.write_text(json.dumps(facts))
    elif damage == "config cut short":
        config.write_text(config.read_text()[:50])
    elif damage == "weights cut short":
        weights.write_bytes(weights.read_bytes()[:500])
    else:
        config.write_text(json.dumps(facts | {"hidden_size": 64, "head_dim": 16}))
    job = context.job(f"damaged-{damage.replace(' ', '-')}", Import(folder=str(folder)))
    assert main(job.path) == 1
    assert "hint: " in capsys.readouterr().err
    assert not (job.folder / "checkpoint.json").exists()
