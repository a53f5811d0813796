"""Conversations as token ids: a chat template, what of it is learned, and control tokens that no message can spell."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from textbookgen.api.errors import RunError
from textbookgen.api.message import Message

#: What a template writes to end a document, whatever the tokenizer's own end of document is called.
END = "<|endoftext|>"

#: Chat templates in the language of transformers' `chat_template`. `phi-3` (arXiv 2404.14219) and `phi-4` (2412.08905) are
#: those of the models; `chatml` is OpenAI's; `plain` needs no tokens but the end of document.
TEMPLATES = {
    "plain": "{% for message in messages %}{% if message.role == 'assistant' %}Assistant: {{ message.content }}{{ eos_token }}"
    "{{ '\n\n' }}{% else %}{{ message.role | capitalize }}: {{ message.content }}{{ '\n\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}",
    "phi-3": "{% for message in messages %}<|{{ message.role }}|>{{ '\n' }}{{ message.content }}<|end|>{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{{ '\n' }}{% endif %}",
    "phi-4": "{% for message in messages %}<|im_start|>{{ message.role }}<|im_sep|>{{ message.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant<|im_sep|>{% endif %}",
    "chatml": "{% for message in messages %}<|im_start|>{{ message.role }}{{ '\n' }}{{ message.content }}<|im_end|>{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\n' }}{% endif %}",
}

_MARK = re.compile("\ue000(\\d+)\ue001")


@dataclass(frozen=True)
class Piece:
    """A stretch of a rendered conversation: the template's own words, or (`said`) those of a message."""

    text: str
    said: bool
    learned: bool


@dataclass(frozen=True)
class ChatTemplate:
    """A template by name, or as it is written."""

    name: str
    template: str

    @classmethod
    def of(cls, name: str) -> ChatTemplate:
        """The template of this name, or the one that is spelled out.

        Raises:
            RunError: it is neither, or no Jinja template.
        """
        if name in TEMPLATES:
            return cls(name, TEMPLATES[name])
        if "{%" in name or "{{" in name:
            own = cls("own", name)
            _ = own._rendered  # a slip in it is told now
            return own
        raise RunError(
            f"no chat template is called '{name}'",
            place="chat_template",
            hint=f"there are {', '.join(TEMPLATES)}; or write out a Jinja template",
        )

    @cached_property
    def _rendered(self) -> Callable[..., str]:
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        def refuse(problem: str) -> None:
            raise RunError(f"the chat template refuses a conversation: {problem}", place="chat_template")

        rules = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        rules.globals["raise_exception"] = refuse
        try:
            return rules.from_string(self.template).render
        except jinja2.TemplateError as error:
            raise RunError(f"the chat template is no template: {error}", place="chat_template") from None

    def render(self, messages: Sequence[Message], *, ask: bool = False) -> str:
        """The conversation as text; with `ask`, up to where the assistant's next words begin."""
        plain = [{"role": message.role, "content": message.content} for message in messages]
        return self._rendered(messages=plain, add_generation_prompt=ask, bos_token="", eos_token=END)

    def pieces(self, messages: Sequence[Message], *, learn_from: int = 0) -> list[Piece]:
        """The conversation, in pieces; of messages from number `learn_from` on, what the assistant says is learned, and
        the token (or words) that end it.

        Raises:
            RunError: the template changes what is said, or words that were said before depend on what comes after.
        """
        marked = [Message(item.role, f"\ue000{number}\ue001") for number, item in enumerate(messages)]
        pieces, done = [], ""
        for number, message in enumerate(messages):
            if message.role != "assistant":
                continue
            asked, answered = self.render(marked[:number], ask=True), self.render(marked[: number + 1])
            if not asked.startswith(done) or not answered.startswith(asked):
                raise self._unsteady()
            pieces += _split(asked[len(done) :], messages, False)
            answer = answered[len(asked) :]
            learned = answer.rstrip()
            pieces += _split(learned, messages, number >= learn_from)
            pieces += _split(answer[len(learned) :], messages, False)
            done = answered
        whole = self.render(marked)
        if not whole.startswith(done):
            raise self._unsteady()
        pieces += _split(whole[len(done) :], messages, False)
        self._check(pieces, messages)
        return [piece for piece in pieces if piece.text]

    def prompt(self, messages: Sequence[Message]) -> list[Piece]:
        """The conversation up to where the assistant's next words begin."""
        marked = [Message(item.role, f"\ue000{number}\ue001") for number, item in enumerate(messages)]
        return [piece for piece in _split(self.render(marked, ask=True), messages, False) if piece.text]

    def ending(self) -> str:
        """What the template writes after an answer, without the space behind it: where to stop when completing."""
        asked = [Message("user", "?")]
        answered = self.render([*asked, Message("assistant", "\ue000")])
        return answered.partition("\ue000")[2].strip()

    def _check(self, pieces: list[Piece], messages: Sequence[Message]) -> None:
        joined, told = "".join(piece.text for piece in pieces), self.render(messages)
        if joined != told:
            raise RunError(
                "the chat template changes what is said (it may trim it)",
                place="chat_template",
                hint="trim messages before, and write {{ message.content }} alone",
            )

    def _unsteady(self) -> RunError:
        return RunError(
            "with the chat template, what was said before an answer depends on what comes after it",
            place="chat_template",
            hint="write a template that renders one message after the other, and asks with add_generation_prompt",
        )


def _split(text: str, messages: Sequence[Message], learned: bool) -> list[Piece]:
    """The template's words and, where marks stand, those of the messages."""
    parts = _MARK.split(text)
    pieces = []
    for place, part in enumerate(parts):
        said = place % 2 == 1
        pieces.append(Piece(messages[int(part)].content if said else part, said, learned))
    return pieces


@dataclass(frozen=True)
class ChatEncoder:
    """Pieces as token ids: control tokens in a template's words are single ids, and in what is said they are text."""

    encode_batch: Callable[[list[str]], list[list[int]]]
    control: dict[str, int]
    eod: int

    @classmethod
    def of(cls, encode_batch: Callable[[list[str]], list[list[int]]], eod: int, file: Path | None) -> ChatEncoder:
        """For a tokenizer; its special tokens are control tokens."""
        control = {END: eod}
        if file is not None:
            described = json.loads(file.read_text(encoding="utf-8"))
            added = described.get("added_tokens", [])
            control = {token["content"]: token["id"] for token in added if token.get("special")} | control
        return cls(encode_batch, control, eod)

    def encode(self, chats: Sequence[list[Piece]]) -> Iterator[tuple[list[int], list[int]]]:
        """For each conversation its ids, and 1 for each that is learned."""
        texts: list[str] = []
        plans = [[self._plan(piece, texts) for piece in pieces] for pieces in chats]
        ids = self.encode_batch(texts) if texts else []
        for plan in plans:
            tokens: list[int] = []
            learned: list[int] = []
            for parts, counts in plan:
                for part in parts:
                    new = [part.id] if isinstance(part, _Control) else ids[part]
                    tokens += new
                    learned += [counts] * len(new)
            yield tokens, learned

    def _plan(self, piece: Piece, texts: list[str]) -> tuple[list[_Control | int], int]:
        """The parts of a piece: control tokens, and places of texts that are encoded together."""
        parts: list[_Control | int] = []
        for part in [piece.text] if piece.said else self._pattern.split(piece.text):
            if not piece.said and part in self.control:
                parts.append(_Control(self.control[part]))
            elif part:
                parts.append(len(texts))
                texts.append(part)
        return parts, int(piece.learned)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(self.control, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")


@dataclass(frozen=True)
class _Control:
    id: int


def read_messages(value: Any) -> list[Message]:
    """A list of messages as tables keep it."""
    return [Message(item["role"], item["content"] or "") for item in value or []]
