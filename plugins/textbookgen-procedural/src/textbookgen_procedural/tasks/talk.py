"""Talk: a reader's questions and a tutor's answers, replies of different worth to a question, and their comparison."""

from __future__ import annotations

from random import Random
from typing import Any

from textbookgen_procedural.phrases import phrases
from textbookgen_procedural.tasks.critiques import measured
from textbookgen_procedural.tasks.facts import Draw, content_words, form, lacking, sentences, text_of
from textbookgen_procedural.tasks.questions import Solved, _slip, solve
from textbookgen_procedural.tasks.requests import regenerate


def reader(rng: Random, draw: Draw) -> str:
    """The reader's next turn: about a sentence of the snippet that was not asked about yet."""
    said = sentences(text_of(draw, "conversation-user")) or ["this"]
    asked = " ".join(str(turn["content"]) for turn in draw.get("turns") or ())
    fresh = [item for item in said if item not in asked] or said
    chosen = rng.choice(fresh[: 4 + len(draw.get("turns") or ())]).rstrip(".")
    frame = rng.choice(phrases("last questions" if draw.get("last") else "reader questions"))
    me = f"As {str(draw['persona']).rstrip('.')}, I wonder. " if draw.get("persona") and not draw.get("turns") else ""
    return me + frame.format(chosen)


def tutor(rng: Random, draw: Draw) -> str:
    """The tutor's answer: the sentences of the snippet nearest to what was asked, a reason, and the move that was drawn."""
    said = sentences(text_of(draw, "conversation-tutor"))
    asked = str((draw.get("turns") or [{"content": ""}])[-1]["content"])
    wanted = content_words(asked)
    nearest = sorted(range(len(said)), key=lambda at: (-len(wanted & content_words(said[at])), at))[:2]
    told = " ".join(said[at] for at in sorted(nearest))
    parts = [
        rng.choice(phrases("tutor openings")),
        told,
        rng.choice(phrases("tutor reasons")).format(", ".join(sorted(wanted)[:2]) or "it"),
    ]
    if draw.get("move"):
        parts.append(rng.choice(phrases("tutor moves")))
    return " ".join(part for part in parts if part)


def candidate(rng: Random, draw: Draw) -> str:
    """A reply to what was asked last; one in two is careful, others are short, wrong or beside the point, as models' are."""
    messages = draw.get("messages")
    asked = str(messages[-1]["content"]) if messages else str((draw.get("document") or {}).get("text") or "")
    if not asked.strip():
        raise lacking("candidate", "messages", "a question")
    result, worth = _known(asked), rng.random()
    if worth < 0.15:
        return rng.choice(phrases("empty replies"))
    if result is None:
        return _general(rng, asked, careful=worth > 0.5)
    if worth < 0.35:
        return f"The answer is {_slip(rng, result.answer)}."
    if worth < 0.5:
        return f"The answer is {result.answer}."
    return (
        "\n".join(f"{number}. {step}." for number, step in enumerate(result.steps, 1))
        + f"\n\nSo the answer is {result.answer}."
    )


def _known(asked: str) -> Solved | None:
    code = regenerate(Random(0), {"request": asked})
    if code.startswith("```") and "NotImplementedError" not in code:
        return Solved(("The docstring names the steps, and each line does one of them",), f"this:\n\n{code}\n")
    return solve(asked)


def _general(rng: Random, asked: str, careful: bool) -> str:
    about = sorted(content_words(asked), key=lambda word: (-len(word), word))[:3] or ["that"]
    reply = rng.choice(phrases("general replies")).format(" and ".join(about))
    return f"{reply} {rng.choice(phrases('general reasons')).format(about[0])}" if careful else reply


def preference(rng: Random, draw: Draw) -> str:
    """Each reply graded: accuracy by whether it comes to what we know or speaks of what was asked, style, and detail."""
    messages, replies = draw.get("messages"), draw.get("replies")
    if not messages or not replies:
        raise lacking("preference", "replies", "labelled texts, and `messages`,")
    asked = str(messages[-1]["content"])
    graded = [{"label": item["label"], **_graded(asked, str(item["text"]))} for item in replies]
    best = max(graded, key=lambda item: item["accuracy"] + item["style"] + item["detail"])
    return form(comparison=f"{best['label']} is the most complete and correct of {len(graded)} replies.", replies=graded)


def _graded(asked: str, reply: str) -> dict[str, Any]:
    result, measures = _known(asked), measured(reply, asked)
    accuracy = measures["answers"].score if result is None else 5 if result.answer.strip() in reply else 1
    style = min(measures["clarity"].score, measures["steps"].score)
    detail = 5 if len(reply.split()) >= 25 else 4 if len(reply.split()) >= 15 else 3 if len(reply.split()) >= 8 else 2
    faults = [item.suggestion for item in measures.values() if item.score < 4]
    return {"faults": "; ".join(faults) or "none", "accuracy": accuracy, "style": style, "detail": detail}
