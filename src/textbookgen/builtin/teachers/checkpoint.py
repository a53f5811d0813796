"""The teacher `checkpoint`: a model that a recipe trained, or that lies in a folder, answers requests itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from textbookgen.api.annotations import Input, Runtime
from textbookgen.api.artifacts import Artifact, Checkpoint
from textbookgen.api.errors import RequestRefused, TeacherError, TextbookgenError, TrainerError
from textbookgen.api.message import Message
from textbookgen.api.model import Model, TokenModel
from textbookgen.api.teacher import Price, Reply, Request, Teacher

#: The files of a folder that make a model what it is: weights, shape and tokenizer.
_MAKES_IT = ("*.safetensors", "*.bin", "*.pt", "*.gguf", "config.json", "tokenizer*", "vocab*", "merges*", "chat_template*")


class OwnModel(Teacher):
    """A checkpoint of any trainer, such as one that this recipe trained above: self-play, and data written by a model of
    one's own.

    Messages are written by the checkpoint's own chat template; a model without one is given their texts and goes on. The
    ledger knows the model by its weights, wherever it lies and whatever it is called. Requests that wait together are
    answered together (`max_parallel` at once), and a reply does not depend on which.
    """

    name = "checkpoint"

    checkpoint: Annotated[str, Input(Checkpoint, or_name=True)] = Field(
        description="a stage above that gives a checkpoint, or a folder with one"
    )
    temperature: float = Field(1.0, ge=0, description="how freely words are chosen; 0 always takes the likeliest")
    max_tokens: int = Field(512, gt=0, description="tokens after which a reply is cut")
    stop: tuple[str, ...] = Field((), max_length=16, description="texts that end a reply; they are left out of it")
    seed: int = Field(0, description="another seed gives other replies to the same requests")
    time_limit: Annotated[float | None, Runtime] = Field(None, gt=0, description="seconds after which a request is given up")
    retries: Annotated[int, Runtime] = Field(0, ge=0, description="how often a request that failed in passing is sent again")

    _folder: Path | None = PrivateAttr(None)
    _open: Callable[[Path], Model] | None = PrivateAttr(None)
    _model: Model | None = PrivateAttr(None)
    _waiting: list[tuple[Request, asyncio.Future[Reply]]] = PrivateAttr(default_factory=list)
    _answering: asyncio.Task[None] | None = PrivateAttr(None)

    def prepare(self, inputs: Mapping[str, Artifact], open_model: Callable[[Path], Model]) -> None:
        """Remembers the folder and the door; the model is opened by the first request that no ledger answers."""
        result = inputs.get(self.checkpoint)
        self._folder = result.path if isinstance(result, Checkpoint) else Path(self.checkpoint)
        self._open = open_model
        self._waiting = []

    def digest(self) -> str:
        """Of weights, shape, tokenizer and chat template; empty while there is no such folder."""
        folder = self._folder or Path(self.checkpoint)
        return digest_of(folder) if folder.is_dir() else ""

    def price(self) -> Price:
        """Nothing but one's own electricity."""
        return Price(0.0, 0.0)

    def max_output_tokens(self) -> int:
        """`max_tokens`."""
        return self.max_tokens

    async def complete(self, request: Request) -> Reply:
        """The model's reply; requests that come while it works on others are answered together after them.

        Raises:
            TeacherError: the model cannot be opened, or could not answer.
        """
        coming: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, coming))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_all())
        return await coming

    async def _answer_all(self) -> None:
        while self._waiting:
            await asyncio.sleep(0.002)  # so that those who were told at the same moment can ask again, and be together
            some, self._waiting[:] = self._waiting[: self.max_parallel], self._waiting[self.max_parallel :]
            try:
                replies: Sequence[Reply | TextbookgenError] = await asyncio.to_thread(
                    self._answer, [request for request, _ in some]
                )
            except TextbookgenError as error:
                replies = [TeacherError(error.problem, place=error.place, hint=error.hint)] * len(some)
            for (_, coming), reply in zip(some, replies, strict=True):
                if coming.done():
                    continue
                if isinstance(reply, Reply):
                    coming.set_result(reply)
                else:
                    coming.set_exception(reply)

    def _answer(self, requests: Sequence[Request]) -> list[Reply]:
        if self._model is None:
            if self._open is None or self._folder is None:
                raise TrainerError("the model was never made ready", hint="teachers are made ready by `prepare`")
            self._model = self._open(self._folder)
        if isinstance(self._model, TokenModel):
            return self._by_tokens(self._model, requests)
        return [self._by_text(self._model, request) for request in requests]

    def _by_tokens(self, model: TokenModel, requests: Sequence[Request]) -> list[Reply]:
        asked = model.encode([self._told(request) for request in requests])
        said = model.extend(
            asked,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            stop=self.stop,
            seeds=[self._seed(request) for request in requests],
        )
        return [
            Reply(item.text, len(ids), len(item.ids), finish="stop" if item.ended else "length")
            for ids, (item,) in zip(asked, said, strict=True)
        ]

    def _by_text(self, model: Model, request: Request) -> Reply:
        """A model that is asked by texts alone is asked alone too, for its draws depend on what stands beside them."""
        assert self._folder is not None
        prompt, ending = written(self._told(request), card_of(self._folder).get("chat"))
        ((text,),) = model.complete(
            [prompt],
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            stop=(*self.stop, *([ending] if ending else [])),
            seed=self._seed(request),
        )
        return Reply(text)

    def _told(self, request: Request) -> tuple[Message, ...]:
        if not request.messages:
            raise RequestRefused("the request holds no message")
        return request.messages

    def _seed(self, request: Request) -> int:
        """A seed of the request's own, so that a reply depends on nothing else."""
        facts = [self.seed, request.sample, [[turn.role, turn.content] for turn in request.messages]]
        return int.from_bytes(sha256(json.dumps(facts).encode()).digest()[:6], "big")

    async def close(self) -> None:
        """Ends the model's process; the next request opens it again."""
        model, self._model = self._model, None
        if model is not None:
            await asyncio.to_thread(model.close)


def card_of(folder: Path) -> dict[str, Any]:
    """What a checkpoint says of itself; empty where it has no card."""
    card = folder / Checkpoint.card_name
    return dict(json.loads(card.read_text(encoding="utf-8"))) if card.is_file() else {}


def written(messages: Sequence[Message], chat: Mapping[str, str] | None) -> tuple[str, str]:
    """A conversation as text up to where the assistant's next words begin, and what the template writes behind them.

    `chat` is a card's: its `template` is in the language of transformers' `chat_template`. Without one, the texts alone.
    """
    if not chat:
        return "\n\n".join(message.content for message in messages), ""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(chat["template"])
    begun = messages[-1].content if messages[-1].role == "assistant" else ""
    told = [{"role": message.role, "content": message.content} for message in (messages[:-1] if begun else messages)]

    def render(turns: list[dict[str, str]], ask: bool) -> str:
        return template.render(messages=turns, add_generation_prompt=ask, bos_token="", eos_token="")

    whole = render([*told, {"role": "assistant", "content": "\ue000"}], False)
    return render(told, True) + begun, whole.rpartition("\ue000")[2].strip()


def digest_of(folder: Path) -> str:
    """The digest of a model: of the files that make it what it is, and of what its card says of tokenizer and chat."""
    total = sha256()
    files = {file for pattern in _MAKES_IT for file in folder.glob(pattern) if file.is_file()}
    for file in sorted(files):
        status = file.stat()
        total.update(f"{file.name}\x1f{_digest(file, status.st_size, status.st_mtime_ns)}\x1f".encode())
    told = card_of(folder)
    total.update(json.dumps([told.get(fact) for fact in ("shape", "eod", "chat")], sort_keys=True).encode())
    return total.hexdigest() if files else ""


@lru_cache(maxsize=256)
def _digest(file: Path, size: int, changed: int) -> str:
    """Read once for each state of a file."""
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
