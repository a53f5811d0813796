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
        ({"hidden": 40}, "not a multiple"),
        ({"hidden": 48, "heads": 3, "kv_heads": 1}, "cannot share keys and values"),
    ],
)
def test_impossible_growth_is_reported(change, problem):
    with pytest.raises(TrainerError, match=problem):
        growth.check_growth(PHI, replace(PHI, **change))
