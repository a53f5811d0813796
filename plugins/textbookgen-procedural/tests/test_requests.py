"""Every task through `complete`: repeatable replies, samples that differ, and refusals instead of crashes."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textbookgen_procedural.tasks import TASKS
from textbookgen_procedural.teacher import ProceduralTeacher

from textbookgen.api.errors import RequestRefused
from textbookgen.api.teacher import Reply, Request

FUNCTION = '''def solve_it(numbers: list[int]) -> int:
    """Keep the even numbers, then sum up the numbers."""
    numbers = [n for n in numbers if n % 2 == 0]
    return sum(numbers)
'''
PAGE = f"# Sums\n\nA sum adds numbers. It is useful because people count.\n\n```python\n{FUNCTION}\nprint(solve_it([1, 2]))  # 2\n```\n"
STORY = 'Tom had a red ball. "Look!" said Tom. The ball was gone. He was sad.\n\nThen Mia found the ball. Tom was happy again.'
PROBLEM = "A walk takes 3 hours and 20 minutes. How many minutes is that?"
DOCUMENT = {"id": "x", "text": PAGE, "kind": "page"}
TURNS = [{"role": "user", "content": "What is a sum?"}]
ASSESSMENTS = [{"criterion": "depth", "score": 2, "suggestion": "say why, and give an example"}]

#: A realistic draw for each task.
DRAWS: dict[str, dict[str, Any]] = {
    "story": {"verb": "jump", "noun": "boat", "adjective": "red", "features": ["Dialogue"], "paragraphs": 4},
    "page": {"topic": "sets", "audience": "a child", "skill": "tracing", "difficulty": 3, "style": "a lecture"},
    "exercise": {"function_name": "count_birds", "concept": "sets", "argument_types": ["list[int]"], "difficulty": 2},
    "section": {"topic": "tides", "domain": "science", "audience": "a child", "persona": "a baker", "passage": STORY},
    "draft": {"topic": "sets", "domain": "science", "reader_needs": "small steps"},
    "taxonomy": {"path": {"discipline": "law"}, "level": "subject", "count": 5},
    "user-prompt": {"topic": "tea", "persona": "a nurse"},
    "educational-value": {"document": DOCUMENT},
    "summary": {"document": {"id": "x", "text": STORY}},
    "excerpts": {"document": DOCUMENT, "lines": PAGE.splitlines() * 3},
    "rewrite": {"document": DOCUMENT, "style": "discussion", "audience": "a child"},
    "paraphrase": {"request": "Set a timer for 25 minutes.", "required_values": ["25"], "persona": "a cook"},
    "function-calls": {"request": "Set a timer for 25 minutes.", "application": "- set_timer(minutes): Starts a timer."},
    "instruction-reversal": {"document": {"id": "x", "text": FUNCTION}},
    "regenerate-code": {"request": "Write a Python function `f` that takes `x`, a `str`, and does this: Reverse the x. Thanks"},
    "deduction": {"document": {"id": "x", "text": f"Look. {PROBLEM}"}},
    "fill-in-the-middle": {
        "document": DOCUMENT,
        "prefix": "It rained all day and the wind blew. ",
        "suffix": " So we all went home.",
        "hint": "",
    },
    "conversation-user": {"document": DOCUMENT, "turns": [], "persona": "a baker", "is_last_turn": False},
    "conversation-tutor": {"document": DOCUMENT, "turns": TURNS, "teaching_move": "give a counterexample"},
    "candidate": {"messages": [{"role": "user", "content": PROBLEM}]},
    "answer": {"question": PROBLEM},
    "attempt": {"question": PROBLEM},
    "refusal": {"question": PROBLEM, "is_bogus": True},
    "bogus-question": {"question": PROBLEM, "reference_answer": "200"},
    "revise": {"draft": "A sum adds numbers.", "assessments": ASSESSMENTS, "question": "What is a sum?"},
    "assess-story": {"document": {"id": "x", "text": STORY}},
    "grade-story": {"document": {"id": "x", "text": STORY}},
    "grade-solution": {
        "document": {
            "id": "x",
            "text": "def doubled(numbers):\n    return [2 * n for n in numbers]\n",
            "textbooks.prompt": "def doubled(numbers):\n",
            "textbooks.completion": "    return [2 * n for n in numbers]\n",
            "textbooks.entry_point": "doubled",
            "textbooks.steps": ["double each number"],
            "textbooks.step_code": ["[2 * n for n in x]"],
        }
    },
    "critique": {"draft": PAGE, "criteria": ["depth", "clarity"], "question": "What is a sum?"},
    "grade-guess": {"middle": "the cat sat down", "guess": "the cat sat", "prefix": "", "suffix": ""},
    "grade-replies": {"messages": TURNS, "replies": [{"label": "A", "text": "A sum."}, {"label": "B", "text": "No."}]},
    "check-answer": {"question": PROBLEM, "reference_answer": "200", "attempt": "ANSWER: 200"},
}
#: Tasks whose reply is JSON.
JSON_TASKS = {
    "taxonomy",
    "excerpts",
    "bogus-question",
    "grade-story",
    "grade-solution",
    "critique",
    "grade-guess",
    "grade-replies",
    "check-answer",
}
#: Tasks whose reply does not depend on chance: measurements and corrections.
FIXED_TASKS = {
    "educational-value", "summary", "excerpts", "regenerate-code", "deduction", "revise", "assess-story", "grade-story",
    "grade-solution", "critique", "grade-guess", "grade-replies", "check-answer", "function-calls",
}  # fmt: skip
#: Fields without which a task cannot be done.
REQUIRED = {
    "story": {"verb", "noun", "adjective"}, "page": {"topic"}, "exercise": {"function_name"}, "section": {"topic"},
    "draft": {"topic"}, "taxonomy": {"path", "level"}, "educational-value": {"document"}, "summary": {"document"},
    "excerpts": {"lines"}, "rewrite": {"document", "style"}, "paraphrase": {"request"}, "function-calls": {"request"}, "instruction-reversal": {"document"},
    "deduction": {"document"}, "fill-in-the-middle": {"prefix", "suffix"}, "conversation-user": {"document"},
    "conversation-tutor": {"document"}, "candidate": {"messages"}, "answer": {"question"}, "attempt": {"question"},
    "revise": {"draft", "assessments"}, "assess-story": {"document"}, "grade-story": {"document"}, "grade-solution": {"document"},
    "critique": {"draft", "criteria"}, "grade-guess": {"middle"}, "grade-replies": {"messages", "replies"},
    "check-answer": {"reference_answer"},
}  # fmt: skip


def complete(task: str, draw: dict[str, Any], sample: int = 0) -> Reply:
    return asyncio.run(ProceduralTeacher().complete(Request((), task, draw, sample)))


def test_the_requests_below_cover_every_task():
    assert set(DRAWS) == set(TASKS)


@pytest.mark.parametrize("task", DRAWS)
def test_equal_requests_get_equal_replies(task):
    reordered = json.loads(json.dumps(dict(reversed(DRAWS[task].items()))))
    assert complete(task, DRAWS[task], 3) == complete(task, reordered, 3)
    reply = complete(task, DRAWS[task])
    assert reply.text.strip() and reply.cost_usd == 0 and reply.finish == "stop"


@pytest.mark.parametrize("task", DRAWS)
def test_samples_differ_unless_the_reply_is_a_measurement(task):
    replies = {complete(task, DRAWS[task], sample).text for sample in range(12)}
    assert (len(replies) == 1) == (task in FIXED_TASKS)


@pytest.mark.parametrize("task", sorted(JSON_TASKS))
def test_structured_replies_are_json_objects(task):
    assert isinstance(json.loads(complete(task, DRAWS[task]).text), dict)


@pytest.mark.parametrize("task", DRAWS)
def test_a_request_without_a_required_field_is_refused_by_the_name_of_the_task(task):
    for size in (1, 2):
        for fields in itertools.combinations(DRAWS[task], size):
            draw = {name: value for name, value in DRAWS[task].items() if name not in fields}
            if REQUIRED.get(task, set()) & set(fields):
                with pytest.raises(RequestRefused) as refusal:
                    complete(task, draw)
                assert refusal.value.problem and refusal.value.hint
            else:
                assert complete(task, draw).text


@given(st.text(), st.dictionaries(st.text(), st.integers()))
def test_unknown_tasks_are_refused_with_the_known_ones_as_hint(task, draw):
    if task not in TASKS:
        with pytest.raises(RequestRefused, match="does not support") as refusal:
            complete(task, draw)
        assert "exercise" in str(refusal.value.hint)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(set(DRAWS) - {"taxonomy"})), st.text(min_size=1).filter(str.strip), st.integers(0, 99))
def test_any_text_in_a_document_or_question_gets_a_reply(task, text, sample):
    draw = dict(DRAWS[task])
    for field in ("question", "request", "draft", "prefix", "suffix", "middle", "guess", "attempt", "reference_answer"):
        if field in draw:
            draw[field] = text
    if "document" in draw:
        draw["document"] = {**draw["document"], "text": text}
    if "messages" in draw:
        draw["messages"] = [{"role": "user", "content": text}]
    if "lines" in draw:
        draw["lines"] = text.splitlines()
    reply = complete(task, draw, sample).text
    assert isinstance(reply, str)
    if task in JSON_TASKS:
        json.loads(reply)
