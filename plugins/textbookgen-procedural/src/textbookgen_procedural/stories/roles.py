"""Roles of the required words in a story: which plot, and where the noun, the adjective and the verb come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from textbookgen_procedural.stories.cast import is_grown_up
from textbookgen_procedural.stories.inflection import past
from textbookgen_procedural.stories.story_data import (
    Event,
    Plot,
    adjective_classes,
    events,
    frames,
    kind_of,
    noun_classes,
    places,
    plots,
    props,
    settings,
    spots,
    topics,
    verb_complements,
)

#: Classes of nouns that are a character of any plot, instead of being its object.
_CHARACTERS = frozenset({"species", "kin", "helper"})
#: Kinds of places where nobody comes by who does not belong there.
INDOORS = frozenset({"indoors", "school"})
#: Plots that are told only if the noun is their object: time passes in them, or the characters stay in one place.
_ONLY_WITH_OBJECT = frozenset({"storm", "hurt", "sky", "thirsty"})
#: Plots in which food is missing, so that nobody eats.
_HUNGRY = frozenset({"picnic", "cook"})
#: Where the object of `spot` is if no noun says so: places that any room has.
_USUAL_SPOTS = ("behind the door", "on the highest shelf", "under an old blanket", "behind a big box")
#: Classes of the objects of `picture` that do not live.
_LIFELESS = frozenset({"big", "sky", "drawn"})
#: Which adjectives can describe a noun, by its class; `thing` unless it is listed.
_DESCRIBED_AS = {
    **dict.fromkeys(("food", "morsel", "meal"), "food"),
    **dict.fromkeys(("foodmass", "drink"), "foodmass"),
    **dict.fromkeys(("toy", "wear", "keepsake", "household", "present", "gift"), "thing"),
    **{name: name for name in ("tool", "big", "animal", "bug", "plant")},
}


@dataclass
class Roles:
    """What the required words do in one story.

    Attributes:
        plot: the plot.
        thing: the noun of the plot's object.
        part: the class by which the noun is a character, if it is one (`species`, `kin`, `helper`).
        its_class: the class of the object.
        adjective: the adjective of the plot's object, if it has one.
        place: where the story plays, if the noun says so.
        spot: where the object of the plot `spot` is.
        events: further sentences at a moment of the story.
        topics: what one of the two tells the other about.
        plan: the verb and its complement, if the two plan to do it; `planned` is the same in the past tense.
    """

    plot: Plot
    thing: str
    part: str = ""
    its_class: str = ""
    adjective: str = ""
    place: str = ""
    spot: str = ""
    events: list[Event] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
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
    _add_verb(roles, verb)
    _add_adjective(rng, roles, adjective, noun)
    if roles.topics:
        roles.events.append(_told(rng, roles.topics))
    return roles


def _noun_role(rng: Random, noun: str) -> Roles:
    classes = noun_classes(noun)
    fitting = [plot for plot in plots() if plot.classes & classes]
    if noun in spots():
        fitting += [plot for plot in plots() if plot.name == "spot"]
    characters = sorted(_CHARACTERS & classes)
    if fitting and not (characters and rng.random() < 0.8):
        plot = rng.choices(fitting, [1 if plot.name == "picture" else 3 for plot in fitting])[0]
        if plot.name == "spot":
            spot, place = spots()[noun]
            return Roles(plot, rng.choice(plot.lines["d"]), its_class="toy", spot=spot, place=place)
        if classes == {"jar"}:
            return Roles(plot, rng.choice(plot.lines["d"]), its_class="bug")
        return Roles(plot, noun, its_class=sorted(plot.classes & classes)[0])
    roles = _usual_object(rng, noun, characters)
    if characters:
        roles.part = rng.choice(characters)
    elif noun in places():
        roles.place = places()[noun].words
    elif noun in events("noun"):
        roles.events += events("noun")[noun]
    elif noun in topics("noun"):
        roles.topics.append(topics("noun")[noun])
    return roles


def _usual_object(rng: Random, noun: str, characters: list[str]) -> Roles:
    """Return a plot with one of its usual objects, for a noun that is not the object."""
    if noun in places() and not characters:
        names = settings("plots")[places()[noun].kind]
        plot = rng.choice([plot for plot in plots() if plot.name in names])
    else:
        grown_up = "kin" in characters and is_grown_up(noun)
        usual = [plot for plot in plots() if plot.name not in _ONLY_WITH_OBJECT and not (plot.peers and grown_up)]
        outdoors = [plot for plot in usual if any(kind_of(place) not in INDOORS for place in plot.lines["l"])]
        usual = outdoors if "helper" in characters else usual
        plot = rng.choice([plot for plot in usual if not (characters and _speaks_of(plot, noun))])
    thing = rng.choice(plot.lines["d"])
    listed = plot.classes & noun_classes(thing) if " " not in thing else frozenset({"toy"})
    roles = Roles(plot, thing, its_class=next(iter(sorted(listed or plot.classes))))
    if plot.name == "spot":
        roles.spot = rng.choice(_USUAL_SPOTS)
    return roles


def _told(rng: Random, subjects: Sequence[str]) -> Event:
    """Return how one of the two tells something about one, two or three topics."""
    (event,) = rng.choice(frames()[("topic", "two topics", "three topics")[len(subjects) - 1]])
    sentence = event.sentence
    for topic in subjects:
        sentence = sentence.replace("THING", topic, 1)
    return Event(event.moment, sentence)


def _speaks_of(plot: Plot, noun: str) -> bool:
    """Return whether a plot has somebody of its own whom this noun names."""
    return any(f" {noun}" in line for letter in "on+-uvFh" for line in plot.lines[letter])


def _add_adjective(rng: Random, roles: Roles, adjective: str, noun: str) -> None:
    """Let the adjective describe the plot's object if the table allows it, else bring it in by a sentence."""
    narrower = sorted(noun_classes(roles.thing) & {"fruit", "shown"})
    kind = narrower[0] if narrower else _DESCRIBED_AS.get(roles.its_class, "")
    if roles.plot.name == "picture":
        kind = "drawn" if roles.its_class in _LIFELESS else "creature"
    has_slot = any("{a_thing}" in line.lower() for line in roles.plot.lines["o"])
    if has_slot and f"on {kind}" in adjective_classes(adjective) and " " not in roles.thing:
        roles.adjective = adjective
        return
    ways = _adjective_events(rng, roles, adjective, noun)
    topic = topics("adjective").get(adjective, "") or ("" if ways else _usual_topic(rng, adjective))
    if topic and (not ways or (not roles.topics and rng.random() < 1 / (len(ways) + 1))):
        roles.topics.append(topic)
    else:
        roles.events += rng.choice(ways)


def _usual_topic(rng: Random, adjective: str) -> str:
    """Return what a story is about in which an adjective describes a thing that it suits, or a hat if none is listed."""
    things = props().get(adjective, ("", ("hat",)))[1]
    return f"a king and {rng.choice(('his', 'a'))} {adjective} {rng.choice(things)}"


def _adjective_events(rng: Random, roles: Roles, adjective: str, noun: str) -> list[tuple[Event, ...]]:
    """Return the ways in which an adjective can come in without describing the object."""
    ways = [events("adjective")[adjective]] if adjective in events("adjective") else []
    named = sorted(name for name in adjective_classes(adjective) if not name.startswith("on "))
    for name in named:
        if not (name == "day" and (roles.plot.name == "sky" or any(event.moment == "o" for event in roles.events))):
            ways += [_with_words(frame, adjective, "") for frame in frames()[name]]
    if adjective in props():
        how, things = props()[adjective]
        thing = rng.choice([item for item in things if item not in (roles.thing, noun)] or ["stone"])
        if not (how == "eat" and roles.plot.name in _HUNGRY):
            ways += [_with_words(frame, adjective, thing) for frame in frames()[how]]
    return ways


def _with_words(frame: tuple[Event, ...], adjective: str, thing: str) -> tuple[Event, ...]:
    return tuple(Event(item.moment, item.sentence.replace("ADJ", adjective).replace("THING", thing)) for item in frame)


def _add_verb(roles: Roles, verb: str) -> None:
    if verb in events("verb"):
        roles.events += events("verb")[verb]
        return
    if verb in topics("verb") and verb not in verb_complements():
        roles.topics.append(topics("verb")[verb])
        return
    complement = verb_complements().get(verb, "")
    roles.plan = f"{verb} {complement}".strip()
    roles.planned = f"{past(verb)} {complement}".strip()
