"""Learning-rate schedules, phases, blends, early stopping, utilization and dropout."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

from .conftest import documents, metrics, pack

SMALL = {"layers": 1, "hidden": 32, "heads": 2, "batch_size": 8, "dropout": 0.0, "learning_rate": 1e-3}
A_STEP = 8 * 64


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Shards of digits only, unlike the stories."""
    folder = tmp_path_factory.mktemp("numbers")
    return pack(
        folder, documents(folder, ["".join(str((n * k) % 10) for k in range(150)) for n in range(80)]), validation_share=0.2
    )


def rates(context, shards, name, steps, **options):
    context.run(name, Pretrain(shards="s", tokens=steps * A_STEP, **{**SMALL, **options}), shards=shards)
    return [line["learning_rate"] for line in metrics(context.folder / name)]


def test_schedules_follow_their_definition(context, shards):
    high, low, warm, steps = 1e-3, 1e-4, 4, 16
    common = {"warmup_steps": warm, "min_learning_rate": low}
    rising = [high * (n + 1) / warm for n in range(warm)]
    done = [(n + 1) / (steps + 1 - warm) for n in range(steps - warm)]
    expected = {
        "constant": [high for _ in done],
        "linear": [high - (high - low) * share for share in done],
        "cosine": [low + (high - low) * 0.5 * (1 + math.cos(math.pi * share)) for share in done],
    }
    for schedule, falling in expected.items():
        actual = rates(context, shards, f"rate-{schedule}", steps, schedule=schedule, **common)
        assert actual == pytest.approx([*rising, *falling], rel=1e-6), schedule
    held = rates(context, shards, "rate-wsd", steps, schedule="wsd", decay_fraction=0.25, **common)
    assert held[warm - 1 : 13] == pytest.approx([high] * (13 - warm + 1))
    assert all(later < earlier for earlier, later in pairwise(held[12:]))
    assert held[-1] > low


def both(context, name, stage, shards, numbers):
    """A job with two sets of shards."""
    job = context.job(name, stage, shards=shards)
    content = json.loads(job.path.read_text())
    content["inputs"]["shards"] = [
        {"label": label, "artifact": "", "path": str(path)} for label, path in (("a", shards), ("b", numbers))
    ]
    job.path.write_text(json.dumps(content))
    return subprocess.Popen(stage.command(job), env={**os.environ, **stage.environment()}, stderr=subprocess.PIPE, text=True)


def worked(context, name, stage, shards, numbers):
    process = both(context, name, stage, shards, numbers)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    return metrics(context.folder / name)


PHASES = (
    {"share": 0.5, "weights": {"a": 1.0, "b": 0.0}},
    {"share": 0.5, "weights": {"a": 0.0, "b": 1.0}, "sequence_length": 32, "rotary_base": 50_000, "learning_rate_factor": 0.1},
)


def test_phases_train_on_their_data_and_resume_in_another_layout(context, shards, numbers):
    options = {
        **SMALL,
        "shards": ["a", "b"],
        "tokens": 24 * A_STEP,
        "schedule": "constant",
        "warmup_steps": 0,
        "phases": PHASES,
    }
    whole = worked(context, "phases", Pretrain(**options), shards, numbers)
    lengths = [line["sequence_length"] for line in whole]
    assert (lengths.count(64), lengths.count(32)) == (12, 24)
    assert {line["learning_rate"] for line in whole[:12]} == {1e-3}
    assert [line["learning_rate"] for line in whole[12:]] == pytest.approx([1e-4] * 24)
    # sentences for twelve steps, then digits that were never seen: the loss leaps where the blend changes
    assert whole[12]["loss"] > whole[11]["loss"] + 0.3
    process = both(context, "phases-killed", Pretrain(**options, checkpoint_every=4), shards, numbers)
    while len(metrics(context.folder / "phases-killed")) < 17:
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    again = worked(context, "phases-killed", Pretrain(**options, gpus=2), shards, numbers)
    assert [line["loss"] for line in again] == pytest.approx([line["loss"] for line in whole], rel=1e-5)


def test_a_blend_samples_in_proportion_to_its_weights(context, shards, numbers):
    """A model that learns from one in nine windows of digits is far worse at them than one that learns from eight in nine."""
    losses = {}
    for name, weights in (("few", {"a": 8.0, "b": 1.0}), ("many", {"a": 1.0, "b": 8.0})):
        options = {**SMALL, "shards": ["a", "b"], "weights": weights, "tokens": 30 * A_STEP, "learning_rate": 5e-3}
        last = worked(context, f"blend-{name}", Pretrain(**options), shards, numbers)[-1]
        losses[name] = last["validation_a"], last["validation_b"]
    assert losses["few"][0] < losses["many"][0]
    assert losses["few"][1] > losses["many"][1] + 0.2


def test_early_stopping_keeps_the_best_weights(context, shards):
    context.run("before", Pretrain(shards="s", tokens=40 * A_STEP, **{**SMALL, "learning_rate": 5e-3}), shards=shards)
    options = {
        "shards": "s",
        "checkpoint": "c",
        "epochs": 8,
        "batch_size": 8,
        "dropout": 0.0,
        "learning_rate": 1.0,
        "warmup_steps": 4,
    }
    stage = Sft(**options, validate_every=2, patience=2, keep="best", max_grad_norm=0.1)
    card = context.run("early", stage, shards=shards, checkpoint=context.folder / "before")
    lines = [line for line in metrics(context.folder / "early") if "validation_loss" in line]
    losses = [line["validation_loss"] for line in lines]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert card["step"] < card["steps"]
    assert len(losses) == best + 3  # two validations without improvement after the best
    assert card["kept_step"] == lines[best]["step"]
    assert card["validation_loss"] == pytest.approx(losses[best], rel=1e-6)
    assert not (context.folder / "early" / "best.safetensors").exists()


def test_utilization_is_reported_if_the_peak_is_known(context, shards):
    context.run("used", Pretrain(shards="s", tokens=3 * A_STEP, peak_tflops=0.01, **SMALL), shards=shards)
    weights = load_file(context.folder / "used" / "model.safetensors")
    multiplied = sum(weight.numel() for name, weight in weights.items() if weight.dim() == 2 and "word_embeddings" not in name)
    for line in metrics(context.folder / "used"):
        flops = (6 * multiplied + 12 * 1 * 32 * 64) * line["tokens_per_second"]
        assert line["mfu"] == pytest.approx(flops / 0.01e12, rel=0.05)


@pytest.mark.parametrize("architecture", ["phi", "llama"])
def test_dropout_is_applied_to_attention(architecture):
    shape = Shape(architecture, layers=2, hidden=32, heads=2, kv_heads=2, ffn=64, vocabulary=100, sequence_length=16)
    tokens = torch.randint(0, 100, (2, 16), generator=torch.Generator().manual_seed(0))
    with process_groups(), torch.no_grad():
        model = build_model(shape, dropout=0.3)
        places = torch.arange(16).expand_as(tokens)
        attention = model.decoder.layers[0].self_attention
        x = torch.randn(16, 2, 32)
        turned = model.rotary_pos_emb(16)

        def attended():
            return attention(x, attention_mask=None, rotary_pos_emb=turned)[0]

        assert not torch.equal(attended(), attended())
        model.eval()
        assert torch.equal(attended(), attended())
        assert torch.equal(model(tokens, places, None), model(tokens, places, None))
