"""Features of stories: each check accepts a story with the feature and refuses one without."""

from __future__ import annotations

import pytest
from textbookgen_tinystories.features import shows_feature

PLAIN = "Tom went out. He saw a dog. The dog ran. Tom ran too. They came to a hill. The hill was high. They went down."


@pytest.mark.parametrize(
    ("feature", "more"),
    [
        ("Dialogue", ' "Sit," said Tom.'),
        ("Dialogue", " \u201cSit,\u201d said Tom."),
        ("HappyEnding", " They all laughed and were happy."),
        ("BadEnding", " Then the dog was gone, and Tom cried."),
        ("MoralValue", " That day Tom learned to share."),
        ("Twist", " Suddenly the hill began to move."),
        ("Conflict", " Tom wanted to stay, but the dog wanted to go home."),
    ],
)
def test_a_feature_is_found_where_it_is(feature: str, more: str) -> None:
    assert shows_feature(feature, PLAIN + more)
    assert not shows_feature(feature, PLAIN)


def test_foreshadowing_is_a_detail_that_comes_back_at_the_end() -> None:
    hint, payoff = 'He had a silver whistle. "You never know," said Mom. ', " Then he took the silver whistle and blew."
    assert shows_feature("Foreshadowing", hint + PLAIN + payoff)
    assert not shows_feature("Foreshadowing", hint + PLAIN)


def test_an_unknown_feature_is_an_error() -> None:
    with pytest.raises(KeyError):
        shows_feature("Rhyme", PLAIN)
