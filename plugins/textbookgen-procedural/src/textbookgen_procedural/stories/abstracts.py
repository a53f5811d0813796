"""Abstracts of stories by this package's writer: the plot is recognized by its sentences, and told in one or two."""

from __future__ import annotations

import re
from functools import cache

from textbookgen_procedural.stories.cast import pronouns
from textbookgen_procedural.stories.inflection import fix_articles
from textbookgen_procedural.stories.story_data import plots, story_sentences

_SLOT = re.compile(r"\{(\w+)\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_VALUE = r"[\w'-]+(?: [\w'-]+){0,8}?"
#: A name is one word that begins with a capital.
_NAME = r"(?-i:[A-Z])\w+"
#: How a friend is introduced: `his friend Tom`, `her sister`, `Mom`, `Uncle Joe`.
_FRIEND = r"(?:his|her) (?:friend \w+|\w+)|(?:Aunt|Uncle) \w+|\w+"
_KEPT = ("h", "f", "thing", "a_thing", "the_thing", "f_intro")


def abstract_of(story: str) -> str:
    """Return who a story is about, what happens and how it ends, in two sentences; empty if the plot is unknown."""
    text = " ".join(story.split())
    who = _found(text, [line for name, lines in story_sentences().items() if name.startswith("opening") for line in lines])
    for plot in plots():
        what = _found(text, plot.lines["o"])
        if not what:
            continue
        ends = {"+" if letter in "+u" else "-" for letter in "+-uv" if _found(text, plot.lines[letter])}
        if len(ends) != 1:
            continue
        if what.get("h") in ("He", "She"):
            del what["h"]
        friend = (who.get("f_intro") or "").strip()
        friend = friend[:1].lower() + friend[1:] if friend.lower().startswith(("his ", "her ")) else friend
        slots = {**who, **what, "f": friend.split(" friend ")[-1], **pronouns(friend)}
        slots |= {"a_thing": slots.get("a_thing", "").lower() or f"a {slots.get('thing', '')}"}
        slots |= {name.capitalize(): word.capitalize() for name, word in pronouns(friend).items()}
        slots |= {"thing": slots.get("thing") or slots["a_thing"].split()[-1]}
        slots |= {"the_thing": slots.get("the_thing") or f"the {slots['thing']}"}
        letters = ("s", "g" if ends == {"+"} else "b")
        return fix_articles(" ".join(_sentence(plot.lines[letter][0].format_map(slots)) for letter in letters))
    return ""


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _found(text: str, templates: list[str] | tuple[str, ...]) -> dict[str, str]:
    """Return the values of the slots of the first template that occurs in a text; empty if none does."""
    for template in templates:
        if match := _pattern(template).search(text):
            return {name: value for name, value in match.groupdict().items() if value} | {"": template}
    return {}


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """Return what a template can become when its slots and choices are filled."""
    seen: set[str] = set()
    parts = []
    for part in re.split(r"(\{\w+\}|\[[^\[\]]*\])", template):
        if choice := _CHOICE.fullmatch(part):
            options = ("".join(_slot(item, seen) for item in re.split(r"(\{\w+\})", option)) for option in choice[1].split("|"))
            parts.append(f"(?:{'|'.join(options)})")
        else:
            parts.append(_slot(part, seen))
    pattern = "".join(parts)
    return re.compile(re.sub(r"\ba(?=\\ )", "an?", pattern[0]) + pattern[1:] if pattern else pattern, re.IGNORECASE)


def _slot(part: str, seen: set[str]) -> str:
    slot = _SLOT.fullmatch(part)
    if not slot:
        return re.sub(r"\ba(?=\\ $)", "an?", re.escape(part))
    name = slot[1].removesuffix("_c").lower() if slot[1] not in _KEPT else slot[1]
    if name == "f_intro":
        return f"(?P<f_intro>{_FRIEND})"
    if name not in _KEPT:
        return _VALUE
    if name in seen:
        return _NAME if name == "h" else f"(?P={name})"
    seen.add(name)
    return f"(?P<{name}>{_NAME if name == 'h' else _VALUE})"
