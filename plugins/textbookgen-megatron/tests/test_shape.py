from __future__ import annotations

import pytest
from textbookgen_megatron.backend.device import process_groups
from textbookgen_megatron.backend.gpt_model import build_model
from textbookgen_megatron.shape import Shape

from textbookgen.api.cards import CheckpointCard
from textbookgen.api.errors import TrainerError

PHI_1 = Shape("phi", layers=24, hidden=2048, heads=32, kv_heads=32, ffn=8192, vocabulary=51_200, sequence_length=2048)
PHI = Shape("phi", layers=2, hidden=32, heads=4, kv_heads=4, ffn=128, vocabulary=200, sequence_length=16)
LLAMA = Shape("llama", layers=3, hidden=48, heads=6, kv_heads=2, ffn=80, vocabulary=257, sequence_length=16)


def test_phi_1_has_its_parameters_without_the_output_bias():
    assert PHI_1.parameters() == 1_418_270_720 - 51_200
    assert PHI_1.head_dim * PHI_1.rotary_percent == 32


@pytest.mark.parametrize("shape", [PHI, LLAMA], ids=lambda shape: shape.architecture)
def test_parameters_match_the_model_that_megatron_builds(shape):
    with process_groups():
        built = sum(parameter.numel() for parameter in build_model(shape).parameters())
    assert shape.parameters(padding=True) == built
    assert shape.parameters() == built - 2 * shape.hidden * (shape.padded_vocabulary - shape.vocabulary)


def test_a_shape_is_restored_from_its_card():
    assert Shape.from_card(CheckpointCard(format="megatron", shape=LLAMA.card())) == LLAMA


@pytest.mark.parametrize(("hidden", "heads", "kv_heads"), [(100, 3, 3), (96, 6, 4), (60, 6, 6)])
def test_impossible_shapes_are_rejected(hidden, heads, kv_heads):
    with pytest.raises(TrainerError):
        Shape("phi", layers=1, hidden=hidden, heads=heads, kv_heads=kv_heads, ffn=64, vocabulary=10, sequence_length=8)
