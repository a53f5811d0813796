from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from textbookgen_megatron.backend import growth, weights
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.shape import Shape

from textbookgen.api.errors import TrainerError

PHI = Shape("phi", layers=2, hidden=32, heads=2, kv_heads=2, ffn=128, vocabulary=100, sequence_length=24)
LLAMA = Shape("llama", layers=2, hidden=32, heads=4, kv_heads=2, ffn=48, vocabulary=100, sequence_length=24)
TIED = replace(LLAMA, tied=True, kv_heads=4)
OTHERS = [
    Shape(name, layers=2, hidden=32, heads=2, kv_heads=2, ffn=128, vocabulary=100, sequence_length=24)
    for name in ("phi3", "neox", "pythia", "neo")
]


def name_of(shape: Shape) -> str:
    return f"{shape.architecture}{'-tied' if shape.tied else ''}"


def wider(shape: Shape, factor: int) -> Shape:
    return replace(
        shape,
        hidden=shape.hidden * factor,
        heads=shape.heads * factor,
        kv_heads=shape.kv_heads * factor,
        ffn=shape.ffn * factor,
    )


def trained(shape: Shape) -> dict[str, torch.Tensor]:
    """Weights of which none is at its start: biases and norms too."""
    draw = torch.Generator().manual_seed(1)
    whole = weights.gather(build_model(shape, seed=3), shape)
    return {name: weight + 0.1 * torch.randn(weight.shape, generator=draw) for name, weight in whole.items()}


@torch.no_grad()
def logits(shape: Shape, whole: dict[str, torch.Tensor]) -> torch.Tensor:
    model = build_model(shape)
    weights.load(model, whole, shape)
    tokens = torch.randint(0, shape.vocabulary, (2, 24), generator=torch.Generator().manual_seed(2))
    out: torch.Tensor = model(tokens, torch.arange(24).expand_as(tokens), None)
    return out


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (24, 20, "0 1 2 2 3 4 5 6 7 8 8 9 10 11 12 12 13 14 15 16 17 18 18 19"),
        (32, 24, "0 1 2 2 3 4 4 5 6 7 8 8 9 10 10 11 12 13 14 14 15 16 16 17 18 19 20 20 21 22 22 23"),
        (8, 2, "0 0 0 1 1 1 1 1"),
        (6, 4, "0 1 1 2 3 3"),
    ],
)
def test_layer_maps_are_those_of_the_phi_2_talk(new, old, expected):
    assert growth.layer_map(new, old) == [int(layer) for layer in expected.split()]


def test_rounding_down_spreads_copies_evenly_when_depth_doubles():
    assert growth.layer_map(24, 12, "down") == [layer // 2 for layer in range(24)]


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("shape", [PHI, LLAMA, TIED, *OTHERS], ids=name_of)
def test_tiling_by_an_integer_factor_preserves_the_logits(shape, factor, noise):
    large = wider(shape, factor)
    with process_groups():
        small = trained(shape)
        before = logits(shape, small)
        after = logits(large, growth.tile(small, shape, large, noise=noise, seed=0))
    assert torch.linalg.norm(after - before) / torch.linalg.norm(before) < 1e-5


PARTIAL = [PHI, replace(PHI, heads=4, kv_heads=4), OTHERS[2], OTHERS[3]]  # heads with dimensions that are not rotated


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("shape", PARTIAL, ids=name_of)
def test_tiling_with_larger_heads_preserves_the_logits(shape, noise):
    large = replace(shape, hidden=2 * shape.hidden, ffn=2 * shape.ffn, rotary=shape.rotary_percent / 2)
    assert (large.head_dim, large.rotary_dim) == (2 * shape.head_dim, shape.rotary_dim)
    growth.check_growth(shape, large)
    with process_groups():
        small = trained(shape)
        before = logits(shape, small)
        after = logits(large, growth.tile(small, shape, large, noise=noise, seed=0))
    assert torch.linalg.norm(after - before) / torch.linalg.norm(before) < 1e-5


def test_phi_1_5_grows_to_phi_2():
    old = Shape("phi", layers=24, hidden=2048, heads=32, kv_heads=32, ffn=8192, vocabulary=51200, sequence_length=2048)
    new = replace(old, layers=32, hidden=2560, ffn=10240, rotary=old.rotary_dim / 80)
    growth.check_growth(old, new)
    assert (old.rotary_dim, new.rotary_dim, new.head_dim) == (32, 32, 80)
    sources = growth._source_indices(old, new)
    assert len(sources["qkv"]) == 3 * 2560 and int(sources["qkv"].max()) == 3 * 2048 - 1
    assert len(sources["heads"]) == 2560 and sources["heads"].bincount(minlength=2048).min() == 1
    assert sources["heads"][:80].tolist() == [*range(64), *range(32, 48)]


def test_reuse_puts_each_head_into_a_larger_one():
    large = replace(PHI, hidden=64, ffn=256, rotary=0.25)
    with process_groups():
        small, fresh = trained(PHI), weights.gather(build_model(large, seed=9), large)
        grown = growth.reuse(small, fresh, PHI, large)
    name = "decoder.layers.1.self_attention.linear_qkv.weight"
    big, old = grown[name].view(2, 3, 32, 64), small[name].view(2, 3, 16, 32)
    assert torch.equal(big[:, :, :16, :32], old)
    assert torch.equal(big[:, :, 16:], fresh[name].view(2, 3, 32, 64)[:, :, 16:])


def test_noise_breaks_the_symmetry_of_copies():
    large = wider(PHI, 2)
    with process_groups():
        small = trained(PHI)
        for noise, alike in ((0.0, True), (1.0, False)):
            grown = growth.tile(small, PHI, large, noise=noise, seed=0)["decoder.layers.0.mlp.linear_fc1.weight"]
            assert torch.equal(grown[: PHI.ffn], grown[PHI.ffn :]) is alike


def test_tiling_by_another_factor_stays_close():
    large = replace(PHI, hidden=48, heads=3, kv_heads=3, ffn=192)
    with process_groups():
        small = trained(PHI)
        before = logits(PHI, small)
        gap = torch.linalg.norm(logits(large, growth.tile(small, PHI, large, noise=0, seed=0)) - before) / torch.linalg.norm(
            before
        )
    assert 1e-5 < gap < 0.5


def test_copied_layers_follow_the_layer_map():
    large = replace(PHI, layers=3)
    with process_groups():
        small = trained(PHI)
    grown = growth.tile(small, PHI, large, noise=0, seed=0)
    for new, old in enumerate(growth.layer_map(3, 2)):
        name = "mlp.linear_fc2.weight"
        assert torch.equal(grown[f"decoder.layers.{new}.{name}"], small[f"decoder.layers.{old}.{name}"])


@pytest.mark.parametrize("shape", [PHI, LLAMA], ids=lambda shape: shape.architecture)
def test_reuse_copies_the_small_matrix_into_a_corner(shape):
    large = wider(shape, 2)
    with process_groups():
        small, fresh = trained(shape), weights.gather(build_model(large, seed=9), large)
    grown = growth.reuse(small, fresh, shape, large)
    assert {name: weight.shape for name, weight in grown.items()} == {name: weight.shape for name, weight in fresh.items()}
    name = "decoder.layers.1.mlp.linear_fc1.weight"
    assert torch.equal(grown[name][: shape.ffn, : shape.hidden], small[name][: shape.ffn])
    if shape.gated:
        assert torch.equal(grown[name][large.ffn : large.ffn + shape.ffn, : shape.hidden], small[name][shape.ffn :])
    assert torch.equal(grown[name][:, shape.hidden :], fresh[name][:, shape.hidden :])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"layers": 1}, "layers would shrink"),
        ({"hidden": 48, "heads": 4, "kv_heads": 4}, "heads would shrink from 16 to 12"),
        ({"hidden": 48, "heads": 3, "kv_heads": 1}, "cannot share keys and values"),
    ],
)
def test_impossible_growth_is_reported(change, problem):
    with pytest.raises(TrainerError, match=problem):
        growth.check_growth(PHI, replace(PHI, **change))


def test_heads_whose_dimensions_are_all_rotated_keep_their_size():
    with pytest.raises(TrainerError, match="all of their dimensions are rotated"):
        growth.check_growth(LLAMA, replace(LLAMA, hidden=64))
