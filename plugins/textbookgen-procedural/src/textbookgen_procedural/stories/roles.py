"""Roles of the required words in a story: which plot, and where the noun, the adjective and the verb come in."""

from __future__ import annotations

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
    noun_classes,
    places,
    plots,
    props,
    spots,
    verb_complements,
)

#: Classes of nouns that are a character of any plot, instead of being its object.
_CHARACTERS = frozenset({"species", "kin", "helper"})
#: Plots that suit a kind of place; the others have places of their own.
_PLOTS_AT = {
    "nature": frozenset({"lost", "rescue", "picnic", "tiny", "share"}),
    "wild": frozenset({"lost", "rescue", "picnic"}),
    "town": frozenset({"newcomer", "share", "owner"}),
    "room": frozenset({"spot", "sound", "share"}),
}
#: Plots that are told only if the noun is their object: time passes in them, or the characters stay in one place.
_ONLY_WITH_OBJECT = frozenset({"storm", "hurt", "sky", "seed"})
#: Plots that play in a house, or in which nobody runs about.
_INSIDE = frozenset({"spot", "cook", "storm", "sound", "broken", "show", "picture", "hurt", "afraid", "seed", "tiny", "share"})
#: Where the object of `spot` is if no noun says so: places that any room has.
_USUAL_SPOTS = ("behind the door", "on the highest shelf", "under an old blanket", "behind the curtain")
#: Classes of the objects of `picture` that do not live.
_LIFELESS = frozenset({"big", "sky", "drawn"})
#: Which adjectives can describe a noun, by its class; `thing` unless it is listed.
_DESCRIBED_AS = {
    **dict.fromkeys(("food", "morsel"), "food"),
    **dict.fromkeys(("foodmass", "ingredient"), "foodmass"),
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
    _add_verb(roles, verb)
    return roles


def _noun_role(rng: Random, noun: str) -> Roles:
    classes = noun_classes(noun)
    fitting = [plot for plot in plots() if plot.classes & classes]
    if noun in spots():
        fitting += [plot for plot in plots() if plot.name == "spot"]
    characters = sorted(_CHARACTERS & classes)
    if fitting and not (characters and rng.random() < 0.5):
        plot = rng.choice(fitting)
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
    return roles


def _usual_object(rng: Random, noun: str, characters: list[str]) -> Roles:
    """Return a plot with one of its usual objects, for a noun that is not the object."""
    if noun in places() and not characters:
        names = _PLOTS_AT[places()[noun].kind]
        plot = rng.choice([plot for plot in plots() if plot.name in names])
    else:
        grown_up = "kin" in characters and is_grown_up(noun)
        usual = [plot for plot in plots() if plot.name not in _ONLY_WITH_OBJECT and not (plot.peers and grown_up)]
        plot = rng.choice([plot for plot in usual if not (characters and _speaks_of(plot, noun))])
    thing = rng.choice(plot.lines["d"])
    listed = plot.classes & noun_classes(thing) if " " not in thing else frozenset({"toy"})
    roles = Roles(plot, thing, its_class=next(iter(sorted(listed or plot.classes))))
    if plot.name == "spot":
        roles.spot = rng.choice(_USUAL_SPOTS)
    return roles


def _speaks_of(plot: Plot, noun: str) -> bool:
    """Return whether a plot has somebody of its own whom this noun names."""
    return any(f" {noun}" in line for letter in "on+-uvFh" for line in plot.lines[letter])


def _add_adjective(rng: Random, roles: Roles, adjective: str, noun: str) -> None:
    """Let the adjective describe the plot's object if the table allows it, else bring it in by a sentence."""
    kind = _DESCRIBED_AS.get(roles.its_class, "")
    if roles.plot.name == "picture":
        kind = "drawn" if roles.its_class in _LIFELESS else "creature"
    has_slot = any("{a_thing}" in line.lower() for line in roles.plot.lines["o"])
    if has_slot and f"on {kind}" in adjective_classes(adjective) and " " not in roles.thing:
        roles.adjective = adjective
        return
    roles.events += rng.choice(_adjective_events(rng, roles, adjective, noun))


def _adjective_events(rng: Random, roles: Roles, adjective: str, noun: str) -> list[tuple[Event, ...]]:
    """Return the ways in which an adjective can come in without describing the object."""
    ways = [events("adjective")[adjective]] if adjective in events("adjective") else []
    named = sorted(name for name in adjective_classes(adjective) if not name.startswith("on "))
    for name in named:
        ways += [_with_words(frame, adjective, "") for frame in frames()[name]]
    if adjective in props():
        how, things = props()[adjective]
        if how == "pass" and (roles.plot.name in _INSIDE or roles.its_class == "ingredient"):
            how = "pass inside"
        thing = rng.choice([item for item in things if item not in (roles.thing, noun)] or ["stone"])
        ways += [_with_words(frame, adjective, thing) for frame in frames()[how]]
    return ways or [_with_words(frame, adjective, "") for frame in frames()["problem"]]


def _with_words(frame: tuple[Event, ...], adjective: str, thing: str) -> tuple[Event, ...]:
    return tuple(Event(item.moment, item.sentence.replace("ADJ", adjective).replace("THING", thing)) for item in frame)


def _add_verb(roles: Roles, verb: str) -> None:
    if verb in events("verb"):
        roles.events += events("verb")[verb]
        return
    complement = verb_complements().get(verb, "")
    roles.plan = f"{verb} {complement}".strip()
    roles.planned = f"{past(verb)} {complement}".strip()
