"""The stage `write`: documents from any prompt, without a plugin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from textbookgen.api.annotations import Template
from textbookgen.api.artifacts import Artifact, Chats, Documents, Pairs
from textbookgen.api.errors import Diagnostic, UnusableReply
from textbookgen.api.generator import Ask, Draw, Generator
from textbookgen.api.message import Message
from textbookgen.api.reply_text import complete_text, find_json, read_sections, without_chatter
from textbookgen.api.teacher import Reply
from textbookgen.builtin.stages.reply_fields import JsonSchema, as_column, document_with_draw, dtype_of, field, properties

_PAIR = ("prompt", "chosen", "rejected")
_CONTENT = ("text", "messages", *_PAIR)
_ENGINE_COLUMNS = ("id", "step", "parents", "reply", "draw", "truncated")
#: What a column can hold when the reply is read as text.
_TURN = re.compile(r"(?P<what>reply|prompt)(?: (?P<turn>[1-9]\d*))?")
_CONVERSATION = "conversation"
#: The roles of a conversation made of a list of texts.
_ROLES = ("user", "assistant")

Source = str | tuple[str, ...]


class Write(Generator):
    """Writes documents with any prompt: the reply is read as text, as sections, with patterns or as JSON.

    Announcements ("Sure! Here is the story:"), offers of help, reasoning traces and a code fence around the text are removed.
    Replies that are empty, truncated or declined, or that lack a column, are failures, counted by reason.
    """

    name: ClassVar[str] = "write"

    prompt: Annotated[str, Template] = Field(
        description="prompt template, by name or as text; its variables are those of the sampler, with `from` also `document` "
        "(the row; `document.draw` has what it was drawn with), and `documents_per_reply`"
    )
    system: Annotated[str | None, Template] = Field(None, description="template of the system prompt, by name or as text")
    follow_ups: Annotated[tuple[str, ...], Template] = Field(
        (), description="templates of further turns; each is sent after the reply to the one before, with `replies` so far"
    )
    read_as: Literal["text", "sections", "pattern", "json"] | None = Field(
        None, description="how the last reply is read; unset: `json` with a `schema`, or else `text`"
    )
    reply_schema: JsonSchema = Field(
        None, alias="schema", description="JSON schema of the last reply: a table, or `@FILE` for a file beside the recipe"
    )
    columns: dict[str, Source] = Field(
        default_factory=dict,
        description="output columns, and what each holds: a field of the JSON (`story.title`), a section, a pattern with one "
        "group; of text: `reply`, `reply 1`, `prompt`, `prompt 1`, `conversation`. One is `text`, or `messages`, or there are "
        "`prompt`, `chosen` and `rejected`; a list makes messages of user and assistant in turn. Others are stored as "
        "`write.NAME`. With `from` and none of these, the content is that of the input document. Unset: the whole reply as "
        "`text`, or all fields of the schema",
    )
    items: str | None = Field(
        None, description="field of the JSON with the list of documents; a reply that is a list itself needs none"
    )
    separator: str | None = Field(
        None, description="of text: pattern of the whole line between the documents of a reply, such as `---`"
    )
    documents_per_reply: int = Field(
        1, gt=0, description="number of documents that the prompt asks for; with more than one, exactly `count` are accepted"
    )
    document_kind: str = Field("document", alias="kind", description="kind of the documents, unless `kind` is a column")
    program_task: str = Field("", alias="task", description="what is requested, for teachers that are programs")

    # -- what the planner asks

    def output_type(self, inputs: Sequence[type[Artifact]]) -> type[Artifact]:
        """Return Documents, Chats or Pairs by the columns; the type of the input if its content is kept."""
        if "messages" in self._sources:
            return Chats
        if "chosen" in self._sources:
            return Pairs
        return inputs[0] if self._keeps_content and inputs else Documents

    def documents_per_draw(self) -> int:
        """Return `documents_per_reply`."""
        return self.documents_per_reply

    def requests_per_draw(self) -> int:
        """Return the number of turns."""
        return 1 + len(self.follow_ups)

    def template_variables(self, option: str) -> Mapping[str, Any]:
        """Return `documents_per_reply`, and for further turns `replies`."""
        replies = {"replies": [""] * len(self.follow_ups)} if option == "follow_ups" else {}
        return {"documents_per_reply": self.documents_per_reply, **replies}

    def check(self) -> Iterable[Diagnostic]:
        """Report columns that no document can consist of, and what does not fit the way the reply is read."""
        yield from self._check_content()
        yield from self._check_sources()
        if self.reply_schema is not None and self._mode != "json":
            yield Diagnostic("schema", f'has no effect with read_as = "{self._mode}"', 'remove it, or set read_as = "json"')
        if self.items is not None and self._mode != "json":
            yield Diagnostic("items", "has an effect on JSON only", 'set read_as = "json", or use `separator`')
        if self.separator is not None:
            if self._mode == "json":
                yield Diagnostic("separator", "has no effect on JSON", "use `items`")
            yield from _check_pattern("separator", self.separator)
        if self.documents_per_reply > 1 and self._mode != "json" and self.separator is None:
            problem = "several documents in a reply of text need a `separator`"
            yield Diagnostic("documents_per_reply", problem, 'such as separator = "---"; the prompt must ask for it')

    def _check_content(self) -> Iterator[Diagnostic]:
        columns = self._sources.keys()
        forms = [form for form in (("text",), ("messages",), _PAIR) if columns & set(form)]
        if len(forms) > 1:
            yield Diagnostic("columns", "a document has `text`, or `messages`, or a pair of replies, not several of them")
        elif not forms and not self.inputs:
            known = f"; the columns are {', '.join(columns)}" if columns else ""
            hint = 'name the one that is the document, such as columns = { text = "story" }'
            yield Diagnostic("columns", f"no column is `text` or `messages`{known}", hint)
        elif forms == [_PAIR] and not columns >= set(_PAIR):
            yield Diagnostic("columns", "a pair needs `prompt`, `chosen` and `rejected`")
        for name in [name for name in columns if name in _ENGINE_COLUMNS]:
            yield Diagnostic("columns", f"`{name}` is a column of the engine", "choose another name")

    def _check_sources(self) -> Iterator[Diagnostic]:
        if self._mode in ("sections", "pattern") and not self.columns:
            yield Diagnostic("columns", f'read_as = "{self._mode}" needs `columns`', 'such as columns = { text = "Story" }')
        for column, source in self._sources.items():
            if isinstance(source, tuple) and column not in ("messages", "prompt"):
                yield Diagnostic("columns", f"`{column}` cannot be a list: only messages are", "name one source")
            for name in _names(source):
                yield from self._check_source(column, name)

    def _check_source(self, column: str, name: str) -> Iterator[Diagnostic]:
        if self._mode == "pattern":
            yield from _check_pattern("columns", name)
        if self._mode == "json" and (known := properties(self.reply_schema, self.items)) and name.split(".")[0] not in known:
            yield Diagnostic("columns", f"`{column}`: the schema has no field '{name}'", f"it has {', '.join(known)}")
        if self._mode != "text" or (name == _CONVERSATION and column == "messages"):
            return
        turn = _TURN.fullmatch(name)
        if turn is None:
            hint = "of text: `reply`, `reply 1`, `prompt`, `prompt 1`, or for messages `conversation`; or set `read_as`"
            yield Diagnostic("columns", f"`{column}`: '{name}' is not a part of the conversation", hint)
        elif int(turn["turn"] or 1) > self.requests_per_draw():
            yield Diagnostic("columns", f"`{column}`: '{name}', but there are {self.requests_per_draw()} turns")

    # -- how it is configured

    @property
    def _mode(self) -> str:
        return self.read_as or ("text" if self.reply_schema is None else "json")

    @property
    def _properties(self) -> dict[str, Mapping[str, Any]]:
        return properties(self.reply_schema, self.items)

    @property
    def _sources(self) -> dict[str, Source]:
        if self.columns:
            return dict(self.columns)
        return {name: name for name in self._properties} if self._properties else {"text": "reply"}

    @property
    def _keeps_content(self) -> bool:
        return not set(_CONTENT) & self._sources.keys()

    # -- one document

    async def generate(self, draw: Draw, ask: Ask) -> Iterable[dict[str, Any] | UnusableReply]:
        """Send each turn with the conversation so far, and return the documents of the last reply."""
        variables = document_with_draw(draw) | {"documents_per_reply": self.documents_per_reply}
        messages = [Message("system", ask.render(self.system, variables))] if self.system else []
        prompts: list[str] = []
        replies: list[Reply] = []
        for template in (self.prompt, *self.follow_ups):
            if replies:
                messages.append(Message("assistant", complete_text(replies[-1])))
            prompts.append(ask.render(template, {**variables, "replies": [item.text for item in replies]}))
            messages.append(Message("user", prompts[-1]))
            schema = self.reply_schema if len(prompts) == self.requests_per_draw() else None
            replies.append(await ask(messages, task=self.program_task, schema=schema))
        return self._documents(draw, prompts, replies)

    def parse(self, draw: Draw, reply: Reply) -> Iterable[dict[str, Any] | UnusableReply]:
        """Return the documents of a reply; the prompt is empty, where a column holds it."""
        return self._documents(draw, [""] * self.requests_per_draw(), [reply] * self.requests_per_draw())

    def _documents(self, draw: Draw, prompts: Sequence[str], replies: Sequence[Reply]) -> list[dict[str, Any] | UnusableReply]:
        """Return the documents, and for each part of the reply that is none what it lacks."""
        texts = [complete_text(reply) for reply in replies]
        rows: list[dict[str, Any] | UnusableReply] = []
        for item in self._items(texts[-1]):
            try:
                rows.append(self._row(draw, self._values(item, prompts, texts)))
            except UnusableReply as error:
                rows.append(error)
        if len(rows) == 1 and isinstance(rows[0], UnusableReply):
            raise rows[0]
        return rows

    def _items(self, text: str) -> list[Any]:
        """Return the parts of a reply that are to be documents.

        Raises:
            UnusableReply: the reply has none, or is not divided as the prompt asks.
        """
        if self._mode != "json":
            return self._split(without_chatter(text))
        value = find_json(text)
        if self.items is not None:
            value = field(value, self.items)
            if not isinstance(value, list):
                raise UnusableReply(f"the reply has no list `{self.items}`")
        items = value if isinstance(value, list) else [value]
        if not items:
            raise UnusableReply("the list in the reply is empty")
        return items

    def _split(self, text: str) -> list[str]:
        if self.separator is None:
            return [text]
        parts: list[list[str]] = [[]]
        for line in text.split("\n"):
            plain = line.strip()
            if any(re.fullmatch(self.separator, each, re.IGNORECASE) for each in (plain, plain.strip("*_# "))):
                parts.append([])
            else:
                parts[-1].append(line)
        documents = [document for part in parts if (document := without_chatter("\n".join(part)))]
        if self.documents_per_reply > 1 and len(parts) == 1:
            raise UnusableReply("the reply has no line that separates its documents")
        if not documents:
            raise UnusableReply("the reply has nothing between the separators")
        return documents

    def _values(self, item: Any, prompts: Sequence[str], replies: Sequence[str]) -> dict[str, Any]:
        """Return what each source holds, by its name; None where a JSON field is absent.

        Args:
            item: the part of the last reply that is to be a document.
            prompts: the prompt of each turn.
            replies: the reply of each turn.

        Raises:
            UnusableReply: a section or a match of a pattern is missing.
        """
        names = list(dict.fromkeys(name for source in self._sources.values() for name in _names(source)))
        if self._mode == "pattern":
            return {name: _match(name, item) for name in names}
        if self._mode == "json":
            if not isinstance(item, Mapping):
                raise UnusableReply("an item of the reply is not a JSON object")
            return {name: field(item, name) for name in names}
        if self._mode == "sections":
            sections = read_sections(item, names)
            for name in names:
                if name not in sections:
                    raise UnusableReply(f"the reply has no section '{name}'")
            return sections
        return {name: _part(name, item, prompts, replies) for name in names}

    # -- the row of a document

    def _row(self, draw: Draw, values: Mapping[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {"kind": self.document_kind}
        if self._keeps_content:
            document = draw["document"]
            row |= {name: document[name] for name in ("kind", *_CONTENT) if name in document}
        for column, source in self._sources.items():
            if column in ("text", "kind"):
                text = _text(values[str(source)], str(source))
                row[column] = without_chatter(text) if self._mode == "json" else text
            elif column in _CONTENT:
                row[column] = _messages(source, values, "user" if column == "prompt" else "assistant")
            else:
                name = column if "." in column else f"{self.name}.{column}"
                row[name] = as_column(values[str(source)], dtype_of(self._properties.get(str(source))))
        return row


def _names(source: Source) -> tuple[str, ...]:
    return (source,) if isinstance(source, str) else source


def _check_pattern(option: str, pattern: str) -> Iterator[Diagnostic]:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        yield Diagnostic(option, f"the pattern '{pattern}' is not a regular expression: {error}", "escape special characters")
        return
    if groups > 1:
        yield Diagnostic(
            option, f"the pattern '{pattern}' has {groups} groups", "mark the value with one; write (?:…) for others"
        )


def _part(name: str, item: str, prompts: Sequence[str], replies: Sequence[str]) -> Any:
    """Return a part of the conversation: a prompt, a reply (of the last turn: the document in it), or all messages."""
    if name == _CONVERSATION:
        texts = [text for pair in zip(prompts, replies, strict=True) for text in pair]
        return [_message(_ROLES[at % 2], text) for at, text in enumerate(texts)]
    turn = _TURN.fullmatch(name)
    if turn is None:
        raise UnusableReply(f"'{name}' is not a part of the conversation")
    number = int(turn["turn"] or len(replies))
    if turn["what"] == "prompt":
        return prompts[number - 1]
    return item if number == len(replies) else without_chatter(replies[number - 1])


def _match(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise UnusableReply(f"nothing in the reply matches the pattern '{pattern}'")
    return str(match[1] if match.re.groups else match[0]).strip()


def _text(value: Any, name: str) -> str:
    """Return a value that must be text.

    Raises:
        UnusableReply: it is absent, empty or something else.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise UnusableReply(f"`{name}` is missing or empty in the reply")
    if not isinstance(value, str):
        raise UnusableReply(f"`{name}` is not text in the reply")
    return value.strip()


def _message(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _messages(source: Source, values: Mapping[str, Any], role: str) -> list[dict[str, str]]:
    """Return the messages that a source holds: a list of texts in turn, a list of messages, or one text with this role."""
    if not isinstance(source, str):
        return [_message(_ROLES[at % 2], _text(values[name], name)) for at, name in enumerate(source)]
    value = values[source]
    if not isinstance(value, list):
        return [_message(role, _text(value, source))]
    messages = [item for item in value if isinstance(item, Mapping) and item.get("role") in ("system", *_ROLES)]
    if not value or len(messages) < len(value) or not all(isinstance(item.get("content"), str) for item in messages):
        raise UnusableReply(f"`{source}` in the reply is not a list of messages with `role` and `content`")
    return [_message(str(item["role"]), _text(item["content"], source)) for item in messages]
