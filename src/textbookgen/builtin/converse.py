"""Has trained models answer conversations: what they say, and how likely they find what they should say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from textbookgen.artifacts import Chats, Checkpoint, Documents, Pairs, Table
from textbookgen.errors import RunError, TrainerError
from textbookgen.hookspecs import hookimpl
from textbookgen.marks import Labels, Pipe, Placement
from textbookgen.model import TokenModel
from textbookgen.stage import Evaluate, Given, Stage
from textbookgen.teacher import Message

Turns = tuple[Message, ...]
_FIGURES = {"subject": pl.String, "metric": pl.String, "value": pl.Float64, "stderr": pl.Float64, "n": pl.Int64}


@dataclass(frozen=True)
class Asked:
    """What a model is asked, and what it should say: nothing, a reply, or a reply rather than another."""

    turns: Turns
    wanted: str = ""
    unwanted: str = ""


class Converse(Evaluate):
    """Has each checkpoint answer conversations it was not trained on, by its own chat template, and shows what it says.

    Of chats the last answer is left to the model, and `bits per byte of answers` tells how well it foresees the one that is
    there. Of pairs, `chosen is likelier` is the share whose chosen reply is likelier than the rejected one, and `chosen is
    likelier, a token` the share where it is so on average over a reply's tokens, which does not favour short ones. Of
    documents each text is a user's message. `ends by itself` is the share of replies that ended before `max_tokens`.
    """

    name: ClassVar[str] = "converse"

    inputs: Annotated[Labels, Pipe(Checkpoint)] = Field(alias="from", description="stages above whose checkpoints answer")
    conversations: Annotated[str, Pipe(Chats, Pairs, Documents)] = Field(
        description="stage above whose chats, pairs or texts are asked"
    )
    most: int = Field(200, gt=0, description="conversations that each model is asked, the first ones")
    max_tokens: int = Field(128, gt=0, description="tokens of a reply at most")
    temperature: float = Field(0.0, ge=0, description="0 always takes the likeliest token")
    seed: int = Field(0, description="with a temperature: another seed draws other replies")
    examples: int = Field(4, ge=0, description="conversations that the report shows, with every model's reply")
    batch: Annotated[int, Placement] = Field(32, gt=0, description="conversations that are answered at once")

    def measure(self, given: Given, out: Path) -> pl.DataFrame:
        """The figures; `replies.parquet` keeps every reply.

        Raises:
            RunError: there is nothing to ask.
            TrainerError: a model's trainer does not let it be asked by token ids.
        """
        table = given["conversations"]
        assert isinstance(table, Table)
        asked = list(_asked(table, self.most))
        if not asked:
            raise RunError("there is no conversation to ask", place="conversations")
        replies: list[pl.DataFrame] = []
        figures: list[dict[str, Any]] = []
        for label, checkpoint in given.each("from").items():
            assert isinstance(checkpoint, Checkpoint)
            with closing(given.doors.model(checkpoint.path)) as model:
                if not isinstance(model, TokenModel):
                    raise TrainerError(f"the model of '{label}' cannot be asked by token ids", place="from")
                told = pl.concat([self._answered(model, asked[at : at + self.batch], at) for at in self._starts(asked)])
            replies.append(told.with_columns(subject=pl.lit(label)))
            figures += list(_figures(label, told))
        pl.concat(replies).write_parquet(out / "replies.parquet")
        (out / "replies.md").write_text("\n".join(self._shown(asked, replies)), encoding="utf-8")
        return pl.DataFrame(figures, schema=_FIGURES)

    def _starts(self, asked: Sequence[Asked]) -> range:
        return range(0, len(asked), self.batch)

    def _answered(self, model: TokenModel, asked: Sequence[Asked], first: int) -> pl.DataFrame:
        """A row a conversation: the reply, and how likely the replies are that are there."""
        prompts = model.encode([each.turns for each in asked])
        said = model.extend(
            prompts,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            seeds=[self.seed * 1_000_003 + first + number for number in range(len(asked))],
        )
        frame = pl.DataFrame(
            {
                "question": [each.turns[-1].content for each in asked],
                "reply": [each[0].text for each in said],
                "ended": [each[0].ended for each in said],
            }
        )
        for name in ("wanted", "unwanted"):
            texts = [str(getattr(each, name)) for each in asked]
            if any(texts):
                frame = frame.hstack(_likelihood(model, prompts, texts, name))
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
                yield f"- {row['subject']}: {_line(row['reply'])}{'' if row['ended'] else ' …'}"
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


def _likelihood(model: TokenModel, prompts: Sequence[Sequence[int]], texts: Sequence[str], name: str) -> pl.DataFrame:
    """For each text, after its prompt: the sum of log probabilities, how many tokens, and how many bytes."""
    ids = model.encode(texts)
    found = model.logprobs([(prompt, each) for prompt, each in zip(prompts, ids, strict=True)])
    return pl.DataFrame(
        {
            f"{name}.logprob": [float(sum(each)) for each in found],
            f"{name}.tokens": [len(each) for each in ids],
            f"{name}.bytes": [len(text.encode()) for text in texts],
        }
    )


def _figures(label: str, told: pl.DataFrame) -> Iterator[dict[str, Any]]:
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


@hookimpl
def stages() -> list[type[Stage]]:
    """`converse`."""
    return [Converse]
