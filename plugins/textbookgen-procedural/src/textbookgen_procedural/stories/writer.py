"""Story writer: from a draw to a story in paragraphs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from textbookgen_procedural.stories.cast import make_cast
from textbookgen_procedural.stories.inflection import fix_articles
from textbookgen_procedural.stories.roles import Roles, cast_roles
from textbookgen_procedural.stories.story_data import story_sentences

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
#: The small letter of a slot's value (`his sister`) at the beginning of a sentence.
_LOWER_START = re.compile(r"(?<=[.!?] )[a-z]|(?<=[.!?]\" )[a-z](?=\w+ \w+ (?:gave|ran|took|was|wanted|had|hugged)\b)")
_CHILDREN = ("a boy", "a girl")
#: Stock phrases, and what is said instead when one comes up again.
_STOCK = {
    "We will find a way": ("It will be all right", "We can do it"),
    "did not know what to do": ("had no idea what to do next",),
    "We must not give up": ("We have to go on", "We have to be strong"),
}
_PAIR = re.compile(r"\{pair: (\w+)\} ")
#: Classes of nouns without a plural and an indefinite article.
_MASS = frozenset({"foodmass", "material"})


class SentenceWriter:
    """Fills the slots and choices of sentence templates for one story."""

    def __init__(self, rng: Random, roles: Roles, noun: str) -> None:
        self.rng = rng
        self.plot = roles.plot
        self.slots = make_cast(rng, noun, roles.part or ("child" if roles.its_class == "animal" else ""))
        self.said: set[str] = set()
        place = roles.place.format_map(self.slots) or rng.choice(self.plot.lines["l"])
        self.slots |= {"place": place, "place_c": f"{place[0].upper()}{place[1:]}", **_object_slots(roles)}

    def fill(self, template: str) -> str:
        """Return the sentence for a template."""
        chosen = _CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), template)
        text = _LOWER_START.sub(lambda match: match[0].upper(), chosen.format_map(self.slots))
        for phrase, others in _STOCK.items():
            if phrase in text:
                said = next((item for item in (phrase, *others) if item not in self.said), others[-1])
                self.said.add(said)
                text = text.replace(phrase, said)
        return text[0].upper() + text[1:]

    def plot_sentence(self, letter: str) -> str:
        """Return one of the plot's sentences with this letter."""
        return self.fill(self.rng.choice(self.plot.lines[letter]))

    def common_sentence(self, place: str) -> str:
        """Return one of the sentences that any story may contain at this place."""
        return self.fill(self.rng.choice(story_sentences()[place]))

    def happens(self, roles: Roles, moment: str) -> list[str]:
        """Return the sentences of required words at a moment of the story."""
        return [self.fill(event.sentence) for event in roles.events if event.moment == moment]


def _object_slots(roles: Roles) -> dict[str, str]:
    """Values for the slots of the plot's object."""
    mass = roles.its_class in _MASS or (not roles.its_class and roles.thing in ("bread", "honey", *_USUAL_MASS))
    described = f"{roles.adjective} {roles.thing}".strip()
    weather = roles.thing if roles.thing in ("fog", "rain", "snow", "frost", "thunder", "lightning", "heat") else ""
    return {
        "thing": roles.thing,
        "a_thing": f"some {described}" if mass else f"a {described}",
        "a_plain_thing": f"some {roles.thing}" if mass else f"a {roles.thing}",
        "some_thing": f"some {roles.thing}",
        "the_thing": f"the {weather or roles.thing}",
    }


_USUAL_MASS = ("wood", "string", "paper", "cloth", "clay")


def write_story(rng: Random, draw: Mapping[str, Any]) -> str:
    """Return a story for a draw.

    Args:
        rng: the source of randomness.
        draw: `verb`, `noun` and `adjective`, which the story contains; `features` and number of `paragraphs`, both optional.
    """
    verb, noun, adjective = (str(draw[part]).strip().lower() for part in ("verb", "noun", "adjective"))
    roles = cast_roles(rng, verb, noun, adjective)
    writer = SentenceWriter(rng, roles, noun)
    features = frozenset(map(str, draw.get("features") or ()))
    hint = _draw_hint(writer) if "Foreshadowing" in features else ""
    blocks = [
        _beginning(writer, roles, hint),
        _problem(writer, roles, features),
        _attempts(writer, roles),
        _turn(writer, roles, features, hint),
        _ending(writer, features),
    ]
    paragraphs = _paragraphs(blocks, int(draw.get("paragraphs") or rng.randint(3, 5)))
    return fix_articles("\n\n".join(paragraphs))


def _draw_hint(writer: SentenceWriter) -> str:
    """Return a hint at the end of the story that the plot has a place for; laces need a hero with shoes."""
    plots = dict(line.split(": ") for line in story_sentences()["hint plots"])
    if writer.slots["h_kind"] not in _CHILDREN:
        plots.pop("lace")
    fitting = {name for name, names in plots.items() if writer.plot.name in names.split()} or {"feather"}
    return writer.rng.choice([line for line in story_sentences()["foreshadow"] if _pair(line) in fitting])


def _pair(line: str) -> str:
    match = _PAIR.match(line)
    return match[1] if match else ""


def _beginning(writer: SentenceWriter, roles: Roles, hint: str) -> list[str]:
    sentences = [writer.common_sentence("opening")]
    if writer.slots["h_kind"] not in _CHILDREN and writer.slots["h_kind"].lower() not in sentences[0].lower():
        sentences.append(writer.fill("{h} was {h_kind}."))
    sentences += writer.happens(roles, "b")
    if roles.plan:
        plan = writer.rng.choice(_PLANS).replace("VP", roles.plan)
        sentences.append(writer.fill(plan))
    if hint:
        sentences.append(writer.fill(_PAIR.sub("", hint)))
    return sentences


#: The two plan to do something, and the ending says whether they did.
_PLANS = (
    "They had a plan for later: they wanted to VP together.",
    '"Later I want to VP," said {h}, and {f} liked the idea.',
    "{h} had asked {f} to VP with {him} that day, and {fhe} had said yes.",
    "There was one thing that {h} and {f} liked to do more than anything: to VP.",
    "{f} was going to show {h} how to VP.",
)


def _problem(writer: SentenceWriter, roles: Roles, features: frozenset[str]) -> list[str]:
    sentences = [writer.plot_sentence("o"), *writer.happens(roles, "p")]
    if "Dialogue" in features or writer.rng.random() < 0.25:
        sentences.append(writer.common_sentence("dialogue"))
    if "Conflict" in features:
        sentences.append(writer.plot_sentence("c"))
    return sentences


def _attempts(writer: SentenceWriter, roles: Roles) -> list[str]:
    """Return two attempts, in the order of the plot, and a scene with a passer-by, always if the noun is the passer-by."""
    lines = writer.plot.lines["n"]
    first, second = sorted(writer.rng.sample(range(len(lines)), 2))
    helper = [writer.plot_sentence("h")] if roles.part == "helper" or writer.rng.random() < 0.45 else []
    return [writer.fill(lines[first]), writer.fill(lines[second]), *helper]


def _turn(writer: SentenceWriter, roles: Roles, features: frozenset[str], hint: str) -> list[str]:
    """Return what happens in the end, with the payoff of a hint and something unexpected before it, if they are asked for."""
    sentences = []
    if hint:
        (payoff,) = (line for line in story_sentences()["payoff"] if _pair(line) == _pair(hint))
        sentences.append(writer.fill(_PAIR.sub("", payoff)))
    if "Twist" in features:
        sentences.append(writer.plot_sentence("t"))
    bad = _is_bad(features)
    sentences.append(writer.plot_sentence("-" if bad else "+"))
    sentences += writer.happens(roles, "e")
    if roles.plan:
        after = f"{_BAD_PLAN if bad else writer.rng.choice(_DONE)}"
        sentences.append(writer.fill(after.replace("VP", roles.plan).replace("VED", roles.planned)))
    return sentences


_DONE = (
    "After that they VED, just as they had planned.",
    "And then they VED together at last.",
    "Later they VED, and it was more fun than ever.",
)
_BAD_PLAN = "Nobody wanted to VP any more."


def _is_bad(features: frozenset[str]) -> bool:
    return "BadEnding" in features and "HappyEnding" not in features


def _ending(writer: SentenceWriter, features: frozenset[str]) -> list[str]:
    sentences = []
    bad = _is_bad(features)
    if bad or "HappyEnding" in features or writer.rng.random() < 0.3:
        sentences.append(writer.common_sentence("bad" if bad else "happy"))
    elif "MoralValue" not in features or writer.rng.random() < 0.4:
        sentences.append(writer.common_sentence("close"))
    if "MoralValue" in features:
        lead = writer.common_sentence("moral_lead")
        moral = writer.plot_sentence("m")
        sentences.append(f'{lead} "{moral}"')
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
