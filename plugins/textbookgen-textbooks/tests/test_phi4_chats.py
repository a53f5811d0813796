"""Chats and preferences: reversal, conversation, best of several, and honesty keep and drop what they should."""

from __future__ import annotations

import polars as pl
import pytest
from pydantic import ValidationError
from textbookgen_textbooks.conversation import MOVES, Conversation
from textbookgen_textbooks.preferences import Best, Preferences
from textbookgen_textbooks.reversal import Reverse, tree_match
from textbookgen_textbooks.unknowns import Attempts, HonestChats, HonestPairs
from textbookgen_textbooks.wishes import Wishes

from textbookgen.api.artifacts import Chats, Pairs
from textbookgen.api.errors import RequestRefused, UnusableReply

CODE = 'def mean(values):\n    """The mean."""\n    total = sum(values)\n    return total / len(values)\n'
SAME = "def average(numbers):\n    s = sum(numbers)  # add\n    return s / len(numbers)\n"
OTHER = "def mean(values):\n    if not values:\n        return 0\n    return max(values)\n"


def page(text: str = "Snow is cold.", **columns: object) -> dict:
    return {"document": {"id": "d", "text": text, "kind": "page", **columns}}


def fits(rows: list[dict], output: type) -> pl.DataFrame:
    """Rows as the engine frames them."""
    return pl.DataFrame(rows, schema_overrides=output.schema(), infer_schema_length=None).select(*output.content)


# -- reversal


def regenerates(*written: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> str:
        if task == "reverse":
            return "Please give me the mean."
        assert task == "regenerate"
        assert draw == {"request": "Please give me the mean."}
        return f"```python\n{written[sample or 0]}```"

    return answer


def test_a_request_that_leads_back_is_kept_with_the_original(room):
    stage = Reverse(teacher="author", inputs="code", fidelity=1.0)
    (row,) = room.write(stage, page(CODE, **{"textbooks.tests": "assert mean([1]) == 1\n"}), regenerates(SAME))
    assert [turn["content"] for turn in row["messages"]] == ["Please give me the mean.", f"```python\n{CODE}```"]
    assert row["textbooks.fidelity"] == 1.0
    assert row["textbooks.regenerated"] == SAME
    assert row["textbooks.tests"] == "assert mean([1]) == 1\n"
    assert CODE not in room.script.asked[1][1]
    assert fits([row], Chats).height == 1


def test_the_closest_of_several_tries_counts(room):
    stage = Reverse(teacher="author", inputs="code", tries=3)
    (row,) = room.write(stage, page(CODE), regenerates(OTHER, SAME, "no code at all"))
    assert row["textbooks.regenerated"] == SAME


@pytest.mark.parametrize("written", [OTHER, "this is no code", ""])
def test_other_requests_are_refused(room, written: str):
    with pytest.raises(UnusableReply, match="does not lead back"):
        room.write(Reverse(teacher="author", inputs="code"), page(CODE), regenerates(written))


def test_what_is_not_python_is_not_asked_about(room):
    with pytest.raises(UnusableReply, match="not Python"):
        room.write(Reverse(teacher="author", inputs="code"), page("Hello there, friend."), regenerates(SAME))
    assert room.script.asked == []


def test_tree_match_sees_structure_only():
    assert tree_match(CODE, SAME) == 1.0
    assert tree_match("x = 1\n", "y = 2\n") == 1.0
    assert tree_match("x = 1\n", "x = '1'\n") < 1.0
    assert tree_match("x = a + b\n", "x = a - b\n") < 1.0
    assert 0 < tree_match(CODE, OTHER) < 0.8
    assert tree_match(CODE, OTHER) == tree_match(OTHER, CODE)
    assert tree_match(CODE, "no python at all") == 0.0


# -- conversation


def talk(scores: tuple[int, ...] = ()):
    left = list(scores)

    def answer(task: str, draw: dict) -> object:
        if task == "critique":
            score = left.pop(0) if left else 5
            return {"marks": [{"criterion": each, "score": score, "suggestion": "more"} for each in draw["criteria"]]}
        if task == "revise":
            return f"Better: {draw['draft']}"
        return f"{task.removeprefix('conversation-')} {len(draw['turns'])}"

    return answer


def test_reader_and_tutor_take_turns(room):
    (row,) = room.write(Conversation(teacher="author", inputs="pages", turns=(6, 6)), page(), talk())
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"] * 3
    assert [turn["content"] for turn in row["messages"]] == ["user 0", "tutor 1", "user 2", "tutor 3", "user 4", "tutor 5"]
    assert row["textbooks.turns"] == 6
    assert room.script.tasks() == ["conversation-user", "conversation-tutor", "critique"] * 3
    assert fits([row], Chats).height == 1
    users = [(prompt, draw) for task, prompt, draw in room.script.asked if task == "conversation-user"]
    assert "first question" in users[0][0]
    assert "Tutor: tutor 1" in users[1][0]
    assert "It is the last question" in users[2][0]
    assert [draw["last"] for _, draw in users] == [False, False, True]
    tutors = [draw["move"] for task, _, draw in room.script.asked if task == "conversation-tutor"]
    assert tutors[0] is None
    assert set(tutors[1:]) <= set(MOVES)


def test_lengths_are_within_bounds_and_belong_to_the_document(room):
    def length(name: str, **options: object) -> int:
        stage = Conversation(teacher="author", inputs="pages", rounds=0, **options)
        return len(room.write(stage, {"document": {"id": name, "text": "Snow."}}, talk())[0]["messages"])

    lengths = [length(f"d{n}") for n in range(60)]
    assert set(lengths) == {2, 4, 6, 8}
    assert lengths == [length(f"d{n}") for n in range(60)]
    assert {length(f"d{n}", turns=(3, 5)) for n in range(20)} == {4}
    for turns in ((0, 4), (5, 3), (3, 3)):
        with pytest.raises(ValidationError):
            Conversation(teacher="author", inputs="pages", turns=turns)


def test_answers_are_revised_before_the_reader_sees_them(room):
    stage = Conversation(teacher="author", inputs="pages", turns=(4, 4))
    (row,) = room.write(stage, {**page(), "persona": "a sailor"}, talk((2, 4)))
    assert row["messages"][1]["content"] == "Better: tutor 1"
    asked = room.script.asked
    assert "Better: tutor 1" in next(prompt for task, prompt, draw in asked if task == "conversation-user" and draw["turns"])
    assert "a sailor" in asked[0][1]
    critic = next(prompt for task, prompt, _ in asked if task == "critique")
    assert "user 0" in critic
    assert "tutor 1" in critic


def test_an_answer_that_stays_bad_ends_it(room):
    with pytest.raises(UnusableReply, match="did not meet the rubric"):
        room.write(Conversation(teacher="author", inputs="pages"), page(), talk((2, 2)))


# -- several replies, graded

GRADES = {"good": (5, 5, 5), "true but dry": (5, 2, 2), "nice but wrong": (2, 5, 5), "bad": (1, 1, 1), "fine": (4, 4, 4)}


def judge(*replies: str):
    def answer(task: str, draw: dict, sample: int | None = None) -> object:
        if task == "candidate":
            if replies[sample] == "REFUSED":
                raise RequestRefused("no")
            return replies[sample]
        assert task == "preference"
        graded = [
            dict(zip(("accuracy", "style", "detail"), GRADES[each["text"]], strict=True), label=each["label"], faults="")
            for each in draw["replies"]
        ]
        return {"comparison": "so so", "replies": graded}

    return answer


def test_the_better_and_the_worst_make_a_preference(room):
    stage = Preferences(teacher="author", inputs="questions")
    (row,) = room.write(stage, page("Why?"), judge("fine", "good", "nice but wrong", "bad"))
    assert row["prompt"] == [{"role": "user", "content": "Why?"}]
    assert row["chosen"] == [{"role": "assistant", "content": "good"}]
    assert row["rejected"] == [{"role": "assistant", "content": "bad"}]
    assert (row["textbooks.chosen_score"], row["textbooks.rejected_score"]) == (5.0, 1.0)
    assert fits([row], Pairs).height == 1


def test_accuracy_alone_may_decide(room):
    replies = ("nice but wrong", "true but dry", "nice but wrong", "REFUSED")
    (row,) = room.write(Preferences(teacher="author", inputs="questions", by="accuracy"), page("Why?"), judge(*replies))
    assert row["chosen"][0]["content"] == "true but dry"
    (row,) = room.write(Preferences(teacher="author", inputs="questions"), page("Why?"), judge(*replies))
    assert row["chosen"][0]["content"] == "nice but wrong"


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (("good", "good", "good", "good"), "there are no two different replies"),
        (("good", "REFUSED", "REFUSED", "REFUSED"), "there are no two different replies"),
        (("nice but wrong", "fine", "fine", "fine"), "no two replies are far enough apart"),
    ],
)
def test_replies_that_do_not_differ_enough_are_refused(room, replies: tuple[str, ...], reason: str):
    with pytest.raises(UnusableReply) as caught:
        room.write(Preferences(teacher="author", inputs="questions"), page("Why?"), judge(*replies))
    assert caught.value.problem == reason


def test_places_are_drawn_so_that_judges_cannot_favour_one(room):
    firsts = set()
    for n in range(12):
        room.write(
            Preferences(teacher="author", inputs="questions"),
            {"document": {"id": f"d{n}", "text": "Why?"}},
            judge("good", "bad", "fine", "true but dry"),
        )
        firsts.add(room.script.asked[-1][2]["replies"][0]["text"])
    assert len(firsts) >= 3


def test_attempts_that_a_document_brings_are_graded_instead(room):
    (row,) = room.write(
        Preferences(teacher="author", inputs="attempts"), page("Why?", **{"textbooks.attempts": ["bad", "good", " "]}), judge()
    )
    assert row["chosen"][0]["content"] == "good"
    assert room.script.tasks() == ["preference"]


def test_the_best_reply_ends_the_chat(room):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Why?"}]
    draw = {"document": {"id": "d", "messages": [*turns, {"role": "assistant", "content": "old"}]}}
    (row,) = room.write(Best(teacher="author", inputs="chats"), draw, judge("bad", "fine", "good", "fine"))
    assert row["messages"] == [*turns, {"role": "assistant", "content": "good"}]
    assert row["textbooks.score"] == 5.0
    assert room.script.asked[0][1] == "user: Hi\nassistant: Hello\nuser: Why?"
    assert fits([row], Chats).height == 1
    with pytest.raises(UnusableReply, match="good enough"):
        room.write(Best(teacher="author", inputs="chats"), draw, judge("bad", "true but dry", "bad", "bad"))
    with pytest.raises(UnusableReply, match="nobody asks"):
        room.write(Best(teacher="author", inputs="chats"), {"document": {"id": "d", "messages": turns[1:2]}}, judge())


def test_a_judge_that_leaves_one_out_is_refused(room):
    def answer(task: str, draw: dict, sample: int | None = None) -> object:
        reply = judge("good", "bad", "fine", "fine")(task, draw, sample) if sample is not None else judge()(task, draw)
        return {**reply, "replies": reply["replies"][:1]} if isinstance(reply, dict) else reply

    with pytest.raises(UnusableReply, match="leaves out"):
        room.write(Best(teacher="author", inputs="questions"), page("Why?"), answer)


# -- wishes


def test_wishes_are_what_a_persona_would_write(room):
    draw = {"topic": "tides", "persona": "a harbour pilot"}
    (row,) = room.write(
        Wishes(teacher="author", sampler="everyday", count=1, most_words=5), draw, lambda task, draw: '"When is high tide?"\n'
    )
    assert row == {"text": "When is high tide?", "textbooks.topic": "tides", "textbooks.persona": "a harbour pilot"}
    assert "a harbour pilot" in room.script.asked[0][1]
    for reply, reason in (('""', "empty"), ("Please tell me when it is.", "too long")):
        with pytest.raises(UnusableReply, match=reason):
            room.write(
                Wishes(teacher="author", sampler="everyday", count=1, most_words=5),
                {**draw, "persona": None},
                lambda task, draw, reply=reply: reply,
            )
    assert "somebody for whom" in room.script.asked[0][1]


# -- honesty


def test_attempts_stand_beside_the_question(room):
    stage = Attempts(teacher="small", inputs="questions", samples=3)
    draw = page("Q: x", **{"textbooks.question": "Who?", "textbooks.answer": "Ann", "textbooks.gone": None})
    (row,) = room.write(stage, draw, lambda task, draw, sample: ["Ann", " ", "Bob"][sample])
    assert row == {
        "text": "Q: x",
        "textbooks.question": "Who?",
        "textbooks.answer": "Ann",
        "textbooks.attempts": ["Ann", "Bob"],
    }
    with pytest.raises(UnusableReply, match="no attempt"):
        room.write(stage, draw, lambda task, draw, sample: "")


def honest(plausibility: int = 4):
    def answer(task: str, draw: dict) -> object:
        if task == "check-answer":
            return {
                "verdict": "uncertain" if draw["attempt"] == "Hm" else "true" if draw["attempt"] == draw["answer"] else "false"
            }
        if task == "bogus-question":
            return {"question": f"Bogus {draw['question']}", "plausibility": plausibility}
        assert task == "refusal"
        return f"I do not know{' of it' if draw['bogus'] else ''}: {draw['question']}"

    return answer


def asked(*attempts: str) -> dict:
    return page("Who?", **{"textbooks.answer": "Ann", "textbooks.attempts": list(attempts)})


@pytest.mark.parametrize(
    ("attempts", "lesson"),
    [
        (("Ann", "Ann", "Ann", "Bob"), ("answer", "Ann")),
        (("Ann", "Hm", "Hm"), ("answer", "Ann")),
        (("Bob", "Cid", "Dan", "Ann"), ("refusal", "I do not know: Who?")),
        (("Ann", "Bob"), None),
    ],
)
def test_answers_are_taught_if_usually_right_refusals_if_usually_wrong(room, attempts: tuple[str, ...], lesson: tuple | None):
    rows = room.write(HonestChats(teacher="strong", inputs="attempts"), asked(*attempts), honest())
    taught = [(row["textbooks.lesson"], row["messages"][0]["content"], row["messages"][1]["content"]) for row in rows]
    bogus = ("bogus", "Bogus Who?", "I do not know of it: Bogus Who?")
    assert taught == ([(lesson[0], "Who?", lesson[1]), bogus] if lesson else [bogus])
    assert fits(rows, Chats).height == len(rows)


def test_implausible_bogus_questions_are_left_out(room):
    (row,) = room.write(HonestChats(teacher="strong", inputs="attempts"), asked("Ann"), honest(plausibility=2))
    assert row["textbooks.lesson"] == "answer"
    with pytest.raises(UnusableReply, match="neither usually right nor usually wrong"):
        room.write(HonestChats(teacher="strong", inputs="attempts", bogus=False), asked("Ann", "Bob"), honest())


@pytest.mark.parametrize(
    ("attempts", "pairs"),
    [
        (("Ann", "Bob"), [("Ann", "I do not know: Who?"), ("I do not know: Who?", "Bob")]),
        (("Ann", "Ann"), [("Ann", "I do not know: Who?")]),
        (("Cid", "Bob", "Hm"), [("I do not know: Who?", "Cid")]),
    ],
)
def test_preferences_for_honesty(room, attempts: tuple[str, ...], pairs: list):
    rows = room.write(HonestPairs(teacher="strong", inputs="attempts"), asked(*attempts), honest())
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == pairs
    assert fits(rows, Pairs).height == len(rows)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (asked("Hm", "Hm"), "no attempt can be told right or wrong"),
        (page("Who?", **{"textbooks.answer": "Ann"}), "the question has no answer or no attempts"),
        (page("Who?", **{"textbooks.attempts": ["Ann"]}), "the question has no answer or no attempts"),
    ],
)
def test_what_cannot_be_checked_is_refused(room, draw: dict, reason: str):
    for stage in (HonestChats(teacher="strong", inputs="attempts"), HonestPairs(teacher="strong", inputs="attempts")):
        with pytest.raises(UnusableReply) as caught:
            room.write(stage, draw, honest())
        assert caught.value.problem == reason
