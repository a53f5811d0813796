"""Inputs of benchmarks/fuzz_targets.py: strategies that draw recipes, responses, usage, replies, and changes to files."""

from __future__ import annotations

import json

from hypothesis import strategies as st

RECIPE = """
[recipe]
name = "fuzzed"
seed = 1
[teacher.parrot]
use = "fake"
words = 12
[teacher.server]
use = "openai"
model = "m"
api_base = "http://127.0.0.1:1/v1"
max_tokens = 9
[sampler.things]
use = "grid"
thing = ["cat", "dog"]
place = ["sea", "hill"]
[stage.pages]
use = "write"
teacher = "parrot"
sampler = "things"
count = 6
prompt = "Write about a {{ thing }} by the {{ place }}."
accept = [{ use = "sample", share = 0.9 }]
[stage.half]
use = "sample"
from = "pages"
share = 0.5
[stage.mixed]
use = "mix"
from = ["half"]
tokenizer = "bytes"
tokens = 200
weights = { half = 1.0 }
[stage.shards]
use = "pack"
from = "mixed"
tokenizer = "bytes"
sequence_length = 8
[stage.dataset]
use = "export"
from = "mixed"
layout = "parquet-text"
"""
RUNNING = RECIPE.replace('accept = [{ use = "sample", share = 0.9 }]', "")
_WORDS = [
    *(
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "true",
        '""',
        '"x"',
        "[]",
        "{}",
        "[[]]",
        "[1]",
        '["a", "a"]',
        '"@x"',
        '"../x"',
        '"\\u0000"',
    ),
    *("1979-05-27", "9223372036854775808", '{ use = "sample" }', '{ use = "grade" }', '"pages"', '"half"', '"{{ 2 ** 9 }}"'),
    *("'{{'", "'{% for x in y %}'", '"\\u001b[2J"', "0.5", "5", "{ use = 3 }", '["sample"]', '"https://x"', '"fake"', '"mix"'),
]


def edits(size: int = 4) -> st.SearchStrategy[list[tuple[float, int, bytes]]]:
    """Return a strategy of changes to bytes: where (0 to 1), how many bytes are removed, and what is inserted."""
    return st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=24)), min_size=1, max_size=size)


def edited(content: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    """Return the bytes with the changes made."""
    for where, removed, inserted in changes:
        start = int(where * len(content))
        content = content[:start] + inserted + content[start + removed :]
    return content


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
TEXT = st.text(max_size=300) | st.text(st.characters(min_codepoint=0, max_codepoint=0x2FFF), max_size=200)


@st.composite
def recipe_texts(draw: st.DrawFn) -> bytes:
    """Draw a recipe in which values and lines are replaced, or bytes are changed."""
    lines = RECIPE.splitlines()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[at].partition(" = ")
        match draw(st.integers(0, 3)):
            case 0 if equals:
                lines[at] = f"{key} = {draw(st.sampled_from(_WORDS))}"
            case 1:
                lines.pop(at)
            case 2:
                lines.insert(at, draw(st.sampled_from(RECIPE.splitlines())))
            case _ if equals:
                other = draw(st.sampled_from(["from", "use", "count", "x", "prompt", "teacher"]))
                lines[at] = f"{other} = {lines[at].partition(' = ')[2]}"
        lines = lines or [""]
    content = "\n".join(lines).encode()
    return edited(content, draw(edits(2))) if draw(st.booleans()) else content


_KEYS = [
    *("stage.pages.count", "stage.pages.accept", "stage.pages.prompt", "stage.mixed.weights.half", "sampler.things.thing"),
    *("recipe.name", "recipe.seed", "teacher.server.api_base", "teacher.server.headers", "stage.half.share", "stage.shards.x"),
    *("stage", "stage.pages", "stage.pages.use", "teacher.parrot", "", ".", "a.b.c.d", "stage.half.from", "stage.pages.target"),
]
assignments = st.lists(
    st.builds(lambda key, value: f"{key}={value}", st.sampled_from(_KEYS) | TEXT, st.sampled_from(_WORDS) | TEXT), max_size=3
) | st.lists(TEXT, max_size=2)
COMPLETION = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "a fox"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}},
    }
).encode()
_USAGE_KEYS = st.sampled_from(
    [
        "prompt_tokens",
        "completion_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        "cached_tokens",
        "reasoning_tokens",
    ]
)
usages = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([2**63, -(2**63), 10**30]) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_USAGE_KEYS, inner, max_size=5),
    max_leaves=8,
)
responses = st.tuples(
    st.binary(max_size=200)
    | edits().map(lambda changes: edited(COMPLETION, changes))
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | JSON_VALUES.map(lambda value: json.dumps({"choices": [{"message": {"content": value}}]}).encode())
    | JSON_VALUES.map(lambda value: json.dumps({"choices": value, "error": value}).encode()),
    st.sampled_from([200, 200, 200, 200, 301, 400, 401, 404, 429, 500, 503]),
    TEXT | st.sampled_from(["nan", "inf", "1e400", "-5", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 1 Jan 0001 00:00:00 +2359"]),
)
_PIECES = st.sampled_from(
    [
        *(
            "```python\n",
            "```",
            "```json\n",
            "{",
            "}",
            "[",
            "]",
            '"',
            ":",
            ",",
            "\n",
            "\n\n",
            "# Title\n",
            "**Answer**",
            "<think>",
        ),
        *(
            "</think>",
            "Sure! Here is",
            "Score: 7/10",
            "Answer:",
            "Question:",
            "def f(x):\n    return",
            "assert f(1) == ",
            "\\",
            "\x00",
        ),
        *(
            "$",
            "\\boxed{",
            "- ",
            "1. ",
            "{{ x }}",
            "“",
            "’",
            "é",
            "\u202e",
            "🦊",
            " ",
            "\t",
            "\r\n",
            "<story>",
            "</story>",
            "User:",
        ),
    ]
)
reply_texts = st.lists(_PIECES | st.text(max_size=12), max_size=60).map("".join)
shard_changes = st.tuples(
    st.sampled_from(["manifest", "manifest", "train.idx", "train.idx", "train.bin"]),
    edits(3),
    st.none() | st.none() | JSON_VALUES,
)
_COUNT = st.integers(0, 6) | st.sampled_from([2**31, 2**62, 2**63, 2**64 - 1])
indexes = st.tuples(
    st.sampled_from([1, 1, 1, 0, 7]), st.sampled_from([1, 4, 8, 8, 8, 9, 255]), _COUNT, _COUNT, st.binary(max_size=120)
)
_CELLS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(
        [
            "{}",
            "[]",
            '{"messages": 3}',
            '{"messages": [], "draw": {}, "task": "", "sample": 0, "schema": null}',
            '{"use": "x"}',
            "ab" * 32,
        ]
    )
)
ledger_changes = st.tuples(edits(3), st.just({})) | st.tuples(
    st.none(),
    st.dictionaries(
        st.sampled_from(["key", "teacher", "at", "request", "text", "finish", "cost_usd", "tokens_in"]), _CELLS, min_size=1
    ),
)
damaged_runs = st.tuples(st.sampled_from(["run.json", "plan.json", "record.json", "report.md", "recipe.toml"]), edits(3))
