"""Quantization: rounding errors, the file format, and the recorded loss of quality."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import load_file
from textbookgen_megatron.exchange import quantize
from textbookgen_megatron.serving.loading import load_model
from textbookgen_megatron.stages.export import Export
from textbookgen_megatron.stages.pretrain import Pretrain

from .conftest import documents as table_of
from .conftest import pack, stories


@pytest.mark.parametrize("columns", [64, 77, 5])
@pytest.mark.parametrize("bits", [8, 4])
def test_rounding_errors_are_at_most_half_a_step(bits, columns):
    weight = torch.randn(6, columns, generator=torch.Generator().manual_seed(0))
    weight[2] = 0
    numbers, scales = quantize.quantize(weight, bits, 32)
    back = quantize.dequantize(numbers, scales, bits, 32, columns)
    steps = scales.float().repeat_interleave(32, 1)[:, :columns]
    assert ((back - weight).abs() <= 0.51 * steps).all()
    assert torch.equal(back[2], weight[2])
    assert numbers.numel() == 6 * (columns if bits == 8 else math.ceil(columns / 2))
    # values on the grid are restored exactly
    exact = steps * torch.randint(-7, 8, weight.shape, generator=torch.Generator().manual_seed(1))
    exact[:, ::32] = 7 * steps[:, ::32] if bits == 4 else 127 * steps[:, ::32]
    again = quantize.dequantize(*quantize.quantize(exact, bits, 32), bits, 32, columns)
    assert torch.allclose(again, exact, rtol=1e-3)


@pytest.fixture(scope="module")
def trained(context, shards):
    options = {"architecture": "llama", "shards": "s", "layers": 2, "hidden": 32, "heads": 4, "batch_size": 8, "dropout": 0.0}
    options["vocabulary"] = 384  # no padding rows, which count in the trainer's bits per byte but not after export
    return context.run("unquantized", Pretrain(**options, tokens=60 * 8 * 64, learning_rate=5e-3), shards=shards)


@pytest.mark.parametrize(("kind", "max_cost"), [("int8", 0.001), ("int4", 0.2)])
def test_the_card_records_the_loss_of_quality(trained, context, shards, kind, max_cost):
    source = context.folder / "unquantized"
    card = context.convert(
        f"as-{kind}", Export(checkpoint="c", quantize=kind, group_size=16, shards="s"), checkpoint=source, shards=shards
    )
    cost = card["quantized"]
    assert cost["exact"]["bits_per_byte"] == pytest.approx(trained["bits_per_byte"], rel=1e-5)
    assert abs(cost["quantized"]["bits_per_byte"] / cost["exact"]["bits_per_byte"] - 1) < max_cost
    assert cost["exact"]["perplexity"] != cost["quantized"]["perplexity"]
    folder = context.folder / f"as-{kind}"
    assert cost["bytes"] == (folder / quantize.FILE).stat().st_size < (folder / "model.safetensors").stat().st_size
    exported = load_file(folder / "model.safetensors")
    back = dict(quantize.read(folder, {name: weight.size(-1) for name, weight in exported.items()}))
    assert back.keys() == exported.keys()
    model = load_model(folder)
    approximate = quantize.round_trip(model, cost["bits"], 16)
    # a group of weights is rounded alike in both formats
    assert torch.equal(
        back["model.layers.1.mlp.down_proj.weight"], approximate.weights["decoder.layers.1.mlp.linear_fc2.weight"]
    )
    assert all((back[name] - weight).abs().max() < 0.2 for name, weight in exported.items())


def test_quantization_requires_held_out_text(context, trained, tmp_path):
    assert [diagnostic.place for diagnostic in Export(checkpoint="c", quantize="int8").check()] == ["shards"]
    everything = pack(tmp_path, table_of(tmp_path, stories(30)), validation_share=0)
    job = context.job(
        "nothing-held-out",
        Export(checkpoint="c", quantize="int8", shards="s"),
        checkpoint=context.folder / "unquantized",
        shards=everything,
    )
    from textbookgen_megatron.exchange.convert import main

    assert main(job.path) == 1
    assert not (job.folder / "checkpoint.json").exists()
