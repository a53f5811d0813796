"""Conversations: a reader's questions and a tutor's answers, replies of varying quality to a question, and their grades."""

from __future__ import annotations

from random import Random
from typing import Any

from textbookgen_procedural.data_files import phrases
from textbookgen_procedural.tasks.critique import review
from textbookgen_procedural.tasks.draw_fields import Draw, document_text, json_reply, missing_field
from textbookgen_procedural.tasks.questions import Solution, solve, wrong_answer
from textbookgen_procedural.tasks.text_analysis import content_words, sentences
from textbookgen_procedural.tasks.user_requests import regenerate_code


def user_message(rng: Random, draw: Draw) -> str:
    """Return the reader's next message: a question on a sentence of the document that was not asked about yet.

    Raises:
        RequestRefused: the draw has no document.
    """
    its_sentences = sentences(document_text(draw, "conversation-user")) or ["this"]
    turns = draw.get("turns") or ()
    earlier = " ".join(str(turn["content"]) for turn in turns)
    new = [item for item in its_sentences if item not in earlier] or its_sentences
    sentence = rng.choice(new[: 4 + len(turns)]).rstrip(".")
    frame = rng.choice(phrases("last questions" if draw.get("is_last_turn") else "reader questions"))
    introduction = f"As {str(draw['persona']).rstrip('.')}, I wonder. " if draw.get("persona") and not turns else ""
    return introduction + frame.format(sentence)


def tutor_message(rng: Random, draw: Draw) -> str:
    """Return the tutor's answer: the sentences of the document nearest to the question, a reason, and the teaching move.

    Raises:
        RequestRefused: the draw has no document.
    """
    its_sentences = sentences(document_text(draw, "conversation-tutor"))
    question = str((draw.get("turns") or [{"content": ""}])[-1]["content"])
    wanted = content_words(question)
    overlaps = [len(wanted & content_words(item)) for item in its_sentences]
    by_overlap = sorted(range(len(its_sentences)), key=lambda place: (-overlaps[place], place))
    nearest = " ".join(its_sentences[place] for place in sorted(by_overlap[:2]))
    opening = rng.choice(phrases("tutor openings"))
    reason = rng.choice(phrases("tutor reasons")).format(", ".join(sorted(wanted)[:2]) or "it")
    move = rng.choice(phrases("tutor moves")) if draw.get("teaching_move") else ""
    return " ".join(part for part in (opening, nearest, reason, move) if part)


def candidate(rng: Random, draw: Draw) -> str:
    """Return a reply to the last message; half are careful, the others short, wrong or evasive, as those of models are.

    Raises:
        RequestRefused: the draw has neither `messages` nor a document.
    """
    messages = draw.get("messages")
    question = str(messages[-1]["content"]) if messages else str((draw.get("document") or {}).get("text") or "")
    if not question.strip():
        raise missing_field("candidate", "messages", "a question")
    solution, quality = _solve(question), rng.random()
    if quality < 0.15:
        return rng.choice(phrases("empty replies"))
    if solution is None:
        return _general_reply(rng, question, careful=quality > 0.5)
    if quality < 0.35:
        return f"The answer is {wrong_answer(rng, solution.answer)}."
    if quality < 0.5:
        return f"The answer is {solution.answer}."
    steps = "\n".join(f"{number}. {step}." for number, step in enumerate(solution.steps, 1))
    return f"{steps}\n\nSo the answer is {solution.answer}."


def _solve(question: str) -> Solution | None:
    code = regenerate_code(Random(0), {"request": question})
    if code.startswith("```") and "NotImplementedError" not in code:
        return Solution(("The docstring names the steps, and each line does one of them",), f"this:\n\n{code}\n")
    return solve(question)


def _general_reply(rng: Random, question: str, careful: bool) -> str:
    subjects = sorted(content_words(question), key=lambda word: (-len(word), word))[:3] or ["that"]
    reply = rng.choice(phrases("general replies")).format(" and ".join(subjects))
    return f"{reply} {rng.choice(phrases('general reasons')).format(subjects[0])}" if careful else reply


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
    solution, reviews = _solve(question), review(reply, question)
    accuracy = reviews["answers"].score if solution is None else 5 if solution.answer.strip() in reply else 1
    style = min(reviews["clarity"].score, reviews["steps"].score)
    detail = 5 if len(reply.split()) >= 25 else 4 if len(reply.split()) >= 15 else 3 if len(reply.split()) >= 8 else 2
    faults = [item.suggestion for item in reviews.values() if item.score < 4]
    return {"faults": "; ".join(faults) or "none", "accuracy": accuracy, "style": style, "detail": detail}
