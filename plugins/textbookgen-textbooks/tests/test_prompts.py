"""Prompts: each template renders with what its sampler or generator gives it, states all of it, and contradicts none of it."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from textbookgen_textbooks.function_names import FunctionNames
from textbookgen_textbooks.page_topics import PageTopics
from textbookgen_textbooks.section_topics import SectionTopics
from textbookgen_textbooks.step_chains import StepChains

from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.recipe.prompts import PromptError

TEMPLATES = sorted(path for path in (Path(__file__).parents[3] / "prompts").glob("*/*.j2"))

SAMPLED = [
    ("phi1/page.md.j2", PageTopics(required_terms=("zip", "sum", "len"))),
    ("phi1/exercise.md.j2", FunctionNames()),
    ("phi1/step-chain-exercise.md.j2", StepChains()),
    ("phi15/section.md.j2", SectionTopics()),
    ("phi4/user-prompt.md.j2", SectionTopics()),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("template", "sampler"), SAMPLED, ids=[template for template, _ in SAMPLED])
def test_prompts_state_everything_that_is_drawn(prompts, template: str, sampler: Sampler, seed: int):
    draw = sampler.draw(seed, Random(seed), AcceptedStats())
    text = prompts.render(template, draw)
    not_shown = {
        "phi4/user-prompt.md.j2": {"domain", "audience", "reader_needs"},
        "phi1/step-chain-exercise.md.j2": {"concept", "difficulty", "step_code", "examples"},  # an LLM finds these itself
    }
    for name, value in draw.items():
        if value is not None and name not in not_shown.get(template, ()):
            assert all(str(item) in text for item in (value if isinstance(value, list) else [value])), name
    assert "None" not in text
    assert "\n\n\n" not in text


def test_optional_variables_leave_no_trace(prompts):
    draw = PageTopics().draw(0, Random(0), AcceptedStats())
    assert "Terms to use" not in prompts.render("phi1/page.md.j2", draw)
    exercise = {"function_name": "count_cats", "concept": "loops", "difficulty": 3}
    assert "Argument types" not in prompts.render("phi1/exercise.md.j2", exercise)
    assert "`list[int]`, `str`\n" in prompts.render("phi1/exercise.md.j2", {**exercise, "argument_types": ["list[int]", "str"]})
    section = prompts.render("phi15/section.md.j2", {"topic": "rain"})
    assert not re.search("Domain|belongs:|Audience|Person|Style|passage", section)


def test_a_missing_variable_is_an_error(prompts):
    draw = PageTopics().draw(0, Random(0), AcceptedStats())
    del draw["topic"]
    with pytest.raises(PromptError, match="topic"):
        prompts.render("phi1/page.md.j2", draw)


def test_the_course_of_a_topic_replaces_its_domain(prompts):
    text = prompts.render("phi15/section.md.j2", {"topic": "offer", "course": "law > contracts", "domain": "daily activities"})
    assert "Where the topic belongs: law > contracts" in text
    assert "daily activities" not in text


@pytest.mark.parametrize("template", ["phi1/educational-value.md.j2", "phi15/educational-value.md.j2"])
def test_educational_value_shows_8000_characters_and_says_so(prompts, template: str):
    text = prompts.render(template, {"document": {"text": "é" * 9_000}})
    assert text.count("é") == 8_000
    assert "8,000 characters" in text
    assert text.endswith("score: N")
    assert "8,000" not in prompts.render(template, {"document": {"text": "x = 1"}})


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_requested_formats_have_no_example_values(path: Path):
    """A grade in the example of a format anchors the grades of the replies."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith('{"')]
    for line in lines:
        assert not re.search(r":\s*(?:\d|true|false|\"\w+\")", line), line
    if "JSON" in path.read_text(encoding="utf-8"):
        assert lines
