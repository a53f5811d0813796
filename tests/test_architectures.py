"""Model shapes by name and by values, and what is wrong with impossible ones."""

from __future__ import annotations

import pytest

from textbookgen.training.architectures import NAMED, block_parameters, resolve_shape, shape_problem


def test_a_named_shape_is_overridden_and_dependent_sizes_follow():
    assert resolve_shape("phi-3-medium", {"layers": 2})["kv_heads"] == 10
    narrow = resolve_shape("phi-3-medium", {"hidden": 1280, "heads": 8, "kv_heads": None})
    assert (narrow["ffn"], narrow["kv_heads"], narrow["window"]) == (4480, 2, 2047)
    assert resolve_shape("phi-1", {"ffn": 100})["ffn"] == 100
    other = resolve_shape("phi-1", {"architecture": "llama"})
    assert other["hidden"] == 2048 and "head_bias" not in other
    assert resolve_shape(None, {"layers": 1, "hidden": 64, "heads": 4})["ffn"] == 256


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"hidden": 65}, "heads"),
        ({"kv_heads": 3}, "kv_heads"),
        ({"architecture": "neox", "kv_heads": 2}, "kv_heads"),
        ({"architecture": "neo", "rotary": 0.5}, "rotary"),
        ({"hidden": 24}, "heads"),
        ({"rotary": 0.01}, "heads"),
    ],
)
def test_impossible_shapes_are_reported(values, place):
    sound = {"layers": 1, "hidden": 64, "heads": 4}
    assert shape_problem(resolve_shape(None, sound)) is None
    problem = shape_problem(resolve_shape(None, sound | values))
    assert problem is not None
    assert problem[0] == place


def test_every_named_shape_is_possible():
    for name in NAMED:
        assert shape_problem(resolve_shape(name, {})) is None, name


def test_weights_of_blocks_are_those_of_phi_1():
    assert block_parameters(resolve_shape("phi-1", {})) == 24 * 12 * 2048**2
