"""Pages: textbook sections about one concept, for an audience and in a style, with snippets that were run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from textbookgen_procedural.concepts import Concept, concept_for
from textbookgen_procedural.exercises import Case, Exercise, draw_exercise, literal
from textbookgen_procedural.names import NAMES, function_name
from textbookgen_procedural.primitives import by_name
from textbookgen_procedural.snippets import Snippet, outputs, shown, slot_value
from textbookgen_procedural.voices import Voice, voice_for

_FEWEST, _MOST = 120, 350  # words of a page
_FIXED = frozenset(("word2", "index"))  # kinds of slot whose value depends on another slot


@dataclass(frozen=True)
class Example:
    """A snippet with its slots filled."""

    snippet: Snippet
    filled: dict[str, str]

    def fence(self) -> str:
        """The program and what it printed, as Markdown."""
        return f"```python\n{shown(self.snippet.program(self.filled))}\n```"


class Material:
    """What one page can draw on: sentences of a concept, each used at most once, and examples of it."""

    def __init__(self, rng: Random, concept: Concept, voice: Voice, difficulty: int) -> None:
        self.rng = rng
        self.concept = concept
        self.voice = voice
        self.explanations = rng.sample(concept.explanations, len(concept.explanations))
        self.examples = [Example(item, item.fill(rng)) for item in rng.sample(concept.snippets, len(concept.snippets))]
        self.definition = rng.choice(concept.definitions)
        self.comparison = rng.choice(concept.comparisons)
        self.pitfall = rng.choice(concept.pitfalls)
        self.snippets = 1 if difficulty <= 2 or rng.random() < 0.3 else 2
        self.task, self.other = self._task(difficulty), self._task(difficulty)

    def _task(self, difficulty: int) -> Exercise:
        opening = by_name()[self.rng.choice(self.concept.practice)]
        return draw_exercise(self.rng, function_name(self.rng), min(difficulty, 3), opening=opening, count=2)

    def explain(self, count: int = 1) -> str:
        """The next sentences that explain."""
        taken, self.explanations = self.explanations[:count], self.explanations[count:]
        return " ".join(taken)

    def function(self, task: Exercise | None = None) -> str:
        """The worked function, or another, with one or two calls, as Markdown."""
        task = task or self.task
        calls = [_call(task.name, case) for case in task.cases[:2]]
        return f"```python\n{task.prompt}{task.solution}\n" + "\n".join(calls) + "\n```"

    def steps(self) -> str:
        """The worked function told in words, step by step."""
        phrases = self.task.composition.phrases()
        if len(phrases) == 1:
            return f"It needs only one step: {phrases[0]}."
        places = ("First", "Then", "After that", "Finally")
        return " ".join(f"{places[place]} we {phrase}." for place, phrase in enumerate(phrases))


def _call(name: str, case: Case) -> str:
    """A call that prints its result; one that would not be seen in print is printed in quotes."""
    call = f"{name}({literal(case.value)})"
    hidden = isinstance(case.result, str) and case.result != (case.result.strip() or None)
    return f"print(repr({call}))  # {case.result!r}" if hidden else f"print({call})  # {case.result}"


def write_page(rng: Random, draw: Mapping[str, Any]) -> str:
    """The page that a draw asks for: `topic`, `audience`, `skill`, `difficulty` from 1 to 5, and `style`."""
    difficulty = int(draw.get("difficulty") or 2)
    voice = voice_for(str(draw.get("audience") or "a student"))
    material = Material(rng, concept_for(str(draw.get("topic") or "")), voice, difficulty)
    blocks = _style(str(draw.get("style") or "lecture"))(material)
    if skill := str(draw.get("skill") or ""):
        blocks.insert(2, rng.choice(voice.skills).format(skill=skill))
    closing = _closing(material)
    return "\n\n".join(_fitted(material, blocks, closing)) + "\n"


def _fitted(material: Material, blocks: list[str], closing: list[str]) -> list[str]:
    """The blocks, with a second function if there is room, and sentences while the page is too short, before the question."""
    if material.snippets == 1 and len(" ".join(blocks + closing).split()) < _MOST - 80:
        blocks += [material.rng.choice(_MORE), material.function(material.other)]
    while len(" ".join(blocks + closing).split()) < _FEWEST and (extra := _extra(material)):
        blocks.append(extra)
    return blocks + closing


def _extra(material: Material) -> str:
    if material.explanations:
        return material.explain(2)
    if len(material.examples) > material.snippets:
        example = material.examples.pop()
        return f"{example.snippet.lead}:\n\n{example.fence()}"
    return ""


def _lecture(material: Material) -> list[str]:
    rng, voice = material.rng, material.voice
    blocks = [f"# {_title(material.concept.name)}", material.definition, f"{rng.choice(voice.openings)} {material.explain(2)}"]
    blocks += _snippets(material)
    blocks += [
        rng.choice((material.comparison, material.pitfall)),
        rng.choice(voice.works).format(one="function"),
        material.function(),
    ]
    return [*blocks, material.steps()] if rng.random() < 0.5 else blocks


def _questions(material: Material) -> list[str]:
    name, rng = material.concept.name, material.rng
    blocks = [f"# {rng.choice(('Questions about', 'Client about', 'Questions and answers:'))} {name}"]
    blocks += [f"**What is meant by {name}?** {material.definition}", f"**{rng.choice(_HOW)}** {material.explain(2)}"]
    blocks.append(f"**{rng.choice(_SEE)}**")
    blocks += _snippets(material)
    blocks.append(f"**{rng.choice(_SLIP)}** {material.pitfall}")
    return [*blocks, f"**{rng.choice(_USE)}** {material.steps()}", material.function()]


def _worked(material: Material) -> list[str]:
    rng = material.rng
    blocks = [
        f"# {_title(material.concept.name)}: {rng.choice(('a worked example', 'step by step', 'an example in full'))}",
        material.definition,
    ]
    blocks += [material.explain(1), *_snippets(material)]
    blocks += [f"{rng.choice(_PROBLEM)} {material.steps()}", material.function(), f"{material.explain(1)} {material.pitfall}"]
    return blocks


def _story(material: Material) -> list[str]:
    rng, name = material.rng, material.concept.name
    learner, teacher = rng.sample(NAMES, 2)
    blocks = [f"# {learner} and {rng.choice(('the lesson on', 'a morning with', 'the puzzle of', 'a question about'))} {name}"]
    blocks.append(f"{material.definition} That is what {teacher} had written on the board when {learner} came in.")
    blocks.append(
        f'{rng.choice(_WONDER).format(learner=learner, teacher=teacher)} "{material.comparison}" {material.explain(1)}'
    )
    blocks += _snippets(material)
    blocks.append(f"{rng.choice(_TRY).format(learner=learner, teacher=teacher)} {material.steps()}")
    return [*blocks, material.function(), f'"{material.pitfall.removesuffix(".")}," {teacher} added with a smile.']


def _snippets(material: Material) -> list[str]:
    blocks = []
    for example in material.examples[: material.snippets]:
        blocks += [f"{example.snippet.lead}:".replace("?:", "?"), example.fence()]
    return blocks


def _closing(material: Material) -> list[str]:
    """One question about an example of the page, and its answer, found by running the changed program."""
    rng, example = material.rng, material.examples[0]
    free = [(slot, kind) for slot, kind in example.snippet.slots if kind not in _FIXED]
    slot, kind = rng.choice(free)
    old = example.filled[slot]
    new = next((value for value in (slot_value(kind, rng) for _ in range(20)) if value != old), old)
    printed = [line for lines in outputs(example.snippet.program({**example.filled, slot: new})).values() for line in lines]
    first = "the first snippet" if material.snippets > 1 else "the snippet"
    question = rng.choice(_ASK).format(first=first, old=old, new=new)
    told = " and then ".join(f"`{line}`" for line in printed[:6])
    reason = material.explain(1) or material.pitfall
    return [f"**Question.** {question}", f"**Answer.** It prints {told}. {reason}"]


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def _style(style: str) -> Callable[[Material], list[str]]:
    """The writer for a style; the words before the first comma or space that is known decide, a lecture if none is."""
    lowered = style.lower()
    writers = {"question": _questions, "q&a": _questions, "work": _worked, "example": _worked, "story": _story}
    return next((writer for word, writer in writers.items() if word in lowered), _lecture)


_HOW = ("How does it work?", "What should I know about it?", "How do I think about it?", "What are the rules?")
_SEE = ("Can I see it?", "What does it look like in code?", "Is there a small example?", "May I try it?")
_SLIP = ("What often goes wrong?", "Which mistake should I look out for?", "Where do people slip?")
_USE = ("How is it used in a function?", "What does a whole function look like?", "And with a real task?")
_PROBLEM = ("Now to a whole problem.", "Here is a problem to solve.", "Let us solve a task.", "A complete function shows more.")
_WONDER = (
    "{learner} frowned, and {teacher} explained:",
    '"What is it good for?" {learner} asked. {teacher} thought for a moment.',
    '"I do not see it yet," said {learner}, so {teacher} drew a picture.',
    "{teacher} saw that {learner} had a question.",
)
_TRY = (
    '"Let me try," said {learner}, and wrote a function.',
    "Soon {learner} had a task to solve.",
    '"Your turn," said {teacher}.',
    "Together they wrote a function.",
)
_MORE = (
    "One more function of the same kind:",
    "Here is another, for practice:",
    "Cover the body of the next function and write it yourself first:",
    "A second function, with other steps:",
)
_ASK = (
    "What would {first} print with `{new}` in place of `{old}`?",
    "Put `{new}` where {first} has `{old}`. What is printed?",
    "Suppose `{old}` in {first} became `{new}`. What would we see?",
    "Without running it: what does {first} print if `{old}` is changed to `{new}`?",
)
