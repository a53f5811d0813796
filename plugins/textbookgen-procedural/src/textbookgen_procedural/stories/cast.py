"""The cast of a story: a hero, a friend, and somebody who comes by."""

from __future__ import annotations

from random import Random

from textbookgen_procedural.names import BOYS, GIRLS

_PRONOUNS = {
    "he": {"he": "he", "his": "his", "him": "him", "himself": "himself"},
    "she": {"he": "she", "his": "her", "him": "her", "himself": "herself"},
}
_SPECIES = (
    "fox bear mouse rabbit owl frog hedgehog squirrel duck cat dog pig lamb goat turtle badger mole otter penguin elephant lion "
    "monkey pony beaver raccoon deer snail bee"
).split()
_PETS = (
    "Pip Bo Dot Tiki Momo Coco Bubba Pepper Nutmeg Button Biscuit Waffles Muffin Clover Sunny Ziggy Fluff Taffy Juno Kiki Lulu Nibbles "
    "Patch Rusty Socks Toffee Acorn Bean Bramble Cricket Fern Hazel Maple Olive Pebble Poppy Sage Willow"
).split()
_RELATIVES = (
    ("Mom", "she"), ("Dad", "he"), ("Grandma", "she"), ("Grandpa", "he"), ("Aunt Rosa", "she"), ("Uncle Ben", "he"), ("Mama", "she"),
    ("Papa", "he"), ("Aunt May", "she"), ("Uncle Joe", "he"),
)  # fmt: skip
_HELPERS = (
    "an old owl:the owl|a tall man with a beard:the man|a woman with a red hat:the woman|a small mouse:the mouse|a kind baker:the baker|"
    "the mailman:the mailman|an old turtle:the turtle|a girl on a bike:the girl|a boy with a big dog:the boy|a wise old cat:the cat|"
    "a farmer with a cart:the farmer|a fat frog:the frog|a lady with a basket:the lady|a gray goose:the goose|the teacher:the teacher|"
    "a funny little man:the little man|an old sailor:the sailor|a busy squirrel:the squirrel|the neighbor:the neighbor|"
    "a slow snail:the snail|a nurse on her way home:the nurse|a crow on a post:the crow|a painter:the painter|an old donkey:the donkey"
).split("|")
_LOOKS = ("with big ears", "with a long tail", "with a soft voice", "with bright eyes", "with a crooked smile", "with muddy feet", "")
_CHARMS = ("piece of string", "red button", "small mirror", "silver bell", "blue ribbon", "little key", "feather", "round stone")


def make_cast(rng: Random) -> dict[str, str]:
    """Who is in the story, as values for the slots of its sentences."""
    animal = rng.random() < 0.4
    hero_is = rng.choice(("he", "she"))
    hero = rng.choice(_PETS if animal else GIRLS if hero_is == "she" else BOYS)
    kind = f"a {rng.choice(('little', 'young', 'small'))} {rng.choice(_SPECIES)}" if animal else "a girl" if hero_is == "she" else "a boy"
    friend, friend_is = _friend(rng, animal, hero)
    helper, _, the_helper = rng.choice(_HELPERS).partition(":")
    look = rng.choice(_LOOKS)
    cast = {
        "h": hero,
        "h_s": f"{hero}'s",
        "h_kind": kind,
        "h_intro": f"{kind} named {hero}",
        "h_look": f"{hero} was {kind} {look}".rstrip() + "." if animal or rng.random() < 0.3 else "",
        "f": friend,
        "f_s": f"{friend}'s",
        "helper": helper,
        "the_helper": the_helper,
        "charm": rng.choice(_CHARMS),
    }
    cast |= _PRONOUNS[hero_is] | {f"f{name}": word for name, word in _PRONOUNS[friend_is].items()}
    return cast | {f"{name[0].upper()}{name[1:]}": f"{word[0].upper()}{word[1:]}" for name, word in cast.items() if word}


def _friend(rng: Random, animal: bool, hero: str) -> tuple[str, str]:
    if rng.random() < 0.4:
        return rng.choice(_RELATIVES)
    friend_is = rng.choice(("he", "she"))
    names = _PETS if animal else GIRLS if friend_is == "she" else BOYS
    return rng.choice([name for name in names if name != hero]), friend_is
