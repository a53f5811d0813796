from __future__ import annotations

from dataclasses import replace

import pytest
from textbookgen_megatron.shape import Shape
from textbookgen_megatron.stages.pretrain import Pretrain

from textbookgen.training.architectures import NAMED


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("phi-1", 1.418),
        ("phi-1-small", 0.357),
        ("phi-1.5", 1.418),
        ("phi-2", 2.780),
        ("phi-3-mini", 3.821),
        ("phi-3-medium", 13.96),
        ("phi-4", 14.66),
    ],
)
def test_named_shapes_have_the_published_number_of_parameters(name, billions):
    digits = len(str(billions).partition(".")[2])
    assert round(Shape(**NAMED[name]).parameters() / 1e9, digits) == billions


def test_phi_1_and_tinystories_1m_have_exactly_their_parameters():
    assert Shape(**NAMED["phi-1"]).parameters() == 1_418_270_720
    assert Shape(**NAMED["tinystories-1m"]).parameters() == 3_745_984
    assert Shape(**NAMED["tinystories-1m"]).block_parameters() == 398_464


@pytest.mark.parametrize(
    ("name", "millions", "stored"),
    [
        ("tinystories-1m", 1.07, 3.75),
        ("tinystories-3m", 2.93, 8.28),
        ("tinystories-8m", 9.00, 19.70),
        ("tinystories-28m", 30.6, 52.0),
        ("tinystories-33m", 36.4, 68.5),
        ("tinystories-1layer-21m", 23.4, 66.2),
        ("tinystories-2layers-33m", 36.0, 78.8),
    ],
)
def test_tinystories_parameters_with_the_paper_s_and_the_stored_vocabulary(name, millions, stored):
    paper = replace(Shape(**NAMED[name]), vocabulary=10_000, positions=512)
    assert paper.parameters() / 1e6 == pytest.approx(millions, abs=0.06)
    assert Shape(**NAMED[name]).parameters() / 1e6 == pytest.approx(stored, abs=0.06)


def test_unknown_and_impossible_shapes_are_reported():
    def places(**options):
        return {diagnostic.place for diagnostic in Pretrain(shards="s", tokens=1, batch_size=8, **options).check()}

    assert places(shape="phi-1") == places(shape="tinystories-33m", layers=2) == set()
    assert places(shape="phi-9") == {"shape"}
    assert places(layers=2, heads=2) == {"hidden"}
    assert places(shape="phi-1", heads=33) == {"heads"}
    assert places(shape="phi-3-medium", tensor_parallel=4) == {"tensor_parallel"}
    assert all(not places(shape=name) for name in NAMED)
