"""Conversations as token ids: chat templates, which tokens the loss covers, and control tokens that no message can spell."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textbookgen.api.errors import RunError
from textbookgen.api.message import Message
from textbookgen.api.tokenizer import END_OF_DOCUMENT

if TYPE_CHECKING:
    from jinja2.parser import Parser
    from jinja2.sandbox import SandboxedEnvironment

#: The end-of-document token in templates, whatever the tokenizer calls its own.
END = END_OF_DOCUMENT

#: Chat templates in the template language of transformers. `phi-3` (arXiv 2404.14219) and `phi-4` (2412.08905) write what those
#: of the models write; `chatml` is OpenAI's; `plain` needs no special tokens except the end of document. What the loss covers
#: is enclosed in `{% generation %}`, from which transformers computes the mask of assistant tokens.
TEMPLATES = {
    "plain": "{% for message in messages %}{% if message.role == 'assistant' %}Assistant: {% generation %}{{ message.content }}"
    "{{ eos_token }}{% endgeneration %}{{ '\n\n' }}{% else %}{{ message.role | capitalize }}: {{ message.content }}{{ '\n\n' }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}",
    "phi-3": "{% for message in messages %}<|{{ message.role }}|>{{ '\n' }}{% if message.role == 'assistant' %}{% generation %}"
    "{{ message.content }}<|end|>{{ '\n' }}{% endgeneration %}{% else %}{{ message.content }}<|end|>{{ '\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{{ '\n' }}{% endif %}",
    "phi-4": "{% for message in messages %}<|im_start|>{{ message.role }}<|im_sep|>{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}{% else %}{{ message.content }}<|im_end|>{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant<|im_sep|>{% endif %}",
    "chatml": "{% for message in messages %}<|im_start|>{{ message.role }}{{ '\n' }}{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }}<|im_end|>{{ '\n' }}{% endgeneration %}{% else %}{{ message.content }}<|im_end|>"
    "{{ '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}",
}

#: A control token as templates spell it.
_CONTROL_TOKEN = re.compile(r"<\|[^<>|\s]+\|>")

#: Replaces the content of a message while a template is rendered; private-use characters, so that no message contains it.
_PLACEHOLDER = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class Piece:
    """A part of a rendered conversation.

    Attributes:
        text: the text.
        is_message_text: it is the content of a message, in which control tokens are ordinary text, not the template's own text.
        in_loss: the loss covers it.
    """

    text: str
    is_message_text: bool
    in_loss: bool


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template and its name."""

    name: str
    template: str

    @classmethod
    def resolve(cls, name: str) -> ChatTemplate:
        """Return the template of this name; a text with Jinja tags is itself the template.

        Raises:
            RunError: the name is unknown, or the text is not a valid Jinja template.
        """
        if name in TEMPLATES:
            return cls(name, TEMPLATES[name])
        if "{%" in name or "{{" in name:
            custom = cls("own", name)
            _ = custom._render  # reports syntax errors
            return custom
        raise RunError(
            f"no chat template is called '{name}'",
            place="chat_template",
            hint=f"available: {', '.join(TEMPLATES)}; or write out a Jinja template",
        )

    @cached_property
    def _render(self) -> Callable[..., str]:
        import jinja2

        def raise_exception(problem: str) -> None:
            raise RunError(f"the chat template rejects a conversation: {problem}", place="chat_template")

        environment = chat_environment()
        environment.globals["raise_exception"] = raise_exception
        try:
            return environment.from_string(self.template).render
        except jinja2.TemplateError as error:
            raise RunError(f"the chat template is not valid Jinja: {error}", place="chat_template") from None

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """Return the conversation as text, with `add_generation_prompt` up to where the assistant's next message begins."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return self._render(messages=turns, add_generation_prompt=add_generation_prompt, bos_token="", eos_token=END)

    def pieces(self, messages: Sequence[Message], *, loss_from: int = 0) -> list[Piece]:
        """Split the rendered conversation into the template's text and the messages.

        The loss covers the assistant's messages and what the template writes after each of them: the token or text that ends
        it, and white space up to the next message or the end of the document, without which a model that stops at the end of
        the document only would never reach it. Nothing is learned after an end-of-document token of the template's own.

        Args:
            messages: the conversation.
            loss_from: index of the first message that the loss may cover.

        Raises:
            RunError: the template changes the text of messages, or renders the beginning of a conversation differently
                depending on what follows.
        """
        marked = _with_placeholders(messages)
        pieces, done = [], ""
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            prompt = self.render(marked[:number], add_generation_prompt=True)
            answered = self.render(marked[: number + 1])
            if not prompt.startswith(done) or not answered.startswith(prompt):
                raise self._depends_on_later_messages()
            pieces += _split(prompt[len(done) :], messages, in_loss=False)
            answer = answered[len(prompt) :]
            learned = answer.rstrip() if answer.rstrip().endswith(END) else answer
            pieces += _split(learned, messages, in_loss=number >= loss_from)
            pieces += _split(answer[len(learned) :], messages, in_loss=False)
            done = answered
        whole = self.render(marked)
        if not whole.startswith(done):
            raise self._depends_on_later_messages()
        pieces += _split(whole[len(done) :], messages, in_loss=False)
        if "".join(piece.text for piece in pieces) != self.render(messages):
            raise RunError(
                "the chat template changes the text of messages, for example by trimming it",
                place="chat_template",
                hint="trim messages beforehand, and write {{ message.content }} without filters",
            )
        return [piece for piece in pieces if piece.text]

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """Return the pieces of the conversation up to where the assistant's next message begins."""
        text = self.render(_with_placeholders(messages), add_generation_prompt=True)
        return [piece for piece in _split(text, messages, in_loss=False) if piece.text]

    def answer_end(self) -> str:
        """Return what the template writes after an assistant message, without whitespace: where to stop generating."""
        answered = self.render([Message("user", "?"), Message("assistant", "\ue000")])
        return answered.partition("\ue000")[2].strip()

    def control_tokens(self) -> tuple[str, ...]:
        """Return the control tokens that the template writes, such as `<|end|>`, without the end-of-document token."""
        roles = ("system", "user", "assistant")
        text = self.render([Message(role, "?") for role in roles], add_generation_prompt=True)
        return tuple(token for token in dict.fromkeys(_CONTROL_TOKEN.findall(text)) if token != END)

    def _depends_on_later_messages(self) -> RunError:
        return RunError(
            "the chat template renders the beginning of a conversation differently depending on what follows",
            place="chat_template",
            hint="render one message after the other, and begin the assistant's with add_generation_prompt",
        )


def chat_environment() -> SandboxedEnvironment:
    """Return the Jinja environment of chat templates, as transformers sets it up: sandboxed, with the tag `generation`."""
    import jinja2.ext
    from jinja2 import nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class GenerationTag(jinja2.ext.Extension):
        """The tag that encloses what the assistant generates; the text between is written as it is."""

        tags = {"generation"}  # as jinja2 declares it

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag])


def _with_placeholders(messages: Sequence[Message]) -> list[Message]:
    return [Message(message.role, f"\ue000{number}\ue001") for number, message in enumerate(messages)]


def _split(text: str, messages: Sequence[Message], *, in_loss: bool) -> list[Piece]:
    """Split rendered text into the template's own text and, in place of the placeholders, the messages."""
    pieces = []
    for place, part in enumerate(_PLACEHOLDER.split(text)):
        is_message_text = place % 2 == 1
        pieces.append(Piece(messages[int(part)].content if is_message_text else part, is_message_text, in_loss))
    return pieces


@dataclass(frozen=True)
class ChatEncoder:
    """Encodes pieces: control tokens in a template's text become single ids, those in messages are encoded as plain text."""

    encode_batch: Callable[[list[str]], list[list[int]]]
    control: dict[str, int]
    eod: int

    @classmethod
    def for_tokenizer(cls, encode_batch: Callable[[list[str]], list[list[int]]], eod: int, file: Path | None) -> ChatEncoder:
        """Return the encoder of a tokenizer, whose special tokens are the control tokens.

        Args:
            encode_batch: encodes texts without interpreting control tokens.
            eod: the end-of-document id.
            file: the tokenizer's `tokenizer.json`; None if it has no special tokens.
        """
        control = {END: eod}
        if file is not None:
            description = json.loads(file.read_text(encoding="utf-8"))
            added = description.get("added_tokens", [])
            control = {token["content"]: token["id"] for token in added if token.get("special")} | control
        return cls(encode_batch, control, eod)

    def encode(self, chats: Sequence[list[Piece]]) -> Iterator[tuple[list[int], list[int]]]:
        """Yield the ids of each conversation, and its loss mask: 1 for each id that the loss covers, else 0."""
        texts: list[str] = []
        plans = [[self._plan(piece, texts) for piece in pieces] for pieces in chats]
        ids = self.encode_batch(texts) if texts else []
        for plan in plans:
            tokens: list[int] = []
            mask: list[int] = []
            for parts, in_loss in plan:
                for part in parts:
                    new = [part.id] if isinstance(part, _ControlToken) else ids[part]
                    tokens += new
                    mask += [in_loss] * len(new)
            yield tokens, mask

    def _plan(self, piece: Piece, texts: list[str]) -> tuple[list[_ControlToken | int], int]:
        """Return a piece as control tokens and indexes into `texts`, to which it adds what is to be encoded."""
        parts: list[_ControlToken | int] = []
        for part in [piece.text] if piece.is_message_text else self._pattern.split(piece.text):
            if not piece.is_message_text and part in self.control:
                parts.append(_ControlToken(self.control[part]))
            elif part:
                parts.append(len(texts))
                texts.append(part)
        return parts, int(piece.in_loss)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.control, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


@dataclass(frozen=True)
class _ControlToken:
    id: int


def read_messages(value: list[dict[str, Any]] | None) -> list[Message]:
    """Return the messages of a table's cell, a list of structs with `role` and `content`."""
    return [Message(item["role"], item["content"] or "") for item in value or []]
