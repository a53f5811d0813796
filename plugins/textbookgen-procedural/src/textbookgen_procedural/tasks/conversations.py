"""Conversations: a reader's questions and a tutor's answers, replies of varying quality to a question, and their grades."""

from __future__ import annotations

import re
from hashlib import sha256
from random import Random
from typing import Any

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.tasks.critique import review
from textbookgen_procedural.tasks.draw_fields import Draw, document_text, json_reply, missing_field
from textbookgen_procedural.tasks.questions import Solution, solve, wrong_solution
from textbookgen_procedural.tasks.text_analysis import content_words, sentences
from textbookgen_procedural.tasks.user_requests import RequestedFunction, requested_function, wrong_request

_FURTHER_SENTENCES = 2  # of the document, that an answer adds to the one that was asked about
#: How sentences begin that need others around them, and tasks.
_DEPENDENT = re.compile(
    r"(?:it|its|this|that|these|those|they|he|she|then|so|but|and|put|write|say|try|change|run|guess|now|here|exercise|answer|"
    r"first we|the skill|after that|keep|look|notice|use|when you)\b|[*\d-]|.*(?:snippet|below|above)",
    re.IGNORECASE,
)
_RIGHT_SHARE = 0.5  # of the replies of `candidate`
_IGNORANCE = "I do not know enough about this to answer."
_MIN_WORDS = 25  # of a detailed reply to a question whose answer is not known


def user_message(rng: Random, draw: Draw) -> str:
    """Return the reader's next message: a question on a sentence of the document that was not asked about yet.

    Raises:
        RequestRefused: the draw has no document.
    """
    its_sentences = _statements(document_text(draw, "conversation-user"))
    turns = draw.get("turns") or ()
    earlier = " ".join(str(turn["content"]) for turn in turns)
    new = [item for item in its_sentences if item not in earlier] or its_sentences
    sentence = rng.choice(new[: 4 + len(turns)]).rstrip(".")
    frame = rng.choice(phrases("last questions" if draw.get("is_last_turn") and turns else "reader questions"))
    introduction = f"As {str(draw['persona']).rstrip('.')}, I wonder. " if draw.get("persona") and not turns else ""
    return introduction + frame.format(sentence)


def tutor_message(rng: Random, draw: Draw) -> str:
    """Return the tutor's answer: the sentence of the document nearest to the question, those after it, advice, and the move.

    Raises:
        RequestRefused: the draw has no document.
    """
    its_sentences = _statements(document_text(draw, "conversation-tutor"))
    question = str((draw.get("turns") or [{"content": ""}])[-1]["content"])
    wanted = content_words(question)
    overlaps = [len(wanted & content_words(item)) for item in its_sentences]
    nearest = max(range(len(its_sentences)), key=lambda place: (overlaps[place], -place))
    explanation = " ".join(its_sentences[nearest : nearest + 1 + _FURTHER_SENTENCES])
    opening, reason = rng.choice(phrases("tutor openings")), rng.choice(phrases("tutor reasons"))
    move = rng.choice(phrases("tutor moves")) if draw.get("teaching_move") and not draw.get("is_last_turn") else ""
    return " ".join(part for part in (opening, explanation, reason, move) if part)


def _statements(text: str) -> list[str]:
    """Return the sentences of a text that can be quoted alone: no questions, tasks, or references to what was said before.

    Without any, all sentences, or the text itself.
    """
    every = [item.replace("**", "") for item in sentences(text)]
    return [item for item in every if item.endswith(".") and not _DEPENDENT.match(item)] or every or [text.strip()]


def candidate(rng: Random, draw: Draw) -> str:
    """Return a reply to the last message, right or with one slip; both have the form that the question determines.

    So a preference for the right one cannot be learnt from length or form. Other questions get the same reply each time: that
    the program does not know.

    Raises:
        RequestRefused: the draw has neither `messages` nor a document.
    """
    messages = draw.get("messages")
    question = str(messages[-1]["content"]) if messages else str((draw.get("document") or {}).get("text") or "")
    if not question.strip():
        raise missing_field("candidate", "messages", "a question")
    is_right = rng.random() < _RIGHT_SHARE
    composition = requested_function(question)
    if composition is not None:
        written = composition if is_right else wrong_request(rng, composition)
        return _code_reply(written) if written else _IGNORANCE
    solution = solve(question) if is_right else wrong_solution(rng, question)
    return _IGNORANCE if solution is None else _worked_reply(question, solution)


def _worked_reply(question: str, solution: Solution) -> str:
    end = f"So the answer is {solution.answer}."
    if sha256(question.encode("utf-8", "surrogatepass")).digest()[0] % 2:
        return "\n".join(f"{number}. {step}." for number, step in enumerate(solution.steps, 1)) + f"\n\n{end}"
    return " ".join([*(f"{step}." for step in solution.steps), end])


def _code_reply(request: RequestedFunction) -> str:
    return f"Here is `{request.name}`, with one step per line:\n\n```python\n{request.source()}```"


def grade_replies(rng: Random, draw: Draw) -> str:
    """Return grades of each reply: accuracy by the known solution or the words of the question, style, and detail.

    Raises:
        RequestRefused: the draw lacks `messages` or `replies`.
    """
    messages, replies = draw.get("messages"), draw.get("replies")
    if not messages or not replies:
        raise missing_field("grade-replies", "replies", "labelled texts, and `messages`,")
    question = str(messages[-1]["content"])
    graded = [{"label": item["label"], **_grade(question, str(item["text"]))} for item in replies]
    best = max(graded, key=lambda item: item["accuracy"] + item["style"] + item["detail"])
    return json_reply(comparison=f"{best['label']} is the most complete and correct of {len(graded)} replies.", replies=graded)


def _grade(question: str, reply: str) -> dict[str, Any]:
    reviews, request = review(reply, question), requested_function(question)
    solution = None if request else solve(question)
    accuracy, has_steps = reviews["answers"].score, len(reply.split()) >= _MIN_WORDS
    if request is not None:
        accuracy, has_steps = (5 if request.has_body(reply) else 1), "```" in reply
    elif solution is not None:
        stated = re.findall(r"answer is:?\s+(.+?)\.?\s*$", reply, re.MULTILINE)
        accuracy, has_steps = (5 if stated[-1:] == [solution.answer] else 1), reply.count(".") >= len(solution.steps)
    style = 5 if request or solution else min(reviews["clarity"].score, reviews["steps"].score)
    faults = [item.suggestion for item in reviews.values() if item.score < 4] if accuracy > 1 else ["it is wrong"]
    return {"faults": "; ".join(faults) or "none", "accuracy": accuracy, "style": style, "detail": 5 if has_steps else 3}
