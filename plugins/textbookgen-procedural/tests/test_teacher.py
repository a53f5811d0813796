"""The teacher: deterministic, free, and explicit about the requests it refuses."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
import textbookgen_procedural as plugin
from textbookgen_procedural.teacher import ProceduralTeacher

from textbookgen.api.errors import RequestRefused
from textbookgen.api.teacher import Price, Request

STORY = {"verb": "jump", "noun": "cake", "adjective": "brave", "features": ["Twist"]}
PAGE = {"topic": "sets", "audience": "a curious child", "difficulty": 3, "style": "lecture"}
EXERCISE = {"function_name": "count_birds", "difficulty": 2}


@pytest.mark.parametrize(("task", "draw"), [("story", STORY), ("page", PAGE), ("exercise", EXERCISE)])
def test_the_same_request_gets_the_same_reply_and_another_sample_another(ask, task, draw):
    again = dict(reversed(draw.items()))
    assert ask(task, draw, 1) == ask(task, again, 1)
    assert len({ask(task, draw, sample) for sample in range(10)}) > 5


def test_replies_do_not_depend_on_the_hash_seed():
    code = (
        "import asyncio\n"
        "from textbookgen.api.teacher import Request\n"
        "from textbookgen_procedural.teacher import ProceduralTeacher\n"
        "from textbookgen_procedural.heldout_benchmark import HeldOutExercises\n"
        "for topic in ('sets', 'dictionaries', 'towers of Hanoi'):\n"
        "    print(asyncio.run(ProceduralTeacher().complete(Request((), 'page', {'topic': topic}))).text)\n"
        "print([item for item in HeldOutExercises(count=5).items()])\n"
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("1", "2")
    ]
    assert outputs[0] and outputs[0] == outputs[1]


def test_the_price_is_zero():
    assert ProceduralTeacher().price() == Price(0, 0)


@pytest.mark.parametrize(
    ("task", "draw", "named"),
    [
        ("poem", {}, "poem"),
        ("", {}, "does not support"),
        ("story", {"verb": "jump", "noun": "cake"}, "adjective"),
        ("page", {}, "topic"),
        ("page", {"topic": "sets", "difficulty": 9}, "difficulty"),
        ("exercise", {"function_name": "two words"}, "function_name"),
        ("exercise", {"function_name": "lambda"}, "function_name"),
        ("educational-value", {"document": {}}, "document"),
    ],
)
def test_unusable_requests_are_refused_with_a_hint(task, draw, named):
    with pytest.raises(RequestRefused) as raised:
        asyncio.run(ProceduralTeacher().complete(Request((), task, draw)))
    assert named in raised.value.problem
    assert raised.value.hint


def test_hooks_return_the_teacher_and_the_benchmark():
    assert plugin.teachers() == [ProceduralTeacher]
    assert plugin.open_benchmark("humaneval") is None
    benchmark = plugin.open_benchmark("exercises-heldout")
    assert benchmark is not None and benchmark.name == "exercises-heldout"


def test_importing_the_plugin_imports_no_heavy_library():
    code = (
        "import sys, textbookgen_procedural\n"
        "print([name for name in ('torch', 'litellm', 'sklearn', 'datasketch') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
