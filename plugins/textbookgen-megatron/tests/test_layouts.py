"""Parity of parallel layouts, resuming in another layout, and checks before the first step."""

from __future__ import annotations

import json

import pytest
import torch
from textbookgen_megatron.backend import weights
from textbookgen_megatron.stages.pretrain import Pretrain

from .conftest import card, documents, metrics, pack, stories

STEPS, BATCH = 6, 8
GQA = {
    "shards": "s",
    "architecture": "llama",
    "layers": 2,
    "hidden": 32,
    "heads": 4,
    "kv_heads": 2,
    "batch_size": BATCH,
    "tokens": STEPS * BATCH * 64,
    "learning_rate": 5e-3,
    "dropout": 0.0,
}
NEO = {**GQA, "architecture": "neo", "kv_heads": 4, "tied": True, "window": 16}
PHI = {**GQA, "architecture": "phi", "kv_heads": 4, "head_bias": True}


def losses(folder):
    return [line["loss"] for line in metrics(folder)]


@pytest.fixture(scope="module")
def alone(context, shards):
    """Three architectures, each trained by a single process."""
    for name, options in (("llama", GQA), ("neo", NEO), ("phi", PHI)):
        context.run(f"alone-{name}", Pretrain(**options), shards=shards)
    return {name: context.folder / f"alone-{name}" for name in ("llama", "neo", "phi")}


@pytest.mark.parametrize(
    ("name", "options", "layout"),
    [
        ("llama", GQA, {"pipeline_parallel": 2}),
        ("neo", NEO, {"pipeline_parallel": 2}),
        ("neo", NEO, {"tensor_parallel": 2}),
        ("phi", PHI, {"tensor_parallel": 2, "sequence_parallel": True}),
        ("llama", GQA, {"gpus": 2, "distributed_optimizer": True}),
        ("phi", PHI, {"activation_checkpointing": True}),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) and len(value) < 3 else "",
)
def test_parity_of_layouts(context, shards, alone, name, options, layout):
    label = f"{name}-{'-'.join(layout)}"
    trained = context.run(label, Pretrain(**options, **layout), shards=shards)
    assert losses(context.folder / label) == pytest.approx(losses(alone[name]), rel=1e-5)
    assert trained["bits_per_byte"] == pytest.approx(card(alone[name])["bits_per_byte"], rel=1e-5)
    expected, written = weights.read(alone[name]), weights.read(context.folder / label)
    assert all(torch.allclose(written[key], weight, rtol=1e-3, atol=2e-4) for key, weight in expected.items())


def test_overlapped_parameters_are_gathered_before_the_weights_are_written(context, tmp_path):
    folder = pack(tmp_path, documents(tmp_path, stories(60)), validation_share=0)  # a validation would gather them, too
    context.run("unvalidated", Pretrain(**GQA), shards=folder)
    layout = {"gpus": 2, "distributed_optimizer": True, "overlap_communication": True}
    context.run("unvalidated-overlap", Pretrain(**GQA, **layout), shards=folder)
    expected, written = (weights.read(context.folder / name) for name in ("unvalidated", "unvalidated-overlap"))
    assert all(torch.allclose(written[key], weight, rtol=1e-3, atol=2e-4) for key, weight in expected.items())


@pytest.mark.parametrize("overlap", [False, True])
def test_the_distributed_optimizer_writes_float32_weights(context, shards, overlap):
    options = {**GQA, "tokens": 6 * BATCH * 64, "precision": "bf16"}
    if "bf16" not in {path.name for path in context.folder.iterdir()}:
        context.run("bf16", Pretrain(**options), shards=shards)
    label = f"bf16-{overlap}"
    layout = {"gpus": 2, "distributed_optimizer": True, "overlap_communication": overlap}
    context.run(label, Pretrain(**options, **layout), shards=shards)
    expected, written = weights.read(context.folder / "bf16"), weights.read(context.folder / label)
    assert expected.keys() == written.keys()
    for name, weight in expected.items():
        assert written[name].dtype == torch.float32
        if weight.dim() == 2:
            assert (written[name] != written[name].bfloat16().float()).float().mean() > 0.9
        assert torch.allclose(written[name], weight, atol=5e-3)


def stopped_after(context, shards, name, step, options):
    """Run until a step has been logged, then stop the run."""
    process = context.start(name, Pretrain(**options), shards=shards)
    while len(metrics(context.folder / name)) < step:
        assert process.poll() is None
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr


LONG = {**GQA, "tokens": 60 * BATCH * 64, "checkpoint_every": 2}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"tensor_parallel": 2}, {"pipeline_parallel": 2}),
        ({"gpus": 2, "distributed_optimizer": True}, {"distributed_optimizer": True}),
    ],
    ids=["from-tensor-to-pipeline-parallel", "distributed-optimizer-from-two-to-one"],
)
def test_parity_of_a_run_resumed_in_another_layout(context, shards, before, after):
    name = f"moved-{'-'.join(before)}"
    if "whole" not in {path.name for path in context.folder.iterdir()}:
        context.run("whole", Pretrain(**LONG), shards=shards)
    stopped_after(context, shards, name, 3, {**LONG, **before})
    context.run(name, Pretrain(**LONG, **after), shards=shards)
    assert losses(context.folder / name) == pytest.approx(losses(context.folder / "whole"), rel=1e-5)


def test_a_damaged_save_is_skipped_and_one_of_another_optimizer_rejected(context, shards):
    stopped_after(context, shards, "damaged", 5, LONG)
    folder = context.folder / "damaged"
    newest = sorted(folder.glob("saves/step-*"))[-1]
    victim = max(newest.rglob("*.distcp"), key=lambda path: path.stat().st_size)
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    process = context.start("damaged", Pretrain(**LONG, distributed_optimizer=True), shards=shards)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (
        f"skipping checkpoint {newest}" in stderr
        and "without the distributed optimizer" in stderr
        and "Traceback" not in stderr
    )
    process = context.start("damaged", Pretrain(**LONG), shards=shards)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 0 and "skipping checkpoint" in stderr
    if "whole" not in {path.name for path in context.folder.iterdir()}:
        context.run("whole", Pretrain(**LONG), shards=shards)
    assert losses(folder) == pytest.approx(losses(context.folder / "whole"), rel=1e-5)


def test_truncated_token_files_are_reported_before_the_first_step(context, tmp_path):
    folder = pack(tmp_path, documents(tmp_path, stories(40)))
    with (folder / "train.bin").open("r+b") as file:
        file.truncate(100)
    process = context.start("truncated", Pretrain(**GQA), shards=folder)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "are incomplete or corrupt" in stderr and "hint: " in stderr and "Traceback" not in stderr
    assert not metrics(context.folder / "truncated")


def test_a_token_id_beyond_the_vocabulary_ends_the_run(context, tmp_path):
    folder = pack(tmp_path, documents(tmp_path, stories(40)))
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "vocabulary": 100}))
    process = context.start("misspelt", Pretrain(**GQA), shards=folder)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "token id 256 in the data, but the vocabulary of the model has 128 ids" in stderr and "Traceback" not in stderr


def test_insufficient_memory_is_reported_before_the_model_is_built(context, shards):
    process = context.start("vast", Pretrain(shards="s", shape="phi-4", tokens=64, batch_size=1), shards=shards)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a process needs about" in stderr and "GiB" in stderr and "hint: " in stderr
