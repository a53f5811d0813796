"""Instructions: records are read back as written, and their headers vary."""

from __future__ import annotations

from collections import Counter

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from textbookgen_tinystories.instruct import Instruct, InstructChats, quotable_sentences
from textbookgen_tinystories.records import FIELDS, Record, read_record, read_records

from textbookgen.api.artifacts import Chats
from textbookgen.api.stage import Estimate

STORY = 'Tom had a red boat. "Look, it can swim!" he said. The boat went far away.\n\nTom was sad. Then it came back.\n'


def frame(count: int) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "id": f"s{n}",
                "text": STORY,
                "tinystories.words": ["go", "boat", "red"],
                "tinystories.features": ["Dialogue"] if n % 2 else [],
                "tinystories.summary": "Tom loses a boat\nand finds it.",
            }
            for n in range(count)
        ]
    )


def test_a_record_has_the_published_format():
    record = Record((("Words", "go, boat"), ("Features", "Dialogue")), "Tom went.\n\nThe end.")
    assert str(record) == "Words: go, boat\nFeatures: Dialogue\nStory:\n\nTom went.\n\nThe end.\n"
    assert record.words == ("go", "boat")
    assert record.features == ("Dialogue",)


LINE = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), min_size=1)
LINE = LINE.map(lambda text: " ".join(text.split())).filter(bool)
PLAIN = LINE.filter(lambda line: not line.startswith((*FIELDS, "Story")))


@given(
    st.permutations(FIELDS).flatmap(lambda order: st.integers(0, 4).map(lambda n: order[:n])),
    st.lists(LINE, min_size=4, max_size=4),
    st.lists(PLAIN, min_size=1).map("\n".join),
    st.one_of(st.just(""), PLAIN),
)
def test_records_are_read_back_as_written(fields: list[str], values: list[str], story: str, after: str):
    record = Record(tuple(zip(fields, values, strict=False)), story, after)
    assert read_record(str(record)) == record


def test_a_file_in_the_published_format_is_read_record_by_record():
    file = (
        "Features: Dialogue\nWords: quit, oak,\ngloomy\nStory: \n\nSara went out.\n\nShe quit.\n<|endoftext|>\n"
        "\nOnce there was a dog.\nSummary: A dog\nis there.\n<|endoftext|>Random sentence: It ran.\nStory:\n\nIt ran."
    )
    first, second, third = read_records(file.splitlines(keepends=True))
    assert first == Record((("Features", "Dialogue"), ("Words", "quit, oak, gloomy")), "Sara went out.\n\nShe quit.")
    assert first.words == ("quit", "oak", "gloomy")
    assert second == Record((), "Once there was a dog.", "A dog is there.")
    assert third == Record((("Random sentence", "It ran."),), "It ran.")


def test_headers_are_subsets_in_any_order_and_true_of_the_story():
    rows = Instruct(inputs="stories", records=2).transform(frame(400))
    assert rows.height == 800
    assert rows["id"].n_unique() == 800
    assert rows["parents"].to_list() == [[f"s{n}"] for n in range(400) for _ in range(2)]
    orders = Counter()
    for text, fields, (parent,) in rows.select("text", "tinystories.fields", "parents").iter_rows():
        record = read_record(text)
        assert record.story == STORY.strip()
        assert [field for field, _ in record.header] == fields
        said = dict(record.header)
        assert said.get("Random sentence", quotable_sentences(STORY)[0]) in quotable_sentences(STORY)
        assert said.get("Summary", "Tom loses a boat and finds it.") == "Tom loses a boat and finds it."
        assert "Features" not in said or int(parent[1:]) % 2
        orders[tuple(fields)] += 1
    assert {len(order) for order in orders} == {1, 2, 3, 4}
    assert len(orders) > 40
    assert rows.equals(Instruct(inputs="stories", records=2).transform(frame(400)))
    assert not rows.equals(Instruct(inputs="stories", records=2, seed=1).transform(frame(400)))


def test_a_part_alone_gives_the_same_rows():
    whole = Instruct(inputs="stories").transform(frame(20))
    assert whole[10:].equals(Instruct(inputs="stories").transform(frame(20)[10:]))


def test_min_fields_can_be_none_or_all():
    none = Instruct(inputs="stories", min_fields=0).transform(frame(300))
    assert any(text == STORY for text in none["text"])
    every = Instruct(inputs="stories", min_fields=4).transform(frame(2))
    assert every["tinystories.fields"].list.len().to_list() == [3, 4]


def test_chats_have_the_header_as_user_message_and_the_story_as_answer():
    assert InstructChats.output is Chats
    rows = InstructChats(inputs="stories").transform(frame(3))
    assert rows.schema["messages"] == Chats.content["messages"]
    asked, answered = rows["messages"][0]
    assert asked["role"] == "user"
    assert asked["content"].endswith("Story:")
    assert answered == {"role": "assistant", "content": STORY.strip()}


def test_quotable_sentences_are_whole():
    assert quotable_sentences(STORY) == [
        "Tom had a red boat.",
        '"Look, it can swim!"',
        "The boat went far away.",
        "Tom was sad.",
        "Then it came back.",
    ]
    assert quotable_sentences('He said, "Wait. It is late." They went on.') == ["They went on."]


def test_no_stories_give_no_records_with_the_same_schema():
    empty = Instruct(inputs="stories").transform(frame(1).clear())
    assert empty.schema == Instruct(inputs="stories").transform(frame(1)).schema


def test_estimates_are_exact_in_the_number_of_records():
    stage = Instruct(inputs="stories", records=3)
    assert stage.estimate({"from": Estimate(20, 2_000)}).documents == stage.transform(frame(20)).height
    assert stage.estimate({"from": Estimate()}) is None
