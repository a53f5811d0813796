"""Telling: from a draw to a story of paragraphs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from textbookgen_procedural.stories.cast import make_cast
from textbookgen_procedural.stories.data import Plot, moments, plots
from textbookgen_procedural.stories.inflection import mend_articles
from textbookgen_procedural.stories.wording import adjective_sentence, noun_sentence, verb_sentence

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_HAS_PRIZE = re.compile(
    r"piece of string|red button|small mirror|bit of bread|silver bell|blue ribbon|little key|feather|round stone"
)


class Teller:
    """Fills the slots and choices of sentences for one story, and remembers what was said."""

    def __init__(self, rng: Random, plot: Plot) -> None:
        self.rng = rng
        self.plot = plot
        self.slots = make_cast(rng)
        place = rng.choice(plot.lines["l"])
        self.slots |= {"thing": rng.choice(plot.lines["t"]), "place": place, "place_c": f"{place[0].upper()}{place[1:]}"}
        self.helper_came = False

    def say(self, template: str) -> str:
        """The sentence that a template stands for."""
        self.helper_came |= "{helper}" in template
        chosen = _CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), template)
        text = chosen.format_map(self.slots)
        return text[0].upper() + text[1:]

    def one(self, letter: str) -> str:
        """One of the plot's sentences with this letter."""
        return self.say(self.rng.choice(self.plot.lines[letter]))

    def moment(self, name: str) -> str:
        """One of the sentences that any story may hold."""
        return self.say(self.rng.choice(moments()[name]))


def write_story(rng: Random, draw: Mapping[str, Any]) -> str:
    """A story that holds the draw's `verb`, `noun` and `adjective` and has its `features`, in its number of `paragraphs`."""
    teller = Teller(rng, rng.choice(plots()))
    features = frozenset(map(str, draw.get("features") or ()))
    blocks = [_beginning(teller, features), *_middle(teller, features), _turn(teller, features), _ending(teller, features)]
    for sentence in (
        adjective_sentence(rng, str(draw["adjective"])),
        noun_sentence(rng, str(draw["noun"])),
        verb_sentence(rng, str(draw["verb"])),
    ):
        block = blocks[rng.choice((0, 1, 1, 2))]
        block.insert(len(block) if block is blocks[0] else rng.randint(1, len(block)), teller.say(sentence))
    paragraphs = _paragraphs(blocks, int(draw.get("paragraphs") or rng.randint(3, 5)))
    return mend_articles("\n\n".join(paragraphs))


def _beginning(teller: Teller, features: frozenset[str]) -> list[str]:
    opening = teller.rng.choice(moments()["opening"])
    sentences = [teller.say(opening)]
    if teller.slots["h_look"] and "{h_intro}" not in opening and "{h_kind}" not in opening:
        sentences.append(teller.slots["h_look"])
    if teller.rng.random() < 0.4:
        sentences.append(teller.moment("weather"))
    if "Foreshadowing" in features:
        sentences.append(_sign(teller))
    return sentences


def _sign(teller: Teller) -> str:
    """Something small that matters later; what it was is kept for the payoff."""
    sentence = teller.moment("foreshadow")
    if result := _HAS_PRIZE.search(sentence):
        teller.slots |= {"charm": result[0], "payoff": "payoff_pocket"}
    elif "sign" in sentence:
        teller.slots["payoff"] = "payoff_sign"
    else:
        teller.slots |= {"charm": "cat" if "cat" in sentence else "bird", "payoff": "payoff_watcher"}
    return sentence


def _middle(teller: Teller, features: frozenset[str]) -> list[list[str]]:
    """The trouble and a first try, then a second; told in the order of the plot."""
    tries = teller.plot.lines["n"]
    first, second = sorted(teller.rng.sample(range(len(tries)), 2))
    early = [teller.one("o"), teller.say(tries[first])]
    late = [teller.say(tries[second])]
    if "Conflict" in features:
        late += [teller.one("c"), teller.one("r")]
    if "Dialogue" in features or teller.rng.random() < 0.25:
        teller.rng.choice((early, late)).append(teller.moment("dialogue"))
    return [early, late]


def _turn(teller: Teller, features: frozenset[str]) -> list[str]:
    sentences = [teller.one("u")]
    if "Foreshadowing" in features:
        sentences.append(teller.moment(teller.slots["payoff"]))
    if "Twist" in features:
        known = [twist for twist in moments()["twist"] if teller.helper_came or "{The_helper}" not in twist]
        sentences.append(teller.say(teller.rng.choice(known)))
    return sentences


def _ending(teller: Teller, features: frozenset[str]) -> list[str]:
    bad = "BadEnding" in features and "HappyEnding" not in features
    sentences = [teller.one("-" if bad else "+")]
    if bad or "HappyEnding" in features or teller.rng.random() < 0.3:
        sentences.append(teller.moment("bad" if bad else "happy"))
    elif teller.rng.random() < 0.4:
        sentences.append(teller.moment("close"))
    if "MoralValue" in features:
        sentences.append(f"{teller.moment('moral_lead')} {teller.one('m')}")
    return sentences


def _paragraphs(blocks: Sequence[list[str]], count: int) -> list[str]:
    """The blocks as so many paragraphs: neighbours joined, the shortest first, or the longest split."""
    parts = [list(block) for block in blocks]
    while len(parts) > max(1, count):
        place = min(range(len(parts) - 1), key=lambda n: len(parts[n]) + len(parts[n + 1]))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    while len(parts) < count and max(map(len, parts)) > 1:
        place = max(range(len(parts)), key=lambda n: len(parts[n]))
        half = len(parts[place]) // 2
        parts[place : place + 1] = [parts[place][:half], parts[place][half:]]
    return [" ".join(part) for part in parts]
