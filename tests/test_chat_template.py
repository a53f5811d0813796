"""Chat templates, the loss mask of conversations, and the codec of a checkpoint."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models
from tokenizers.pre_tokenizers import ByteLevel

from textbookgen.api.cards import ChatTemplateCard
from textbookgen.api.errors import RunError, TrainerError
from textbookgen.api.message import Message
from textbookgen.api.tokenizer import ByteTokenizer
from textbookgen.builtin.tokenizers import FileTokenizer
from textbookgen.training.chat_template import END, TEMPLATES, ChatEncoder, ChatTemplate
from textbookgen.training.prompt_codec import PromptCodec, cut, ends_with

TALK = [Message("user", "Hi"), Message("assistant", "Yes."), Message("user", "Sure?"), Message("assistant", "No <|end|>")]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_loss_covers_answers_and_what_ends_them(name):
    template = ChatTemplate.resolve(name)
    pieces = template.pieces(TALK)
    assert "".join(piece.text for piece in pieces) == template.render(TALK)
    learned = "".join(piece.text for piece in pieces if piece.in_loss)
    end = {"plain": END, "phi-3": "<|end|>\n", "phi-4": "<|im_end|>", "chatml": "<|im_end|>\n"}[name]
    assert learned == f"Yes.{end}No <|end|>{end}"
    assert "".join(piece.text for piece in template.prompt(TALK[:1])) == template.render(TALK[:1], add_generation_prompt=True)
    only_last = "".join(piece.text for piece in template.pieces(TALK, loss_from=2) if piece.in_loss)
    assert only_last == f"No <|end|>{end}"


def test_phi_3_is_rendered_as_documented_in_its_model_card():
    expected = "<|user|>\nHi<|end|>\n<|assistant|>\n"
    assert ChatTemplate.resolve("phi-3").render(TALK[:1], add_generation_prompt=True) == expected


def with_control_tokens(folder):
    """A tokenizer of bytes whose control tokens are single ids."""
    opened = Tokenizer(models.BPE(vocab={each: at for at, each in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
    opened.pre_tokenizer, opened.decoder = ByteLevel(add_prefix_space=False, use_regex=False), decoders.ByteLevel()
    opened.add_special_tokens(["<|endoftext|>", "<|end|>", "<|user|>", "<|assistant|>"])
    opened.save(str(folder / "tokenizer.json"))
    return FileTokenizer(folder / "tokenizer.json")


def test_control_tokens_are_single_ids_and_no_message_can_spell_them(tmp_path):
    tokenizer = with_control_tokens(tmp_path)
    encoder = ChatEncoder.for_tokenizer(tokenizer.encode_batch, tokenizer.eod, tokenizer.file)
    [(ids, learned)] = encoder.encode([ChatTemplate.resolve("phi-3").pieces(TALK)])
    assert ids.count(257) == 4  # <|end|>: as often as there are messages, and not where one spells it
    assert (ids[0], tokenizer.decode(ids[1:4])) == (258, "\nHi")
    assert tokenizer.decode([i for i, counts in zip(ids, learned, strict=True) if counts]) == "Yes.\nNo <|end|>\n"
    assert [i for i, counts in zip(ids, learned, strict=True) if counts and i >= 256] == [257, 257]


def test_transformers_renders_and_encodes_the_same(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer = with_control_tokens(tmp_path)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), eos_token="<|endoftext|>")
    plain = [{"role": each.role, "content": each.content.removesuffix(" <|end|>")} for each in TALK]
    for template in TEMPLATES.values():
        encoder = ChatEncoder.for_tokenizer(tokenizer.encode_batch, tokenizer.eod, tokenizer.file)
        [(ids, _)] = encoder.encode([ChatTemplate("t", template).pieces([Message(**each) for each in plain])])
        assert theirs.apply_chat_template(plain, chat_template=template, tokenize=True, return_dict=False) == ids


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("none", "no chat template"),
        ("{% for", "not valid Jinja"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "changes the text of messages"),
        ("{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}", "depending on what follows"),
        ("{{ raise_exception('no') }}", "rejects"),
    ],
)
def test_unusable_templates_are_reported(template, problem):
    with pytest.raises(RunError, match=problem):
        ChatTemplate.resolve(template).pieces(TALK)


# -- codecs


def codec_of(template: str | None, *special: str) -> PromptCodec:
    """Bytes, and these control tokens above them."""
    control = {END: 256} | {token: 300 + at for at, token in enumerate(special)}
    chat = ChatTemplate(template, TEMPLATES[template]) if template else None
    return PromptCodec.create(chat, ChatEncoder(ByteTokenizer().encode_batch, control, 256), ByteTokenizer().decode)


ASKED = [{"role": "user", "content": "Hi <|end|>"}]


def test_conversations_are_encoded_by_the_checkpoints_template_and_no_message_spells_control_tokens():
    codec = codec_of("phi-3", "<|user|>", "<|assistant|>", "<|end|>")
    user, assistant, end = 300, 301, 302
    asked = [user, 10, *b"Hi <|end|>", end, 10, assistant, 10]
    begun = [*ASKED, {"role": "assistant", "content": "So"}]
    assert codec.encode([ASKED, begun, "plain"]) == [asked, [*asked, *b"So"], list(b"plain")]
    assert (codec.end_ids, codec.stop) == ({256, end}, ())


def test_an_answer_ends_with_the_templates_text_if_there_is_no_token_for_it():
    codec = codec_of("phi-3")
    assert (codec.end_ids, codec.stop) == ({256}, ("<|end|>",))
    assert codec.decode_answer([*b"So.<|end|>\n", 256]) == "So."
    codec = codec_of("plain")
    assert (codec.end_ids, codec.stop) == ({256}, ())


def test_without_a_template_a_conversation_is_its_texts():
    codec = codec_of(None)
    said = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "two"}]
    assert codec.encode([said, []]) == [list(b"One\n\ntwo"), []]


def test_the_codec_of_a_checkpoint_follows_its_card_and_no_text_spells_control_tokens(tmp_path):
    tokenizer = with_control_tokens(tmp_path)
    chat = ChatTemplateCard(name="phi-3", template=TEMPLATES["phi-3"])
    codec = PromptCodec.load(tmp_path, "tokenizer.json", 256, chat)
    assert (codec.eod, codec.end_ids, codec.stop) == (256, {256, 257}, ())
    text = "a <|end|> that is <|endoftext|> said"
    assert codec.encode([text]) == tokenizer.encode_batch([text])
    assert codec.decode_answer([*codec.encode([text])[0], 257, 256]) == text
    plain = PromptCodec.load(tmp_path, None, 256)
    assert (plain.encode(["ab", ""]), plain.decode_answer([*b"ab", 256]), plain.template) == ([[97, 98], []], "ab", None)


def test_a_corrupt_tokenizer_is_reported(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(TrainerError, match="the tokenizer cannot be read") as error:
        PromptCodec.load(tmp_path, "tokenizer.json", 0)
    assert error.value.place and error.value.hint


def test_a_stop_text_is_detected_when_complete_and_cut():
    decode = ByteTokenizer().decode
    text = "Once upon a time.\n\nThe"
    seen = [ends_with(list(text[:size].encode()), ("\n\n", "é"), decode) for size in range(1, len(text) + 1)]
    assert seen.index(True) == text.index("\n\n") + 1
    assert not ends_with(list(text.encode()), (), decode)
    assert cut(text, ("The", "\n\n")) == "Once upon a time."
    assert cut(text, ()) == text


@pytest.mark.parametrize(("name", "problem"), [("llama", "no chat template is called"), ("{% for %}", "not valid Jinja")])
def test_an_unknown_or_invalid_template_is_reported(name, problem):
    with pytest.raises(RunError, match=problem):
        ChatTemplate.resolve(name)
