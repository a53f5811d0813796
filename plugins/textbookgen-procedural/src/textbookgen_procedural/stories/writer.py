"""Story writer: from a draw to a story in paragraphs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from textbookgen_procedural.stories.cast import make_cast
from textbookgen_procedural.stories.inflection import fix_articles
from textbookgen_procedural.stories.sentences import adjective_sentence, noun_sentence, verb_sentence
from textbookgen_procedural.stories.story_data import Plot, plots, story_sentences

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_CHARM = re.compile(
    r"piece of string|red button|small mirror|bit of bread|silver bell|blue ribbon|little key|feather|round stone"
)


class SentenceWriter:
    """Fills the slots and choices of sentence templates for one story, and keeps track of who has appeared."""

    def __init__(self, rng: Random, plot: Plot) -> None:
        self.rng = rng
        self.plot = plot
        self.slots = make_cast(rng)
        place = rng.choice(plot.lines["l"])
        self.slots |= {"thing": rng.choice(plot.lines["t"]), "place": place, "place_c": f"{place[0].upper()}{place[1:]}"}
        self.helper_appeared = False

    def fill(self, template: str) -> str:
        """Return the sentence for a template."""
        self.helper_appeared |= "{helper}" in template
        chosen = _CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), template)
        text = chosen.format_map(self.slots)
        return text[0].upper() + text[1:]

    def plot_sentence(self, letter: str) -> str:
        """Return one of the plot's sentences with this letter."""
        return self.fill(self.rng.choice(self.plot.lines[letter]))

    def common_sentence(self, place: str) -> str:
        """Return one of the sentences that any story may contain at this place."""
        return self.fill(self.rng.choice(story_sentences()[place]))


def write_story(rng: Random, draw: Mapping[str, Any]) -> str:
    """Return a story for a draw.

    Args:
        rng: the source of randomness.
        draw: `verb`, `noun` and `adjective`, which the story contains; `features` and number of `paragraphs`, both optional.
    """
    writer = SentenceWriter(rng, rng.choice(plots()))
    features = frozenset(map(str, draw.get("features") or ()))
    blocks = [_beginning(writer, features), *_middle(writer, features), _turn(writer, features), _ending(writer, features)]
    for sentence in (
        adjective_sentence(rng, str(draw["adjective"])),
        noun_sentence(rng, str(draw["noun"])),
        verb_sentence(rng, str(draw["verb"])),
    ):
        block = blocks[rng.choice((0, 1, 1, 2))]
        block.insert(len(block) if block is blocks[0] else rng.randint(1, len(block)), writer.fill(sentence))
    paragraphs = _paragraphs(blocks, int(draw.get("paragraphs") or rng.randint(3, 5)))
    return fix_articles("\n\n".join(paragraphs))


def _beginning(writer: SentenceWriter, features: frozenset[str]) -> list[str]:
    opening = writer.rng.choice(story_sentences()["opening"])
    sentences = [writer.fill(opening)]
    if writer.slots["h_look"] and "{h_intro}" not in opening and "{h_kind}" not in opening:
        sentences.append(writer.slots["h_look"])
    if writer.rng.random() < 0.4:
        sentences.append(writer.common_sentence("weather"))
    if "Foreshadowing" in features:
        sentences.append(_foreshadowing(writer))
    return sentences


def _foreshadowing(writer: SentenceWriter) -> str:
    """Return a hint at what matters later, and record it for the payoff."""
    sentence = writer.common_sentence("foreshadow")
    if match := _CHARM.search(sentence):
        writer.slots |= {"charm": match[0], "payoff": "payoff_pocket"}
    elif "sign" in sentence:
        writer.slots["payoff"] = "payoff_sign"
    else:
        writer.slots |= {"charm": "cat" if "cat" in sentence else "bird", "payoff": "payoff_watcher"}
    return sentence


def _middle(writer: SentenceWriter, features: frozenset[str]) -> list[list[str]]:
    """Return the problem and a first attempt, then a second, in the order of the plot."""
    attempts = writer.plot.lines["n"]
    first, second = sorted(writer.rng.sample(range(len(attempts)), 2))
    early = [writer.plot_sentence("o"), writer.fill(attempts[first])]
    late = [writer.fill(attempts[second])]
    if "Conflict" in features:
        late += [writer.plot_sentence("c"), writer.plot_sentence("r")]
    if "Dialogue" in features or writer.rng.random() < 0.25:
        writer.rng.choice((early, late)).append(writer.common_sentence("dialogue"))
    return [early, late]


def _turn(writer: SentenceWriter, features: frozenset[str]) -> list[str]:
    sentences = [writer.plot_sentence("u")]
    if "Foreshadowing" in features:
        sentences.append(writer.common_sentence(writer.slots["payoff"]))
    if "Twist" in features:
        possible = [twist for twist in story_sentences()["twist"] if writer.helper_appeared or "{The_helper}" not in twist]
        sentences.append(writer.fill(writer.rng.choice(possible)))
    return sentences


def _ending(writer: SentenceWriter, features: frozenset[str]) -> list[str]:
    bad = "BadEnding" in features and "HappyEnding" not in features
    sentences = [writer.plot_sentence("-" if bad else "+")]
    if bad or "HappyEnding" in features or writer.rng.random() < 0.3:
        sentences.append(writer.common_sentence("bad" if bad else "happy"))
    elif writer.rng.random() < 0.4:
        sentences.append(writer.common_sentence("close"))
    if "MoralValue" in features:
        sentences.append(f"{writer.common_sentence('moral_lead')} {writer.plot_sentence('m')}")
    return sentences


def _paragraphs(blocks: Sequence[list[str]], count: int) -> list[str]:
    """Return the blocks as this many paragraphs: the shortest neighbours are joined, or the longest split."""
    parts = [list(block) for block in blocks]
    while len(parts) > max(1, count):
        place = min(range(len(parts) - 1), key=lambda n: len(parts[n]) + len(parts[n + 1]))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    while len(parts) < count and max(map(len, parts)) > 1:
        place = max(range(len(parts)), key=lambda n: len(parts[n]))
        half = len(parts[place]) // 2
        parts[place : place + 1] = [parts[place][:half], parts[place][half:]]
    return [" ".join(part) for part in parts]
