"""Characters of a story: a hero, a friend, and a passer-by."""

from __future__ import annotations

import re
from random import Random

from textbookgen_procedural.data_files import words
from textbookgen_procedural.names import BOYS, GIRLS

_PRONOUNS = {
    "he": {"he": "he", "his": "his", "him": "him", "himself": "himself"},
    "she": {"he": "she", "his": "her", "him": "her", "himself": "herself"},
}
_SPECIES = words("species")
_PETS = words("animal names")
_RELATIVES = {
    "she": ("Mom", "Grandma", "Mama", "Aunt Rosa", "Aunt May"),
    "he": ("Dad", "Grandpa", "Papa", "Uncle Ben", "Uncle Joe"),
}
_HELPERS = (
    "an old owl",
    "a tall man with a beard",
    "a woman with a red hat",
    "a small mouse",
    "a kind baker",
    "the mailman",
    "an old turtle",
    "a girl on a bike",
    "a boy with a big dog",
    "a wise old cat",
    "a farmer with a cart",
    "a fat frog",
    "a lady with a basket",
    "a gray goose",
    "the teacher",
    "a funny little man",
    "an old sailor",
    "a busy squirrel",
    "the neighbor",
    "a slow snail",
    "a nurse on her way home",
    "a crow on a post",
    "a painter",
    "an old donkey",
)
_LOOKS = ("with big ears", "with a soft voice", "with bright eyes", "with a crooked smile", "with muddy feet", "")
_CHARMS = (
    "piece of string",
    "red button",
    "small mirror",
    "silver bell",
    "blue ribbon",
    "little key",
    "feather",
    "round stone",
)
_DESCRIPTION = re.compile(r" (?:with|on) .*|\b(?:old|tall|small|kind|wise|fat|gray|busy|slow|funny) ")


def make_cast(rng: Random) -> dict[str, str]:
    """Draw the characters of a story, as values for the slots of its sentences."""
    animal = rng.random() < 0.4
    hero_pronoun = rng.choice(("he", "she"))
    hero = rng.choice(_PETS if animal else GIRLS if hero_pronoun == "she" else BOYS)
    description = _description(rng, animal, hero_pronoun)
    friend, friend_pronoun = _friend(rng, animal, hero)
    helper = rng.choice(_HELPERS)
    look = rng.choice(_LOOKS)
    cast = {
        "h": hero,
        "h_s": f"{hero}'s",
        "h_kind": description,
        "h_intro": f"{description} named {hero}",
        "h_look": f"{hero} was {description} {look}".rstrip() + "." if animal or rng.random() < 0.3 else "",
        "f": friend,
        "f_s": f"{friend}'s",
        "helper": helper,
        "the_helper": f"the {_DESCRIPTION.sub('', helper.partition(' ')[2])}",
        "charm": rng.choice(_CHARMS),
    }
    cast |= _PRONOUNS[hero_pronoun] | {f"f{name}": word for name, word in _PRONOUNS[friend_pronoun].items()}
    return cast | {f"{name[0].upper()}{name[1:]}": f"{word[0].upper()}{word[1:]}" for name, word in cast.items() if word}


def _description(rng: Random, animal: bool, pronoun: str) -> str:
    if animal:
        return f"a {rng.choice(('little', 'young', 'small'))} {rng.choice(_SPECIES)}"
    return "a girl" if pronoun == "she" else "a boy"


def _friend(rng: Random, animal: bool, hero: str) -> tuple[str, str]:
    friend_pronoun = rng.choice(("he", "she"))
    if rng.random() < 0.4:
        return rng.choice(_RELATIVES[friend_pronoun]), friend_pronoun
    names = _PETS if animal else GIRLS if friend_pronoun == "she" else BOYS
    return rng.choice([name for name in names if name != hero]), friend_pronoun
