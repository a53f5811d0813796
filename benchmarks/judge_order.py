"""Measure how the embedded judge of stories orders originals and damaged stories.

    python benchmarks/judge_order.py                 # 200 stories by the embedded author
    python benchmarks/judge_order.py --stories FILE  # one story a line, or .parquet with a column `text`

For each story the judge grades the original, its sentences in random order, and the same beginning with the ending of another
story, as a completion of the first 40% (`completion`) and as a whole (`whole`, `last third` for the ending alone). Words in
random order and a third of the story three times over must be below the original. The figure is the mean of grammar,
creativity, consistency and plot. Stories of seed 1 and above are not those that the judge's weights were chosen on.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

import polars as pl
from textbookgen_procedural.tasks import TASKS
from textbookgen_tinystories.story_constraints import StoryConstraints

from textbookgen.api.sampler import AcceptedStats

CRITERIA = ("grammar", "creativity", "consistency", "plot")
KINDS = ("original", "shuffled", "other ending", "repeated", "word salad")
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]+[\"\u201d]?")


def written_stories(count: int, seed: int) -> list[str]:
    """Return stories by the embedded author."""
    constraints, stories = StoryConstraints(), list[str]()
    for number in range(count):
        draw = constraints.draw(number, Random(f"{seed} {number}"), AcceptedStats())
        stories.append(TASKS["story"](Random(f"story {seed} {number}"), draw))
    return stories


def read_stories(path: Path) -> list[str]:
    """Return different stories of a file."""
    if path.suffix == ".parquet":
        texts = pl.read_parquet(path, columns=["text"])["text"].to_list()
    else:
        texts = path.read_text(encoding="utf-8").splitlines()
    return list({text.casefold(): text for text in map(str.strip, texts) if len(text.split()) > 60}.values())


def variants(story: str, other: str, form: str, rng: Random) -> dict[str, tuple[str, str]]:
    """Return a beginning and a completion for each of `KINDS`."""
    beginning, rest = ("", story) if form != "completion" else _cut(story)
    parts, others = _sentences(rest), _sentences(other if form != "completion" else _cut(other)[1])
    shuffled, words = rng.sample(parts, len(parts)), rest.split()
    if form == "completion":
        foreign = _cut(other)[1]
    else:
        share = 2 if form == "whole" else 3
        foreign = " ".join([*parts[: -(len(parts) // share)], *others[-(len(others) // share) :]])
    gap = " " if beginning else ""
    return {
        "original": (beginning, rest),
        "shuffled": (beginning, gap + " ".join(shuffled)),
        "other ending": (beginning, foreign),
        "repeated": (beginning, gap + " ".join(parts[: max(2, len(parts) // 3)] * 3)),
        "word salad": (beginning, gap + " ".join(rng.sample(words, len(words)))),
    }


def _cut(story: str) -> tuple[str, str]:
    place = story.find(" ", int(0.4 * len(story)))
    return story[:place], story[place:]


def _sentences(text: str) -> list[str]:
    return [item.strip() for item in _SENTENCE.findall(text)]


def grades(beginning: str, completion: str) -> dict[str, int]:
    """Return what the judge replies when a stage asks it."""
    document = {"id": "x", "text": beginning + completion}
    if beginning:
        document |= {"tinystories.beginning": beginning, "tinystories.completion": completion}
    reply: dict[str, int] = json.loads(TASKS["grade-story"](Random(0), {"document": document}))
    return reply


def measure(stories: Sequence[str], form: str, seed: int) -> None:
    """Print the shares of stories that are ordered rightly, and the mean grades of each kind."""
    rng, counts, sums = Random(f"{form} {seed}"), Counter[str](), Counter[tuple[str, str]]()
    for number, story in enumerate(stories):
        graded = {
            kind: grades(*texts) for kind, texts in variants(story, stories[(number + 1) % len(stories)], form, rng).items()
        }
        mean = {kind: sum(one[name] for name in CRITERIA) / len(CRITERIA) for kind, one in graded.items()}
        original, shuffled, other = (mean[kind] for kind in KINDS[:3])
        counts["original > shuffled > other ending"] += original > shuffled > other
        counts["original > shuffled"] += original > shuffled
        counts["shuffled > other ending"] += shuffled > other
        counts["original > other ending"] += original > other
        counts["original > repeated"] += original > mean["repeated"]
        counts["original > word salad + 3"] += original > mean["word salad"] + 3
        sums.update({(kind, name): graded[kind][name] for kind in KINDS for name in CRITERIA})
    print(f"\n{form}, {len(stories)} stories")
    for name, count in counts.items():
        print(f"  {name:<36}{count / len(stories):6.1%}")
    for kind in KINDS:
        print(f"  {kind:<16}" + "".join(f"{name} {sums[kind, name] / len(stories):4.1f}  " for name in CRITERIA))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--stories", type=Path, help="a file of stories instead of those by the embedded author")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    path = arguments.stories
    stories = read_stories(path)[: arguments.count] if path else written_stories(arguments.count, arguments.seed)
    for form in ("completion", "whole", "last third"):
        measure(stories, form, arguments.seed)


if __name__ == "__main__":
    main()
