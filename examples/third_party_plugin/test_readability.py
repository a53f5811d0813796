from textbookgen_readability import SentenceLength

from textbookgen.testing import check_plugin, documents


def test_long_sentences_are_dropped():
    verdicts = SentenceLength(max_words=4).decide(
        documents(["A cat sat. It was warm.", "A cat sat on the mat, and it was warm."])
    )
    assert verdicts["keep"].to_list() == [True, False]
    assert verdicts["reason"].to_list() == [None, "long sentences"]
    assert verdicts["detail"].to_list() == ["3.0 words a sentence", "10.0 words a sentence"]


def test_the_plugin_keeps_the_contract():
    check_plugin("readability")
