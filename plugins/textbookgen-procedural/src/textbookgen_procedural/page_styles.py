"""Forms of presentation of a page: lecture, questions, worked example, story, dialogue, mistake, comparison, recipe."""

from __future__ import annotations

from collections.abc import Callable

from textbookgen_procedural.code_in_words import statements_in_words
from textbookgen_procedural.page_activities import describe_lines, find_mistake, generalise, listed_output, second_way
from textbookgen_procedural.page_examples import Example, as_function, code_lines, fenced, make_slip
from textbookgen_procedural.page_material import Material
from textbookgen_procedural.practice_functions import function_markdown, steps_in_words

Writer = Callable[[Material], list[str]]

_MAX_STEPS = 10  # of a program in words
_MAX_LINES = 6  # of output in a sentence


def writer_for(style: str) -> Writer:
    """Return the writer for a style described in words, by the first known word in it; a lecture by default."""
    lowered = style.lower()
    return next((writer for words, writer in _WRITERS if any(word in lowered for word in words)), _lecture)


def _title(material: Material, subtitle: str = "") -> str:
    topic = material.topic[0].upper() + material.topic[1:]
    return f"# {topic}: {subtitle[0].lower()}{subtitle[1:]}" if subtitle else f"# {topic}"


def _example(example: Example) -> list[str]:
    return [f"{example.snippet.introduction}:".replace("?:", "?"), example.markdown()]


def _introduced(lead: str, example: Example) -> list[str]:
    """Return an example with its introduction in quotes behind a lead."""
    return [f'{lead.rstrip(".:")} ("{example.snippet.introduction}"):', example.markdown()]


def _practice(material: Material) -> list[str]:
    """Return the function of the page with a lead, and its steps in words for readers who need them."""
    if material.practice is None:
        return []
    blocks = [material.phrase("function leads"), function_markdown(material.practice)]
    return [*blocks, steps_in_words(material.practice)] if material.audience.register != "technical" else blocks


def _pitfall(material: Material) -> list[str]:
    return [f"{material.phrase('pitfall leads')} {material.pitfall}"]


def _opening(material: Material) -> str:
    return material.rng.choice(material.audience.openings)


def _programs(material: Material) -> str:
    return "\n".join(example.program() for example in material.examples)


def _lecture(material: Material) -> list[str]:
    blocks = [_title(material)]
    why, what = material.use, material.definition
    blocks += [f"{why} {what}" if material.rng.random() < 0.5 else f"{what} {why}"]
    blocks += material.glossary(_programs(material))
    blocks += [f"{_opening(material)} {material.explain(material.amount.explanations - 1)}"]
    for place, example in enumerate(material.examples):
        blocks += _example(example)
        if place == 0:
            blocks += material.remark()
        if place < len(material.examples) - 1 and (text := material.explain()):
            blocks.append(text)
    if material.level > 1:
        blocks += _pitfall(material)
    return [*blocks, *_practice(material)]


def _questions(material: Material) -> list[str]:
    blocks = [f"# {material.phrase('subtitles questions')}"]
    opening = [
        f"**{material.phrase('questions what')}** {material.definition}",
        f"**{material.phrase('questions why')}** {material.use}",
    ]
    blocks += opening if material.rng.random() < 0.6 else opening[::-1]
    blocks += material.glossary(_programs(material))
    blocks.append(f"**{material.phrase('questions how')}** {material.explain(material.amount.explanations)}")
    first, *more = material.examples
    blocks += [f"**{material.phrase('questions see')}** {_example(first)[0]}", first.markdown(), *material.remark()]
    for example in more:
        blocks += [f"**{material.phrase('questions more')}** {_example(example)[0]}", example.markdown()]
    blocks.append(f"**{material.phrase('questions slip')}** {material.pitfall}")
    return [*blocks, *_practice(material)]


def _worked_example(material: Material) -> list[str]:
    example = material.examples[-1]
    material.examples = [example]
    blocks = [_title(material, material.phrase("subtitles worked")), f"{material.definition} {material.use}"]
    blocks += material.glossary(example.program())
    blocks += [f"{_opening(material)} {material.explain(material.amount.explanations - 1)}"]
    blocks += _introduced(material.phrase("worked leads"), example)
    sentences = statements_in_words(example.program())
    if 1 < len(sentences) <= _MAX_STEPS:
        material.used.add(describe_lines)
        blocks += [material.phrase("worked steps"), "\n".join(f"- {sentence}" for sentence in sentences)]
    blocks += material.remark()
    if example.snippet.variant and material.level > 2:
        material.used.add(second_way)
        blocks += [f"{example.snippet.variant_introduction}:", fenced(example.program(variant=True))]
    return [*blocks, *_pitfall(material), *_practice(material)]


def _story(material: Material) -> list[str]:
    blocks = [f"# {material.phrase('subtitles story')}", material.phrase("story problems")]
    blocks.append(f'{material.phrase("story turns")} "{material.definition}"')
    blocks.append(f'"{material.use}" {material.explain(1 if material.rng.random() < 0.5 else 2)}')
    for example in material.examples:
        blocks += _introduced(material.phrase("story codes"), example)
        if text := material.explain():
            blocks.append(f'"{text.rstrip(".")}," {material.teacher} said.' if not text.endswith("?") else text)
    blocks.append(f'"{material.comparison.rstrip(".")}," said {material.learner} after a while.')
    blocks.append(f'{material.teacher} nodded. "But remember: {_lower(material.pitfall)}"')
    return [*blocks, material.phrase("story ends"), *_practice(material)]


def _dialogue(material: Material) -> list[str]:
    tutor, pupil = "**Tutor:**", "**Pupil:**"
    blocks = [f"# {material.phrase('subtitles dialogue')}", f"{tutor} Today we talk about {_lower(material.topic)}."]
    blocks += [f"{pupil} {material.phrase('pupil starts')}", f"{tutor} {material.definition}"]
    blocks += [f"{pupil} {material.phrase('pupil whys')}", f"{tutor} {material.use}"]
    blocks += [f"{pupil} {material.phrase('pupil hows')}", f"{tutor} {material.explain(material.amount.explanations)}"]
    for example in material.examples:
        blocks += _introduced(f"{tutor} {material.phrase('tutor shows')}", example)
        blocks += [f"{pupil} {material.phrase('pupil guesses')}", f"{tutor} {material.phrase('tutor praises')}"]
    if material.audience.register != "technical":
        blocks += [f"{pupil} So it is a bit like this: {_lower(material.comparison)}", f"{tutor} That is a good picture."]
    else:
        blocks.append(f"{tutor} For you, a remark: {_lower(material.rng.choice(material.concept.notes))}")
    blocks += [f"{pupil} {material.phrase('pupil doubts')}", f"{tutor} {material.pitfall}"]
    return [*blocks, *_practice(material)]


def _mistake(material: Material) -> list[str]:
    """Show a program with a slip, how it is found, and the repaired program; a lecture where no slip is possible."""
    for example in material.candidates():
        slip, output = make_slip(material.rng, example), example.output()
        if slip is None or len(output) > _MAX_LINES:
            continue
        material.used.add(find_mistake)
        material.examples = [example]
        blocks = [_title(material, material.phrase("subtitles mistake")), f"{material.definition} {material.use}"]
        blocks += [f"{_opening(material)} {material.explain(material.amount.explanations)}"]
        blocks += material.glossary(example.program())
        blocks += [_introduced(material.phrase("mistake leads"), example)[0], fenced(slip.program)]
        blocks.append(material.phrase("mistake symptoms", wanted=listed_output(output)))
        blocks.append(f"{material.phrase('mistake searches')} Here it leads to line {slip.line}, `{slip.wrong.strip()}`.")
        blocks += [material.phrase("mistake repairs", line=slip.line), example.markdown(), *material.remark()]
        return [*blocks, *_pitfall(material), *_practice(material)]
    return _lecture(material)


def _comparison(material: Material) -> list[str]:
    """Show two solutions of one task, or a program and the same as a function; a lecture where there is neither."""
    example, second, name = _two_solutions(material)
    if example is None:
        return _lecture(material)
    blocks = [_title(material, material.phrase("subtitles comparison")), f"{material.definition} {material.use}"]
    blocks += material.glossary(example.program())
    blocks += [f"{_opening(material)} {material.explain(material.amount.explanations)}"]
    blocks += [f"**First solution.** {_example(example)[0]}"]
    blocks += [example.markdown(), f"**Second solution.** {name}:", fenced(second)]
    sizes = [len(code_lines(program)) for program in (example.program(), second)]
    one, other = ("first", "second") if sizes[0] < sizes[1] else ("second", "first")
    verdict = "verdict equal" if sizes[0] == sizes[1] else "verdict shorter"
    shorter = material.phrase(verdict, one=one, other=other, few=min(sizes), many=max(sizes))
    blocks.append(f"{material.phrase('solution leads')} {shorter}")
    others = [item for item in material.examples if item.snippet != example.snippet][: max(0, material.level - 2)]
    material.examples = [example, *others]
    material.used |= {second_way, generalise}
    blocks += material.remark()
    for further in others:
        blocks += [f"**A further example.** {_example(further)[0]}", further.markdown()]
    return [*blocks, *_pitfall(material), *_practice(material)]


def _two_solutions(material: Material) -> tuple[Example | None, str, str]:
    """Return an example, a second solution, and what that is; None as the example if there is none."""
    candidates = list(material.candidates())
    varied = sorted((item for item in candidates if item.snippet.variant), key=lambda item: item.snippet.size)
    if varied:
        example = varied[round((len(varied) - 1) * (material.level - 1) / 4)]
        return example, example.program(variant=True), example.snippet.variant_introduction
    pairs = ((example, as_function(example)) for example in candidates)
    return next(((example, function, "The same as a function") for example, function in pairs if function), (None, "", ""))


def _recipe(material: Material) -> list[str]:
    """Give the program as numbered steps, then the program; a worked example where it has no short words."""
    in_words = [(example, statements_in_words(example.program())) for example in material.candidates()]
    example, sentences = next(((one, words) for one, words in in_words if 1 < len(words) <= _MAX_STEPS), (None, []))
    if example is None:
        return _worked_example(material)
    material.used.add(describe_lines)
    blocks = [_title(material, material.phrase("subtitles recipe")), f"{material.definition} {material.use}"]
    blocks += material.glossary(example.program())
    blocks.append(f'**Task.** "{example.snippet.introduction}". {material.phrase("recipe leads")}')
    blocks.append("\n".join(f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1)))
    blocks += [
        "**The program.**",
        example.markdown(),
        f"**Why it works.** {material.explain(material.amount.explanations)} {_opening(material)}",
    ]
    blocks += material.remark()
    others = [other for other in material.examples if other is not example and material.level > 3]
    material.examples = [example, *others]
    for other in others:
        blocks += ["**A variation.** " + _example(other)[0], other.markdown()]
    return [*blocks, *_pitfall(material), *_practice(material)]


def _lower(text: str) -> str:
    """Return text with a small first letter, unless it begins with a name, a code or an abbreviation."""
    first = text.split()[0]
    keeps = first[:1] in "`*" or first[1:2].isupper() or first in ("Python", "Python's", "Roman", "Fibonacci", "Newton's", "I")
    return text if keeps or first.endswith("'s") else text[0].lower() + text[1:]


_WRITERS: tuple[tuple[tuple[str, ...], Writer], ...] = (
    (("question", "q&a", "interview"), _questions),
    (("dialogue", "conversation"), _dialogue),
    (("mistake", "bug", "debug", "error"), _mistake),
    (("comparison", "compare", "two solutions", "versus"), _comparison),
    (("recipe", "numbered", "how-to", "checklist"), _recipe),
    (("story", "narrative"), _story),
    (("worked", "example", "case study"), _worked_example),
)
