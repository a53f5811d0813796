from __future__ import annotations

import collections
import os
from types import SimpleNamespace
from typing import get_args

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import polars as pl
import pytest
import torch
from textbookgen_megatron.backend import weights
from textbookgen_megatron.backend.data import PairSamples, collate
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.backend.objective import PreferenceObjective
from textbookgen_megatron.backend.preference_loss import PreferenceLoss
from textbookgen_megatron.exchange.weight_names import to_transformers
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.dpo import Dpo
from textbookgen_megatron.stages.pretrain import Pretrain

from textbookgen.api.artifacts import Pairs, Part
from textbookgen.api.errors import RunError
from textbookgen.training.options import LossType
from textbookgen.training.shards import PackedShards

from .conftest import documents, metrics, pack, stories

SHAPE = Shape("llama", layers=2, hidden=32, heads=4, kv_heads=2, ffn=64, vocabulary=384, sequence_length=96)


def message(role, text):
    return [{"role": role, "content": text}] if text is not None else []


def pairs(folder, rows):
    """A table of pairs: what the user asks, the reply that was chosen, the one that was rejected."""
    table = {
        "id": [f"pair{i}" for i in range(len(rows))],
        "prompt": [message("user", row[0]) if isinstance(row[0], str) else row[0] for row in rows],
        "chosen": [message("assistant", row[1]) for row in rows],
        "rejected": [message("assistant", row[2]) for row in rows],
    }
    pl.DataFrame(table, schema={"id": pl.String(), **Pairs.content}).write_parquet(folder / "pairs.parquet")
    return Pairs((Part(folder / "pairs.parquet"),))


ROWS = [(f"How is number {i}?", f"Number {i} is fine, thank you.", f"{i} bad" + " bad" * (i % 4)) for i in range(48)]


@pytest.fixture(scope="module")
def replies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replies")
    return pack(folder, pairs(folder, ROWS), sequence_length=96, validation_share=0.2)


def test_pairs_are_packed_chosen_first_with_the_loss_on_replies_only(replies):
    shards = PackedShards.read(replies)
    with process_groups():
        source = PairSamples(shards, "train")
        sample = source.pair(0)
    texts = [
        "".join(map(chr, row[mask > 0].tolist()[:-1])) for row, mask in zip(sample["labels"], sample["loss_mask"], strict=True)
    ]
    assert texts in [[chosen, rejected] for _, chosen, rejected in ROWS]
    assert shards.counts("train").documents % 2 == shards.counts("valid").documents % 2 == 0
    assert len(source) * 2 == shards.counts("train").documents


def test_a_prompt_ending_in_an_assistant_message_is_continued(tmp_path):
    begun = [{"role": "user", "content": "Two and two?"}, {"role": "assistant", "content": "It is "}]
    folder = pack(tmp_path, pairs(tmp_path, [(begun, "4", "5")] * 2), sequence_length=64, validation_share=0)
    with process_groups():
        sample = PairSamples(PackedShards.read(folder), "train").pair(0)
    assert [row[mask > 0].tolist() for row, mask in zip(sample["labels"], sample["loss_mask"], strict=True)] == [[52], [53]]


@pytest.mark.parametrize(
    ("row", "problem"),
    [(("Hi", None, "no"), "has no chosen reply"), (("Hi", "yes", " "), "has no rejected reply"), (("Hi", "", "no"), "chosen")],
)
def test_pairs_without_a_reply_are_reported(tmp_path, row, problem):
    with pytest.raises(RunError, match=problem) as caught:
        pack(tmp_path, pairs(tmp_path, [*ROWS[:3], row]))
    assert "pair3" in str(caught.value)


def test_pairs_longer_than_a_window_are_skipped_and_counted(tmp_path):
    folder = pack(tmp_path, pairs(tmp_path, [*ROWS[:6], ("Hi", "x" * 99, "y")]), sequence_length=96, validation_share=0)
    shards = PackedShards.read(folder)
    assert (sum(shards.manifest.left_out.values()), shards.counts("train").documents) == (1, 12)
    with pytest.raises(RunError, match="1 longer than 96 tokens"):
        (tmp_path / "other").mkdir()
        pack(tmp_path / "other", pairs(tmp_path, [("Hi", "x" * 99, "y")]), sequence_length=96, validation_share=0)


def moved(whole, spread, seed):
    draw = torch.Generator().manual_seed(seed)
    return {name: weight + spread * torch.randn(weight.shape, generator=draw) for name, weight in whole.items()}


def trl_loss(kinds, beta, smoothing, logits, reference_logits, ids, mask):
    """TRL's own `_compute_loss` on these logits: `[2 b, s]`, chosen above rejected."""
    trainer = pytest.importorskip("trl.trainer.dpo_trainer")
    chosen_first = torch.cat([torch.arange(0, len(ids), 2), torch.arange(1, len(ids), 2)])

    def logps(of):
        return (of.log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])[..., 0] * mask[:, 1:])[chosen_first]

    def model(**_):
        zeros = torch.zeros(len(ids), ids.size(1) - 1)
        return SimpleNamespace(log_probs=logps(logits), entropy=zeros, mean_logits=zeros, is_top1=zeros.bool())

    reference = logps(reference_logits).sum(-1).detach().chunk(2)
    trl = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda value: value, gather=lambda value: value),
        args=SimpleNamespace(discopop_tau=0.05),
        aux_loss_enabled=False, ld_alpha=None, precompute_ref_logps=True, f_divergence_type="reverse_kl", use_weighting=False,
        loss_types=list(kinds), loss_weights=list(kinds.values()), beta=beta, label_smoothing=smoothing,
        _metrics={"train": collections.defaultdict(list)}, _total_train_tokens=0, _tp_size=1,
    )  # fmt: skip
    inputs = {
        "input_ids": ids[chosen_first],
        "attention_mask": torch.ones_like(ids),
        "completion_mask": mask[chosen_first],
        "ref_chosen_logps": reference[0],
        "ref_rejected_logps": reference[1],
    }
    return trainer.DPOTrainer._compute_loss(trl, model, inputs, False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kinds", [*({kind: 1.0} for kind in get_args(LossType)), {"sigmoid": 0.7, "sft": 0.2}], ids=str)
def test_parity_of_losses_and_gradients_with_trl(replies, kinds, hf_twins):
    beta, smoothing = 0.3, 0.1 if kinds.keys() & {"robust", "exo_pair", "aot", "aot_unpaired"} else 0.0
    ours, theirs, theirs_before, shown = hf_twins
    flat = {name: value.flatten(0, 1) for name, value in shown.items() if name != "reference"}
    ids = torch.cat([flat["tokens"][:, :1], flat["labels"]], 1)
    mask = torch.cat([torch.zeros(len(ids), 1), flat["loss_mask"]], 1)
    theirs.zero_grad()
    with torch.no_grad():
        before = theirs_before(ids).logits
    expected = trl_loss(kinds, beta, smoothing, theirs(ids).logits, before, ids, mask)
    expected.backward()
    with process_groups():
        model = build_model(SHAPE)
        weights.load(model, ours, SHAPE)
        output, loss_function = PreferenceObjective(PreferenceLoss(kinds, beta, smoothing)).forward(iter([shown]), model)
        total, units, reported = loss_function(output)
        (total / units).backward()
        gradients = {name: parameter.grad for name, parameter in weights.full_names(model, SHAPE).items()}
    assert float(total / units) == pytest.approx(float(expected), rel=1e-5)
    assert float(reported["sums"][0] / reported["sums"][1]) == pytest.approx(float(expected), rel=1e-5)
    mine = dict(to_transformers(gradients.__getitem__, SHAPE))
    for name, parameter in theirs.named_parameters():
        assert torch.linalg.norm(mine[name] - parameter.grad) < 2e-5 * torch.linalg.norm(parameter.grad), name


@pytest.fixture(scope="module")
def hf_twins(replies):
    """Weights of a policy; the policy and its reference in transformers; six pairs with the reference's log probabilities."""
    transformers = pytest.importorskip("transformers")
    from textbookgen_megatron.exchange.configs import shape_to_config

    config = shape_to_config(SHAPE, 256)
    config.pop("model_type")
    with process_groups():
        source = PairSamples(PackedShards.read(replies), "train")
        first = moved(weights.gather(build_model(SHAPE), SHAPE), 0.1, 1)
        policy = moved(first, 0.02, 2)
        models = []
        for whole in (policy, first):
            model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config, attn_implementation="eager"))
            model.load_state_dict(dict(to_transformers(whole.__getitem__, SHAPE)))
            models.append(model)
        shown = collate([source.pair(index) for index in range(6)])
        reference = build_model(SHAPE)
        weights.load(reference, first, SHAPE)
        with torch.no_grad():
            output, _ = PreferenceObjective(PreferenceLoss({"sigmoid": 1.0}, 0.1)).forward(iter([shown]), reference)
            logps = -(output * shown["loss_mask"].flatten(0, 1)).sum(-1).view(-1, 2)
    return policy, *models, {**shown, "reference": logps}


STEPS = {"batch_size": 8, "learning_rate": 1e-3, "dropout": 0.0}


@pytest.mark.parametrize("layout", [{}, {"tensor_parallel": 2}, {"pipeline_parallel": 2}, {"gpus": 2}], ids=str)
def test_preferences_are_learned_in_every_layout(context, replies, layout):
    if not (context.folder / "speaker").exists():
        table = context.folder / "speaker-shards"
        table.mkdir()
        shards = pack(table, documents(table, stories(100)))
        small = {"layers": 2, "hidden": 32, "heads": 2, "batch_size": 8, "learning_rate": 5e-3, "dropout": 0.0}
        context.run("speaker", Pretrain(shards="s", tokens=10 * 8 * 64, **small), shards=shards)
    name = f"preferred-{'-'.join(layout)}"
    stage = Dpo(shards="s", checkpoint="c", epochs=4, validate_every=5, **STEPS, **layout)
    card = context.run(name, stage, shards=replies, checkpoint=context.folder / "speaker")
    lines = metrics(context.folder / name)
    assert lines[0]["loss"] == pytest.approx(0.693147, abs=1e-5)  # policy and reference are the same model at first
    assert lines[0]["reward_margin"] == pytest.approx(0, abs=1e-5)
    assert lines[-1]["loss"] < 0.4 and lines[-1]["reward_accuracy"] == 1.0
    assert lines[-1]["reward_chosen"] - lines[-1]["reward_rejected"] == pytest.approx(lines[-1]["reward_margin"], rel=1e-4)
    assert card["validation"]["reward_accuracy"] > 0.8
    assert (context.folder / name / "reference.npz").is_file()
    other = context.folder / "preferred-"
    if layout and (other / "checkpoint.json").exists():
        assert [line["loss"] for line in lines] == pytest.approx([line["loss"] for line in metrics(other)], rel=1e-4)


def test_dpo_requires_pairs_and_sft_rejects_them(context, replies, shards):
    from textbookgen_megatron.stages.sft import Sft

    if not (context.folder / "speaker" / "checkpoint.json").exists():
        pytest.skip("needs the model that other tests train")
    for name, stage, wrong, problem in (
        ("no-pairs", Dpo(shards="s", checkpoint="c", batch_size=8), shards, "the shards hold Documents, not pairs"),
        ("pairs", Sft(shards="s", checkpoint="c", batch_size=8), replies, "hold pairs"),
    ):
        process = context.start(name, stage, shards=wrong, checkpoint=context.folder / "speaker")
        _, diagnostics = process.communicate(timeout=60)
        assert process.returncode == 1 and problem in diagnostics and "Traceback" not in diagnostics


def test_the_robust_loss_requires_label_smoothing():
    assert {diagnostic.place for diagnostic in Dpo(shards="s", checkpoint="c", loss="robust").check()} == {"label_smoothing"}
    assert not list(Dpo(shards="s", checkpoint="c", loss="robust", label_smoothing=0.1).check())
