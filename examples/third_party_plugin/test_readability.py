from textbookgen_readability import SentenceLengthFilter

from textbookgen.testing import check_plugin, documents


def test_long_sentences_are_dropped():
    docs = documents(["A cat sat. It was warm.", "A cat sat on the mat, and it was warm."])
    verdicts = SentenceLengthFilter(max_words=4).decide(docs)
    assert verdicts["keep"].to_list() == [True, False]
    assert verdicts["reason"].to_list() == [None, "long sentences"]
    assert verdicts["detail"].to_list() == ["3.0 words per sentence", "10.0 words per sentence"]


def test_the_plugin_fulfils_the_contract():
    check_plugin("readability")
