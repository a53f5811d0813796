"""TRL's trainer on packed pairs: parity with megatron's own losses, and resuming."""

from __future__ import annotations

import pytest
from textbookgen_megatron.stages.dpo import Dpo as MegatronDpo
from textbookgen_megatron.stages.pretrain import Pretrain as MegatronPretrain
from textbookgen_transformers.backend.dpo_trainer import PackedDpoTrainer
from textbookgen_transformers.stages.dpo import Dpo
from textbookgen_transformers.stages.sft import Sft

from textbookgen.api.errors import TrainerError

from .conftest import metrics, pack, pairs

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:transformers.*")  # of names that TRL still uses

ROWS = [(f"How is number {i}?", f"Number {i} is fine, thank you.", f"{i} bad" + " bad" * (i % 4)) for i in range(48)]
SHAPE = {"architecture": "llama", "layers": 2, "hidden": 32, "heads": 4, "vocabulary": 384}
OPTIONS = {"shards": "s", "checkpoint": "c", "epochs": 3, "batch_size": 8, "learning_rate": 3e-3}


@pytest.fixture(scope="module")
def replies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replies")
    return pack(folder, pairs(folder, ROWS), sequence_length=96, validation_share=0.2)


@pytest.fixture(scope="module")
def base(context, shards):
    """A small model of megatron's, and the same exported."""
    context.work(
        "base", MegatronPretrain(**SHAPE, shards="s", batch_size=8, tokens=4096, learning_rate=5e-3, dropout=0.0), shards=shards
    )
    return context.folder / "base", context.export("base-exported", context.folder / "base")


def test_parity_of_dpo_steps_with_megatron(context, base, replies):
    mine = context.here("dpo", Dpo(**OPTIONS, micro_batch_size=4), shards=replies, checkpoint=base[1])
    theirs = context.work("their-dpo", MegatronDpo(**OPTIONS), shards=replies, checkpoint=base[0])
    ours, others = metrics(context.folder / "dpo"), metrics(context.folder / "their-dpo")
    assert ours[0].keys() == others[0].keys()
    for name in set(ours[0]) - {"seconds", "tokens_per_second"}:
        values = [[line[name] for line in lines] for lines in (ours, others)]
        assert values[0] == pytest.approx(values[1], rel=1e-3, abs=1e-4), name
    assert ours[0]["loss"] == pytest.approx(0.693147, abs=1e-5)
    assert ours[-1]["loss"] < 0.5 * ours[0]["loss"]
    assert ours[-1]["reward_margin"] > ours[0]["reward_margin"] + 0.5
    assert mine["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-3)
    assert mine["validation"] == pytest.approx(theirs["validation"], rel=1e-3)


def test_a_resumed_run_reuses_its_reference_log_probabilities(context, base, replies, monkeypatch):
    options = Dpo(**OPTIONS, loss="ipo", checkpoint_every=4)
    whole = context.here("ipo", options, shards=replies, checkpoint=base[1])

    class Kill(Exception):
        pass

    from textbookgen_transformers.backend.callbacks import RunCallback

    saved = RunCallback.on_save

    def kill(self, args, state, control, **more):
        saved(self, args, state, control, **more)
        raise Kill

    monkeypatch.setattr(RunCallback, "on_save", kill)
    with pytest.raises(Kill):
        context.here("ipo-killed", options, shards=replies, checkpoint=base[1])
    monkeypatch.undo()
    monkeypatch.setattr(PackedDpoTrainer, "_reference_logprobs", lambda *_: pytest.fail("the reference was computed again"))
    resumed = context.here("ipo-killed", options, shards=replies, checkpoint=base[1])
    losses = [[line["loss"] for line in metrics(context.folder / name)] for name in ("ipo", "ipo-killed")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert resumed["validation_loss"] == pytest.approx(whole["validation_loss"], rel=1e-5)


def test_several_losses_are_summed_by_their_weights(context, base, replies):
    first = []
    for place, loss in enumerate(("sigmoid", "sft", {"sigmoid": 2.0, "sft": 0.5})):
        stage = Dpo(**OPTIONS | {"epochs": 0.2}, loss=loss)
        context.here(f"summed-{place}", stage, shards=replies, checkpoint=base[1])
        first.append(metrics(context.folder / f"summed-{place}")[0]["loss"])
    assert first[0] == pytest.approx(0.693147, abs=1e-5) and first[1] > 0.1
    assert first[2] == pytest.approx(2 * first[0] + 0.5 * first[1], rel=1e-5)


def test_loss_options_equal_megatrons():
    for loss in ("ipo", {"sigmoid": 1, "sft": 0.2}):
        assert Dpo(**OPTIONS, loss=loss).loss_weights == MegatronDpo(**OPTIONS, loss=loss).loss_weights


def test_shards_of_the_wrong_content_are_reported(context, base, shards, replies):
    with pytest.raises(TrainerError, match="hold Documents, not pairs"):
        context.here("wrong", Dpo(**OPTIONS), shards=shards, checkpoint=base[1])
    with pytest.raises(TrainerError, match="hold pairs"):
        context.here("wrong", Sft(shards="s", checkpoint="c"), shards=replies, checkpoint=base[1])


@pytest.mark.parametrize(
    ("options", "place"),
    [({"loss": "robust"}, "label_smoothing"), ({"label_smoothing": 0.1}, "label_smoothing"), ({"loss": {}}, "loss")],
)
def test_losses_and_smoothing_that_do_not_fit_are_told(options, place):
    assert [each.place for each in Dpo(**OPTIONS, **options).check()] == [place]
