"""Roles of the required words in a story: which plot, and where the noun, the adjective and the verb come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from textbookgen_procedural.stories.inflection import past
from textbookgen_procedural.stories.story_data import (
    Event,
    Plot,
    adjective_classes,
    events,
    noun_classes,
    places,
    plots,
    props,
    verb_complements,
)

#: Classes of nouns that play a part in any plot, instead of being its object.
_PARTS = frozenset({"species", "kin", "helper", "costume"})
#: Plots that fit a place of the draw, by their names; the others have places of their own.
_INDOORS = frozenset({"share", "gift", "broken", "sound"})
_OUTDOORS = frozenset({"lost", "owner", "share", "rescue", "build", "mend", "picnic", "sky"})
_ANYWHERE: frozenset[str] = frozenset()
#: Classes of objects that a plot is not told without.
_NEEDED = frozenset({"weather", "part"})


@dataclass
class Roles:
    """What the required words do in one story.

    Attributes:
        plot: the plot.
        part: the class by which the noun plays a part in the cast, if it does (`species`, `kin`, `helper`, `costume`).
        thing: the noun of the plot's object.
        its_class: the class of that noun, `` if the plot has its usual object.
        adjective: the adjective of the plot's object, if it has one.
        place: where the story plays, if the noun says so.
        events: further sentences at a moment of the story.
        plan: the verb and its complement, if the two plan to do it; `planned` is the same in the past tense.
    """

    plot: Plot
    thing: str
    part: str = ""
    its_class: str = ""
    adjective: str = ""
    place: str = ""
    events: list[Event] = field(default_factory=list)
    plan: str = ""
    planned: str = ""


def cast_roles(rng: Random, verb: str, noun: str, adjective: str) -> Roles:
    """Choose a plot that has a role for the noun, and the roles of the verb and the adjective in it.

    Args:
        rng: the source of randomness.
        verb: the required verb.
        noun: the required noun.
        adjective: the required adjective.
    """
    roles = _noun_role(rng, noun)
    _add_adjective(rng, roles, adjective, noun)
    _add_verb(roles, verb, rng)
    return roles


def _noun_role(rng: Random, noun: str) -> Roles:
    classes = noun_classes(noun)
    fitting = [plot for plot in plots() if plot.classes & classes]
    parts = sorted(_PARTS & classes)
    if fitting and not (parts and rng.random() < 0.3):
        plot = rng.choice(fitting)
        return Roles(plot, noun, its_class=sorted(plot.classes & classes)[0])
    names = (_INDOORS if "indoors" in classes else _OUTDOORS) if noun in places() and not parts else _ANYWHERE
    plot = rng.choice([plot for plot in plots() if plot.name in names or (names is _ANYWHERE and not plot.classes & _NEEDED)])
    roles = Roles(plot, rng.choice(plot.lines["d"]))
    if parts:
        roles.part = rng.choice(parts)
        if roles.part == "costume":
            roles.events += [Event("b", _COSTUME), Event("p", _IN_COSTUME)]
            roles.events = [Event(item.moment, item.sentence.replace("NOUN", noun)) for item in roles.events]
    elif noun in places():
        roles.place = places()[noun]
    elif noun in events("noun"):
        roles.events.append(events("noun")[noun])
    return roles


_COSTUME = "They were playing a game, and {h} was a NOUN."
_IN_COSTUME = '"A real NOUN does not give up," said {h}.'


def _add_adjective(rng: Random, roles: Roles, adjective: str, noun: str) -> None:
    """Let the adjective describe the plot's object if the table allows it, else a feeling, a trait or a small thing."""
    classes = adjective_classes(adjective)
    kind = roles.its_class or next(iter(sorted(roles.plot.classes)))
    has_slot = any("{a_thing}" in line for line in roles.plot.lines["o"])
    if has_slot and f"on {kind}" in classes and (roles.its_class or " " not in roles.thing):
        roles.adjective = adjective
    elif adjective in props():
        how, things = props()[adjective]
        fitting = [thing for thing in things if thing not in (roles.thing, noun)] or ["shell" if how == "hold" else things[0]]
        moment = "b" if how == "pass" else "p"
        cheered = any("cheer" in event.sentence for event in roles.events)
        choices = [sentence for sentence in _PROPS[how] if not (cheered and "cheer" in sentence)]
        sentence = rng.choice(choices).replace("ADJ THING", f"{adjective} {rng.choice(fitting)}")
        roles.events.append(Event(moment, sentence))
    elif adjective in events("adjective"):
        roles.events.append(events("adjective")[adjective])
    else:
        trait = next((name for name in _TRAITS if name in classes), "other")
        moment, sentences = _TRAITS[trait]
        roles.events.append(Event(moment, rng.choice(sentences).replace("ADJ", adjective)))


_PROPS = {
    "hold": (
        "{f} gave {him} a ADJ THING to cheer {him} up, and {h} held it tight.",
        "{h} had a ADJ THING in {his} pocket. {He} held it tight, and that made {him} feel a bit better.",
    ),
    "eat": (
        "{f} gave {him} a ADJ THING to cheer {him} up. {h} ate it and felt a bit better.",
        "They shared a ADJ THING while they thought about what to do.",
    ),
    "pass": (
        "Earlier they had walked past a ADJ THING, and they had held hands.",
        "Earlier they had seen a ADJ THING, and they had gone around it with care.",
    ),
}
_TRAITS: dict[str, tuple[str, tuple[str, ...]]] = {
    "bad feeling": (
        "p",
        (
            "{h} felt ADJ and did not know what to do.",
            '"I am so ADJ," said {h}, and {f} took {his} hand.',
        ),
    ),
    "burden": ("p", ("On top of all that, {h} was ADJ.", "{h} was ADJ too, and that made it even harder.")),
    "good feeling": (
        "b",
        ("{h} was ADJ, for {he} had looked forward to this day.", "They were both ADJ, for it was a special day."),
    ),
    "help": (
        "p",
        ("Luckily {f} was ADJ and did not leave {him} alone.", "{f} was ADJ, and {fhe} wanted to help."),
    ),
    "strength": (
        "p",
        ("But {h} was ADJ, and {he} did not give up.", '"You are ADJ," said {f}. "You will find a way."'),
    ),
    "fault": (
        "b",
        ("{h} could be ADJ at times, but {f} liked {him} all the same.",),
    ),
    "other": ("p", ('"What a ADJ day!" said {h}.',)),
}


def _add_verb(roles: Roles, verb: str, rng: Random) -> None:
    if verb in events("verb"):
        roles.events.append(events("verb")[verb])
        return
    complement = verb_complements().get(verb, "")
    roles.plan = f"{verb} {complement}".strip()
    roles.planned = f"{past(verb)} {complement}".strip()
