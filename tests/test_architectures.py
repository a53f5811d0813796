"""Shapes by name and by parts, and what is wrong with those that no model has."""

from __future__ import annotations

import pytest

from textbookgen.training.architectures import NAMED, resolve_shape, shape_problem, block_parameters


def test_a_named_shape_is_taken_apart_and_its_parts_replaced():
    assert resolve_shape("phi-3-medium", {"layers": 2})["kv_heads"] == 10
    narrow = resolve_shape("phi-3-medium", {"hidden": 1280, "heads": 8, "kv_heads": None})
    assert (narrow["ffn"], narrow["kv_heads"], narrow["window"]) == (4480, 2, 2047)
    assert resolve_shape("phi-1", {"ffn": 100})["ffn"] == 100
    other = resolve_shape("phi-1", {"architecture": "llama"})
    assert other["hidden"] == 2048 and "head_bias" not in other
    assert resolve_shape(None, {"layers": 1, "hidden": 64, "heads": 4})["ffn"] == 256


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"hidden": 65}, "heads"),
        ({"kv_heads": 3}, "kv_heads"),
        ({"architecture": "neox", "kv_heads": 2}, "kv_heads"),
        ({"architecture": "neo", "rotary": 0.5}, "rotary"),
        ({"hidden": 24}, "heads"),
        ({"rotary": 0.01}, "heads"),
    ],
)
def test_parts_that_make_no_model_are_told(given, place):
    sound = {"layers": 1, "hidden": 64, "heads": 4}
    assert shape_problem(resolve_shape(None, sound)) is None
    found = shape_problem(resolve_shape(None, sound | given))
    assert found is not None
    assert found[0] == place


def test_every_named_shape_is_sound():
    for name in NAMED:
        assert shape_problem(resolve_shape(name, {})) is None, name


def test_weights_of_blocks_are_those_of_phi_1():
    assert block_parameters(resolve_shape("phi-1", {})) == 24 * 12 * 2048**2
