"""Story writer: from a draw to a story in paragraphs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from textbookgen_procedural.stories.cast import make_cast
from textbookgen_procedural.stories.inflection import fix_articles
from textbookgen_procedural.stories.pronoun_choice import use_pronouns
from textbookgen_procedural.stories.roles import INDOORS, Roles, cast_roles
from textbookgen_procedural.stories.story_data import kind_of, settings, story_sentences

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
#: The small letter of a slot's value (`his sister`) at the beginning of a sentence or of speech.
_LOWER_START = re.compile(r"(?<=[.!?] )[a-z]|(?<=[.!?] \")[a-z]|^\"?[a-z]|(?<=[.!]\" )(?:his|her|he|she) (?=\w+ )")
_CHILDREN = ("a boy", "a girl")
#: The letters of a plot's lines for what the two want and what is wrong; the second value is for when it comes up again.
_AGAIN = {"goal": "G", "trouble": "T", "now": "N"}
#: Classes of nouns without a plural and an indefinite article.
_MASS = frozenset({"foodmass", "drink", "material", "ingredient"})
_MOODS = ("happy", "sad", "long time")
_NIGHT = frozenset({"moon", "star", "planet"})
#: What openings say only of a place that is not far from home.
_NEAR_HOME = re.compile(r" lived in | called |Soon |breakfast")
#: Kinds of places to which one takes a guest.
_WITH_GUESTS = frozenset({"yard", "green", "play"})


class SentenceWriter:
    """Fills the slots and choices of sentence templates for one story."""

    def __init__(self, rng: Random, roles: Roles, noun: str, adjective: str = "") -> None:
        self.rng = rng
        self.adjective = adjective
        self.plot = roles.plot
        part = roles.part or ("child" if roles.its_class in ("animal", "bug") else "")
        place = roles.place or rng.choice(_places_for(roles))
        self.setting = kind_of(place)
        self.slots = make_cast(rng, noun, part, self.setting, thing=roles.thing, peers=self.plot.peers)
        self.slots |= {"place": place, "spot": roles.spot, **_object_slots(roles)}
        when = next((event.sentence for event in roles.events if event.moment == "o"), "") or self._usual_time()
        when = self._choose(when)
        self.slots |= {"when": when, "when_c": _capital(when), "mood": rng.choice(self.plot.lines["M"])}
        self.said: set[str] = set()

    def fill(self, template: str) -> str:
        """Return the sentence for a template."""
        chosen = self._choose(template)
        if "B" in self.plot.lines:
            reason = "it was all so sad" if "reason" in self.said else self.plot.lines["B"][0]
            self.said |= {"reason"} if "because {trouble}" in chosen else set()
            chosen = chosen.replace("because {trouble}", f"because {reason}")
        slots = dict(self.slots)
        for name, letter in _AGAIN.items():
            slots[name] = self.plot.lines[letter][name in self.said].format_map(self.slots)
            if f"{{{name}}}" in chosen.lower():
                self.said |= {name} if name == "goal" else {"trouble", "now"}
        slots["Now"] = _capital(slots["now"])
        slots["goal_named"] = self.plot.lines["G"][0].format_map(self.slots)
        self.said |= {"goal"} if "{goal_named}" in chosen else set()
        return _LOWER_START.sub(lambda match: _capital_in(match[0]), chosen.format_map(slots))

    def plot_sentence(self, letter: str) -> str:
        """Return one of the plot's sentences with this letter."""
        return self.fill(self.rng.choice(self.plot.lines[letter]))

    def common_sentence(self, place: str) -> str:
        """Return one of the sentences that any story may contain at this place."""
        return self.fill(self.rng.choice(story_sentences()[place]))

    def is_said_before(self, event: str, earlier: str) -> bool:
        """Return whether the required adjective that an event brings in is already in the sentences before it."""
        return f" {self.adjective} " in f" {event} " and f" {self.adjective} " in re.sub(r"[.,!]", " ", earlier)

    def dialogue(self) -> str:
        """Return a few words between the two that do not state the problem again."""
        said = [slot for slot, name in (("{Now}", "now"), ("{goal}", "goal")) if name in self.said]
        lines = [line for line in story_sentences()["dialogue"] if not any(slot in line for slot in said)]
        return self.fill(self.rng.choice(lines))

    def mood_sentence(self, place: str, earlier: str) -> str:
        """Return a sentence for the mood at the end that does not repeat a word for it from the sentences before."""
        lines = story_sentences()[place]
        fresh = [line for line in lines if not any(word in line and word in earlier for word in _MOODS)]
        return self.fill(self.rng.choice(fresh))

    def _usual_time(self) -> str:
        snow = self.slots["thing"] == "snow"
        times = story_sentences()["when night" if self.is_night else "when snow" if snow else "when"]
        return self.rng.choice([time for time in times if snow or not (self.plot.name == "storm" and " in " in time)])

    @property
    def is_night(self) -> bool:
        """Whether the story plays at night, when one can see the object."""
        return self.plot.name == "sky" and self.slots["thing"] in _NIGHT

    def opening(self) -> str:
        """Return a sentence that introduces the two, and that suits the place and the time."""
        headings = ["opening"]
        if not self.is_night:
            outdoors = self.setting not in INDOORS
            headings += ["opening outdoors"] * outdoors + ["opening friends"] * (" friend " in self.slots["f_intro"])
            headings += ["opening guest"] * (self.setting in _WITH_GUESTS and " friend " in self.slots["f_intro"])
            headings += ["opening morning"] * (outdoors and "morning" in self.slots["when"])
        lines = [line for heading in headings for line in story_sentences()[heading]]
        return self.fill(self.rng.choice([line for line in lines if not (self.setting == "wild" and _NEAR_HOME.search(line))]))

    def _choose(self, template: str) -> str:
        place = self.slots.get("place", "")
        return _CHOICE.sub(lambda match: self._pick(match[1].split("|"), place), template)

    def _pick(self, options: list[str], place: str) -> str:
        """Return one of the options, not one that the place of the story names too (`near the river`, `by the river`)."""
        return self.rng.choice([item for item in options if not item or item not in place.split()] or options)


def _object_slots(roles: Roles) -> dict[str, str]:
    """Values for the slots of the plot's object."""
    mass = roles.its_class in _MASS
    described = f"{roles.adjective} {roles.thing}".strip()
    single = roles.thing.split()[-1] in ("scissors", "glasses")
    some = mass or single
    a_thing = f"some {described}" if some else f"a {described}"
    return {
        "thing": roles.thing,
        "a_thing": a_thing,
        "A_thing": _capital(a_thing),
        "a_plain_thing": f"some {roles.thing}" if some else f"a {roles.thing}",
        "some_thing": f"some {roles.thing}",
        "the_thing": f"the {roles.thing}",
        "act": settings("acts").get(roles.thing, ("",))[0],
    }


def _places_for(roles: Roles) -> list[str]:
    """Return the plot's places, only those outdoors if somebody must come by who does not come into a house."""
    if roles.plot.name in ("afraid", "mend") and roles.thing in settings("homes"):
        return list(settings("homes")[roles.thing])
    places = roles.plot.lines["l"]
    return [place for place in places if kind_of(place) not in INDOORS] if roles.part == "helper" else places


def write_story(rng: Random, draw: Mapping[str, Any]) -> str:
    """Return a story for a draw.

    Args:
        rng: the source of randomness.
        draw: `verb`, `noun` and `adjective`, which the story contains; `features` and number of `paragraphs`, both optional.
    """
    verb, noun, adjective = (str(draw[part]).strip().lower() for part in ("verb", "noun", "adjective"))
    roles = cast_roles(rng, verb, noun, adjective)
    writer = SentenceWriter(rng, roles, noun, adjective)
    features = frozenset(map(str, draw.get("features") or ()))
    events = {moment: [event.sentence for event in roles.events if event.moment == moment] for moment in "pn+-"}
    events["p"], events["n"] = _reactions(events["p"], events["n"])
    blocks = [
        _beginning(writer, roles, features),
        _problem(writer, roles, features, events["p"]),
        _attempts(writer, roles, features, events["n"]),
        _turn(writer, roles, features, events),
    ]
    blocks.append(_ending(writer, features, bool(events["+"]), " ".join(blocks[-1])))
    blocks = [block for block in blocks if block]
    count = int(draw.get("paragraphs") or rng.randint(3, 5))
    paragraphs = [use_pronouns(part, writer.slots) for part in _paragraphs(blocks, count)]
    return fix_articles("\n\n".join(paragraphs))


def _reactions(after: Sequence[str], during: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the events right after the problem, and those during the attempts.

    Only one follows the problem, or two if the hero speaks of it and somebody answers; the others come later.
    """
    about_it = [event for event in after if "{Now}" in event]
    others = [event for event in after if "{Now}" not in event]
    chosen = about_it[:1] + [event for event in others if event.startswith('"') and " said {f}" in event][:1]
    chosen = chosen or others[:1]
    first = [_said_once(event, " ".join(chosen[:n])) for n, event in enumerate(chosen)]
    later = [_ASKED.sub(lambda match: _ASK[match[0]], event) for event in after if event not in chosen]
    sentences = list(first)
    for event in (*later, *during):
        sentences.append(_said_once(event, " ".join(sentences)))
    return first, sentences[len(first) :]


def _said_once(event: str, earlier: str) -> str:
    """Return an event without a promise that was given before."""
    if "e will {goal}" not in earlier:
        return event
    return re.sub(r"(?:Then w|([Ww]))e will \{goal\}", lambda match: f"{match[1] or 'W'}e will not give up", event)


#: What is asked instead of stating the problem again.
_ASK = {
    '"{Now}," {he} said': '"How can we {goal}?" {he} asked',
    '"{Now}," said': '"How can we {goal}?" asked',
    '"{Now}."': '"How can we {goal}?"',
}
_ASKED = re.compile("|".join(map(re.escape, _ASK)))


def _beginning(writer: SentenceWriter, roles: Roles, features: frozenset[str]) -> list[str]:
    sentences = [writer.opening()]
    if writer.slots["h_kind"] not in (*_CHILDREN, *re.findall("a (?:little|young) [a-z]+", sentences[0])):
        sentences.append(writer.fill("{h} was {h_kind}."))
    if roles.plan:
        plans = [plan for plan in _PLANS if not (" with " in plan and " with " in roles.plan)]
        plan = _TOMORROW if roles.plot.name in _NO_PLANS else writer.rng.choice(plans)
        sentences.append(writer.fill(plan.replace("VP", roles.plan)))
    if "Foreshadowing" in features:
        sentences.append(writer.plot_sentence("f"))
    return sentences


#: The two plan to do something later, the problem comes first, and the ending says whether they did it.
_PLANS = (
    "They wanted to VP later.",
    '"Later I want to VP," said {h}, and {f} liked the idea.',
    "{h} had asked {f} to VP with {him} later, and {fhe} had said yes.",
    "Later they were going to VP, and {h} could hardly wait.",
)
#: What is said instead if the plan cannot wait for the end of the problem.
_TOMORROW = '"Tomorrow I want to VP," said {h}, and {f} liked the idea.'
_NO_PLANS = frozenset({"hurt", "rescue", "sky", "picnic", "cook"})
_BUT_FIRST = '"First we have to {goal}," said {f}. "Then we can VP."'
_AND_THEN = {
    "friend": '"I will help you," said {f}. "And then we can VP."',
    "": '"That comes first," said {f}. "Then we can VP."',
    "?": '"Let us find out," said {f}. "Then we can VP."',
    "hero": '"And then we can VP," said {h}.',
}
_DONE = ("And later they VED, just as they had planned.", "The next day they VED at last.")
_NOT_DONE = "Nobody wanted to VP any more."
#: What is said in the end of a plan that begins with "tomorrow".
_DONE_TOMORROW = "The next day they VED, just as they had planned."


def _problem(writer: SentenceWriter, roles: Roles, features: frozenset[str], events: Sequence[str]) -> list[str]:
    spoken = any(event.startswith('"') for event in events)
    problems = [line for line in writer.plot.lines["o"] if not (spoken and '"' in line)]
    sentences = [writer.fill(writer.rng.choice(problems)), *map(writer.fill, events)]
    if roles.plan and roles.plot.name not in _NO_PLANS:
        speaker = _speaker(sentences[-1], writer) if events else ""
        wish_is_said = bool(events) and any(slot in events[-1] for slot in ("{goal}", "{goal_named}"))
        listener = {"friend": "hero", "hero": "friend", "": "?" * sentences[-1].endswith("?")}[speaker]
        reply = _AND_THEN[listener] if speaker == "friend" or wish_is_said else _BUT_FIRST
        sentences.append(writer.fill(reply.replace("VP", roles.plan)))
    elif '"' not in " ".join(sentences) and ("Dialogue" in features or (not events and writer.rng.random() < 0.4)):
        sentences.append(writer.dialogue())
    return sentences


_SAID = re.compile(r"\" (?:said|asked|cried|shouted|called) ([^.,!?]+)|\" ([^.,!?]+) (?:said|asked|cried|shouted|called)")


def _speaker(sentence: str, writer: SentenceWriter) -> str:
    """Return who speaks last in a sentence: `hero`, `friend`, or nobody."""
    said = _SAID.findall(sentence)
    name = "".join(said[-1]) if said else ""
    heroes = (writer.slots["h"], writer.slots["he"])
    return "" if not name else "hero" if name.startswith(heroes) else "friend"


def _attempts(writer: SentenceWriter, roles: Roles, features: frozenset[str], events: Sequence[str]) -> list[str]:
    """Return two attempts in the plot's order, with what happens between, and a passer-by, always if the noun is one."""
    spoken = any('"' in event for event in events)
    lines = [line for line in writer.plot.lines["n"] if not (spoken and '"' in line)]
    first, second = sorted(writer.rng.sample(range(len(lines)), 2))
    sentences = [writer.fill(lines[first]), *map(writer.fill, events[:1])]
    if "Conflict" in features:
        sentences.append(writer.plot_sentence("c"))
    sentences += [writer.fill(lines[second]), *map(writer.fill, events[1:])]
    if roles.part == "helper" or writer.rng.random() < (0.15 if "Conflict" in features else 0.4):
        sentences.append(writer.plot_sentence("h"))
    return sentences


def _turn(writer: SentenceWriter, roles: Roles, features: frozenset[str], events: Mapping[str, Sequence[str]]) -> list[str]:
    """Return what happens in the end, and before it what becomes of the hint."""
    bad = _is_bad(features)
    hint = "X" if bad and "X" in writer.plot.lines else "F"
    sentences = [writer.plot_sentence(hint)] if "Foreshadowing" in features else []
    letters = "uv" if "Twist" in features else "+-"
    sentences.append(writer.plot_sentence(letters[bad]))
    sentences += [
        writer.fill(event) for event in events["-" if bad else "+"] if not writer.is_said_before(event, sentences[-1])
    ]
    if roles.plan and bad:
        sentences.append(writer.fill(_NOT_DONE.replace("VP", roles.plan)))
    elif roles.plan:
        tomorrow = writer.plot.name in _LONG or roles.plan.startswith("plan ")
        after = writer.rng.choice(_DONE[1:] if tomorrow else _DONE)
        after = _DONE_TOMORROW if writer.plot.name in _NO_PLANS else after
        sentences.append(writer.fill(after.replace("VP", roles.plan).replace("VED", roles.planned)))
    return sentences


#: Plots that end at night or on a later day.
_LONG = frozenset(
    {
        "lost",
        "rescue",
        "thirsty",
        "storm",
        "prepare",
        "afraid",
        "sound",
        "astray",
        "race",
        "show",
        "gift",
        "build",
        "mend",
        "sky",
    }
)


def _is_bad(features: frozenset[str]) -> bool:
    return "BadEnding" in features and "HappyEnding" not in features


def _ending(writer: SentenceWriter, features: frozenset[str], has_mood: bool, earlier: str) -> list[str]:
    """Return the last sentences; `earlier` is what comes before them, and `has_mood` whether it has the hero's mood."""
    bad = _is_bad(features)
    sentences = []
    if not has_mood and (bad or "HappyEnding" in features or writer.rng.random() < 0.3):
        sentences.append(writer.mood_sentence("bad" if bad else "happy", earlier))
    elif "MoralValue" not in features and not bad:
        sentences.append(writer.common_sentence("close"))
    if "MoralValue" in features:
        moral = writer.rng.choice(writer.plot.lines["w" if bad else "m"])
        sentences.append(writer.common_sentence("moral").replace("MORAL", moral))
    return sentences


def _paragraphs(blocks: Sequence[list[str]], count: int) -> list[list[str]]:
    """Return the blocks as this many paragraphs: the shortest neighbours are joined, or the longest split."""
    parts = [list(block) for block in blocks]
    while len(parts) > max(1, count):
        place = min(range(len(parts) - 1), key=lambda n: len(parts[n]) + len(parts[n + 1]))
        parts[place : place + 2] = [parts[place] + parts[place + 1]]
    while len(parts) < count and max(map(len, parts)) > 1:
        place = max(range(len(parts)), key=lambda n: len(parts[n]))
        half = len(parts[place]) // 2
        parts[place : place + 1] = [parts[place][:half], parts[place][half:]]
    return parts


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _capital_in(text: str) -> str:
    """Return a text with its first letter as a capital, after a quotation mark if it begins with one."""
    return f'"{_capital(text[1:])}' if text.startswith('"') else _capital(text)
