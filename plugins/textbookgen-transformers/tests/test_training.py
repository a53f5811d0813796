"""Parity of both trainers on the same shards, and of interrupted runs with uninterrupted ones."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest
from textbookgen_megatron.exchange.convert import main as convert
from textbookgen_megatron.stages.grow import Grow
from textbookgen_megatron.stages.import_ import Import
from textbookgen_megatron.stages.pretrain import Pretrain as MegatronPretrain
from textbookgen_megatron.stages.sft import Sft as MegatronSft
from textbookgen_transformers.backend.samples import IGNORED
from textbookgen_transformers.backend.setup import plan_training
from textbookgen_transformers.job import TransformersJob
from textbookgen_transformers.stages.pretrain import Pretrain
from textbookgen_transformers.stages.sft import Sft

import textbookgen
from textbookgen.api.errors import TrainerError

from .conftest import card, documents, metrics, pack, stories

STEPS, BATCH = 24, 8
SMALL = {
    "shards": "s",
    "architecture": "llama",
    "layers": 2,
    "hidden": 32,
    "heads": 4,
    "kv_heads": 2,
    "vocabulary": 384,  # what Megatron pads its rows to, so that both have the same softmax
    "batch_size": BATCH,
    "tokens": STEPS * BATCH * 64,
    "learning_rate": 5e-3,
    "dropout": 0.0,
}


@pytest.fixture(scope="module")
def small(context, shards):
    """A model trained without interruption."""
    return context.here("small", Pretrain(**SMALL), shards=shards)


@pytest.fixture(scope="module")
def other(context, shards):
    """The same, trained by megatron."""
    return context.work("other", MegatronPretrain(**SMALL), shards=shards)


@pytest.fixture(scope="module")
def exported(context, other):
    return context.export("exported", context.folder / "other")


def wait_for(process, folder, step):
    deadline = time.monotonic() + 90
    while len(metrics(folder)) < step:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def test_both_trainers_learn_alike_from_the_same_shards(small, other, context):
    mine, theirs = metrics(context.folder / "small"), metrics(context.folder / "other")
    assert [line["step"] for line in mine] == list(range(1, STEPS + 1))
    assert mine[0]["loss"] == pytest.approx(theirs[0]["loss"], abs=0.05)
    assert mine[-1]["loss"] < mine[0]["loss"] - 2
    assert mine[-1]["loss"] == pytest.approx(theirs[-1]["loss"], abs=0.3)
    assert small["parameters"] == other["parameters"]
    assert (small["step"], small["tokens"], small["tokens_total"]) == (STEPS, STEPS * BATCH * 64, STEPS * BATCH * 64)
    assert mine[-1]["validation_bits_per_byte"] == small["bits_per_byte"] < 6
    assert mine[0].keys() == theirs[0].keys()


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant", "wsd"])
def test_parity_of_learning_rates_with_megatron(context, schedule):
    from megatron.core.optimizer_param_scheduler import OptimizerParamScheduler
    from textbookgen_transformers.backend.schedule import learning_rate

    options = Pretrain(**SMALL | {"schedule": schedule, "min_learning_rate": 1e-4, "decay_fraction": 0.3, "warmup_steps": 4})

    class Optimizer:
        param_groups = [{"lr": 0.0, "weight_decay": 0.0}]

    theirs = OptimizerParamScheduler(
        Optimizer(),
        init_lr=0.0,
        max_lr=options.learning_rate,
        min_lr=options.min_learning_rate,
        lr_warmup_steps=options.resolve_warmup_steps(STEPS),
        lr_decay_steps=STEPS + 1,
        lr_decay_style="WSD" if schedule == "wsd" else schedule,
        wsd_decay_steps=round(0.3 * STEPS),
        lr_wsd_decay_style="linear",
        start_wd=0.0,
        end_wd=0.0,
        wd_incr_steps=0,
        wd_incr_style="constant",
    )
    for step in range(1, STEPS + 1):
        theirs.step(increment=1)
        assert learning_rate(step, STEPS, options) == pytest.approx(Optimizer.param_groups[0]["lr"], rel=1e-12)


def test_parity_of_finetuning_an_exported_checkpoint_with_megatron(context, other, exported, tmp_path):
    texts = [f"{text} Q? yes yes yes" for text in stories(120, seed=3)]
    table = documents(tmp_path, texts, **{"t.prompt": [text.removesuffix(" yes yes yes") for text in texts]})
    answers = pack(tmp_path, table, prompt="t.prompt", validation_share=0.2, sequence_length=256)
    options = {"shards": "s", "checkpoint": "c", "epochs": 3, "batch_size": 4, "learning_rate": 3e-3, "dropout": 0.0}
    mine = context.here("tuned", Sft(**options), shards=answers, checkpoint=exported)
    theirs = context.work("their-tuned", MegatronSft(**options), shards=answers, checkpoint=context.folder / "other")
    assert mine["bits_per_byte_before"] == pytest.approx(theirs["bits_per_byte_before"], rel=1e-5)
    assert mine["bits_per_byte"] == pytest.approx(theirs["bits_per_byte"], rel=1e-3)
    assert mine["bits_per_byte"] < 0.7 * mine["bits_per_byte_before"]
    for name in ("loss", "grad_norm", "learning_rate", "tokens"):
        values = [[line[name] for line in metrics(context.folder / folder)] for folder in ("tuned", "their-tuned")]
        assert values[0] == pytest.approx(values[1], rel=1e-3)
    assert mine["tokens_total"] == theirs["tokens_total"]


def test_parity_of_held_out_bits_per_byte_of_an_exported_checkpoint(context, other, exported, shards):
    untouched = Sft(shards="s", checkpoint="c", epochs=1, batch_size=64, learning_rate=1e-12, weight_decay=0, dropout=0.0)
    measured = context.here("measured", untouched, shards=shards, checkpoint=exported)
    assert measured["bits_per_byte_before"] == pytest.approx(other["bits_per_byte"], rel=1e-6)


@pytest.mark.slow
def test_a_killed_run_resumes_with_the_dropout_it_would_have_had(context, shards):
    options = Pretrain(
        **SMALL | {"dropout": 0.1, "architecture": "phi", "checkpoint_every": 5, "activation_checkpointing": True}
    )
    whole = context.here("undisturbed", options, shards=shards)
    process = context.start("killed", options, shards=shards)
    wait_for(process, context.folder / "killed", 7)
    process.kill()
    process.communicate()
    killed = metrics(context.folder / "killed")
    assert not (context.folder / "killed" / "checkpoint.json").exists()
    resumed = context.here("killed", options, shards=shards)
    lines, alone = metrics(context.folder / "killed"), metrics(context.folder / "undisturbed")
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    assert lines[4] == killed[4]  # what was saved stays; the steps after it are repeated
    for name in ("loss", "grad_norm", "tokens", "learning_rate"):
        assert [line[name] for line in lines] == pytest.approx([line[name] for line in alone], rel=1e-5)
    assert resumed["bits_per_byte"] == pytest.approx(whole["bits_per_byte"], rel=1e-5)
    assert not (context.folder / "killed" / "saves").exists()


def test_a_run_killed_after_its_last_step_only_writes_its_result(context, shards, monkeypatch):
    from textbookgen_transformers.backend import run

    class Kill(Exception):
        pass

    def kill(*_):
        raise Kill

    options = Pretrain(**SMALL | {"tokens": 4 * BATCH * 64, "checkpoint_every": 3})
    monkeypatch.setattr(run.CausalLMCard, "write", kill)
    with pytest.raises(Kill):
        context.here("nearly", options, shards=shards)
    monkeypatch.undo()
    before = metrics(context.folder / "nearly")
    assert context.here("nearly", options, shards=shards)["bits_per_byte"] == before[-1]["validation_bits_per_byte"]
    assert metrics(context.folder / "nearly") == before


@pytest.mark.slow
def test_parity_of_two_processes_with_one_which_resumes_after_they_were_stopped(small, context, shards):
    process = context.start("stopped", Pretrain(**SMALL, gpus=2, micro_batch_size=2), shards=shards)
    folder = context.folder / "stopped"
    wait_for(process, folder, 3)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in said
    assert "run the same command again to resume" in said
    stopped = metrics(folder)
    assert len(stopped) < STEPS
    assert [path.name for path in (folder / "saves").iterdir()] == [f"checkpoint-{len(stopped)}"]
    # a save that is not whole is none, and makes room
    shutil.copytree(folder / "saves" / f"checkpoint-{len(stopped)}", folder / "saves" / "checkpoint-23")
    (folder / "saves" / "checkpoint-23" / "optimizer.pt").write_bytes(b"")
    resumed = context.here("stopped", Pretrain(**SMALL), shards=shards)
    assert [line["loss"] for line in metrics(folder)] == pytest.approx(
        [line["loss"] for line in metrics(context.folder / "small")], rel=1e-5
    )
    assert resumed["bits_per_byte"] == pytest.approx(small["bits_per_byte"], rel=1e-5)


def test_an_error_is_printed_without_a_traceback(context, small, shards, tmp_path):
    bent = tmp_path / "bent"
    shutil.copytree(context.folder / "small", bent)
    (bent / "checkpoint.json").write_text(json.dumps(card(bent) | {"format": "megatron"}))
    process = context.start("misfit", Sft(shards="s", checkpoint="c"), shards=shards, checkpoint=bent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "unsupported format 'megatron'" in said and "hint: " in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"tokenizer": {"name": "other", "digest": "x", "file": None}}, "tokenizer mismatch"),
        ({"format": "parquet"}, "unsupported format 'parquet'"),
    ],
    ids=["vocabulary", "format"],
)
def test_mismatched_checkpoints_are_reported(context, small, shards, tmp_path, change, problem):
    (tmp_path / "checkpoint.json").write_text(json.dumps(card(context.folder / "small") | change))
    job = context.job("misfit", Sft(shards="s", checkpoint="c"), shards=shards, checkpoint=tmp_path)
    with pytest.raises(TrainerError, match=problem):
        TransformersJob.read(job.path)


def test_the_loss_covers_answers_and_documents_are_read_from_an_eod(context, small, tmp_path):
    texts = ["Ann had a dog. yes", "Tom had a kite. no", "x" * 100 + " yes"]
    table = documents(tmp_path, texts, **{"t.prompt": [text[: text.rindex(" ")] for text in texts]})
    shards = pack(tmp_path, table, prompt="t.prompt", validation_share=0)
    stage = Sft(shards="s", checkpoint="c", batch_size=1)
    source = plan_training(
        TransformersJob.read(context.job("m", stage, shards=shards, checkpoint=context.folder / "small").path)
    ).source
    windows = [source.window(index) for index in range(len(source))]
    learned = [bytes(i for i in window["labels"][window["labels"] != IGNORED] if i < 256).decode() for window in windows]
    assert sorted("".join(learned).split()) == ["no", "yes", "yes"]
    for window in windows:
        starts = window["position_ids"] == 0
        assert all(before == 256 for before in window["input_ids"][starts & (window["labels"] != IGNORED)])
    assert sum(source.tokens(n, n + 1) for n in range(len(source))) == sum(len(text) + 1 for text in texts)


def test_a_recipe_can_replace_the_name_of_the_trainer(small):
    assert set(Sft.model_fields) <= set(MegatronSft.model_fields)
    assert set(Pretrain.model_fields) <= set(MegatronPretrain.model_fields)
    for mine, theirs in ((Pretrain, MegatronPretrain), (Sft, MegatronSft)):
        for name, field in mine.model_fields.items():
            assert field.default == theirs.model_fields[name].default, name


def test_the_core_names_no_trainer():
    core = Path(textbookgen.__file__).parent
    for path in core.rglob("*.py"):
        if path.name == "testing.py" or "template" in path.parts:  # the one lists what is heavy to import
            continue
        text = path.read_text(encoding="utf-8").lower()
        for trainer in ("megatron", "transformers"):
            assert f"{trainer}/" not in text and f"textbookgen_{trainer}" not in text, path


def test_parity_of_bits_per_byte_after_megatron_imports_and_grows_a_checkpoint(context, shards):
    small = context.here("to-be-grown", Pretrain(**SMALL | {"architecture": "llama"}), shards=shards)
    assert convert(context.job("taken-in", Import(checkpoint="c"), checkpoint=context.folder / "to-be-grown").path) == 0
    taken = card(context.folder / "taken-in")
    assert taken["tokenizer"]["digest"] == small["tokenizer"]["digest"]
    assert taken["parameters"] == small["parameters"]
    grow = Grow(shards="s", checkpoint="c", layers=3, tokens=8 * 64, batch_size=8, dropout=0.0)
    grown = context.work("grown", grow, shards=shards, checkpoint=context.folder / "taken-in")
    assert grown["shape"]["layers"] == 3
    read = MegatronSft(shards="s", checkpoint="c", epochs=1, batch_size=64, learning_rate=1e-12, weight_decay=0, dropout=0.0)
    measured = context.work("read", read, shards=shards, checkpoint=context.folder / "taken-in")
    assert measured["bits_per_byte_before"] == pytest.approx(small["bits_per_byte"], rel=1e-6)
