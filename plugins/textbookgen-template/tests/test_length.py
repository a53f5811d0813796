"""A stage is tested by calling it; `check_plugin` looks at the rest."""

from textbookgen_template import Length

from textbookgen.testing import check_plugin, documents


def test_documents_that_are_too_short_or_too_long_are_dropped():
    verdicts = Length(least=2, most=4).decide(documents(["one", "one two", "one two three four", "one two three four five"]))
    assert verdicts["keep"].to_list() == [False, True, True, False]
    assert verdicts["reason"].to_list() == ["too short", None, None, "too long"]
    assert verdicts["score"].to_list() == [1, 2, 4, 5]


def test_without_a_limit_long_documents_stay():
    assert Length(least=0).decide(documents(["word " * 100_000, ""]))["keep"].all()


def test_limits_between_which_nothing_lies_are_said_before_anything_runs():
    assert [diagnostic.place for diagnostic in Length(least=10, most=5).check()] == ["most"]
    assert not list(Length(least=5, most=10).check())


def test_the_plugin_keeps_the_contract():
    check_plugin("template")
