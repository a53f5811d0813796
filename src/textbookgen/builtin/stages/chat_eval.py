"""The stage `chat-eval`: what chat models reply, and how likely they find reference replies."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Labels, Runtime
from textbookgen.api.artifacts import Chats, Checkpoint, Documents, Pairs, Table
from textbookgen.api.errors import Diagnostic, RunError
from textbookgen.api.files import write_frame, write_text
from textbookgen.api.message import Message
from textbookgen.api.rows import report_table
from textbookgen.api.stage import Evaluator, StageInputs
from textbookgen.builtin.evaluation.chat_models import TextChatModel, TokenChatModel, open_chat_model

Turns = tuple[Message, ...]


@dataclass(frozen=True)
class Conversation:
    """A conversation to be continued, and reference replies.

    Attributes:
        turns: the messages up to the reply.
        chosen: the reference reply; empty if there is none.
        rejected: the reply that should be less likely; empty if there is none.
    """

    turns: Turns
    chosen: str = ""
    rejected: str = ""


class ChatEval(Evaluator):
    """Lets each checkpoint reply to conversations that it was not trained on, in its own chat template.

    - Chats: the last assistant message is the reference. `answer bits per byte` is the model's loss on it.
    - Pairs: `preference accuracy` is the share of pairs whose chosen reply is likelier than the rejected one;
      `preference accuracy per token` compares mean log probabilities, which does not favour short replies.
    - Documents: each text is a user message.

    `finished replies` is the share of replies that ended before `max_tokens`, for models that take token ids. With `answer`,
    `right answers` is the share of replies whose final answer is that of the reference, of the chosen reply in pairs.
    """

    name: ClassVar[str] = "chat-eval"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints reply")
    conversations: Annotated[str, Input(Chats, Pairs, Documents)] = Field(
        description="stage above with the chats, pairs or user messages"
    )
    max_conversations: int = Field(200, gt=0, description="use only the first N conversations")
    max_tokens: int = Field(128, gt=0, description="maximum length of a reply in tokens")
    temperature: float = Field(0.0, ge=0, description="sampling temperature; 0 for greedy")
    seed: int = Field(0, description="seed of sampled replies")
    answer: str | None = Field(
        None,
        description="regular expression whose group is the final answer of a reply, such as `answer is (\\S+)\\.`: replies are "
        "compared with references by what it finds last; references in which it finds nothing do not count",
    )
    examples: int = Field(4, ge=0, description="conversations to show in the report, with every model's reply")
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="conversations per batch")

    def check(self) -> Iterable[Diagnostic]:
        """Report an `answer` that is not a regular expression with one group."""
        try:
            groups = re.compile(self.answer or "()").groups
        except re.error as error:
            yield Diagnostic("answer", f"is not a regular expression: {error}", r"for example 'answer is (\S+)\.'")
            return
        if groups != 1:
            yield Diagnostic("answer", f"has {groups} groups", "put the final answer, and nothing else, in parentheses")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """Return the metrics; write every reply to `replies.parquet` and some to `replies.md`.

        Raises:
            RunError: there are no conversations.
        """
        conversations = list(_read_conversations(inputs["conversations"], self.max_conversations))
        if not conversations:
            raise RunError("there are no conversations to reply to", place="conversations")
        frames: list[pl.DataFrame] = []
        metrics: list[dict[str, Any]] = []
        for label, checkpoint in inputs.by_label("from", Checkpoint).items():
            with closing(inputs.resolver.model(checkpoint.path)) as model:
                chat_model = open_chat_model(model, checkpoint.path)
                batches = range(0, len(conversations), self.batch)
                replies = pl.concat(
                    [self._reply(chat_model, conversations[start : start + self.batch], start) for start in batches]
                )
            frames.append(replies.with_columns(subject=pl.lit(label)))
            metrics += _metrics(label, self.conversations, replies)
        write_frame(out / "replies.parquet", pl.concat(frames))
        write_text(out / "replies.md", "\n".join(self._render_examples(conversations, frames)))
        return report_table(metrics)

    def _reply(self, model: TokenChatModel | TextChatModel, conversations: Sequence[Conversation], start: int) -> pl.DataFrame:
        """Return one row per conversation: the reply, and the log probabilities of the reference replies."""
        turns = [conversation.turns for conversation in conversations]
        replies = model.reply(turns, self.max_tokens, self.temperature, self.seed * 1_000_003 + start)
        frame = pl.DataFrame(
            [(messages[-1].content, reply, ended) for messages, ((reply, ended),) in zip(turns, replies, strict=True)],
            schema={"question": pl.String, "reply": pl.String, "ended": pl.Boolean},
            orient="row",
        )
        references = {
            "chosen": [conversation.chosen for conversation in conversations],
            "rejected": [conversation.rejected for conversation in conversations],
        }
        for name, texts in references.items():
            if any(texts):
                scores = model.score(turns, texts)
                rows = [(*score, len(text.encode())) for score, text in zip(scores, texts, strict=True)]
                columns = [f"{name}.{column}" for column in ("logprob", "tokens", "bytes")]
                frame = frame.hstack(pl.DataFrame(rows, schema=columns, orient="row"))
        if self.answer is None:
            return frame
        pairs = zip(references["chosen"], frame["reply"], strict=True)
        return frame.with_columns(right=pl.Series([self._is_right(*pair) for pair in pairs], dtype=pl.Boolean))

    def _is_right(self, reference: str, reply: str) -> bool | None:
        """Return whether a reply has the final answer of the reference; None if the reference has none."""
        expected, answers = (re.findall(self.answer or "()", text) for text in (reference, reply))
        return answers[-1:] == expected[-1:] if expected else None

    def _render_examples(self, conversations: Sequence[Conversation], frames: Sequence[pl.DataFrame]) -> Iterator[str]:
        """Yield Markdown with some conversations and every model's reply to each."""
        if not self.examples:
            return
        yield "## Replies\n"
        for number, conversation in enumerate(conversations[: self.examples]):
            yield f"**{_one_line(conversation.turns[-1].content)}**\n"
            for replies in frames:
                row = replies.row(number, named=True)
                yield f"- {row['subject']}: {_one_line(row['reply'])}{' …' if row['ended'] is False else ''}"
            yield ""


def _read_conversations(table: Table, limit: int) -> Iterator[Conversation]:
    rows = table.scan().select(*table.content).head(limit).collect().iter_rows(named=True)
    for row in rows:
        if isinstance(table, Pairs):
            yield Conversation(_turns(row["prompt"]), _reply_of(row["chosen"]), _reply_of(row["rejected"]))
        elif isinstance(table, Chats):
            turns = _turns(row["messages"])
            last = max((number for number, turn in enumerate(turns) if turn.role == "assistant"), default=0)
            if last:
                yield Conversation(turns[:last], turns[last].content)
        else:
            yield Conversation((Message("user", row["text"]),))


def _turns(messages: Iterable[dict[str, Any]]) -> Turns:
    return tuple(Message(message["role"], message["content"] or "") for message in messages)


def _reply_of(messages: Iterable[dict[str, Any]]) -> str:
    return next((turn.content for turn in _turns(messages) if turn.role == "assistant"), "")


def _metrics(label: str, conversations: str, replies: pl.DataFrame) -> Iterator[dict[str, Any]]:
    if replies["ended"].null_count() < len(replies):
        yield _share(label, "finished replies", replies["ended"])
    if "right" in replies.columns and replies["right"].null_count() < len(replies):
        yield {"benchmark": conversations, **_share(label, "right answers", replies["right"].drop_nulls())}
    if "rejected.logprob" in replies.columns:
        likelier = pl.col("chosen.logprob") > pl.col("rejected.logprob")
        yield _share(label, "preference accuracy", replies.select(likelier).to_series())
        mean = {name: pl.col(f"{name}.logprob") / pl.col(f"{name}.tokens").clip(1) for name in ("chosen", "rejected")}
        yield _share(label, "preference accuracy per token", replies.select(mean["chosen"] > mean["rejected"]).to_series())
    elif "chosen.logprob" in replies.columns:
        bits = -float(replies["chosen.logprob"].sum()) / math.log(2)
        value = bits / max(int(replies["chosen.bytes"].sum()), 1)
        yield {"subject": label, "metric": "answer bits per byte", "value": value, "stderr": None, "n": len(replies)}


def _share(label: str, metric: str, values: pl.Series) -> dict[str, Any]:
    share = int(values.sum()) / len(values)
    stderr = math.sqrt(share * (1 - share) / len(values))
    return {"subject": label, "metric": metric, "value": share, "stderr": stderr, "n": len(values)}


def _one_line(text: str) -> str:
    """Return a text as one line of Markdown."""
    return " ".join(text.split()).replace("*", "\\*").replace("`", "\\`") or "(empty)"
