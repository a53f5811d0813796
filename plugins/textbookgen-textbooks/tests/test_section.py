"""Sections: what the prompt shows of topic, passage and persona, and which sections are kept."""

from __future__ import annotations

from random import Random

import pytest
from pydantic import ValidationError
from textbookgen_textbooks.section import Section, text_window
from textbookgen_textbooks.section_topics import SectionTopics
from textbookgen_textbooks.word_lists import entries_by_heading

from textbookgen.api.errors import UnusableReply
from textbookgen.api.sampler import AcceptedStats
from textbookgen.api.teacher import Reply

LONG = "Rain falls because drops grow too heavy for the air. " * 20


def test_the_prompt_states_domain_audience_and_persona(runner):
    draw = SectionTopics(persona_share=1).draw(0, Random(1), AcceptedStats())
    (row,) = runner.run(Section(teacher="author", sampler="topics", count=1), draw, lambda task, draw: LONG)
    stated = {f"textbooks.{name}": draw.get(name) for name in ("topic", "course", "domain", "audience", "style")}
    assert row == {"text": LONG.strip() + "\n", **stated}
    ((task, prompt, _),) = runner.teacher.requests
    assert task == "section"
    assert all(draw[name] in prompt for name in ("topic", "domain", "audience", "reader_needs", "persona"))
    assert "<passage>" not in prompt


def test_a_passage_of_limited_length_is_shown(runner):
    passage = " ".join(f"word{n}" for n in range(2_000))
    draw = {**SectionTopics().draw(0, Random(1), AcceptedStats()), "document": {"id": "a", "text": passage}}
    runner.run(Section(teacher="author", sampler="topics", inputs="web", passage_length=200), draw, lambda task, draw: LONG)
    ((_, prompt, asked),) = runner.teacher.requests
    assert asked["passage"] in passage
    assert 100 < len(asked["passage"]) <= 200
    assert f"<passage>\n{asked['passage']}\n</passage>" in prompt
    assert draw["topic"] in prompt


def test_the_prompt_states_the_path_of_a_topic_and_the_row_keeps_it(runner):
    draw = {"topic": "offer", "course": "law > contracts", "discipline": "law", "style": "letter", "style_requirement": "warm"}
    (row,) = runner.run(Section(teacher="author", sampler="topics", count=1), draw, lambda task, draw: LONG)
    stated = (row["textbooks.topic"], row["textbooks.course"], row["textbooks.domain"], row["textbooks.style"])
    assert stated == ("offer", "law > contracts", "law", "letter")
    ((_, prompt, _),) = runner.teacher.requests
    assert "Topic: offer\nWhere the topic belongs: law > contracts\n" in prompt
    assert "Style: letter (warm)\n" in prompt
    assert row["textbooks.audience"] is None


def test_short_sections_are_rejected(runner):
    with pytest.raises(UnusableReply, match="too short"):
        runner.run(Section(teacher="author", count=1), {"topic": "rain"}, lambda task, draw: "It rains.")


def test_windows_start_at_words_depend_on_the_document_and_differ():
    text = " ".join(f"word{n}" for n in range(1_000))
    windows = [text_window(text, 100, {"document": {"id": str(n)}}) for n in range(50)]
    assert len(set(windows)) > 40
    assert all(each.startswith("word") and each in text and len(each) <= 100 for each in windows)
    assert windows[3] == text_window(text, 100, {"document": {"id": "3", "step": "elsewhere"}})
    assert text_window(" short ", 100, {}) == "short"
    assert text_window("x" * 300, 100, {}) == "x" * 100


def test_section_topics_cover_all_domains_or_the_given_ones():
    drawn = [SectionTopics().draw(n, Random(n), AcceptedStats()) for n in range(2_000)]
    assert {each["domain"] for each in drawn} == set(entries_by_heading("section_topics"))
    assert all(each["topic"] in entries_by_heading("section_topics")[each["domain"]] for each in drawn)
    assert {each["topic"] for each in drawn} == {
        topic for known in entries_by_heading("section_topics").values() for topic in known
    }
    assert 0.45 < sum(each["persona"] is None for each in drawn) / 2_000 < 0.55
    only = SectionTopics(domains=("science",)).draw(0, Random(0), AcceptedStats())
    assert only["topic"] in entries_by_heading("section_topics")["science"]
    own = SectionTopics(domains=("cooking",), topics=("soup",)).draw(0, Random(0), AcceptedStats())
    assert (own["domain"], own["topic"]) == ("cooking", "soup")
    assert SectionTopics(topics=("soup",)).draw(0, Random(0), AcceptedStats())["domain"] is None
    with pytest.raises(ValidationError, match="several"):
        SectionTopics(domains=("cooking", "law"), topics=("soup",))
    with pytest.raises(ValidationError, match="cooking"):
        SectionTopics(domains=("cooking",))


@pytest.mark.parametrize(
    "reply",
    [
        f"# Rain\n\n{LONG}",
        f"Certainly! Here is a section about rain:\n\n---\n\n# Rain\n\n{LONG}",
        f"```markdown\n# Rain\n\n{LONG}\n```",
        f"**Rain**\n\n{LONG.strip()}\n\nI hope this helps!",
    ],
    ids=["bare", "announcement and rule", "code fence", "bold heading and closing"],
)
def test_sections_are_read_in_the_styles_of_real_models(runner, reply: str):
    (row,) = runner.run(Section(teacher="author", count=1), {"topic": "rain"}, lambda task, draw: reply)
    assert row["text"] in (
        f"# Rain\n\n{LONG.strip()}\n",
        f"**Rain**\n\n{LONG.strip()}\n",
        f"**Rain**\n\n{LONG.strip()}\n\nI hope this helps!\n",
    )
    assert "Certainly" not in row["text"] and "```" not in row["text"]


def test_a_section_that_was_cut_off_is_rejected(runner):
    cut = Reply(f"# Rain\n\n{LONG} Then the", finish="length")
    with pytest.raises(UnusableReply, match="truncated"):
        runner.run(Section(teacher="author", count=1), {"topic": "rain"}, lambda task, draw: cut)
