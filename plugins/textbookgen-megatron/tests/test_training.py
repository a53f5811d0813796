from __future__ import annotations

import json
import signal
import time

import pluggy
import pytest
import textbookgen_megatron
from safetensors import safe_open
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.pretrain import Pretrain
from textbookgen_megatron.stages.sft import Sft

from textbookgen.api import hookspecs

from .conftest import card, documents, metrics, pack, stories

STEPS, BATCH = 24, 8
SMALL = {
    "shards": "s",
    "layers": 2,
    "hidden": 32,
    "heads": 4,
    "batch_size": BATCH,
    "tokens": STEPS * BATCH * 64,
    "learning_rate": 5e-3,
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def small(context, shards):
    """A model trained by one process without being disturbed."""
    return context.run("small", Pretrain(**SMALL, checkpoint_every=5), shards=shards)


def wait_for(process, folder, step):
    deadline = time.monotonic() + 60
    while len(metrics(folder)) < step:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def test_training_reduces_the_loss_and_records_it(small, context):
    lines = metrics(context.folder / "small")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[-1]["loss"] < lines[0]["loss"] - 1
    assert lines[-1]["validation_bits_per_byte"] == small["bits_per_byte"] < 8
    assert (small["step"], small["tokens"], small["tokens_total"]) == (STEPS, STEPS * BATCH * 64, STEPS * BATCH * 64)
    with safe_open(context.folder / "small" / small["weights"], "pt") as file:
        assert sum(file.get_tensor(name).numel() for name in file.keys()) == small["parameters_with_padding"]  # noqa: SIM118


def test_tensor_parallel_parity_and_resuming_after_a_kill_in_another_layout(small, context, shards):
    process = context.start("killed", Pretrain(**SMALL, checkpoint_every=5, tensor_parallel=2), shards=shards)
    wait_for(process, context.folder / "killed", 13)
    process.kill()
    process.communicate()
    interrupted = metrics(context.folder / "killed")
    alone = metrics(context.folder / "small")
    for two, one in zip(interrupted, alone, strict=False):
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
    assert not (context.folder / "killed" / "checkpoint.json").exists()
    resumed = context.run("killed", Pretrain(**SMALL, checkpoint_every=5), shards=shards)
    lines = metrics(context.folder / "killed")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[9] == interrupted[9]  # lines up to the save are kept, later ones are written again
    assert resumed["loss"] == pytest.approx(small["loss"], rel=1e-5)
    assert resumed["bits_per_byte"] == pytest.approx(small["bits_per_byte"], rel=1e-5)
    assert not (context.folder / "killed" / "saves").exists()


def test_a_stopped_run_with_dropout_resumes_as_if_uninterrupted(context, shards):
    options = {**SMALL, "dropout": 0.1, "tokens": 30 * BATCH * 64}
    whole = context.run("undisturbed", Pretrain(**options), shards=shards)
    process = context.start("stopped", Pretrain(**options), shards=shards)
    wait_for(process, context.folder / "stopped", 3)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "run the same command again to resume" in stderr
    assert context.run("stopped", Pretrain(**options), shards=shards)["loss"] == pytest.approx(whole["loss"], rel=1e-6)


@pytest.mark.parametrize("layout", [{"tensor_parallel": 2}, {"gpus": 2}], ids=["tensor-parallel", "data-parallel"])
def test_parity_of_growth_across_layouts(small, context, shards, layout):
    name = next(iter(layout))
    grow = Grow(shards="s", checkpoint="c", hidden=64, tokens=4 * BATCH * 64, batch_size=BATCH, dropout=0.0, **layout)
    grown = context.run(f"grown-{name}", grow, shards=shards, checkpoint=context.folder / "small")
    assert grown["bits_per_byte_before"] == pytest.approx(small["bits_per_byte"], rel=1e-5)
    assert grown["shape"] | {"hidden": 32, "heads": 4, "kv_heads": 4, "ffn": 128} == small["shape"]
    assert (grown["shape"]["hidden"], grown["shape"]["heads"], grown["shape"]["ffn"]) == (64, 8, 256)
    assert grown["tokens_total"] == small["tokens"] + grown["tokens"]
    assert grown["parent"]["weights_digest"] == small["weights_digest"]
    other = context.folder / "grown-tensor_parallel" / "checkpoint.json"
    if name == "gpus" and other.exists():
        assert grown["loss"] == pytest.approx(card(other.parent)["loss"], rel=1e-5)


def test_growing_without_tokens_and_from_scratch(small, context, shards):
    folder = context.folder / "small"
    kept = context.run(
        "kept", Grow(shards="s", checkpoint="c", hidden=96, tokens=0, batch_size=BATCH), shards=shards, checkpoint=folder
    )
    assert kept["bits_per_byte"] == pytest.approx(small["bits_per_byte"], rel=1e-5)
    assert (kept["step"], kept["tokens"], kept["loss"]) == (0, 0, None)
    options = Grow(shards="s", checkpoint="c", layers=3, tokens=0, batch_size=BATCH, method="scratch")
    scratch = context.run("scratch", options, shards=shards, checkpoint=folder)
    assert scratch["shape"]["layers"] == 3
    assert scratch["bits_per_byte"] > small["bits_per_byte"] + 1


def test_finetuning_learns_the_text_after_the_prompt(small, context, tmp_path):
    texts = [f"{text} Q? yes yes yes" for text in stories(120, seed=3)]
    table = documents(tmp_path, texts, **{"t.prompt": [text.removesuffix(" yes yes yes") for text in texts]})
    shards = pack(tmp_path, table, prompt="t.prompt", validation_share=0.2, sequence_length=512)
    stage = Sft(shards="s", checkpoint="c", epochs=6, batch_size=8, learning_rate=3e-3, warmup_steps=2, dropout=0.0)
    tuned = context.run("tuned", stage, shards=shards, checkpoint=context.folder / "small")
    assert tuned["bits_per_byte"] < 0.6 * tuned["bits_per_byte_before"]
    assert tuned["epochs"] == pytest.approx(6, abs=1)
    assert tuned["shape"]["sequence_length"] == 512


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tokenizer": {"name": "other", "digest": "x", "file": None}}, "tokenizer mismatch"),
        ({"format": "parquet"}, "unsupported format 'parquet'"),
    ],
    ids=["vocabulary", "format"],
)
def test_a_mismatched_checkpoint_is_reported(small, context, shards, change, problem):
    path = context.folder / "small" / "checkpoint.json"
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), **change}))
    try:
        process = context.start("misfit", Sft(shards="s", checkpoint="c"), shards=shards, checkpoint=path.parent)
        _, stderr = process.communicate(timeout=60)
    finally:
        path.write_text(before)
    assert process.returncode == 1
    assert problem in stderr and "hint: " in stderr and "Traceback" not in stderr


def test_a_non_finite_loss_aborts_and_names_the_last_good_save(context, shards):
    stage = Pretrain(
        **{**SMALL, "learning_rate": 1e18, "warmup_steps": 3, "max_grad_norm": 0.0}, checkpoint_every=1, tensor_parallel=2
    )
    process = context.start("burst", stage, shards=shards)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "loss nan" in stderr and "last good checkpoint: " in stderr and "Traceback" not in stderr
    assert stderr.count("loss nan") == 1
    assert not (context.folder / "burst" / "checkpoint.json").exists()


def test_impossible_layouts_are_reported_before_training():
    def places(**options):
        return {diagnostic.place for diagnostic in Pretrain(**{**SMALL, **options}).check()}

    assert places() == set()
    assert places(tensor_parallel=3, batch_size=9) == {"tensor_parallel"}
    assert places(gpus=3, tensor_parallel=2) == {"gpus"}
    assert places(gpus=3) == {"batch_size"}
    assert places(heads=5) == {"heads"}


def test_the_gpu_hours_of_phi_1_are_estimated():
    phi_1 = Pretrain(shards="s", layers=24, hidden=2048, heads=32, tokens=50_300_000_000)
    estimated = phi_1.estimate({})
    assert estimated is not None
    assert estimated.gpu_hours == pytest.approx(770, rel=0.1)


def test_the_plugin_provides_its_stages_even_if_they_were_imported_before():
    manager = pluggy.PluginManager("textbookgen")
    manager.add_hookspecs(hookspecs)
    manager.register(textbookgen_megatron)
    [provided] = manager.hook.stages()
    assert [stage.name for stage in provided] == ["pretrain", "grow", "sft", "dpo", "pivotal-tokens", "export", "import"]


def test_tensorboard_events_and_the_profile_of_a_step(context, shards):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    stage = Pretrain(**{**SMALL, "tokens": 6 * BATCH * 64}, tensorboard=True, profile_step=4)
    context.run("watched", stage, shards=shards)
    folder = context.folder / "watched"
    recorded = events.EventAccumulator(str(folder / "tensorboard")).Reload()
    losses = [(event.step, event.value) for event in recorded.Scalars("loss")]
    assert losses == [(line["step"], pytest.approx(line["loss"])) for line in metrics(folder)]
    assert "aten::mm" in (folder / "profile.txt").read_text()
    assert json.loads((folder / "profile.json").read_text())["traceEvents"]
