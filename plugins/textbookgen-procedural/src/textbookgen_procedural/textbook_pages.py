"""Textbook pages about one concept, for an audience and in a style, with snippets that were run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from textbookgen_procedural.audiences import AudiencePhrases, phrases_for
from textbookgen_procedural.code_snippets import Snippet, run_program, slot_value, with_outputs
from textbookgen_procedural.concepts import Concept, concept_for
from textbookgen_procedural.exercises import Case, Exercise, draw_exercise, literal
from textbookgen_procedural.names import NAMES, function_name
from textbookgen_procedural.primitives import primitives_by_name

_MIN_WORDS, _MAX_WORDS = 120, 350  # of a page
_FUNCTION_WORDS = 80  # room left for a second function
_MAX_ANSWER_LINES = 6  # of output in the answer to the question
_DEPENDENT_KINDS = frozenset(("word2", "index"))  # kinds of slot whose value depends on another slot


@dataclass(frozen=True)
class Example:
    """A snippet with its slots filled."""

    snippet: Snippet
    values: dict[str, str]

    def markdown(self) -> str:
        """Return the program with its output, as Markdown."""
        return f"```python\n{with_outputs(self.snippet.program(self.values))}\n```"


class Material:
    """The material of one page: sentences about a concept, each used at most once, and examples of it."""

    def __init__(self, rng: Random, concept: Concept, phrases: AudiencePhrases, difficulty: int) -> None:
        self.rng = rng
        self.concept = concept
        self.phrases = phrases
        self.explanations = rng.sample(concept.explanations, len(concept.explanations))
        self.examples = [Example(item, item.fill(rng)) for item in rng.sample(concept.snippets, len(concept.snippets))]
        self.definition = rng.choice(concept.definitions)
        self.comparison = rng.choice(concept.comparisons)
        self.pitfall = rng.choice(concept.pitfalls)
        self.snippets = 1 if difficulty <= 2 or rng.random() < 0.3 else 2
        self.exercise, self.second_exercise = self._draw_exercise(difficulty), self._draw_exercise(difficulty)

    def _draw_exercise(self, difficulty: int) -> Exercise:
        first = primitives_by_name()[self.rng.choice(self.concept.practice)]
        return draw_exercise(self.rng, function_name(self.rng), min(difficulty, 3), first=first, count=2)

    def explain(self, count: int = 1) -> str:
        """Return the next sentences that explain the concept; they are used up."""
        sentences, self.explanations = self.explanations[:count], self.explanations[count:]
        return " ".join(sentences)

    def function(self, exercise: Exercise | None = None) -> str:
        """Return the worked function, or another, with one or two calls, as Markdown."""
        exercise = exercise or self.exercise
        calls = [_call(exercise.name, case) for case in exercise.cases[:2]]
        return f"```python\n{exercise.prompt}{exercise.solution}\n" + "\n".join(calls) + "\n```"

    def steps(self) -> str:
        """Return the worked function in words, step by step."""
        commands = self.exercise.composition.phrases()
        if len(commands) == 1:
            return f"It needs only one step: {commands[0]}."
        places = ("First", "Then", "After that", "Finally")
        return " ".join(f"{places[place]} we {command}." for place, command in enumerate(commands))


def _call(name: str, case: Case) -> str:
    """Return a call that prints its result, in quotes if it begins or ends with space or is empty."""
    call = f"{name}({literal(case.value)})"
    needs_quotes = isinstance(case.result, str) and case.result != (case.result.strip() or None)
    return f"print(repr({call}))  # {case.result!r}" if needs_quotes else f"print({call})  # {case.result}"


def write_page(rng: Random, draw: Mapping[str, Any]) -> str:
    """Return the page that a draw asks for.

    Args:
        rng: the source of randomness.
        draw: `topic`, `audience`, `skill`, `difficulty` from 1 to 5, and `style`, all optional.
    """
    difficulty = int(draw.get("difficulty") or 2)
    phrases = phrases_for(str(draw.get("audience") or "a student"))
    material = Material(rng, concept_for(str(draw.get("topic") or "")), phrases, difficulty)
    blocks = _writer_for(str(draw.get("style") or "lecture"))(material)
    if skill := str(draw.get("skill") or ""):
        blocks.insert(2, rng.choice(phrases.skills).format(skill=skill))
    closing = _closing(material)
    return "\n\n".join(_fit_length(material, blocks, closing)) + "\n"


def _fit_length(material: Material, blocks: list[str], closing: list[str]) -> list[str]:
    """Add a second function if it fits, and sentences while the page is too short, before the closing question."""
    if material.snippets == 1 and len(" ".join(blocks + closing).split()) < _MAX_WORDS - _FUNCTION_WORDS:
        blocks += [material.rng.choice(_MORE), material.function(material.second_exercise)]
    while len(" ".join(blocks + closing).split()) < _MIN_WORDS and (extra := _unused_text(material)):
        blocks.append(extra)
    return blocks + closing


def _unused_text(material: Material) -> str:
    """Return text of the material that the page does not use yet, or ''."""
    if material.explanations:
        return material.explain(2)
    if len(material.examples) > material.snippets:
        example = material.examples.pop()
        return f"{example.snippet.introduction}:\n\n{example.markdown()}"
    return ""


def _lecture(material: Material) -> list[str]:
    rng, phrases = material.rng, material.phrases
    opening = rng.choice(phrases.openings)
    blocks = [f"# {_title(material.concept.name)}", material.definition, f"{opening} {material.explain(2)}"]
    blocks += _snippets(material)
    blocks += [
        rng.choice((material.comparison, material.pitfall)),
        rng.choice(phrases.function_leads).format(one="function"),
        material.function(),
    ]
    return [*blocks, material.steps()] if rng.random() < 0.5 else blocks


def _questions(material: Material) -> list[str]:
    name, rng = material.concept.name, material.rng
    blocks = [f"# {rng.choice(('Questions about', 'Asking about', 'Questions and answers:'))} {name}"]
    blocks += [f"**What is meant by {name}?** {material.definition}", f"**{rng.choice(_HOW)}** {material.explain(2)}"]
    blocks.append(f"**{rng.choice(_SEE)}**")
    blocks += _snippets(material)
    blocks.append(f"**{rng.choice(_SLIP)}** {material.pitfall}")
    return [*blocks, f"**{rng.choice(_USE)}** {material.steps()}", material.function()]


def _worked_example(material: Material) -> list[str]:
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
        blocks += [f"{example.snippet.introduction}:".replace("?:", "?"), example.markdown()]
    return blocks


def _closing(material: Material) -> list[str]:
    """Return a question about an example of the page, and its answer, found by running the changed program."""
    rng, example = material.rng, material.examples[0]
    independent = [(slot, kind) for slot, kind in example.snippet.slots if kind not in _DEPENDENT_KINDS]
    slot, kind = rng.choice(independent)
    old = example.values[slot]
    new = next((value for value in (slot_value(kind, rng) for _ in range(20)) if value != old), old)
    outputs = run_program(example.snippet.program({**example.values, slot: new})).values()
    printed = [line for lines in outputs for line in lines]
    first = "the first snippet" if material.snippets > 1 else "the snippet"
    question = rng.choice(_ASK).format(first=first, old=old, new=new)
    answer = " and then ".join(f"`{line}`" for line in printed[:_MAX_ANSWER_LINES])
    reason = material.explain(1) or material.pitfall
    return [f"**Question.** {question}", f"**Answer.** It prints {answer}. {reason}"]


def _title(name: str) -> str:
    return name[0].upper() + name[1:]


def _writer_for(style: str) -> Callable[[Material], list[str]]:
    """Return the writer for a style described in words, by the first known word in it; a lecture by default."""
    lowered = style.lower()
    writers = {"question": _questions, "q&a": _questions, "work": _worked_example, "example": _worked_example, "story": _story}
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
