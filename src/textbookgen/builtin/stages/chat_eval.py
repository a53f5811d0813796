"""Has trained models answer conversations: what they say, and how likely they find what they should say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.api.annotations import Input, Labels, Runtime
from textbookgen.api.artifacts import Chats, Checkpoint, Documents, Pairs, Table
from textbookgen.api.errors import RunError
from textbookgen.api.message import Message
from textbookgen.api.model import Model, TokenModel
from textbookgen.api.stage import Evaluator, StageInputs
from textbookgen.builtin.teachers.checkpoint import card_of, written

Turns = tuple[Message, ...]
_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "stderr": pl.Float64, "n": pl.Int64}


@dataclass(frozen=True)
class Asked:
    """What a model is asked, and what it should say: nothing, a reply, or a reply rather than another."""

    turns: Turns
    wanted: str = ""
    unwanted: str = ""


@dataclass(frozen=True)
class ByIds:
    """A model that is asked by token ids, and so by its own chat template to the letter."""

    model: TokenModel

    def say(self, asked: Sequence[Turns], max_tokens: int, temperature: float, seed: int) -> list[tuple[str, bool | None]]:
        """Each reply, and whether it ended by itself."""
        seeds = [seed + number for number in range(len(asked))]
        prompts = self.model.encode(asked)
        said = self.model.extend(prompts, max_tokens=max_tokens, temperature=temperature, seeds=seeds)
        return [(each.text, each.ended) for (each,) in said]

    def likelihood(self, asked: Sequence[Turns], replies: Sequence[str]) -> list[tuple[float, int]]:
        """The sum of log probabilities of each reply, and how many tokens it has."""
        pairs = list(zip(self.model.encode(asked), self.model.encode(replies), strict=True))
        return [(float(sum(each)), len(each)) for each in self.model.logprobs(pairs)]


@dataclass(frozen=True)
class ByText:
    """A model that is asked by text alone; whether a reply ended by itself is not known of it."""

    model: Model
    chat: Mapping[str, str] | None

    def say(self, asked: Sequence[Turns], max_tokens: int, temperature: float, seed: int) -> list[tuple[str, bool | None]]:
        """Each reply."""
        prompts = [written(turns, self.chat) for turns in asked]
        stop = sorted({ending for _, ending in prompts if ending})
        texts = [prompt for prompt, _ in prompts]
        said = self.model.complete(texts, max_tokens=max_tokens, temperature=temperature, stop=stop, seed=seed)
        return [(each, None) for (each,) in said]

    def likelihood(self, asked: Sequence[Turns], replies: Sequence[str]) -> list[tuple[float, int]]:
        """The sum of log probabilities of each reply, and how many tokens it has."""
        pairs = [(written(turns, self.chat)[0], reply) for turns, reply in zip(asked, replies, strict=True)]
        return [(each.logprob, each.tokens) for each in self.model.score(pairs)]


class ChatEval(Evaluator):
    """Has each checkpoint answer conversations it was not trained on, by its own chat template, and shows what it says.

    Of chats the last answer is left to the model, and `bits per byte of answers` tells how well it foresees the one that is
    there. Of pairs, `chosen is likelier` is the share whose chosen reply is likelier than the rejected one, and `chosen is
    likelier, a token` the share where it is so on average over a reply's tokens, which does not favour short ones. Of
    documents each text is a user's message. `ends by itself` is the share of replies that ended before `max_tokens`.
    """

    name: ClassVar[str] = "chat-eval"

    inputs: Annotated[Labels, Input(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints answer")
    conversations: Annotated[str, Input(Chats, Pairs, Documents)] = Field(
        description="stage above whose chats, pairs or texts are asked"
    )
    most: int = Field(200, gt=0, description="conversations that each model is asked, the first ones")
    max_tokens: int = Field(128, gt=0, description="tokens of a reply at most")
    temperature: float = Field(0.0, ge=0, description="0 always takes the likeliest token")
    seed: int = Field(0, description="with a temperature: another seed draws other replies")
    examples: int = Field(4, ge=0, description="conversations that the report shows, with every model's reply")
    batch: Annotated[int, Runtime] = Field(32, gt=0, description="conversations that are answered at once")

    def evaluate(self, inputs: StageInputs, out: Path) -> pl.DataFrame:
        """The figures; `replies.parquet` keeps every reply.

        Raises:
            RunError: there is nothing to ask.
        """
        table = inputs["conversations"]
        assert isinstance(table, Table)
        asked = list(_asked(table, self.most))
        if not asked:
            raise RunError("there is no conversation to ask", place="conversations")
        replies: list[pl.DataFrame] = []
        figures: list[dict[str, Any]] = []
        for label, checkpoint in inputs.by_label("from").items():
            assert isinstance(checkpoint, Checkpoint)
            with closing(inputs.resolver.model(checkpoint.path)) as model:
                chat = card_of(checkpoint.path).get("chat")
                mind = ByIds(model) if isinstance(model, TokenModel) else ByText(model, chat)
                told = pl.concat([self._answered(mind, asked[at : at + self.batch], at) for at in self._starts(asked)])
            replies.append(told.with_columns(subject=pl.lit(label)))
            figures += list(_figures(label, told))
        pl.concat(replies).write_parquet(out / "replies.parquet")
        (out / "replies.md").write_text("\n".join(self._shown(asked, replies)), encoding="utf-8")
        return pl.DataFrame(figures, schema=_FIGURES)

    def _starts(self, asked: Sequence[Asked]) -> range:
        return range(0, len(asked), self.batch)

    def _answered(self, mind: ByIds | ByText, asked: Sequence[Asked], first: int) -> pl.DataFrame:
        """A row a conversation: the reply, and how likely the replies are that are there."""
        turns = [each.turns for each in asked]
        said = mind.say(turns, self.max_tokens, self.temperature, self.seed * 1_000_003 + first)
        frame = pl.DataFrame(
            [(each[-1].content, reply, ended) for each, (reply, ended) in zip(turns, said, strict=True)],
            schema={"question": pl.String, "reply": pl.String, "ended": pl.Boolean},
            orient="row",
        )
        for name in ("wanted", "unwanted"):
            texts = [str(getattr(each, name)) for each in asked]
            if any(texts):
                likely = mind.likelihood(turns, texts)
                facts = [(*each, len(text.encode())) for each, text in zip(likely, texts, strict=True)]
                columns = [f"{name}.{fact}" for fact in ("logprob", "tokens", "bytes")]
                frame = frame.hstack(pl.DataFrame(facts, schema=columns, orient="row"))
        return frame

    def _shown(self, asked: Sequence[Asked], replies: Sequence[pl.DataFrame]) -> Iterator[str]:
        """Some conversations, with every model's reply below each."""
        if not self.examples:
            return
        yield "## What they answer\n"
        for number, each in enumerate(asked[: self.examples]):
            yield f"**{_line(each.turns[-1].content)}**\n"
            for told in replies:
                row = told.row(number, named=True)
                yield f"- {row['subject']}: {_line(row['reply'])}{' …' if row['ended'] is False else ''}"
            yield ""


def _asked(table: Table, most: int) -> Iterator[Asked]:
    rows = table.scan().select(*table.content).head(most).collect().iter_rows(named=True)
    for row in rows:
        if isinstance(table, Pairs):
            yield Asked(_turns(row["prompt"]), _said(row["chosen"]), _said(row["rejected"]))
        elif isinstance(table, Chats):
            turns = _turns(row["messages"])
            last = max((number for number, turn in enumerate(turns) if turn.role == "assistant"), default=0)
            if last:
                yield Asked(turns[:last], turns[last].content)
        else:
            yield Asked((Message("user", row["text"]),))


def _turns(value: Iterable[dict[str, Any]]) -> Turns:
    return tuple(Message(each["role"], each["content"] or "") for each in value)


def _said(value: Iterable[dict[str, Any]]) -> str:
    return next((turn.content for turn in _turns(value) if turn.role == "assistant"), "")


def _figures(label: str, told: pl.DataFrame) -> Iterator[dict[str, Any]]:
    if told["ended"].null_count() < len(told):
        yield _share(label, "ends by itself", told["ended"])
    if "unwanted.logprob" in told.columns:
        yield _share(
            label, "chosen is likelier", told.select(pl.col("wanted.logprob") > pl.col("unwanted.logprob")).to_series()
        )
        mean = {name: pl.col(f"{name}.logprob") / pl.col(f"{name}.tokens").clip(1) for name in ("wanted", "unwanted")}
        yield _share(label, "chosen is likelier, a token", told.select(mean["wanted"] > mean["unwanted"]).to_series())
    elif "wanted.logprob" in told.columns:
        bits = -float(told["wanted.logprob"].sum()) / math.log(2) / max(int(told["wanted.bytes"].sum()), 1)
        yield {"subject": label, "metric": "bits per byte of answers", "value": bits, "stderr": None, "n": len(told)}


def _share(label: str, metric: str, yes: pl.Series) -> dict[str, Any]:
    share = float(yes.cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    stderr = math.sqrt(share * (1 - share) / len(yes))
    return {"subject": label, "metric": metric, "value": share, "stderr": stderr, "n": len(yes)}


def _line(text: str) -> str:
    """A text on one line of Markdown."""
    return " ".join(text.split()).replace("*", "\\*").replace("`", "\\`") or "(nothing)"
