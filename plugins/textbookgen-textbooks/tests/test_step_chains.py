"""Step chains: the types of consecutive steps fit, and the prompt lists every step."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.step_chains import StepChains, known_steps

from textbookgen.api.sampler import AcceptedStats


def test_steps_fit_and_the_name_lists_them():
    by_name = {step.name: step for step in known_steps()}
    assert len(by_name) == len(known_steps()) == 60
    names = set()
    for n in range(2_000):
        draw = StepChains().draw(n, Random(n), AcceptedStats())
        chain = [by_name[name] for name in draw["function_name"].split("_")]
        assert 4 <= len(chain) <= 6
        assert len(set(chain)) == len(chain)
        assert [step.instruction for step in chain] == draw["steps"]
        assert all(one.output_type == other.input_type for one, other in pairwise(chain))
        assert draw["argument_types"] == [chain[0].input_type]
        assert draw["return_type"] == chain[-1].output_type
        names.add(draw["function_name"])
    assert len(names) > 1_950
    with pytest.raises(ValidationError, match="min_steps"):
        StepChains(min_steps=5, max_steps=4)


def test_every_count_can_be_drawn():
    for count in (1, 2, 9, 12):
        assert len(StepChains(min_steps=count, max_steps=count).draw(0, Random(3), AcceptedStats())["steps"]) == count


def test_the_prompt_lists_every_step(prompts):
    draw = StepChains().draw(0, Random(0), AcceptedStats())
    text = prompts.render("phi1/step-chain-exercise.md.j2", draw)
    assert all(f"{n}. {step}" in text for n, step in enumerate(draw["steps"], 1))
    assert draw["function_name"] in text
