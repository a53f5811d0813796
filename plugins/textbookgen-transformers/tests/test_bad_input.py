"""Invalid data, weights and options: an error with place, problem and hint, and no incomplete result."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from textbookgen_transformers import open_model
from textbookgen_transformers.job import TransformersJob
from textbookgen_transformers.serving.server import open_generator
from textbookgen_transformers.stages.dpo import Dpo
from textbookgen_transformers.stages.pretrain import Pretrain
from textbookgen_transformers.stages.sft import Sft
from textbookgen_transformers.weight_files import weights_digest

from textbookgen.api.errors import RecipeError, TrainerError
from textbookgen.recipe.parser import read_recipe
from textbookgen.recipe.planner import make_plan
from textbookgen.recipe.plugin_manager import Plugins

from .conftest import card, documents, metrics, pack, pairs, stories

TINY = {"shards": "s", "layers": 2, "hidden": 32, "heads": 4, "batch_size": 8, "dropout": 0.0}
A_STEP = 8 * 64


def refused(context, name, stage, **inputs):
    """Return the error that a job ends with; it leaves no card."""
    with pytest.raises(TrainerError) as caught:
        context.here(name, stage, **inputs)
    assert caught.value.place and caught.value.hint
    assert not (context.folder / name / "checkpoint.json").exists()
    return caught.value


@pytest.fixture(scope="module")
def sound(context, shards):
    """A small model."""
    context.here("sound", Pretrain(**TINY, tokens=2 * A_STEP, peak_tflops=0.5), shards=shards)
    return context.folder / "sound"


@pytest.fixture(scope="module")
def replies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replies")
    return pack(folder, pairs(folder, [(text, "yes", "no") for text in stories(40)]), sequence_length=512)


@pytest.mark.parametrize(
    ("steps", "every", "max_grad_norm", "where"),
    [(1, 500, 1.0, "held-out loss nan after step 1 of 1"), (6, 1, 0.0, "at step 2 of 6")],
    ids=["at-the-end", "after-a-save"],
)
def test_a_non_finite_loss_aborts_the_run_and_deletes_checkpoints_of_such_weights(
    context, shards, steps, every, max_grad_norm, where
):
    rate = {"learning_rate": 1e30, "warmup_steps": 0, "max_grad_norm": max_grad_norm}
    stage = Pretrain(**TINY, tokens=steps * A_STEP, checkpoint_every=every, **rate)
    error = refused(context, f"exploded-{steps}", stage, shards=shards)
    assert re.search(where, error.problem)
    assert "last good checkpoint: none" in error.hint
    assert not list((context.folder / f"exploded-{steps}").glob("saves/checkpoint-*"))


def test_the_last_good_checkpoint_is_named_and_kept(context, shards, monkeypatch):
    from textbookgen_transformers.backend import schedule

    scheduled = schedule.learning_rate
    for module in ("trainers", "callbacks"):
        monkeypatch.setattr(
            f"textbookgen_transformers.backend.{module}.learning_rate",
            lambda step, steps, options: 1e30 if step == 4 else scheduled(step, steps, options),
        )
    stage = Pretrain(**TINY, tokens=8 * A_STEP, checkpoint_every=2)
    error = refused(context, "late", stage, shards=shards)
    assert "at step 5 of 8" in error.problem  # with the weights of step 4, which were saved
    assert [path.name for path in (context.folder / "late" / "saves").iterdir()] == ["checkpoint-2"]
    assert error.hint.endswith("checkpoint-2")
    monkeypatch.undo()
    assert context.here("late", stage, shards=shards)["step"] == 8  # from there, at rates that are in bounds
    assert [line["step"] for line in metrics(context.folder / "late")] == list(range(1, 9))


def changed(folder):
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-400] + bytes(400))


def cut_short(name):
    def damage(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:300])

    return damage


def missing(name):
    return lambda folder: (folder / name).unlink()


def without_digest(damage):
    """Apply damage to a folder whose card has no digest, as those of others may."""

    def both(folder):
        values = card(folder)
        del values["weights_digest"]
        (folder / "checkpoint.json").write_text(json.dumps(values))
        damage(folder)

    return both


def without_a_tensor(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.fc1.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def of_another_width(folder):
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"hidden_size": 64}))


DAMAGE = {
    "weights changed": changed,
    "weights cut short": cut_short("model.safetensors"),
    "weights missing": missing("model.safetensors"),
    "config cut short": cut_short("config.json"),
    "config missing": missing("config.json"),
    "config of another model": of_another_width,
    "card cut short": cut_short("checkpoint.json"),
    "no digest, weights cut short": without_digest(cut_short("model.safetensors")),
    "no digest, weights missing": without_digest(missing("model.safetensors")),
    "no digest, a tensor missing": without_digest(without_a_tensor),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_corrupt_checkpoint_is_neither_trained_on_nor_served(context, shards, sound, tmp_path, damage):
    folder = shutil.copytree(sound, tmp_path / "c")
    DAMAGE[damage](folder)
    refused(context, "damaged", Sft(shards="s", checkpoint="c", batch_size=4), shards=shards, checkpoint=folder)
    with pytest.raises(TrainerError) as caught:
        open_generator(folder)
    assert caught.value.place and caught.value.hint


def test_a_serving_error_reaches_the_client_without_a_traceback(sound, tmp_path):
    folder = shutil.copytree(sound, tmp_path / "c")
    changed(folder)
    model = open_model(folder)
    with pytest.raises(TrainerError, match="do not match the digest") as caught:
        model.complete(["x"], max_tokens=2)
    model.close()
    assert "hint: " in caught.value.problem and "Traceback" not in caught.value.problem
    cut_short("checkpoint.json")(folder)
    with pytest.raises(TrainerError, match="cannot be read"):
        open_model(folder)


def test_weights_in_several_files_are_checked_together(context, shards, sound, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = shutil.copytree(sound, tmp_path / "c")
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    files = sorted(folder.glob("model-*.safetensors"))
    assert len(files) > 1
    values = card(folder) | {"weights": None, "weights_digest": weights_digest(folder)}
    (folder / "checkpoint.json").write_text(json.dumps(values))
    stage = Sft(shards="s", checkpoint="c", batch_size=4)
    job = context.job("split", stage, shards=shards, checkpoint=folder)
    assert TransformersJob.read(job.path).parent.card.weights_digest == weights_digest(folder) != card(sound)["weights_digest"]
    open_generator(folder)
    files[-1].write_bytes(files[-1].read_bytes()[:-4] + b"abcd")
    with pytest.raises(TrainerError, match="do not match the digest"):
        TransformersJob.read(job.path)


def test_training_does_not_start_from_non_finite_weights(context, shards, sound, tmp_path):
    folder = shutil.copytree(sound, tmp_path / "c")
    tensors = {name: torch.full_like(each, torch.nan) for name, each in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "checkpoint.json").write_text(json.dumps(card(folder) | {"weights_digest": weights_digest(folder)}))
    stage = Sft(shards="s", checkpoint="c", batch_size=4)
    error = refused(context, "nan-start", stage, shards=shards, checkpoint=folder)
    assert "to start from are not finite" in error.problem and error.place == str(folder)


def test_validation_during_training_requires_held_out_data(context, tmp_path):
    shards = pack(tmp_path, documents(tmp_path, stories(40)), validation_share=0)
    stage = Pretrain(**TINY, tokens=4 * A_STEP, validate_every=2)
    assert refused(context, "nothing-held-out", stage, shards=shards).place == "validate_every"


@pytest.mark.parametrize("epochs", [1.0, 3.0])
def test_a_batch_larger_than_the_data_is_rejected(context, shards, replies, sound, epochs):
    options = {"shards": "s", "checkpoint": "c", "epochs": epochs}
    for name, stage, packed in (("sft", Sft, shards), ("dpo", Dpo, replies)):
        error = refused(context, f"large-{name}", stage(**options, batch_size=64_000), shards=packed, checkpoint=sound)
        assert "a batch size of 64000 exceeds" in error.problem and error.place == "batch_size"


def test_only_dpo_takes_pairs(context, shards, replies, sound):
    tuned = Sft(shards="s", checkpoint="c", batch_size=4)
    assert "transformers/dpo" in refused(context, "pairs-1", Pretrain(**TINY, tokens=A_STEP), shards=replies).hint
    assert "transformers/dpo" in refused(context, "pairs-2", tuned, shards=replies, checkpoint=sound).hint
    aligned = Dpo(shards="s", checkpoint="c", batch_size=4)
    assert "not pairs" in refused(context, "pairs-3", aligned, shards=shards, checkpoint=sound).problem


def test_the_card_records_memory_and_the_metrics_utilization(context, shards, sound):
    numbers = card(sound)["parameters"]
    held = card(sound)["memory"]
    assert (held["weights"], held["gradients"]) == (4 * numbers, 4 * numbers)
    assert 0 <= held["optimizer"] - 8 * numbers < 1000  # AdamW's two means, and a counter for each tensor
    assert all(0 < line["mfu"] < 1 for line in metrics(sound))
    one, other = metrics(sound)
    assert one["mfu"] / one["tokens_per_second"] == pytest.approx(other["mfu"] / other["tokens_per_second"], rel=0.2)
    plain = Pretrain(**TINY, tokens=A_STEP, optimizer="sgd", momentum=0.0, freeze_layers=1)
    frozen = context.here("frozen", plain, shards=shards)["memory"]
    assert frozen["optimizer"] == 0 and 0 < frozen["gradients"] < frozen["weights"]
    assert "mfu" not in metrics(context.folder / "frozen")[0]


RECIPE = """
[recipe]
name = "mismatch"

[stage.texts]
use = "text"
path = "{file}"
per = "line"

[stage.shards]
use = "pack"
from = "texts"
tokenizer = "bytes"

[stage.dataset]
use = "export"
from = "texts"
layout = "parquet-text"

[stage.base]
use = "megatron/pretrain"
shards = "shards"
layers = 1
hidden = 32
heads = 2
tokens = 1_000
"""


@pytest.mark.parametrize(
    ("stage", "problem"),
    [
        ('use = "transformers/sft"\nshards = "shards"\ncheckpoint = "base"', "the output of 'base' is MegatronCheckpoint"),
        (
            'use = "megatron/dpo"\nshards = "shards"\ncheckpoint = "base"',
            "the output of 'shards' is TokenShards, but this option takes PairShards",
        ),
        ('use = "megatron/pretrain"\nshards = "dataset"\nshape = "phi-1"\ntokens = 1', "the output of 'dataset' is Shards"),
        ('use = "megatron/import"\ncheckpoint = "base"', "this option takes TransformersCheckpoint"),
    ],
    ids=["checkpoint-of-another-trainer", "no-pairs", "no-token-ids", "nothing-to-import"],
)
def test_mismatched_artifacts_are_rejected_before_anything_runs(tmp_path, stage, problem):
    file = tmp_path / "texts.txt"
    file.write_text("One.\nTwo.\n", encoding="utf-8")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.format(file=file) + f"\n[stage.last]\n{stage}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=problem):
        make_plan(read_recipe(recipe), Plugins())
