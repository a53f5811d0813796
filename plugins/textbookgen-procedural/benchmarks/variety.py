"""Measure the diversity and the speed of the embedded teacher: `python variety.py [documents]`.

Needs datasketch and the plugins tinystories and textbooks, whose samplers make the draws. Near duplicates are documents whose
MinHash (128 permutations over 5-word shingles) estimates a Jaccard similarity of 0.8 or more with an earlier document.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from random import Random

from datasketch import MinHash, MinHashLSH
from textbookgen_procedural.heldout_benchmark import HeldOutExercises
from textbookgen_procedural.teacher import ProceduralTeacher
from textbookgen_textbooks.exercise import read_exercise
from textbookgen_textbooks.function_names import FunctionNames
from textbookgen_textbooks.page_topics import PageTopics
from textbookgen_tinystories.story_constraints import StoryConstraints
from textbookgen_tinystories.vocabulary import contains_word, text_words, tokens

from textbookgen.api.sampler import AcceptedStats, Sampler
from textbookgen.api.teacher import Request


async def write(task: str, sampler: Sampler, count: int) -> tuple[list[dict], list[str], float]:
    """Return draws, replies, and replies per second of CPU time."""
    teacher = ProceduralTeacher()
    draws = [sampler.draw(n, Random(f"{task} {n}"), AcceptedStats()) for n in range(count)]
    start = time.process_time()
    replies = [(await teacher.complete(Request((), task, draw))).text for draw in draws]
    return draws, replies, count / (time.process_time() - start)


def near_duplicates(texts: list[str]) -> float:
    """Return the share of texts that are near duplicates of an earlier one."""
    index = MinHashLSH(threshold=0.8, num_perm=128)
    duplicates = 0
    for n, text in enumerate(texts):
        words = re.findall(r"\w+", text.lower())
        sketch = MinHash(num_perm=128)
        sketch.update_batch([" ".join(words[i : i + 5]).encode() for i in range(len(words) - 4)])
        if any(sketch.jaccard(kept) >= 0.8 for kept in (SKETCHES[key] for key in index.query(sketch))):
            duplicates += 1
        else:
            SKETCHES[n] = sketch
            index.insert(n, sketch)
    SKETCHES.clear()
    return duplicates / len(texts)


SKETCHES: dict[int, MinHash] = {}


def grams(text: str) -> set[tuple[str, ...]]:
    """Return the 13-grams of words of a text."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[n : n + 13]) for n in range(len(words) - 12)}


def lengths(texts: list[str]) -> str:
    """Return the minimum, median and maximum number of words."""
    counts = sorted(len(text.split()) for text in texts)
    return f"{counts[0]} / {counts[len(counts) // 2]} / {counts[-1]} words"


def distinct(draws: list[dict]) -> float:
    """Return the share of draws that differ from all earlier ones."""
    return len({json.dumps(draw, sort_keys=True) for draw in draws}) / len(draws)


def stories(count: int) -> None:
    """Print for stories: speed, length, near duplicates, openings, words."""
    draws, texts, rate = asyncio.run(write("story", StoryConstraints(), count))
    (opening, count_of_opening), *_ = Counter(" ".join(text.lower().split()[:5]) for text in texts).most_common(1)
    print(f"stories    {rate:,.0f}/s, {lengths(texts)}, near duplicates {near_duplicates(texts):.3%}")
    print(f"           distinct draws {distinct(draws):.2%}")
    missing = sum(not _has_words(text, draw) for text, draw in zip(texts, draws, strict=True))
    print(
        f"           most common opening {count_of_opening / count:.2%} ({opening!r}), a word missing in {missing / count:.3%}"
    )


def _has_words(text: str, draw: dict[str, str]) -> bool:
    present = text_words(tokens(text))
    return all(contains_word(draw[part], present) for part in ("verb", "noun", "adjective"))


def exercises(count: int) -> None:
    """Print for exercises: speed, length, near duplicates, asserts, 13-grams shared with the benchmark."""
    draws, replies, rate = asyncio.run(write("exercise", FunctionNames(), count))
    programs = [reply.removeprefix("```python\n").removesuffix("```") for reply in replies]
    solved = [read_exercise(program) for program in programs]
    print(
        f"exercises  {rate:,.0f}/s, {lengths(programs)}, near duplicates {near_duplicates(programs):.3%} with asserts, ", end=""
    )
    print(f"{near_duplicates([each.text for each in solved]):.3%} without")
    print(f"           distinct draws {distinct(draws):.2%}")
    print(f"           asserts fail in {sum(not _passes(program) for program in programs) / count:.3%}")
    held = set().union(*(grams(item.prompt + item.solution) for item in HeldOutExercises().items()))
    tested = set().union(*(grams(item.prompt + item.solution + item.tests) for item in HeldOutExercises().items()))
    short = sum(bool(grams(each.text) & held) for each in solved) / count
    whole = sum(bool(grams(program) & tested) for program in programs) / count
    print(f"           share a 13-gram with the held-out set: {short:.3%} without asserts, {whole:.3%} with")


def _passes(program: str) -> bool:
    try:
        exec(program, {})
    except AssertionError:
        return False
    return True


def pages(count: int) -> None:
    """Print for pages: speed, length, near duplicates, and whether snippets print what the page says."""
    _, texts, rate = asyncio.run(write("page", PageTopics(), count))
    held = set().union(*(grams(item.prompt + item.solution) for item in HeldOutExercises().items()))
    print(f"pages      {rate:,.0f}/s, {lengths(texts)}, near duplicates {near_duplicates(texts):.3%}")
    print(f"           share a 13-gram with the held-out set: {sum(bool(grams(text) & held) for text in texts) / count:.3%}")
    print(f"           snippets run and print what the page says in {sum(map(_prints_as_stated, texts)) / count:.2%}")


def _prints_as_stated(page: str) -> bool:
    """Return whether each snippet of a page, run after those above it, prints what its comments say."""
    names: dict[str, object] = {"__name__": "snippet"}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        stated = [match[1] or match[2] for match in re.finditer(r"(?m)(?:\)  # (.*)|^# ?(.*))$", snippet)]
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(snippet, "snippet", "exec", dont_inherit=True), names)
        if printed.getvalue().splitlines() != stated:
            return False
    return True


if __name__ == "__main__":
    documents = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    stories(documents)
    exercises(documents)
    pages(documents // 4)
