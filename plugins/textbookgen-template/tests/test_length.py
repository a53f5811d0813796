"""To test a stage, call its method; `check_plugin` checks the rest."""

from textbookgen_template import LengthFilter

from textbookgen.testing import check_plugin, documents


def test_documents_that_are_too_short_or_too_long_are_dropped():
    docs = documents(["one", "one two", "one two three four", "one two three four five"])
    verdicts = LengthFilter(min_words=2, max_words=4).decide(docs)
    assert verdicts["keep"].to_list() == [False, True, True, False]
    assert verdicts["reason"].to_list() == ["too short", None, None, "too long"]
    assert verdicts["score"].to_list() == [1, 2, 4, 5]


def test_without_limits_every_document_is_kept():
    assert LengthFilter(min_words=0).decide(documents(["word " * 100_000, ""]))["keep"].all()


def test_contradictory_limits_are_reported_before_a_run():
    assert [diagnostic.place for diagnostic in LengthFilter(min_words=10, max_words=5).check()] == ["max_words"]
    assert not list(LengthFilter(min_words=5, max_words=10).check())


def test_the_plugin_fulfils_the_contract():
    check_plugin("template")
