"""Characters of a story: a hero, a friend, and a passer-by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random

from textbookgen_procedural.data_files import words
from textbookgen_procedural.names import BOYS, GIRLS
from textbookgen_procedural.stories.story_data import noun_classes, settings

_PRONOUNS = {
    "he": {"he": "he", "his": "his", "him": "him", "himself": "himself"},
    "she": {"he": "she", "his": "her", "him": "her", "himself": "herself"},
}
#: Names of animals that are things in plots.
_THINGS = ("button", "socks")
_SPECIES = tuple(name for name in words("species") if name not in ("bee", "snail"))
_PETS = {"he": words("animal names") + words("animal boys"), "she": words("animal names") + words("animal girls")}
_RELATIVES = {
    "she": ("Mom", "Grandma", "Mama", "Aunt Rosa", "Aunt May"),
    "he": ("Dad", "Grandpa", "Papa", "Uncle Ben", "Uncle Joe"),
}
#: Nouns for relatives, by pronoun; those that are used like names are in `_NAMELIKE`.
_KIN = {
    "she": ("aunt", "cousin", "grandma", "grandmother", "mom", "mommy", "mother", "sister", "twin"),
    "he": ("brother", "dad", "daddy", "father", "grandfather", "grandpa", "papa", "uncle"),
}
_NAMELIKE = frozenset({"dad", "daddy", "grandma", "grandpa", "mom", "mommy", "papa"})
#: Helpers of whom there is one in a place.
_ONLY_ONE = frozenset({"mailman", "mayor", "neighbor"})
_CHILDREN = frozenset({"brother", "cousin", "sister", "twin"})
#: Relatives that animals have in stories, too.
_PARENTS = {"she": ("Mom", "Grandma", "Mama"), "he": ("Dad", "Grandpa", "Papa")}
_DESCRIPTION = re.compile(r" (?:with|on) .*|\b(?:old|older|tall|small|kind|wise|fat|gray|busy|slow|funny) ")


def is_grown_up(noun: str) -> bool:
    """Return whether a noun for a relative names a grown-up."""
    return noun not in _CHILDREN


def make_cast(rng: Random, noun: str, part: str, setting: str, *, thing: str = "", peers: bool = False) -> dict[str, str]:
    """Draw the characters of a story, as values for the slots of its sentences.

    Args:
        rng: the source of randomness.
        noun: a required noun.
        part: who the noun is: the hero (`species`), the friend (`kin`), the passer-by (`helper`), or nobody; `child` if the
            hero must be a child.
        setting: the kind of place, which says who can come by.
        thing: the plot's object: whom the hero plays in a show may say whether it is a girl or a boy.
        peers: whether the friend must be a child.
    """
    kin = part == "kin"
    animal = part == "species" or (part not in ("kin", "child") and rng.random() < 0.35)
    pronoun = rng.choice(("he", "she"))
    if kin:
        pronoun = "he" if noun in _KIN["she"] else "she"
    elif peers and noun_classes(thing) & {"feminine", "masculine"}:
        pronoun = "she" if "feminine" in noun_classes(thing) else "he"
    pets = {who: [name for name in names if name.lower() not in (noun, thing, *_THINGS)] for who, names in _PETS.items()}
    names = pets if animal else {"he": BOYS, "she": GIRLS}
    hero = rng.choice(names[pronoun])
    kind = _hero_kind(rng, animal, pronoun, noun if part == "species" else "", thing)
    cast = {"h": hero, "h_s": f"{hero}'s", "h_kind": kind}
    cast |= _PRONOUNS[pronoun] | _friend(rng, names, hero, pronoun, noun if kin else "", peers, animal)
    passers_by = [item for item in settings("helpers")[setting] if thing not in item.split()]
    helper = f"{'the' if noun in _ONLY_ONE else 'a'} {noun}" if part == "helper" else rng.choice(passers_by)
    the_helper = f"the {_DESCRIPTION.sub('', helper.partition(' ')[2])}"
    cast |= {"helper": helper, "the_helper": the_helper, "helper_c": _capital(helper)}
    cast["f_intro_c"] = _capital(cast["f_intro"])
    return cast | {_capital(name): _capital(word) for name, word in cast.items()}


def pronouns(relative_or_intro: str) -> dict[str, str]:
    """Return the pronoun slots of the hero whose friend is introduced by these words; the two have different pronouns."""
    if relative_or_intro.startswith(("his ", "her ")):
        return _PRONOUNS["he" if relative_or_intro.startswith("his ") else "she"]
    names = {*_RELATIVES["she"], *(noun.capitalize() for noun in _KIN["she"])}
    return _PRONOUNS["he" if relative_or_intro in names else "she"]


def _hero_kind(rng: Random, animal: bool, pronoun: str, species: str, thing: str) -> str:
    if animal:
        return f"a {rng.choice(('little', 'young'))} {species or rng.choice([name for name in _SPECIES if name != thing])}"
    return "a girl" if pronoun == "she" else "a boy"


def _friend(
    rng: Random, names: Mapping[str, Sequence[str]], hero: str, pronoun: str, kin: str, peers: bool, animal: bool
) -> dict[str, str]:
    """Values for the slots of the friend, who has the other pronoun, so that `he` and `she` stay clear."""
    other = "she" if pronoun == "he" else "he"
    his = _PRONOUNS[pronoun]["his"]
    if kin:
        name = kin.capitalize() if kin in _NAMELIKE else f"{his} {kin}"
        intro = name
    elif not peers and rng.random() < 0.3:
        name = intro = rng.choice((_PARENTS if animal else _RELATIVES)[other])
    else:
        name = rng.choice([name for name in names[other] if name != hero])
        intro = f"{his} friend {name}"
    return {"f": name, "f_s": f"{name}'s", "f_intro": intro} | {f"f{key}": word for key, word in _PRONOUNS[other].items()}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
