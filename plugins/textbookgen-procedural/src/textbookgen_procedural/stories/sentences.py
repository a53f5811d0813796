"""Sentences that contain the words a draw asks for, whatever words they are."""

from __future__ import annotations

from random import Random

from textbookgen_procedural.stories.inflection import past
from textbookgen_procedural.stories.story_data import odd_adjectives, verb_complements, verb_subjects, word_classes


def verb_sentence(rng: Random, verb: str) -> str:
    """Return a sentence with this verb, in its base form or the past tense."""
    word = verb.strip().lower()
    if word in verb_subjects():
        return rng.choice(_SUBJECT).format(s=verb_subjects()[word], v=word, ved=past(word))
    rest = verb_complements().get(word, "")
    return rng.choice(_VERB).replace("VP", f"{word} {rest}".strip()).replace("VED", f"{past(word)} {rest}".strip())


def noun_sentence(rng: Random, noun: str) -> str:
    """Return a sentence with this noun, whose article and number suit its class."""
    word = noun.strip().lower()
    return rng.choice(_NOUN[_noun_class(word)]).replace("NOUN", word)


def adjective_sentence(rng: Random, adjective: str) -> str:
    """Return a sentence with this adjective, about a mood, a character trait or a thing."""
    word = adjective.strip().lower()
    if word in odd_adjectives():
        return odd_adjectives()[word]
    kind = next((name for name in ("feeling", "nature") if word in word_classes()[name]), "look")
    return rng.choice(_ADJECTIVE[kind]).replace("ADJ", word)


def _noun_class(word: str) -> str:
    classes = word_classes()
    word_class = next((name for name in ("person", "animal", "plural", "idea", "mass", "place") if word in classes[name]), None)
    if word_class:
        return word_class
    return "plural" if word.endswith("s") and not word.endswith(("ss", "us")) else "thing"


_SUBJECT = (
    "Then {s} began to {v}.",
    "All at once {s} {ved}.",
    "And {s} {ved}.",
    "{{h}} saw how {s} {ved}.",
    "Not far away {s} {ved}.",
    "For a moment {s} {ved}, and then it was over.",
)
_VERB = (
    "{h} tried to VP.",
    "{f} showed {h} how to VP.",
    "{h} liked to VP.",
    "First they had to VP.",
    '"Let us VP," said {f}.',
    "{h} had always wanted to VP.",
    "It was not easy to VP, but {h} did it.",
    "So {h} VED.",
    "Then {f} VED.",
    "{h} VED, just because {he} could.",
    '"Can you VP?" asked {f}. "I can," said {h}.',
    "It felt good to VP.",
    "{f} taught {h} to VP.",
    "They stopped for a while to VP.",
    "Nobody could VP like {f}.",
    "{h} VED, and {f} did the same.",
)
_NOUN = {
    "person": (
        "A NOUN came by and smiled at them.",
        "{h} pretended to be a NOUN.",
        "{f} told {him} about a NOUN in a book.",
        "A NOUN waved from far away.",
        "There was a NOUN in the picture on the wall.",
        '"You look like a NOUN," said {f}, and laughed.',
        "{h} once knew a NOUN who did that too.",
    ),
    "animal": (
        "A NOUN looked at them and went away again.",
        "There was a NOUN not far from there.",
        "{h} saw a NOUN and stood still.",
        "{f} made a sound like a NOUN, and they laughed.",
        "A cloud in the sky looked like a NOUN.",
        "{h} drew a NOUN in the dust with a stick.",
        '"Look, a NOUN!" said {h}.',
    ),
    "place": (
        "They could see the NOUN from there.",
        "{f} pointed to the NOUN.",
        "It was quiet near the NOUN.",
        "{h} looked over to the NOUN.",
        "They had been to the NOUN before.",
        '"It is not far to the NOUN," said {f}.',
        "There was a picture of a NOUN on {h_s} shirt.",
    ),
    "mass": (
        "It made {h} think of NOUN.",
        "{f} said something about NOUN.",
        "They talked about NOUN for a while.",
        "{h} had a dream about NOUN the night before.",
        '"We need NOUN," said {f}.',
        "There was not much NOUN left.",
    ),
    "idea": (
        "{h} thought about the NOUN and smiled.",
        "{f} said something about the NOUN.",
        '"I like this NOUN," said {h}.',
        "{h} would always remember the NOUN.",
        "They talked about the NOUN.",
        '"What a NOUN!" said {f}.',
    ),
    "plural": (
        "{h} saw some NOUN.",
        "There were NOUN in the picture on the wall.",
        "{f} said something about NOUN.",
        '"Where are the NOUN?" asked {f}.',
        "{h} looked at the NOUN and had to smile.",
    ),
    "thing": (
        "{h} saw a NOUN on the way.",
        "There was a NOUN by the door.",
        "{f} had a NOUN in {fhis} room at home.",
        "{h} drew a NOUN in the sand with a stick.",
        "A little bug sat next to a NOUN.",
        '"Is that a NOUN?" asked {h}. It was.',
        "{h} moved a NOUN out of the way.",
        "{f} told a joke about a NOUN.",
        "Somebody had left a NOUN there.",
        "{h} hid behind a NOUN for fun.",
    ),
}
_ADJECTIVE = {
    "feeling": (
        "{h} felt ADJ.",
        "For a moment {h} was ADJ.",
        "{f} looked ADJ.",
        '"I am ADJ," said {h}.',
        "That day {h} felt very ADJ.",
        '"Why are you so ADJ?" asked {f}.',
    ),
    "nature": (
        "{f} could be very ADJ.",
        "{h} was ADJ, everybody said so.",
        '"You are so ADJ," said {f}.',
        "{h} tried not to look too ADJ.",
        "People said that {f} was ADJ.",
    ),
    "look": (
        "{f} had a ADJ hat.",
        "{h} sat down on a ADJ stone.",
        "There was a ADJ box on the step.",
        "They passed a ADJ door.",
        "{h} picked up a ADJ leaf and kept it.",
        "{f} wore ADJ boots.",
        "A ADJ cloud hung over the hill.",
        "{h} carried a ADJ bag.",
        "There was a ADJ cup on the table.",
        "It was a ADJ place.",
        "{h} had a ADJ spoon in {his} pocket.",
    ),
}
